"""`status` of a SystemDiskSpec: what was seen, what is planned, under way and done.

The operator alone writes it. `operation` is the intent that is recorded before every ECS write,
so everything that a restart needs is here. Texts and lists are cut to their limits: a status
write never fails because something was long.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sysdisk.api.base import (
    ApiModel,
    Duration,
    Message,
    Time,
    Word,
    described,
    first,
    last,
)
from sysdisk.api.policy import WINDOWS_LIMIT, Approval, Backup, MaintenanceWindow
from sysdisk.api.spec import (
    Advanced,
    ForceStop,
    PasswordSecretRef,
    Power,
    SecurityEnhancementStrategy,
    StartAfter,
    StoppedMode,
)

HISTORY_LIMIT = 10
TRIGGERS_LIMIT = 10
REQUEST_IDS_LIMIT = 20
LINES_LIMIT = 50
CONDITIONS_LIMIT = 16


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Step(StrEnum):
    """The steps of a replacement that are recorded; the ones before have no record."""

    BACKUP = "Backup"
    STOP = "Stop"
    REPLACE = "Replace"
    VERIFY = "Verify"
    START = "Start"
    FINISH = "Finish"


class Outcome(StrEnum):
    """What is known of the last ReplaceSystemDisk that was sent."""

    PENDING = "Pending"
    UNKNOWN = "Unknown"
    ACCEPTED = "Accepted"
    REFUSED = "Refused"
    GIVEN_UP = "GivenUp"


class ErrorClass(StrEnum):
    """What an error of ECS asks for: the same again, patience, or a person."""

    RETRY = "retry"
    WAIT = "wait"
    USER = "user"


Words = tuple[Word, ...]
Messages = tuple[Message, ...]


class Condition(ApiModel):
    """One condition, as kstatus and `kubectl wait` read it."""

    type: Annotated[Word, described("Kind of condition, such as Ready, Reconciling or Stalled.")]
    status: Annotated[ConditionStatus, described("True, False or Unknown.")]
    reason: Annotated[Word, described("Why, in one word of a documented list.")]
    message: Annotated[
        Message, described("What happened, what it means and what to do, for people.")
    ] = ""
    last_transition_time: Annotated[Time, described("When the status last flipped.")]
    observed_generation: Annotated[
        int | None, described("Generation of the spec that this was judged by.", minimum=0)
    ] = None


class OperationLock(ApiModel):
    """One lock that ECS shows on the instance (ECS OperationLocks)."""

    reason: Annotated[Word, described("Kind of lock, such as security (ECS LockReason).")]
    message: Annotated[Message | None, described("What ECS says about it (ECS LockMsg).")] = None


class LastError(ApiModel):
    """The last error of ECS, with secrets removed."""

    code: Annotated[Word, described("Error code of ECS.")]
    http_status: Annotated[
        int | None, described("HTTP status of the answer; absent where there was none.")
    ] = None
    message: Annotated[Message | None, described("What ECS said, with secrets removed.")] = None
    request_id: Annotated[Word | None, described("Request ID, for support tickets.")] = None
    class_: Annotated[
        ErrorClass | None,
        Field(alias="class"),
        described("What it asks for: retry, wait, or user for a person's help."),
    ] = None
    advice: Annotated[Message | None, described("What to do about it.")] = None


class PlanPolicy(ApiModel):
    """The policy in force: spec, else account, else built-in, raised to what is required."""

    approval: Annotated[Approval | None, described("Automatic or Manual.")] = None
    backup: Annotated[Backup | None, described("Whether and how long a snapshot is kept.")] = None
    maintenance_windows: Annotated[
        tuple[MaintenanceWindow, ...],
        first(WINDOWS_LIMIT),
        described("Windows to begin in; none: any time.", maxItems=WINDOWS_LIMIT),
    ] = ()
    required_windows: Annotated[
        tuple[MaintenanceWindow, ...],
        first(WINDOWS_LIMIT),
        described(
            "Windows of the account, of which one must be open as well; none: any time.",
            maxItems=WINDOWS_LIMIT,
        ),
    ] = ()


class Plan(ApiModel):
    """What is to be done, as people read it, and whether it was tried."""

    id: Annotated[
        Word, described("Versioned hash over the wanted inputs and the world that was seen.")
    ]
    made_at: Annotated[Time, described("When this plan was first made.")]
    approved_by: Annotated[
        Word | None, described("Who approved it, as it was taken up from the annotations.")
    ] = None
    expires_at: Annotated[
        Time | None, described("When its approval lapses: 7 days after it was taken up.")
    ] = None
    generation: Annotated[
        int | None, described("Generation of the spec that it was made from.", minimum=0)
    ] = None
    inputs_hash: Annotated[Word | None, described("Hash of the wanted inputs.")] = None
    image_id: Annotated[Word | None, described("Image to replace with.")] = None
    size: Annotated[int | None, described("Size of the new disk, in GiB.", minimum=0)] = None
    changes: Annotated[
        Messages,
        first(LINES_LIMIT),
        described(
            "The changes, one line each: ~ changed, - destroyed, + new, = kept, ! note.",
            maxItems=LINES_LIMIT,
        ),
    ] = ()
    destroys: Annotated[
        Messages,
        first(LINES_LIMIT),
        described("What is gone for good afterwards.", maxItems=LINES_LIMIT),
    ] = ()
    warnings: Annotated[
        Messages,
        first(LINES_LIMIT),
        described("What to know before it begins.", maxItems=LINES_LIMIT),
    ] = ()
    downtime_seconds: Annotated[
        int | None, described("Expected downtime of the machine, in seconds.", minimum=0)
    ] = None
    policy: Annotated[
        PlanPolicy | None, described("Approval, backup and windows that are in force.")
    ] = None
    rounds: Annotated[
        int, described("How often the machine was given back without an answer.", minimum=0)
    ] = 0
    rest_until: Annotated[
        Time | None, described("No new attempt before this time, after a machine was given back.")
    ] = None
    spent: Annotated[
        bool, described("It was tried and is not begun again by itself; see `sysdisk retry`.")
    ] = False
    spent_reason: Annotated[Word | None, described("Why it is spent, in one word.")] = None
    last_error: Annotated[LastError | None, described("The error that spent it.")] = None


class Order(ApiModel):
    """What a person ordered by annotation, from when the operator saw it until it is used up."""

    plan_id: Annotated[Word, described("The plan that the annotation names.")]
    by: Annotated[Word | None, described("Who gave it, where that is told.")] = None
    expires_at: Annotated[Time | None, described("When it lapses; absent: never.")] = None
    taken: Annotated[
        bool,
        described("The operator took the annotation off; what was ordered holds by this record."),
    ] = False


class FrozenSecretRef(PasswordSecretRef):
    """The Secret of the intent: which one, and in which version. Never its value."""

    uid: Annotated[Word | None, described("UID of the Secret when it was read.")] = None
    resource_version: Annotated[
        Word | None, described("Version of the Secret when it was read.")
    ] = None


class OperationInputs(ApiModel):
    """Every input of a replacement, frozen at its beginning."""

    image_id: Annotated[Word | None, described("Image sent (ECS ImageId).")] = None
    size: Annotated[int | None, described("Size sent, in GiB (ECS SystemDisk.Size).")] = None
    password_secret_ref: Annotated[
        FrozenSecretRef | None, described("Where the password is (ECS Password).")
    ] = None
    password_inherit: Annotated[
        bool | None, described("Password of the image (ECS PasswordInherit).")
    ] = None
    key_pair_name: Annotated[Word | None, described("Key pair sent (ECS KeyPairName).")] = None
    key_pair_kept: Annotated[
        bool, described("The key pair is the present one, not one that the spec names.")
    ] = False
    encrypted: Annotated[bool | None, described("ECS Encrypted.")] = None
    kms_key_id: Annotated[Word | None, described("ECS KMSKeyId.")] = None
    security_enhancement_strategy: Annotated[
        SecurityEnhancementStrategy | None, described("ECS SecurityEnhancementStrategy.")
    ] = None
    use_additional_service: Annotated[bool | None, described("ECS UseAdditionalService.")] = None
    advanced: Annotated[Advanced | None, described("Deprecated and not public parameters.")] = None
    stop_timeout: Annotated[Duration, described("How long the stop may take, as it was then.")]
    force_stop: Annotated[ForceStop, described("Forced stop, as it was then.")]
    stopped_mode: Annotated[StoppedMode, described("Stopped mode, as it was then.")]
    start_after: Annotated[StartAfter, described("Start at the end, as it was then.")]
    give_back_after: Annotated[Duration, described("Patience with ECS, as it was then.")]
    generation: Annotated[int, described("Generation of the spec that was frozen.", minimum=0)]
    hash: Annotated[Word, described("Hash of the wanted inputs; see settled.inputs.")]
    trigger: Annotated[Word | None, described("The replace trigger that was in force.")] = None

    @property
    def power(self) -> Power:
        """Return the power policy as it was frozen."""
        return Power(
            stop_timeout=self.stop_timeout,
            force_stop=self.force_stop,
            stopped_mode=self.stopped_mode,
            start_after=self.start_after,
            give_back_after=self.give_back_after,
        )


class StepTaken(ApiModel):
    """One step of an operation, and the time it took."""

    step: Annotated[Step, described("The step.")]
    seconds: Annotated[int, described("How long it took, in seconds.", minimum=0)]


class Operation(ApiModel):
    """The replacement under way: the intent, recorded before every write to ECS."""

    plan_id: Annotated[Word, described("The plan that is carried out.")]
    step: Annotated[Step, described("The step that is being taken.")]
    attempt: Annotated[
        int, described("Rises after a definite refusal only; part of the token.", minimum=1)
    ] = 1
    tries: Annotated[
        int, described("Writes to ECS so far, each recorded before it was sent.", minimum=0)
    ] = 0
    client_token: Annotated[
        Annotated[str, Field(max_length=64)],
        described("ECS ClientToken of ReplaceSystemDisk, computed once."),
    ]
    inputs: Annotated[OperationInputs, described("Every input, frozen at the beginning.")]
    account: Annotated[Word, described("Name of the EcsAccount it acts through.")]
    region_id: Annotated[Word, described("Region it acts in.")]
    old_disk_id: Annotated[Word, described("System disk before the replacement.")]
    new_disk_id: Annotated[
        Word | None, described("System disk after it, as soon as ECS accepted.")
    ] = None
    was_running: Annotated[bool, described("The machine was running when the operation began.")]
    stopped_by_us: Annotated[
        bool, described("This operation stopped the machine, and owes it a start.")
    ] = False
    data_disk_ids: Annotated[
        Words, first(64), described("Data disks when the operation began.", maxItems=64)
    ] = ()
    addresses: Annotated[
        Words, first(64), described("IP addresses when the operation began.", maxItems=64)
    ] = ()
    from_image_id: Annotated[Word | None, described("Image before the replacement.")] = None
    from_size: Annotated[
        int | None, described("Size before the replacement, in GiB.", minimum=0)
    ] = None
    snapshot_id: Annotated[Word | None, described("Backup of the old disk.")] = None
    snapshot_token: Annotated[
        Word | None, described("ECS ClientToken of the CreateSnapshot under way.")
    ] = None
    backup_days: Annotated[
        int | None, described("Days that the backup is kept, frozen at the beginning.", minimum=1)
    ] = None
    backup_failures: Annotated[
        int, described("Snapshots so far that failed, or vanished.", minimum=0)
    ] = 0
    backup_by: Annotated[
        Time | None,
        described("Until when the backup counts: the end of its window, or an hour."),
    ] = None
    backup_skipped: Annotated[
        Message | None, described("Why there is no backup, where one was asked for.")
    ] = None
    auto_snapshot_policy_id: Annotated[
        Word | None,
        described("Automatic snapshot policy of the old disk, put back on the new one."),
    ] = None
    approved_by: Annotated[Word | None, described("Who approved the plan.")] = None
    started_at: Annotated[Time, described("When the operation began.")]
    step_at: Annotated[Time, described("When its step began.")]
    give_back_by: Annotated[
        Time | None,
        described("When the machine is started again if ECS has not accepted by then."),
    ] = None
    window_ends_at: Annotated[
        Time | None,
        described("End of the maintenance window it was begun in: later, nothing is replaced."),
    ] = None
    outcome: Annotated[
        Outcome | None, described("What is known of the ReplaceSystemDisk that was sent.")
    ] = None
    outcome_at: Annotated[Time | None, described("When that became known.")] = None
    first_try_at: Annotated[
        Time | None,
        described("When CreateSnapshot or ReplaceSystemDisk was first sent with this token."),
    ] = None
    last_try_at: Annotated[
        Time | None, described("When the last write of this step was sent to ECS.")
    ] = None
    unlocked_since: Annotated[
        Time | None,
        described("Since when, with an unknown outcome, the old disk is seen without a lock."),
    ] = None
    ending: Annotated[Word | None, described("Why it is brought to an end early, in one word.")] = (
        None
    )
    last_error: Annotated[LastError | None, described("The last error of ECS.")] = None
    request_ids: Annotated[
        Words,
        last(REQUEST_IDS_LIMIT),
        described("Request IDs of its writes to ECS, the last 20.", maxItems=REQUEST_IDS_LIMIT),
    ] = ()
    steps: Annotated[
        tuple[StepTaken, ...],
        last(20),
        described("The steps taken so far.", maxItems=20),
    ] = ()


class HistoryEntry(ApiModel):
    """One operation that ended."""

    plan_id: Annotated[Word, described("The plan that was carried out.")]
    result: Annotated[Word, described("How it ended, in one word.")]
    message: Annotated[Message | None, described("How it ended, for people.")] = None
    old_disk_id: Annotated[Word | None, described("System disk before.")] = None
    new_disk_id: Annotated[Word | None, described("System disk after, if replaced.")] = None
    from_image_id: Annotated[Word | None, described("Image before.")] = None
    to_image_id: Annotated[Word | None, described("Image that was asked for.")] = None
    snapshot_id: Annotated[Word | None, described("Backup of the old disk.")] = None
    started_at: Annotated[Time, described("When it began.")]
    ended_at: Annotated[Time, described("When it ended.")]
    steps: Annotated[
        tuple[StepTaken, ...], last(20), described("Its steps and their times.", maxItems=20)
    ] = ()
    request_ids: Annotated[
        Words,
        last(REQUEST_IDS_LIMIT),
        described("Request IDs of its writes to ECS.", maxItems=REQUEST_IDS_LIMIT),
    ] = ()
    approved_by: Annotated[Word | None, described("Who approved the plan.")] = None
    attempt: Annotated[
        int | None,
        described("The last attempt that was sent; a later one gets a new token.", minimum=0),
    ] = None


class Settled(ApiModel):
    """The wanted inputs that the machine last matched."""

    inputs: Annotated[Word, described("Hash of those inputs.")]
    at: Annotated[Time, described("When they were matched.")]
    login: Annotated[
        Word | None, described("Hash of the login as it was declared then, without any secret.")
    ] = None
    differs: Annotated[
        bool | None,
        described("A replacement towards these inputs ended, and the machine still differed."),
    ] = None
    lost: Annotated[
        Messages,
        first(LINES_LIMIT),
        described(
            "What the machine had before the replacement and not after it, one line each; told "
            "until the spec is changed or the disk replaced again.",
            maxItems=LINES_LIMIT,
        ),
    ] = ()


class ResolvedFor(ApiModel):
    """What the image family was resolved for; a change of any of these resolves it anew."""

    image_family: Annotated[Word, described("The family.")]
    generation: Annotated[int, described("Generation of the spec.", minimum=0)]
    trigger: Annotated[Word | None, described("The replace trigger in force.")] = None
    inputs: Annotated[
        Word | None, described("Hash of what the spec asked for beside the family.")
    ] = None


class SystemDiskSpecStatus(ApiModel):
    """What was seen, what is planned, under way and done."""

    observed_generation: Annotated[
        int | None, described("Generation of the spec that was last looked at.", minimum=0)
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        described(
            "Ready always; Reconciling and Stalled only while true; Drifted, Approved, BackedUp.",
            maxItems=CONDITIONS_LIMIT,
        ),
    ] = ()
    phase: Annotated[Word | None, described("One word for people; never read by code.")] = None
    resolved_image_id: Annotated[Word | None, described("Image that imageFamily stands for.")] = (
        None
    )
    resolved_for: Annotated[ResolvedFor | None, described("What the family was resolved for.")] = (
        None
    )
    disk_id: Annotated[Word | None, described("Present system disk (ECS DiskId).")] = None
    previous_disk_id: Annotated[Word | None, described("System disk before that.")] = None
    image_id: Annotated[Word | None, described("Image that the instance shows (ECS ImageId).")] = (
        None
    )
    size: Annotated[
        int | None, described("Size of the present system disk, in GiB.", minimum=0)
    ] = None
    instance_status: Annotated[
        Word | None, described("State of the instance, such as Running (ECS Status).")
    ] = None
    locked: Annotated[bool | None, described("Whether ECS holds any lock on the instance.")] = None
    operation_locks: Annotated[
        tuple[OperationLock, ...],
        first(LINES_LIMIT),
        described("The locks (ECS OperationLocks).", maxItems=LINES_LIMIT),
    ] = ()
    observed_at: Annotated[Time | None, described("When any of what was seen last changed.")] = None
    plan: Annotated[Plan | None, described("What is to be done.")] = None
    approval: Annotated[
        Order | None,
        described(
            "The approval that was given, until an operation begins with it. It lets exactly its "
            "own plan begin, within 7 days of when it was seen."
        ),
    ] = None
    retry: Annotated[
        Order | None,
        described("The order to try a plan once more, until an operation begins with it."),
    ] = None
    operation: Annotated[Operation | None, described("The replacement under way.")] = None
    history: Annotated[
        tuple[HistoryEntry, ...],
        last(HISTORY_LIMIT),
        described("The last 10 operations, newest at the end.", maxItems=HISTORY_LIMIT),
    ] = ()
    settled: Annotated[
        Settled | None, described("The wanted inputs that the machine last matched.")
    ] = None
    triggers: Annotated[
        Words,
        last(TRIGGERS_LIMIT),
        described(
            "The last 10 values of replaceTrigger seen, newest at the end; an empty text is its "
            "absence.",
            maxItems=TRIGGERS_LIMIT,
        ),
    ] = ()

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of that type, None if there is none."""
        return next((c for c in self.conditions if c.type == type_), None)
