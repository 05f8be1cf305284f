"""The operation under way: from its recorded step to the next one.

Everything needed is in `status.operation`: inputs, account and region were frozen by the intent to
stop, and no plan is made until `close`. Each function returns the decision for one step; a step
that turns out to be over hands on to the next within the same pass, so that one status write
records both.

The promise behind the shape (I3): whatever happens, the way out leads through Start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from sysdisk.api.conditions import Kind
from sysdisk.api.meta import ANNOTATION_PROTECT, ANNOTATION_SUSPEND
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import ForceStop, StartAfter
from sysdisk.api.status import ErrorClass, Operation, Outcome, Step, SystemDiskSpecStatus
from sysdisk.core.backoff import backoff
from sysdisk.core.ending import close
from sysdisk.core.model import (
    POLL,
    RESYNC,
    Action,
    ApplyAutoSnapshotPolicy,
    Decision,
    DiskLook,
    Event,
    Look,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import TOKEN_MISMATCH, accepted, enter, next_attempt
from sysdisk.core.tokens import client_token
from sysdisk.core.verdict import verdict, with_sight
from sysdisk.core.wanted import pinned_image, plan_id_of, target_hash, trigger_values
from sysdisk.core.world import (
    FORBIDDING_LOCKS,
    AccountState,
    Disk,
    Instance,
    Observed,
    Power,
    SecretState,
)

TOKEN_LIFE: Final = timedelta(hours=1)
"""An intent older than this is not sent again: ECS may have forgotten its token (unverified)."""

WATCH: Final = timedelta(minutes=15)
"""How long an unlocked old disk is watched before a lost request counts as never done."""

VERIFY_OVERDUE: Final = timedelta(minutes=15)
STOP_SETTLES: Final = timedelta(seconds=60)
"""A stop that was sent may still come true for so long after the machine was seen running."""

STOP_AGAIN: Final = timedelta(seconds=30)
START_OVERDUE: Final = timedelta(minutes=10)
GONE_FOR: Final = timedelta(minutes=15)

ENDING_DELETED: Final = "Deleted"
ENDING_GIVEN_BACK: Final = "GivenBack"
ENDING_STARTED: Final = "StartedByOthers"
ENDING_STOP_TIMED_OUT: Final = "StopTimedOut"
ENDING_NO_NEW_DISK: Final = "EndedWithoutNewDisk"
ENDING_WORLD_CHANGED: Final = "WorldChanged"


@dataclass(frozen=True, slots=True)
class Pass:
    """One look at one operation."""

    subject: Subject
    op: Operation
    observed: Observed
    instance: Instance
    now: datetime

    @property
    def id(self) -> str:
        return self.instance.instance_id

    def with_op(self, op: Operation) -> Pass:
        return replace(self, op=op)

    @property
    def status(self) -> SystemDiskSpecStatus:
        """The status with the operation as it stands. Power alone is no reason to write."""
        base = self.subject.status
        seen = with_sight(base, self.instance, self.observed.system_disk, self.now)
        if seen.replace(instance_status=base.instance_status, observed_at=base.observed_at) == base:
            seen = base
        return seen.replace(operation=self.op)

    def say(
        self,
        reason: Reason,
        message: str,
        *,
        action: Action | None = None,
        look_again: timedelta = POLL,
        events: tuple[Event, ...] = (),
    ) -> Decision:
        return verdict(
            self.subject,
            self.status,
            reason,
            message,
            self.now,
            action=action,
            look_again=look_again,
            events=events,
        )


def believed(op: Operation, instance_id: str) -> bool:
    """Whether plan ID and token recompute from the rest of the record: else it is not ours."""
    plan = plan_id_of(
        op.inputs,
        instance_id=instance_id,
        disk_id=op.old_disk_id,
        image_id=op.from_image_id or "",
        size=op.from_size or 0,
        data_disk_ids=op.data_disk_ids,
    )
    token = client_token(instance_id, op.old_disk_id, op.plan_id, op.attempt)
    return plan == op.plan_id and token == op.client_token


def operate(subject: Subject, op: Operation, observed: Observed, now: datetime) -> Decision:
    """Return the next step of `op`. Never raises."""
    instance_id = subject.spec.instance_id
    if not believed(op, instance_id):
        return verdict(
            subject,
            subject.status,
            Reason.RECORD_NOT_OURS,
            f"status.operation names plan {op.plan_id}, which does not follow from its own inputs: "
            "it was not written by this operator, or was changed since. Nothing is done about it. "
            "Look at the instance, then run `sysdisk release` and remove status.operation.",
            now,
            look_again=RESYNC,
        )
    if observed.failure:
        return _unreachable(subject, op, observed, now)
    if not (observed.fresh and observed.instance_seen):
        return _ask(subject, Look(fresh=True, disks=_disks_for(op)), now)
    if observed.instance is None:
        return _gone(subject, op, now)
    p = Pass(subject, op, observed, observed.instance, now)
    match op.step:
        case Step.STOP | Step.BACKUP:
            return _stop(p)
        case Step.REPLACE:
            return _replace(p)
        case Step.VERIFY:
            return _verify(p)
        case Step.START:
            return _start(p)
        case Step.FINISH:
            return _finish(p)
        case _:
            assert_never(op.step)


def _disks_for(op: Operation) -> DiskLook:
    return DiskLook.KNOWN if op.step in (Step.REPLACE, Step.VERIFY) else DiskLook.NONE


def _ask(subject: Subject, look: Look, now: datetime) -> Decision:
    """Return the question `look`; nothing is recorded for it."""
    ready = subject.status.condition(Kind.READY)
    reason = Reason(ready.reason) if ready and ready.reason in set(Reason) else Reason.OBSERVING
    return Decision(look, subject.status, reason, POLL)


def _unreachable(subject: Subject, op: Operation, observed: Observed, now: datetime) -> Decision:
    """ECS cannot be asked: nothing is known, nothing is done; a stopped machine is shouted about."""
    if op.stopped_by_us:
        return verdict(
            subject,
            subject.status,
            Reason.MACHINE_LEFT_STOPPED,
            f"The machine was stopped for plan {op.plan_id}, and ECS cannot be asked to go on: "
            f"{observed.failure}. Repair EcsAccount {op.account} (see its Ready condition), or "
            f"start {subject.spec.instance_id} by hand; it goes on by itself.",
            now,
            look_again=backoff(op.tries + 1),
        )
    return verdict(
        subject,
        subject.status,
        Reason.ACCOUNT_NOT_READY,
        f"ECS cannot be asked: {observed.failure}. See EcsAccount {op.account}.",
        now,
    )


def _gone(subject: Subject, op: Operation, now: datetime) -> Decision:
    """The instance is not there any more. One empty answer is not proof: a deletion waits 15 min."""
    stalled = subject.status.condition(Kind.STALLED)
    since = stalled.last_transition_time if stalled else now
    if subject.deleting and now - since >= GONE_FOR:
        return close(subject, op, None, now, result="InstanceGone")
    return verdict(
        subject,
        subject.status,
        Reason.INSTANCE_NOT_FOUND,
        f"Instance {subject.spec.instance_id} is not found any more, in the middle of plan "
        f"{op.plan_id} (step {op.step}). If it was released, delete this object: it goes 15 min "
        f"after {since:%Y-%m-%dT%H:%M:%SZ}, or at once with `sysdisk release`.",
        now,
        look_again=timedelta(seconds=30),
    )


# -- changes of mind --------------------------------------------------------------------------


def changed_mind(p: Pass) -> str | None:
    """Return why the operation should not go on, in one word; None: it is still wanted."""
    subject, account = p.subject, p.observed.account
    if subject.deleting:
        return ENDING_DELETED
    if subject.annotations.get(ANNOTATION_PROTECT) == "true":
        return "Protected"
    if subject.spec.suspend or subject.annotations.get(ANNOTATION_SUSPEND) == "true":
        return "Suspended"
    if not _granted(p):
        return "GrantRevoked"
    if account is not None and account.suspended:
        return "AccountSuspended"
    return None if _still_wanted(subject, p.op) else "SpecChanged"


def _granted(p: Pass) -> bool:
    account = p.observed.account
    return (
        account is not None
        and account.state in (AccountState.OK, AccountState.NOT_READY)
        and account.grant.covers(p.instance)
    )


def _still_wanted(subject: Subject, op: Operation) -> bool:
    """Whether the spec still asks for what was frozen; policies for later do not count."""
    spec, inputs = subject.spec, op.inputs
    asked = set((inputs.trigger or "").split("\n")) - {""}
    return (
        spec.account_ref.name == op.account
        and target_hash(spec, pinned_image(subject)) == inputs.hash
        and _declared_login(subject) == _frozen_login(op)
        and spec.security_enhancement_strategy == inputs.security_enhancement_strategy
        and spec.use_additional_service == inputs.use_additional_service
        and spec.advanced == inputs.advanced
        and asked <= set(trigger_values(subject))
    )


def _declared_login(subject: Subject) -> tuple[object, ...]:
    login = subject.spec.login
    if login is None:
        return None, None, None
    ref = login.password_secret_ref
    return ref and (ref.name, ref.key), login.password_inherit, login.key_pair_name


def _frozen_login(op: Operation) -> tuple[object, ...]:
    inputs, ref = op.inputs, op.inputs.password_secret_ref
    pair = None if inputs.key_pair_kept else inputs.key_pair_name
    return ref and (ref.name, ref.key), inputs.password_inherit, pair


def _leave(p: Pass, ending: str) -> Decision:
    """Bring the operation to its safe end: the machine gets back the power that it had."""
    return _start(p.with_op(enter(p.op.replace(ending=ending), Step.START, p.now)))


# -- Stop -------------------------------------------------------------------------------------


def _stop(p: Pass) -> Decision:
    ending = p.op.ending or changed_mind(p)
    if p.instance.power is Power.STOPPED:
        if ending:
            return _leave(p, ending)
        return _enter_replace(p)
    if ending:
        return _unstop(p, ending)
    if p.instance.power is Power.RUNNING:
        return _send_stop(p)
    if p.instance.power is Power.STOPPING and _stop_timed_out(p):
        return _send_stop(p)
    return p.say(Reason.STOPPING, _stop_text(p))


def _stop_timed_out(p: Pass) -> bool:
    return p.now >= p.op.step_at + p.op.inputs.stop_timeout


def _unstop(p: Pass, ending: str) -> Decision:
    """Not wanted any more while stopping: over when seen Running for good, or stopped and started."""
    op = p.op if p.op.ending else p.op.replace(ending=ending)
    p = p.with_op(op)
    last = op.last_try_at or op.step_at
    settled = op.tries == 0 or op.outcome is Outcome.REFUSED or p.now >= last + STOP_SETTLES
    if p.instance.power is Power.RUNNING and settled:
        return _finish(p.with_op(enter(op, Step.FINISH, p.now)))
    return p.say(
        Reason.GIVING_BACK,
        f"Plan {op.plan_id} is not carried out ({ending}). The machine is {p.instance.status}; "
        "this ends when it is running for good.",
    )


def _send_stop(p: Pass) -> Decision:
    op, policy = p.op, p.op.inputs.force_stop
    timed_out = _stop_timed_out(p)
    if timed_out and policy is ForceStop.NEVER:
        return _unstop(p, ENDING_STOP_TIMED_OUT)
    force = policy is ForceStop.ALWAYS or timed_out
    if op.last_try_at is not None and p.now < op.last_try_at + _stop_pause(op):
        return p.say(Reason.STOPPING, _stop_text(p))
    sent = op.replace(
        tries=op.tries + 1, last_try_at=p.now, outcome=Outcome.UNKNOWN, stopped_by_us=True
    )
    return p.with_op(sent).say(
        Reason.STOPPING,
        _stop_text(p),
        action=StopInstance(p.id, force=force, stopped_mode=op.inputs.stopped_mode),
    )


def _stop_pause(op: Operation) -> timedelta:
    """Return how long to wait for a stop before it is asked for again."""
    if op.outcome is Outcome.REFUSED or op.last_error is not None:
        return backoff(op.tries)
    return STOP_AGAIN


def _stop_text(p: Pass) -> str:
    by = p.op.step_at + p.op.inputs.stop_timeout
    return (
        f"Stopping {p.id} for plan {p.op.plan_id} ({p.op.inputs.stopped_mode}); it may take until "
        f"{by:%Y-%m-%dT%H:%M:%SZ}.{_error_text(p.op)}"
    )


def _error_text(op: Operation) -> str:
    error = op.last_error
    if error is None:
        return ""
    request = f", request ID {error.request_id}" if error.request_id else ""
    return f" Last answer of ECS: {error.code}: {error.message or ''}{request}."


# -- Replace ----------------------------------------------------------------------------------


def _enter_replace(p: Pass) -> Decision:
    op = enter(p.op, Step.REPLACE, p.now).replace(
        outcome=None,
        last_error=None,
        give_back_by=p.now + p.op.inputs.give_back_after,
    )
    p = p.with_op(op)
    if p.observed.system_disks is None:
        return _ask(p.subject, Look(fresh=True, disks=DiskLook.KNOWN), p.now)
    return _replace(p)


def _replace(p: Pass) -> Decision:
    op, disk = p.op, p.observed.system_disk
    if p.observed.system_disks is None:
        return _ask(p.subject, Look(fresh=True, disks=DiskLook.KNOWN), p.now)
    if disk is not None and disk.disk_id != op.old_disk_id:
        if op.first_try_at is None and op.attempt == 1:
            return _leave(p, ENDING_WORLD_CHANGED)
        return _verify(p.with_op(accepted(op, disk.disk_id, p.now)))
    if op.outcome is Outcome.UNKNOWN:
        return _find_out(p, disk)
    return _ask_to_replace(p, disk)


def _find_out(p: Pass, disk: Disk | None) -> Decision:
    """A request was sent and its answer is not known: the same token, or else watch the disk."""
    op = p.op
    quiet = disk is not None and not p.instance.locks and disk.status == "In_use"
    if quiet and _may_send_again(p):
        if op.inputs.password_secret_ref is not None and p.observed.secret is None:
            return _ask(p.subject, Look(secret=True), p.now)
        if _secret_unchanged(p):
            return _send_replace(p, backoff(op.tries))
    if not quiet:
        return _wait_unknown(p.with_op(op.replace(unlocked_since=None)))
    since = op.unlocked_since or p.now
    p = p.with_op(op.replace(unlocked_since=since))
    if p.now < max(since, op.last_try_at or since) + WATCH:
        return _wait_unknown(p)
    fresh = next_attempt(p.op, p.id).replace(outcome=Outcome.REFUSED, outcome_at=p.now)
    return _ask_to_replace(p.with_op(fresh), disk)


def _may_send_again(p: Pass) -> bool:
    op = p.op
    mismatch = op.last_error is not None and op.last_error.code in TOKEN_MISMATCH
    young = op.first_try_at is not None and p.now < op.first_try_at + TOKEN_LIFE
    return young and not mismatch and _granted(p)


def _secret_unchanged(p: Pass) -> bool:
    """Whether the login Secret is still the one of the intent: else the request would be another."""
    ref, look = p.op.inputs.password_secret_ref, p.observed.secret
    if ref is None:
        return True
    return look is not None and (look.uid, look.resource_version) == (ref.uid, ref.resource_version)


def _wait_unknown(p: Pass) -> Decision:
    return p.say(
        Reason.OUTCOME_UNKNOWN,
        f"ReplaceSystemDisk was sent for plan {p.op.plan_id} and its outcome is not known yet. "
        f"Disk and locks of {p.id} are watched; nothing else is tried until it is."
        f"{_error_text(p.op)}",
        look_again=timedelta(seconds=5),
    )


def _ask_to_replace(p: Pass, disk: Disk | None) -> Decision:
    """Nothing is in flight: the old disk is there, and the next request may go out, or none."""
    op, power = p.op, p.instance.power
    ending = op.ending or changed_mind(p)
    if ending:
        return _leave(p, ending)
    if power is Power.RUNNING or power is Power.STARTING:
        return _leave(p, ENDING_STARTED)
    if op.give_back_by is not None and p.now >= op.give_back_by:
        return _leave(p, ENDING_GIVEN_BACK)
    ready = power is Power.STOPPED and not p.instance.locks
    if not ready or disk is None or disk.status != "In_use":
        return p.say(Reason.REPLACING, _replace_text(p))
    if op.inputs.password_secret_ref is not None:
        if p.observed.secret is None:
            return _ask(p.subject, Look(secret=True), p.now)
        if p.observed.secret.state is not SecretState.OK:
            return p.say(
                Reason.REPLACING,
                f"Secret {op.inputs.password_secret_ref.name} cannot be used any more "
                f"({p.observed.secret.state}). {_replace_text(p)}",
            )
    return _send_replace(p, backoff(op.tries) if op.tries else timedelta(0))


def _send_replace(p: Pass, pause: timedelta) -> Decision:
    op = p.op
    due = op.last_try_at + pause if op.last_try_at is not None else p.now
    if p.now < due:
        reason = Reason.OUTCOME_UNKNOWN if op.outcome is Outcome.UNKNOWN else Reason.REPLACING
        return p.say(reason, _replace_text(p), look_again=due - p.now)
    sent = _with_secret(p).replace(
        tries=op.tries + 1,
        outcome=Outcome.UNKNOWN,
        first_try_at=op.first_try_at or p.now,
        last_try_at=p.now,
    )
    return p.with_op(sent).say(
        Reason.REPLACING,
        _replace_text(p),
        action=ReplaceSystemDisk(p.id, sent.inputs, sent.client_token),
    )


def _with_secret(p: Pass) -> Operation:
    """Return the operation with the Secret's present version in its inputs: the one it will send."""
    ref, look = p.op.inputs.password_secret_ref, p.observed.secret
    if ref is None or look is None:
        return p.op
    now = ref.replace(uid=look.uid, resource_version=look.resource_version)
    return p.op.replace(inputs=p.op.inputs.replace(password_secret_ref=now))


def _replace_text(p: Pass) -> str:
    op = p.op
    source = op.inputs.image_id or "disk " + str(op.inputs.advanced and op.inputs.advanced.disk_id)
    by = f" It is given back at {op.give_back_by:%Y-%m-%dT%H:%M:%SZ}." if op.give_back_by else ""
    return (
        f"Replacing system disk {op.old_disk_id} of {p.id} by one of {op.inputs.size} GiB from "
        f"{source} (plan {op.plan_id}, attempt {op.attempt}).{by}{_error_text(op)}"
    )


# -- Verify -----------------------------------------------------------------------------------


def _verify(p: Pass) -> Decision:
    op, disk = p.op, p.observed.system_disk
    if p.observed.system_disks is None:
        return _ask(p.subject, Look(fresh=True, disks=DiskLook.KNOWN), p.now)
    overdue = p.now >= op.step_at + VERIFY_OVERDUE
    forbidding = sorted(k.reason for k in p.instance.locks if k.reason.lower() in FORBIDDING_LOCKS)
    if forbidding:
        return _held_by_lock(p, ", ".join(forbidding))
    in_place = disk is not None and disk.status == "In_use"
    if in_place and disk is not None and disk.disk_id != op.old_disk_id:
        if not p.instance.locks or overdue:
            done = op.replace(new_disk_id=disk.disk_id)
            return _start(p.with_op(enter(done, Step.START, p.now)))
    elif in_place and overdue and not p.instance.locks:
        return _leave(p, ENDING_NO_NEW_DISK)
    text = (
        f"ECS accepted the replacement of {op.old_disk_id}; waiting until new disk "
        f"{op.new_disk_id} is in use and the old one is gone."
    )
    if overdue:
        return p.say(
            Reason.VERIFY_OVERDUE,
            f"{text} That was due by {op.step_at + VERIFY_OVERDUE:%Y-%m-%dT%H:%M:%SZ}: look at "
            "the instance in the ECS console.",
            look_again=timedelta(seconds=15),
        )
    return p.say(Reason.VERIFYING, text)


def _held_by_lock(p: Pass, named: str) -> Decision:
    left = "The machine is stopped and cannot be started" if p.op.stopped_by_us else "It is held"
    return p.say(
        Reason.MACHINE_LEFT_STOPPED if p.op.stopped_by_us else Reason.OPERATION_LOCKED,
        f"ECS has locked {p.id} ({named}) in the middle of plan {p.op.plan_id}. {left} until the "
        "lock is resolved in the ECS console; then it goes on by itself.",
        look_again=timedelta(seconds=30),
    )


# -- Start ------------------------------------------------------------------------------------


def _wants_start(op: Operation) -> bool:
    """Whether the machine is to run: after a replacement as asked, else as it was."""
    if op.new_disk_id is None:
        return op.stopped_by_us and op.was_running
    match op.inputs.start_after:
        case StartAfter.ALWAYS:
            return True
        case StartAfter.NEVER:
            return False
        case StartAfter.IF_IT_WAS_RUNNING:
            return op.was_running


def _start(p: Pass) -> Decision:
    op, power = p.op, p.instance.power
    if not _wants_start(op) or power is Power.RUNNING:
        return _finish(p.with_op(enter(op, Step.FINISH, p.now)))
    forbidding = sorted(k.reason for k in p.instance.locks if k.reason.lower() in FORBIDDING_LOCKS)
    if forbidding and power is Power.STOPPED:
        return _held_by_lock(p, ", ".join(forbidding))
    if power is not Power.STOPPED:
        return p.say(_start_reason(p), _start_text(p))
    if op.last_try_at is not None:
        due = op.last_try_at + _start_pause(op)
        if p.now < due:
            return p.say(_start_reason(p), _start_text(p), look_again=min(due - p.now, POLL))
    sent = op.replace(tries=op.tries + 1, last_try_at=p.now)
    p = p.with_op(sent)
    return p.say(_start_reason(p), _start_text(p), action=StartInstance(p.id))


def _start_pause(op: Operation) -> timedelta:
    """Return how long to wait before the machine is asked to start again: slow where it is refused."""
    error = op.last_error
    if error is not None and error.class_ in (ErrorClass.WAIT, ErrorClass.USER):
        busy = error.code.startswith(("IncorrectInstanceStatus", "InstanceNotReady", "DiskError"))
        return backoff(op.tries) if busy else backoff(op.tries, first=timedelta(seconds=15))
    return backoff(op.tries) if error is not None else STOP_AGAIN


def _start_reason(p: Pass) -> Reason:
    op, error = p.op, p.op.last_error
    refused = error is not None and error.class_ is not ErrorClass.RETRY and op.tries > 1
    if op.step is Step.START and (refused or p.now >= op.step_at + START_OVERDUE):
        return Reason.MACHINE_LEFT_STOPPED
    return Reason.GIVING_BACK if op.ending else Reason.STARTING


def _start_text(p: Pass) -> str:
    op = p.op
    if _start_reason(p) is Reason.MACHINE_LEFT_STOPPED:
        return (
            f"{p.id} was stopped by plan {op.plan_id} and does not start; it is tried again and "
            f"again. Start it by hand if you can: the operation ends when it runs."
            f"{_error_text(op)}"
        )
    why = f" (not carried out: {op.ending})" if op.ending else ""
    return f"Starting {p.id} for plan {op.plan_id}{why}.{_error_text(op)}"


# -- Finish -----------------------------------------------------------------------------------


def _finish(p: Pass) -> Decision:
    op = p.op
    policy, new = op.auto_snapshot_policy_id, op.new_disk_id
    if policy is None or new is None:
        return close(p.subject, op, p.observed, p.now)
    if op.step is Step.FINISH and op.last_try_at is not None:
        due = op.last_try_at + backoff(op.tries)
        if p.now < due:
            return p.say(Reason.FINISHING, _finish_text(op), look_again=due - p.now)
    sent = op.replace(tries=op.tries + 1, last_try_at=p.now)
    return p.with_op(sent).say(
        Reason.FINISHING, _finish_text(op), action=ApplyAutoSnapshotPolicy(new, policy)
    )


def _finish_text(op: Operation) -> str:
    return (
        f"Putting automatic snapshot policy {op.auto_snapshot_policy_id} back on disk "
        f"{op.new_disk_id}.{_error_text(op)}"
    )
