"""A record that is not believed, or not understood: nothing is done on its word (I9).

Plan ID and token of `status.operation` do not follow from the rest of it. The machine is looked at,
so that the message can tell its state, and left as it is: also when the object is deleted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.conditions import Kind
from sysdisk.api.durations import format_time
from sysdisk.api.reasons import Reason
from sysdisk.api.status import Operation
from sysdisk.core.model import RESYNC, Decision, Look, RemoveFinalizer, Subject
from sysdisk.core.under_way import ask
from sysdisk.core.verdict import verdict
from sysdisk.core.world import AccountState, Instance, Observed, Power

GOES_AFTER: Final = timedelta(minutes=15)
"""So long a deleted object stays, so that somebody reads what is said of its machine."""


def not_ours(subject: Subject, op: Operation, observed: Observed, now: datetime) -> Decision:
    """Return the decision that does nothing about `op`, and says what a person can do."""
    if _may_look(observed) and not observed.instance_seen:
        return ask(subject, Look())
    since = _since(subject, now)
    if subject.deleting and now >= since + GOES_AFTER:
        return Decision(RemoveFinalizer(), subject.status, Reason.RECORD_NOT_OURS, timedelta(0))
    return verdict(
        subject,
        subject.status,
        Reason.RECORD_NOT_OURS,
        f"status.operation names plan {op.plan_id}, which does not follow from its own inputs: it "
        "was not written by this operator, or was changed since. Nothing is done about it, and "
        f"nothing is stopped, replaced or started. {_machine(subject, op, observed)} "
        f"{_way_out(subject, since)}",
        now,
        look_again=min(max(since + GOES_AFTER - now, timedelta(seconds=1)), RESYNC)
        if subject.deleting
        else RESYNC,
    )


def not_understood(subject: Subject, what: str, now: datetime, *, stopped: bool) -> Decision:
    """Return the decision that does nothing about an object of which `what` is not understood.

    `stopped`: its record may be of an operation that stopped the machine.
    """
    machine = f"Look at instance {subject.spec.instance_id}."
    return verdict(
        subject,
        subject.status,
        Reason.NOT_UNDERSTOOD,
        f"{what}: another version of the operator wrote it, or somebody by hand. Nothing is done "
        "about this object, and nothing is stopped, replaced or started. "
        f"{_left_stopped(machine) if stopped else machine} Run the version that wrote it; or "
        "correct it: an admin who may write status can take a record out with `kubectl patch sds "
        f"{subject.key.name} -n {subject.key.namespace} --subresource=status --type=merge -p "
        '\'{"status":{"operation":null}}\'`.',
        now,
        look_again=RESYNC,
    )


def _left_stopped(state: str) -> str:
    return (
        f"{state} THE RECORD SAYS THAT THE OPERATION STOPPED THIS MACHINE: NOBODY STARTS IT AGAIN "
        "UNLESS YOU DO (ECS console, or StartInstance)."
    )


def _may_look(observed: Observed) -> bool:
    account = observed.account
    return account is not None and account.state is AccountState.OK and not observed.failure


def _since(subject: Subject, now: datetime) -> datetime:
    """Return since when a person is told of it; never later than `now`."""
    told = subject.status.condition(Kind.STALLED)
    if told is None or told.reason != Reason.RECORD_NOT_OURS:
        return now
    return min(told.last_transition_time, now)


def _machine(subject: Subject, op: Operation, observed: Observed) -> str:
    """Return what is known of the machine; in capitals where it may have been left stopped."""
    machine, seen = subject.spec.instance_id, _seen(observed)
    state = f"Instance {machine} is {seen.status}." if seen else f"Look at instance {machine}."
    if not op.stopped_by_us or (seen is not None and seen.power is Power.RUNNING):
        return state
    return _left_stopped(state)


def _seen(observed: Observed) -> Instance | None:
    """Return the instance if it was seen and is granted: else nothing may be told of it."""
    instance, account = observed.instance, observed.account
    granted = instance and account and account.grant.covers(instance)
    return instance if granted else None


def _way_out(subject: Subject, since: datetime) -> str:
    name = f"{subject.key.name} -n {subject.key.namespace}"
    if subject.deleting:
        return (
            f"The object is being deleted: it goes at {format_time(since + GOES_AFTER)}, or at "
            f"once with `sysdisk release {name}`."
        )
    return (
        "To go on, delete this object and apply it again; or have an admin who may write status "
        f"take the record out: `kubectl patch sds {name} --subresource=status --type=merge -p "
        '\'{"status":{"operation":null}}\'`. `sysdisk release` alone does not cure it.'
    )
