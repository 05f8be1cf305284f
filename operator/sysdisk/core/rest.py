"""No operation is under way: is the machine as declared, and if not, may a replacement begin?

Safety questions come first (may we, is it ours, is it there), then "is it right already?", then
the gates, each a function that says why not. What passes all of them opens an operation.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.reasons import Reason, reason_of
from sysdisk.api.spec import DriftPolicy
from sysdisk.api.status import (
    OperationInputs,
    Settled,
    SystemDiskSpecStatus,
)
from sysdisk.core import approval
from sysdisk.core.answers import Failure
from sysdisk.core.begin import begin
from sysdisk.core.gates import Due, drift_extras, look, passed
from sysdisk.core.model import (
    Decision,
    DiskLook,
    Look,
    Nothing,
    Subject,
)
from sysdisk.core.orders import let_go, retried
from sysdisk.core.plan import make_plan
from sysdisk.core.policy import effective
from sysdisk.core.preflight import faults, summary
from sysdisk.core.remarks import remarks
from sysdisk.core.verdict import verdict, with_sight, without_sight
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
from sysdisk.core.words import clause, locks, steady
from sysdisk.core.world import (
    AccountLook,
    AccountState,
    Claim,
    Disk,
    Instance,
    Observed,
)


def at_rest(subject: Subject, observed: Observed, now: datetime) -> Decision:
    """Return the next step of a spec without an operation. Never raises."""
    account = observed.account
    if account is None or account.state is not AccountState.OK:
        return _no_account(subject, account, now)
    if observed.no_region or (subject.spec.region_id and _blames_region(observed.failure)):
        return _no_region(subject, account, now)
    if observed.refused is not None:
        return _refused(subject, account, observed.refused, now)
    if observed.failure:
        return _not_ready(subject, account, observed.failure, now)
    if not observed.instance_seen:
        return look(subject, Look(disks=DiskLook.KNOWN))
    instance = observed.instance
    if instance is None or not account.grant.covers(instance):
        return _not_found(subject, account, now)
    if (owner := _owner(subject, observed)) is not None:
        return _owned(subject, owner, now)
    if observed.system_disks is None:
        return look(subject, Look(disks=DiskLook.KNOWN))
    return _judge(subject, observed, account, instance, now)


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
    if account.state is AccountState.OK:
        text = (
            f"ECS cannot be asked through EcsAccount {account.name}: {clause(why)}. It goes on by "
            "itself when ECS answers."
        )
    else:
        text = (
            f"EcsAccount {account.name} is not ready: {clause(why or 'see its Ready condition')}. "
            "It goes on by itself when the account is."
        )
    reason = Reason.ACCOUNT_NOT_READY
    return verdict(subject, subject.status, reason, steady(ready, text), now)


def _refused(subject: Subject, account: AccountLook, failure: Failure, now: datetime) -> Decision:
    """ECS does not let the account see what a plan is made of: nothing is known any more."""
    what = failure.action or "a read"
    said, advice = clause(failure.text()), clause(failure.advice) or "Ask an admin for it"
    text = (
        f"ECS refuses {what} through EcsAccount {account.name}: {said}. {advice}. It is asked "
        "again by itself."
    )
    ready, reason = subject.status.condition(Kind.READY), Reason.READ_REFUSED
    return verdict(subject, subject.status, reason, steady(ready, text), now)


def _no_region(subject: Subject, account: AccountLook, now: datetime) -> Decision:
    """The account works, and the spec asks for a region that ECS does not have."""
    return verdict(
        subject,
        without_sight(subject.status),
        Reason.INVALID_SPEC,
        f"ECS has no region {account.region_id} (ECS code InvalidRegionId.NotExists). regionId is "
        "immutable: delete this object and create it anew with the right region.",
        now,
    )


def _blames_region(failure: str) -> bool:
    """Whether ECS did not take the region: that of the spec then, where it names one."""
    return failure.startswith("InvalidRegionId")


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
            return look(subject, Look(family=family))  # a newer member is told
        return _right(subject, status, observed, instance, target, now)
    settled = status.settled
    drifted = trigger is None and settled is not None and settled.inputs == target
    policy = subject.spec.drift_policy
    if drifted and (policy is not DriftPolicy.RECONCILE or (settled and settled.differs)):
        return _drifted(subject, status, observed, instance, found, now)
    if observed.data_disk_ids is None:
        return look(subject, Look(disks=DiskLook.ALL))
    if image_id is not None and observed.image(image_id) is None:
        return look(subject, Look(image=image_id))
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
        return look(subject, Look(family=family))
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
    edited = subject.status.observed_generation != subject.generation
    lost = was.lost if was is not None and was.inputs == target and not edited else ()
    settled = Settled(inputs=target, at=now, login=login, lost=lost)
    if was is not None and was.replace(at=now) == settled:
        settled = was
    status = let_go(status).replace(settled=settled, plan=None)
    text = f"{instance.instance_id} has system disk {status.disk_id} as declared."
    reason, message = _right_words(subject, status, observed, instance, text)
    return verdict(subject, status, reason, message, now, extras=_lost_extras(subject, status))


def _lost(subject: Subject, status: SystemDiskSpecStatus) -> tuple[str, ...]:
    """Return what the last replacement left the machine without, where drift is told at all."""
    told = subject.spec.drift_policy is not DriftPolicy.IGNORE
    return status.settled.lost if status.settled is not None and told else ()


def _lost_extras(subject: Subject, status: SystemDiskSpecStatus) -> tuple[Extra, ...]:
    lost = "; ".join(_lost(subject, status))
    text = f"Since the disk was replaced: {lost}."
    return (Extra(Kind.DRIFTED, True, "AfterReplacement", text),) if lost else ()


def _right_words(
    subject: Subject,
    status: SystemDiskSpecStatus,
    observed: Observed,
    instance: Instance,
    text: str,
) -> tuple[Reason, str]:
    """Return reason and message where nothing is to be done: `text`, and what else there is."""
    newer = observed.family.image_id if observed.family and subject.spec.image_family else ""
    if newer and newer != status.resolved_image_id:
        text += (
            f" NewerImageInFamily: {subject.spec.image_family} now stands for {newer}; set "
            "replaceTrigger to take it."
        )
    if status.locked:
        text += (
            f" ECS has locked the instance ({locks(instance.locks)}); nothing can be replaced "
            "until it is lifted."
        )
    text += remarks(subject)
    if lost := _lost(subject, status):
        return Reason.DRIFTED, (
            f"{text} But since it was replaced: {'; '.join(lost)}. Put that right by hand; this is "
            "told until the spec is changed or the disk is replaced again."
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
    lines = "; ".join(difference.line() for difference in found)
    if subject.spec.drift_policy is DriftPolicy.IGNORE:
        text = (
            f"{instance.instance_id} is not as declared: {lines}. It is left so, because "
            "driftPolicy: Ignore ignores drift."
        )
        return verdict(
            subject, status, *_right_words(subject, status, observed, instance, text), now
        )
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
        extras=drift_extras(found),
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
    supply = observed.supply
    plan = make_plan(subject, inputs, found, image, instance, disk, data, supply, now)
    if approval.needed(effective(subject).approval):
        plan = approval.judge(subject, plan, now).plan
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
        retried=retried(subject, plan),
        first_sight=subject.status.settled is None and not subject.status.history,
        now=now,
    )
    return passed(due) or begin(due)
