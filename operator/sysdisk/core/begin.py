"""The beginning of an operation: a fresh look, the finalizer, then the frozen intent."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from sysdisk.api.reasons import Reason
from sysdisk.api.spec import ForceStop
from sysdisk.api.status import Operation, Outcome, Plan, Step
from sysdisk.core import backup, windows
from sysdisk.core.gates import Due, drift_extras, look
from sysdisk.core.model import (
    SETTLE,
    AddFinalizer,
    Decision,
    DiskLook,
    EcsWrite,
    Event,
    Look,
    Nothing,
    ReplaceSystemDisk,
    StopInstance,
    Subject,
)
from sysdisk.core.orders import ORDERS, used_up
from sysdisk.core.policy import calendar, effective, wants_backup
from sysdisk.core.tokens import client_token
from sysdisk.core.under_way import (
    TURN_LOOK,
    TURN_TOLD,
    accept_by,
    replace_text,
    stop_text,
    waits_text,
)
from sysdisk.core.verdict import verdict
from sysdisk.core.world import Power


class _Opening(NamedTuple):
    """The frozen operation with its first write counted, that write, and what is told of it."""

    op: Operation
    action: EcsWrite
    reason: Reason
    message: str


def begin(due: Due) -> Decision:
    """Open the operation: a fresh look, the finalizer, then the intent; each in this order."""
    observed = due.observed
    if not observed.fresh or observed.data_disk_ids is None:
        return look(due.subject, Look(fresh=True, disks=DiskLook.ALL))
    opening = _opening(due)
    wait = observed.turn_in(type(opening.action).__name__)
    if timedelta(0) < wait < TURN_TOLD and not due.subject.has_finalizer:
        return Decision(Nothing(), due.subject.status, Reason.AWAITING_SLOT, wait)
    if wait >= TURN_TOLD:
        return due.refuse(
            Reason.AWAITING_SLOT,
            f"Plan {due.plan.id} is due. Not begun yet: "
            f"{waits_text(opening.action, due.account.name)} It begins by itself then.",
            look_again=min(wait, TURN_LOOK),
        )
    if not due.subject.has_finalizer or _order_stands(due.subject):
        return Decision(AddFinalizer(), due.subject.status, Reason.PLANNED, timedelta(0))
    return _intent(due, opening)


def _opening(due: Due) -> _Opening:
    op, vm = _operation(due), due.instance.instance_id
    if wants_backup(effective(due.subject)):  # the machine is not touched before it is finished
        op = backup.opened(op, vm, effective(due.subject))
        ask = backup.request(op, due.subject.key)
        return _Opening(op, ask, Reason.BACKING_UP, backup.text(op))
    if due.instance.power is Power.RUNNING:
        force = due.inputs.force_stop is ForceStop.ALWAYS
        stop = StopInstance(vm, force=force, stopped_mode=due.inputs.stopped_mode)
        return _Opening(op.replace(stopped_by_us=True), stop, Reason.STOPPING, stop_text(vm, op))
    swap = ReplaceSystemDisk(vm, op.inputs, op.client_token)
    return _Opening(op.replace(first_try_at=due.now), swap, Reason.REPLACING, replace_text(vm, op))


def _order_stands(subject: Subject) -> bool:
    """Whether an order is still on the object: it is used up before the intent, or it counts twice.

    So it is even where our finalizer is on already, left by a pass that did not get to its intent.
    """
    return not subject.orders_taken and any(order in subject.annotations for order in ORDERS)


def _intent(due: Due, opening: _Opening) -> Decision:
    return verdict(
        due.subject,
        used_up(due.status).replace(operation=opening.op, plan=_begun(due)),
        opening.reason,
        opening.message,
        due.now,
        action=opening.action,
        look_again=SETTLE,
        events=(Event("PlanBegun", f"Plan {due.plan.id}: {'; '.join(due.plan.changes)}."),),
        extras=drift_extras(due.drift),
    )


def _begun(due: Due) -> Plan:
    """Return the plan as it is while it is carried out: what it was tried for is past."""
    plan = due.plan.replace(last_error=None)
    if not due.retried:
        return plan
    return plan.replace(spent=False, spent_reason=None, rest_until=None, rounds=0)


def _operation(due: Due) -> Operation:
    """Return the frozen operation, with its first write counted."""
    running = due.instance.power is Power.RUNNING
    inside = windows.fits(calendar(effective(due.subject)), due.now, timedelta(0))
    closes = inside.until if isinstance(inside, windows.Fits) else None
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
        approved_by=due.plan.approved_by,
        was_running=running,
        data_disk_ids=tuple(sorted(due.observed.data_disk_ids or ())),
        addresses=due.instance.addresses,
        from_image_id=due.instance.image_id,
        from_size=due.disk.size,
        auto_snapshot_policy_id=due.disk.auto_snapshot_policy_id or None,
        started_at=due.now,
        step_at=due.now,
        last_try_at=due.now,
        outcome=Outcome.UNKNOWN,
        window_ends_at=closes,
        give_back_by=None if running else accept_by(inputs, closes, due.now),
    )
