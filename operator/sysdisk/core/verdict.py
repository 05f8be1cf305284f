"""From a finding to a decision: the status to record, its conditions and its events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sysdisk.api.conditions import Extra, Kind, conditions
from sysdisk.api.reasons import Reason, Standing, phase, standing
from sysdisk.api.status import OperationLock, Plan, SystemDiskSpecStatus
from sysdisk.core.beside import beside
from sysdisk.core.model import RESYNC, Action, Decision, Event, Nothing, Subject
from sysdisk.core.world import Disk, Instance

_SHOUTED: Final = frozenset({Reason.OUTCOME_UNKNOWN, Reason.VERIFY_OVERDUE, Reason.GIVING_BACK})
"""Reasons that are under way, and still a person should hear of."""

_FIRST_RETRY: Final = timedelta(seconds=5)


def verdict(
    subject: Subject,
    status: SystemDiskSpecStatus,
    reason: Reason,
    message: str,
    now: datetime,
    *,
    action: Action | None = None,
    look_again: timedelta | None = None,
    extras: Iterable[Extra] = (),
    events: Iterable[Event] = (),
) -> Decision:
    """Return the decision that records `status` under `reason`, and then performs `action`.

    An event is told when the reason is another than before. `look_again` absent: at rest RESYNC,
    where a person must act sooner at first, and more seldom the longer it lasts.
    """
    was = subject.status.condition(Kind.READY)
    told = list(events)
    if was is None or was.reason != reason:
        warning = standing(reason) is Standing.STUCK or reason in _SHOUTED
        told.append(Event(reason, message, warning))
    found = conditions(
        subject.status.conditions,
        reason,
        message,
        generation=subject.generation,
        now=now,
        extras=(*extras, *beside(status.operation)),
    )
    recorded = status.replace(
        observed_generation=subject.generation, phase=phase(reason), conditions=found
    )
    pause = look_again if look_again is not None else _pause(subject, reason, now)
    return Decision(action or Nothing(), recorded, reason, pause, tuple(told))


def _pause(subject: Subject, reason: Reason, now: datetime) -> timedelta:
    """Return how long to rest: half the time that it has been so, from 5 s up to RESYNC."""
    if standing(reason) is Standing.DONE:
        return RESYNC
    was = subject.status.condition(Kind.READY)
    since = was.last_transition_time if was is not None and was.reason == reason else now
    return min(max((now - since) / 2, _FIRST_RETRY), RESYNC)


def with_sight(
    status: SystemDiskSpecStatus, instance: Instance, disk: Disk | None, now: datetime
) -> SystemDiskSpecStatus:
    """Return `status` with what was seen; `observedAt` moves only when something changed."""
    locks = tuple(
        OperationLock(reason=lock.reason, message=lock.message or None)
        for lock in sorted(instance.locks)
    )
    seen: dict[str, Any] = {
        "image_id": instance.image_id or None,
        "instance_status": instance.status,
        "locked": bool(instance.locks),
        "operation_locks": locks,
    }
    if disk is not None:
        seen |= {"disk_id": disk.disk_id, "size": disk.size}
        if status.disk_id is not None and status.disk_id != disk.disk_id:
            seen["previous_disk_id"] = status.disk_id
    if all(getattr(status, name) == value for name, value in seen.items()):
        return status
    return status.replace(**seen, observed_at=now)


def without_sight(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return `status` without anything seen of an instance: it may not be shown.

    Of a plan it stays whether it was tried: an instance that comes back is no reason to try again.
    """
    plan = status.plan
    if plan is not None:
        plan = Plan(
            id=plan.id,
            made_at=plan.made_at,
            generation=plan.generation,
            rounds=plan.rounds,
            rest_until=plan.rest_until,
            spent=plan.spent,
            spent_reason=plan.spent_reason,
        )
    tried = plan is not None and (plan.spent or plan.rounds > 0)
    return status.replace(
        disk_id=None,
        previous_disk_id=None,
        image_id=None,
        size=None,
        instance_status=None,
        locked=None,
        operation_locks=(),
        observed_at=None,
        plan=plan if tried else None,
    )
