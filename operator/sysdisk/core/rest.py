"""No operation is under way: is the machine as declared, and if not, may a replacement begin?

Safety questions come first (may we, is it ours, is it there), then "is it right already?", then
the gates, each a function that says why not. What passes all of them opens an operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.meta import ANNOTATION_PROTECT, ANNOTATION_RETRY, ANNOTATION_SUSPEND
from sysdisk.api.reasons import Reason, reason_of
from sysdisk.api.spec import DriftPolicy, ForceStop
from sysdisk.api.status import (
    Operation,
    OperationInputs,
    Outcome,
    Plan,
    Settled,
    Step,
    SystemDiskSpecStatus,
)
from sysdisk.core.model import (
    SETTLE,
    Action,
    AddFinalizer,
    Decision,
    DiskLook,
    Event,
    Look,
    Nothing,
    ReplaceSystemDisk,
    StopInstance,
    Subject,
)
from sysdisk.core.plan import make_plan
from sysdisk.core.policy import effective, not_yet_supported
from sysdisk.core.preflight import Fault, faults, needed_looks, summary
from sysdisk.core.tokens import client_token
from sysdisk.core.under_way import replace_text, stop_text
from sysdisk.core.verdict import steady, verdict, with_sight, without_sight
from sysdisk.core.wanted import (
    Difference,
    baseline,
    differences,
    due_trigger,
    frozen_inputs,
    login_hash,
    pinned_image,
    resolved_for,
    target_hash,
    wants_disk,
)
from sysdisk.core.world import (
    AccountLook,
    AccountState,
    Claim,
    Disk,
    Image,
    Instance,
    Observed,
    Power,
)

SLOT_PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Due:
    """A replacement that is due, with everything a gate may want to know of it."""

    subject: Subject
    observed: Observed
    account: AccountLook
    instance: Instance
    disk: Disk
    image: Image | None
    inputs: OperationInputs
    plan: Plan
    status: SystemDiskSpecStatus
    drift: tuple[Difference, ...]
    first_sight: bool
    now: datetime

    def refuse(
        self,
        reason: Reason,
        message: str,
        *,
        look_again: timedelta | None = None,
        action: Action | None = None,
    ) -> Decision:
        """Return the decision that begins nothing, and says why."""
        return verdict(
            self.subject,
            self.status,
            reason,
            message,
            self.now,
            extras=_drift_extras(self.drift),
            look_again=look_again,
            action=action,
        )


def at_rest(subject: Subject, observed: Observed, now: datetime) -> Decision:
    """Return the next step of a spec without an operation. Never raises."""
    account = observed.account
    if account is None or account.state is not AccountState.OK:
        return _no_account(subject, account, now)
    if observed.failure:
        return _not_ready(subject, account, observed.failure, now)
    if not observed.instance_seen:
        return _look(subject, Look(disks=DiskLook.KNOWN))
    instance = observed.instance
    if instance is None or not account.grant.covers(instance):
        return _not_found(subject, account, now)
    if (owner := _owner(subject, observed)) is not None:
        return _owned(subject, owner, now)
    if observed.system_disks is None:
        return _look(subject, Look(disks=DiskLook.KNOWN))
    return _judge(subject, observed, account, instance, now)


def _look(subject: Subject, look: Look) -> Decision:
    return Decision(look, subject.status, Reason.OBSERVING, SETTLE)


# -- may we, is it there, is it ours ----------------------------------------------------------


def _no_account(subject: Subject, account: AccountLook | None, now: datetime) -> Decision:
    name = subject.spec.account_ref.name
    if account is None or account.state is AccountState.MISSING:
        return verdict(
            subject,
            without_sight(subject.status),
            Reason.ACCOUNT_NOT_FOUND,
            f"EcsAccount {name} does not exist. Ask an admin to create it, or correct "
            "accountRef.name; it is taken up by itself then.",
            now,
        )
    if account.state is AccountState.NOT_GRANTED:
        return verdict(
            subject,
            without_sight(subject.status),
            Reason.NAMESPACE_NOT_GRANTED,
            f"EcsAccount {name} does not allow namespace {subject.key.namespace}. Ask an admin to "
            "add it to allowedNamespaces, or use another account.",
            now,
        )
    return _not_ready(subject, account, account.message, now)


def _not_ready(subject: Subject, account: AccountLook, why: str, now: datetime) -> Decision:
    """The account cannot be worked with: what was settled stays so, the rest waits."""
    ready = subject.status.condition(Kind.READY)
    if (
        ready is not None
        and ready.status == "True"
        and subject.status.observed_generation == subject.generation
    ):
        reason = reason_of(ready, Reason.ACCOUNT_NOT_READY)
        return Decision(Nothing(), subject.status, reason, timedelta(seconds=30))
    text = (
        f"EcsAccount {account.name} is not ready: {why or 'see its Ready condition'}. "
        "It goes on by itself when the account is."
    )
    reason = Reason.ACCOUNT_NOT_READY
    return verdict(subject, subject.status, reason, steady(subject, text), now)


def _not_found(subject: Subject, account: AccountLook, now: datetime) -> Decision:
    """Not there and not granted read the same: a namespace must not learn what else there is."""
    return verdict(
        subject,
        without_sight(subject.status),
        Reason.INSTANCE_NOT_FOUND,
        f"Instance {subject.spec.instance_id} is not found in region {account.region_id} among the "
        f"instances that EcsAccount {account.name} allows. Correct instanceId or regionId, or ask "
        "an admin to add it to allowedInstances; it is looked for again by itself.",
        now,
    )


def _owner(subject: Subject, observed: Observed) -> Claim | None:
    """Return the claim that goes before ours, None: the instance is ours."""
    ours = (True, subject.created_at, subject.uid)
    first = min(observed.claims, key=_rank, default=None)
    return first if first is not None and _rank(first) < ours else None


def _rank(claim: Claim) -> tuple[bool, datetime, str]:
    return (not claim.under_way, claim.created_at, claim.uid)


def _owned(subject: Subject, owner: Claim, now: datetime) -> Decision:
    same = owner.namespace == subject.key.namespace
    who = f"SystemDiskSpec {owner.name}" if same else "an older SystemDiskSpec elsewhere"
    return verdict(
        subject,
        without_sight(subject.status),
        Reason.INSTANCE_OWNED,
        f"Instance {subject.spec.instance_id} is already kept by {who}; one instance has one "
        "owner. Delete one of the two; this one takes over when the other is gone.",
        now,
    )


# -- is it right already? ---------------------------------------------------------------------


def _judge(
    subject: Subject, observed: Observed, account: AccountLook, instance: Instance, now: datetime
) -> Decision:
    disk = observed.system_disk
    status = with_sight(subject.status, instance, disk, now).replace(triggers=baseline(subject))
    image_id = pinned_image(subject)
    if image_id is None and wants_disk(subject.spec) is None:
        return _resolve(subject, status, observed, now)
    if disk is None:
        fault = faults(subject, _no_inputs(subject), None, instance, observed, now)
        return verdict(subject, status, *summary(fault), now)
    found = differences(subject.spec, image_id, instance, disk, status)
    trigger = due_trigger(subject)
    target = target_hash(subject.spec, image_id)
    if not found and trigger is None:
        if (family := subject.spec.image_family) and observed.family is None:
            return _look(subject, Look(family=family))  # a newer member is told
        return _right(subject, status, observed, instance, target, now)
    settled = status.settled
    drifted = trigger is None and settled is not None and settled.inputs == target
    policy = subject.spec.drift_policy
    if drifted and (policy is not DriftPolicy.RECONCILE or (settled and settled.differs)):
        return _drifted(subject, status, observed, instance, found, now)
    if observed.data_disk_ids is None:
        return _look(subject, Look(disks=DiskLook.ALL))
    if image_id is not None and observed.image(image_id) is None:
        return _look(subject, Look(image=image_id))
    return _due(
        subject,
        observed,
        account,
        instance,
        disk,
        image_id,
        found,
        found if drifted else (),
        status,
        now,
    )


def _no_inputs(subject: Subject) -> OperationInputs:
    power = subject.spec.power
    return OperationInputs(
        **{name: getattr(power, name) for name in type(power).model_fields},
        generation=subject.generation,
        hash="",
    )


def _resolve(
    subject: Subject, status: SystemDiskSpecStatus, observed: Observed, now: datetime
) -> Decision:
    """A family stands for its newest member once; what it stood for is then kept."""
    family = subject.spec.image_family or ""
    if observed.family is None:
        return _look(subject, Look(family=family))
    if not observed.family.image_id:
        return verdict(
            subject,
            status,
            Reason.IMAGE_NOT_FOUND,
            f"Image family {family} has no available image in this region. Correct imageFamily, or "
            "publish an image in it; it is looked for again by itself.",
            now,
        )
    pinned = status.replace(
        resolved_image_id=observed.family.image_id, resolved_for=resolved_for(subject)
    )
    return verdict(
        subject,
        pinned,
        Reason.PLANNED,
        f"Image family {family} stands for {observed.family.image_id}; it is kept until the spec "
        "or its trigger asks anew.",
        now,
        look_again=timedelta(0),
    )


def _right(
    subject: Subject,
    status: SystemDiskSpecStatus,
    observed: Observed,
    instance: Instance,
    target: str,
    now: datetime,
) -> Decision:
    was = status.settled
    login = was.login if was is not None and was.login else login_hash(subject.spec.login)
    settled = Settled(inputs=target, at=now, login=login)
    if was is not None and was.replace(at=now) == settled:
        settled = was
    status = status.replace(settled=settled, plan=None)
    reason, message = _right_words(subject, status, observed, instance)
    return verdict(subject, status, reason, message, now)


def _right_words(
    subject: Subject, status: SystemDiskSpecStatus, observed: Observed, instance: Instance
) -> tuple[Reason, str]:
    text = f"{instance.instance_id} has system disk {status.disk_id} as declared."
    newer = observed.family.image_id if observed.family and subject.spec.image_family else ""
    if newer and newer != status.resolved_image_id:
        text += (
            f" NewerImageInFamily: {subject.spec.image_family} now stands for {newer}; set "
            "replaceTrigger to take it."
        )
    if status.locked:
        named = ", ".join(lock.reason for lock in status.operation_locks)
        text += (
            f" ECS has locked the instance ({named}); nothing can be replaced until it is lifted."
        )
    if _login_pending(subject, status, instance):
        return Reason.LOGIN_PENDING, (
            f"{text} The login was changed since: it takes effect with the next replacement. Set "
            "replaceTrigger to ask for one."
        )
    return Reason.UP_TO_DATE, text


def _login_pending(subject: Subject, status: SystemDiskSpecStatus, instance: Instance) -> bool:
    login = subject.spec.login
    if login and login.key_pair_name and login.key_pair_name != instance.key_pair_name:
        return True
    settled = status.settled
    return settled is not None and settled.login not in (None, login_hash(subject.spec.login))


def _drift_extras(found: tuple[Difference, ...]) -> tuple[Extra, ...]:
    if not found:
        return ()
    lines = "; ".join(difference.line() for difference in found)
    return (Extra(Kind.DRIFTED, True, "OutOfBand", f"The machine moved away: {lines}."),)


def _drifted(
    subject: Subject,
    status: SystemDiskSpecStatus,
    observed: Observed,
    instance: Instance,
    found: tuple[Difference, ...],
    now: datetime,
) -> Decision:
    """The cloud side moved while the spec stood still: told, never acted upon here."""
    status = status.replace(plan=None)
    if subject.spec.drift_policy is DriftPolicy.IGNORE:
        reason, message = _right_words(subject, status, observed, instance)
        return verdict(subject, status, reason, f"{message} Drift is ignored.", now)
    lines = "; ".join(difference.line() for difference in found)
    if status.settled and status.settled.differs:
        why = "The replacement ended and the machine still differs; it is not tried again by itself"
    else:
        why = "It was changed out of band; driftPolicy: Report leaves it so"
    return verdict(
        subject,
        status,
        Reason.DRIFTED,
        f"{instance.instance_id} is not as declared: {lines}. {why}. Set replaceTrigger to replace "
        "the disk, or make the spec what the machine is.",
        now,
        extras=_drift_extras(found),
    )


# -- a replacement is due: the gates ----------------------------------------------------------


def _due(
    subject: Subject,
    observed: Observed,
    account: AccountLook,
    instance: Instance,
    disk: Disk,
    image_id: str | None,
    found: tuple[Difference, ...],
    drift: tuple[Difference, ...],
    status: SystemDiskSpecStatus,
    now: datetime,
) -> Decision:
    image = observed.image(image_id) if image_id else None
    inputs = frozen_inputs(subject, image, instance, disk)
    data = sorted(observed.data_disk_ids or ())
    plan = _retried(subject, make_plan(subject, inputs, found, image, instance, disk, data, now))
    due = Due(
        subject=subject,
        observed=observed,
        account=account,
        instance=instance,
        disk=disk,
        image=image,
        inputs=inputs,
        plan=plan,
        status=status.replace(plan=plan),
        drift=drift,
        first_sight=subject.status.settled is None and not subject.status.history,
        now=now,
    )
    return _held(due) or _preflight(due) or _no_place(due) or _begin(due)


def _retried(subject: Subject, plan: Plan) -> Plan:
    """Return `plan` unspent and rested where somebody asks for exactly this one once more."""
    if subject.annotations.get(ANNOTATION_RETRY) != plan.id:
        return plan
    return plan.replace(spent=False, spent_reason=None, rest_until=None, rounds=0)


def _held(due: Due) -> Decision | None:
    """Somebody said no, or this very plan was tried already."""
    subject, plan = due.subject, due.plan
    todo = f"Plan {plan.id} is due: {'; '.join(plan.changes)}."
    if subject.annotations.get(ANNOTATION_PROTECT) == "true":
        return due.refuse(
            Reason.PROTECTED,
            f"{todo} Not begun: annotation {ANNOTATION_PROTECT} is true. Remove it to go on.",
        )
    if subject.spec.suspend or subject.annotations.get(ANNOTATION_SUSPEND) == "true":
        return due.refuse(
            Reason.SUSPENDED, f"{todo} Not begun: suspended. Run `sysdisk resume` to go on."
        )
    if due.account.suspended:
        return due.refuse(
            Reason.ACCOUNT_SUSPENDED,
            f"{todo} Not begun: EcsAccount {due.account.name} is suspended by an admin.",
        )
    if missing := not_yet_supported(effective(subject)):
        return due.refuse(
            Reason.NOT_YET_SUPPORTED,
            f"{todo} Not begun: {', '.join(missing)} is asked for, and this version has no step "
            "for it yet. Nothing is touched. Use a version that has it, or ask for less.",
        )
    if plan.spent:
        return due.refuse(Reason.PLAN_SPENT, _spent_text(plan))
    if plan.rest_until is not None and due.now < plan.rest_until:
        return due.refuse(
            Reason.RESTING,
            f"Plan {plan.id} was begun {plan.rounds} times and the machine given back each time "
            f"({_error(plan)}). It rests until {plan.rest_until:%Y-%m-%dT%H:%M:%SZ}.",
            look_again=min(plan.rest_until - due.now, timedelta(minutes=5)),
        )
    return None


def _error(plan: Plan) -> str:
    error = plan.last_error
    if error is None:
        return plan.spent_reason or "no answer in time"
    request = f", request ID {error.request_id}" if error.request_id else ""
    return f"{error.code}: {(error.message or 'no message').rstrip('.')}{request}"


def _spent_text(plan: Plan) -> str:
    advice = f" {plan.last_error.advice}" if plan.last_error and plan.last_error.advice else ""
    return (
        f"Plan {plan.id} was tried and did not succeed: {_error(plan)}. The old disk is untouched."
        f"{advice} It is not tried again by itself: correct the cause and run `sysdisk retry`, or "
        "change the spec."
    )


def _preflight(due: Due) -> Decision | None:
    look = needed_looks(due.subject, due.inputs, due.image, due.instance, due.observed)
    if look is not None:
        return _look(due.subject, look)
    found: tuple[Fault, ...] = faults(
        due.subject, due.inputs, due.image, due.instance, due.observed, due.now
    )
    if not found:
        return None
    reason, message = summary(found)
    return due.refuse(reason, f"Plan {due.plan.id} cannot begin. {message}")


def _no_place(due: Due) -> Decision | None:
    """The account's limits: how many at once, and how many that nothing is known about."""
    account = due.account
    if account.failures_in_a_row >= account.stop_after_failures:
        return due.refuse(
            Reason.BRAKE_PULLED,
            f"Plan {due.plan.id} is due. Not begun: {account.failures_in_a_row} operations of "
            f"EcsAccount {account.name} failed in a row. Look at why, then run "
            f"`sysdisk resume --account {account.name}`.",
        )
    if due.first_sight and account.first_sights >= account.first_sight_per_hour:
        return due.refuse(
            Reason.FIRST_SIGHT_LIMITED,
            f"Plan {due.plan.id} is due. Not begun yet: specs without a record begin at most "
            f"{account.first_sight_per_hour} an hour in EcsAccount {account.name}.",
        )
    if account.under_way >= account.concurrent_replacements:
        return due.refuse(
            Reason.AWAITING_SLOT,
            f"Plan {due.plan.id} is due. It begins when one of the "
            f"{account.concurrent_replacements} places of EcsAccount {account.name} is free.",
            look_again=SLOT_PAUSE,
        )
    if due.observed.dry_run:
        return due.refuse(
            Reason.DRY_RUN,
            f"Plan {due.plan.id} is due: {'; '.join(due.plan.changes)}. Not begun: the operator "
            "runs with --dry-run.",
        )
    return None


# -- the beginning ----------------------------------------------------------------------------


def _begin(due: Due) -> Decision:
    """Open the operation: a fresh look, the finalizer, then the intent; each in this order."""
    observed = due.observed
    if not observed.fresh or observed.data_disk_ids is None:
        return _look(due.subject, Look(fresh=True, disks=DiskLook.ALL))
    if not due.subject.has_finalizer:
        return Decision(AddFinalizer(), due.subject.status, Reason.PLANNED, timedelta(0))
    op = _operation(due)
    if due.instance.power is Power.RUNNING:
        stop = StopInstance(
            due.instance.instance_id,
            force=due.inputs.force_stop is ForceStop.ALWAYS,
            stopped_mode=due.inputs.stopped_mode,
        )
        return _intent(
            due,
            op.replace(stopped_by_us=True),
            stop,
            Reason.STOPPING,
            stop_text(due.instance.instance_id, op),
        )
    replace = ReplaceSystemDisk(due.instance.instance_id, op.inputs, op.client_token)
    return _intent(
        due,
        op.replace(first_try_at=due.now),
        replace,
        Reason.REPLACING,
        replace_text(due.instance.instance_id, op),
    )


def _intent(due: Due, op: Operation, action: Action, reason: Reason, message: str) -> Decision:
    return verdict(
        due.subject,
        due.status.replace(operation=op, plan=due.plan.replace(last_error=None)),
        reason,
        message,
        due.now,
        action=action,
        look_again=SETTLE,
        events=(Event("PlanBegun", f"Plan {due.plan.id}: {'; '.join(due.plan.changes)}."),),
        extras=_drift_extras(due.drift),
    )


def _operation(due: Due) -> Operation:
    """Return the frozen operation, with its first write counted."""
    running = due.instance.power is Power.RUNNING
    used = [e.attempt or 1 for e in due.subject.status.history if e.plan_id == due.plan.id]
    attempt = max(used, default=0) + 1
    inputs, secret = due.inputs, due.observed.secret
    if inputs.password_secret_ref is not None and secret is not None:
        inputs = inputs.replace(
            password_secret_ref=inputs.password_secret_ref.replace(
                uid=secret.uid, resource_version=secret.resource_version
            )
        )
    return Operation(
        plan_id=due.plan.id,
        step=Step.STOP if running else Step.REPLACE,
        attempt=attempt,
        tries=1,
        client_token=client_token(due.instance.instance_id, due.disk.disk_id, due.plan.id, attempt),
        inputs=inputs,
        account=due.account.name,
        region_id=due.account.region_id,
        old_disk_id=due.disk.disk_id,
        was_running=running,
        data_disk_ids=tuple(sorted(due.observed.data_disk_ids or ())),
        from_image_id=due.instance.image_id,
        from_size=due.disk.size,
        auto_snapshot_policy_id=due.disk.auto_snapshot_policy_id or None,
        started_at=due.now,
        step_at=due.now,
        last_try_at=due.now,
        outcome=Outcome.UNKNOWN,
        give_back_by=None if running else due.now + inputs.give_back_after,
    )
