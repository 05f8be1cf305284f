"""The invariants, as the explorer holds decisions, intents and whole states to them."""

from __future__ import annotations

from typing import Final

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Operation, Outcome, Step
from tests.exploration import cloud as toy
from tests.exploration.book import Book, Verdict, unknown, watched
from tests.exploration.cloud import Ask, Broken, Cloud
from tests.exploration.state import Phase, Record, Seen, State

RESTING: Final = frozenset(
    {
        Reason.UP_TO_DATE,
        Reason.DRIFTED,
        Reason.SUSPENDED,
        Reason.PROTECTED,
        Reason.PLAN_SPENT,
        Reason.BACKUP_FAILED,
        Reason.INSTANCE_OWNED,
        Reason.AWAITING_APPROVAL,
        Reason.AWAITING_WINDOW,
    }
)


def decided(book: Book, found: Verdict, basis: int, seen: Seen) -> None:
    """Hold a decision to what was seen for it. Raises Broken."""
    op = book.op(found.status)
    if found.ask is None or op is None or seen.window:
        return
    was = book.op(basis)
    saved = was is not None and was.step is Step.BACKUP and op.step is not Step.BACKUP
    if _begins(was, op) or (saved and not op.ending):
        raise Broken(f"I4: {found.ask.verb} is decided, and the window is closed")


def _begins(was: Operation | None, op: Operation) -> bool:
    return was is None and op.ending is None


def intent(book: Book, state: State, record: Record, phase: Phase) -> Record:
    """Hold an intent to the record that it is written onto, the newest there is. Raises Broken.

    Return that record, with what the intent uses up of it.
    """
    ask, was, op = phase.ask, book.op(phase.basis), book.op(phase.status)
    assert ask is not None
    assert op is not None
    if ask.verb == "Start" and op.new_disk_id is None:
        if was is not None and unknown(was) and not watched(was):
            raise Broken("I3: a start while the outcome of the replacement is unknown")
        if _at_work(state.cloud) or _may_come_true(state.cloud):
            raise Broken("I3: a start while a replacement may still come true")
    if ask.verb == "Replace":
        _replacement(record, ask, was, op)
    if ask.verb == "Stop" and not op.ending and _unsaved(state.cloud, op):
        raise Broken("I4: a machine is stopped before its disk is saved")
    if book.variant.approval and _begins(was, op):
        if record.granted != op.plan_id:
            raise Broken(f"I4: plan {op.plan_id} begins, and nobody has approved it")
        return record._replace(granted="")
    return record


def _unsaved(cloud: Cloud, op: Operation) -> bool:
    """Whether the disk that `op` is about is there and should have been saved, and was not."""
    return cloud.saves and cloud.disk == op.old_disk_id and not toy.saved(cloud)


def _replacement(record: Record, ask: Ask, was: Operation | None, op: Operation) -> None:
    if not (was is not None and unknown(was)):
        if record.protected or record.suspended or record.deleting:
            raise Broken("I1: a replacement begins although it was said not to")
        if ask.image != record.image:
            raise Broken(f"I1: {ask.image} is asked for, and nobody wants it")
    if op.outcome is not Outcome.UNKNOWN:
        raise Broken("I2: the intent does not say that its outcome is unknown")


def check(book: Book, state: State) -> str | None:
    """Return which invariant `state` breaks, None: it holds them all."""
    cloud = state.cloud
    if not (cloud.ours and cloud.power in (toy.STOPPING, toy.STOPPED)):
        return None
    if any(r is not None and _owes(book, r.status) for r in state.records):
        return None
    for operator in state.operators:
        for agent in operator.agents:
            if agent.stop is not None:
                return None
            phase = agent.phase
            if phase is not None and (_owes(book, phase.status) or _owes(book, phase.intent)):
                return None
    return f"I3: the machine is {cloud.power}, stopped by us, and nobody owes it a start"


def _owes(book: Book, status: int) -> bool:
    op = book.op(status)
    return op is not None and op.stopped_by_us


def at_rest(book: Book, state: State) -> str | None:
    """Return what is wrong with a `state` that rests for good, None: all is well."""
    cloud = state.cloud
    if cloud.ran and cloud.power != toy.RUNNING:
        return f"I3: at rest, and the machine is {cloud.power}"
    for k, record in enumerate(state.records):
        wrong = _rests_wrongly(book, state, record) if record is not None else None
        if wrong:
            return f"I8: spec {k + 1} {wrong}"
    return None


def _rests_wrongly(book: Book, state: State, record: Record) -> str | None:
    status = book.status(record.status)
    if status.operation is not None:
        return f"rests in step {status.operation.step}"
    if record.finalizer or record.deleting:
        return "keeps its finalizer at rest"
    ready = status.condition("Ready")
    reason = ready.reason if ready is not None else None
    if reason not in RESTING:
        return f"rests as {reason}"
    if reason == Reason.UP_TO_DATE and record.image != state.cloud.image:
        return f"says UpToDate and the machine has {state.cloud.image}"
    if reason == Reason.AWAITING_WINDOW and state.window:
        return "waits for a window that is open"
    plan = status.plan.id if status.plan is not None else None
    if reason == Reason.AWAITING_APPROVAL and plan in (record.approve, record.granted):
        return "waits for an approval that it has"
    return None


def _at_work(cloud: Cloud) -> bool:
    """Whether ECS replaces the disk that a request meant.

    One that was on its way while somebody put another disk in by hand is nobody's to foresee; ECS
    starts no machine meanwhile.
    """
    return cloud.work is not None and cloud.work.disk != cloud.foreign


def _may_come_true(cloud: Cloud) -> bool:
    """Whether a replacement is on its way that ECS has not done before."""
    known = {token.token for token in cloud.tokens}
    return any(f.ask.verb == "Replace" and f.ask.token not in known for f in cloud.flights)
