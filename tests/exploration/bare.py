"""Bare statuses: what no rule reads is left out, and times are ages that stop where no rule looks.

Two statuses that the rules cannot tell apart become one. A time counts from a `now` that stands
still: what passes makes everything recorded older, up to the longest span that any rule of the
present step compares it with. What the present step never reads, and every later one sets anew, is
gone. So the states of the exploration are finitely many, and few.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sysdisk.api.status import (
    HistoryEntry,
    LastError,
    Operation,
    OperationInputs,
    Order,
    Outcome,
    Plan,
    Step,
    SystemDiskSpecStatus,
)
from sysdisk.core import backup, operate, under_way
from sysdisk.core.approval import LAPSES_AFTER
from sysdisk.core.backoff import LONGEST, backoff
from sysdisk.core.ending import RESTED, SPENT

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANGED_MIND: Final = "SpecChanged"
"""Stands for every ending after which the plan is neither spent nor rests."""

USED: Final = "used"
"""Stands for a disk and a plan that are gone for good."""

_FAR: Final = timedelta(hours=6)
_PATIENCE: Final = timedelta(hours=1)
_LONGEST_AGES: Final[dict[Step, dict[str, timedelta]]] = {
    Step.BACKUP: {
        "step_at": backup.APPEARS_WITHIN,
        "last_try_at": LONGEST,
        "outcome_at": backup.APPEARS_WITHIN,
        "first_try_at": under_way.TOKEN_LIFE,
    },
    Step.STOP: {"step_at": _PATIENCE, "last_try_at": LONGEST},
    Step.REPLACE: {
        "last_try_at": operate.WATCH,
        "first_try_at": under_way.TOKEN_LIFE,
        "unlocked_since": operate.WATCH,
    },
    Step.VERIFY: {"step_at": operate.VERIFY_OVERDUE},
    Step.START: {"step_at": operate.START_OVERDUE, "last_try_at": LONGEST},
    Step.FINISH: {},
}
"""The times that the rules of a step read, and after how long all of them have."""

_TIMES: Final = ("outcome_at", "last_try_at", "first_try_at", "unlocked_since")
_COMING: Final[dict[Step, str]] = {Step.BACKUP: "backup_by", Step.REPLACE: "give_back_by"}
"""The deadline that a step reads."""


def bare(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return `status` without what no rule reads."""
    plain = {"message": "", "last_transition_time": NOW, "observed_generation": None}
    plan, op, settled = status.plan, status.operation, status.settled
    return status.model_copy(
        update={
            "conditions": tuple(c.model_copy(update=plain) for c in status.conditions),
            "phase": None,
            "observed_at": None,
            "previous_disk_id": None,
            "plan": _bare_plan(plan) if plan else None,
            "approval": _bare_approval(status.approval) if status.approval else None,
            "operation": bare_op(op) if op else None,
            "history": _bare_history(status.history),
            "settled": settled.model_copy(update={"at": NOW}) if settled else None,
        }
    )


def _bare_plan(plan: Plan) -> Plan:
    rest = plan.rest_until
    return plan.model_copy(
        update={
            "made_at": NOW,
            "changes": (),
            "destroys": (),
            "warnings": (),
            "policy": None,
            "downtime_seconds": None,
            "rest_until": max(rest, NOW) if rest else None,
            "expires_at": NOW + LAPSES_AFTER if plan.expires_at else None,
            "last_error": None,
        }
    )


def _bare_approval(approval: Order) -> Order:
    """Return it with all its days to come: so long, no walk goes."""
    return approval.model_copy(update={"expires_at": NOW + LAPSES_AFTER})


def _bare_history(history: tuple[HistoryEntry, ...]) -> tuple[HistoryEntry, ...]:
    """Return that something was replaced, and the last attempt of each plan that may come again.

    A plan names its disk, and a disk that was replaced never comes back.
    """
    gone = {entry.old_disk_id for entry in history if entry.new_disk_id}
    attempts: dict[str, HistoryEntry] = {}
    if gone or any(entry.plan_id == USED for entry in history):
        attempts[USED] = HistoryEntry(plan_id=USED, result="", started_at=NOW, ended_at=NOW)
    for entry in history:
        if entry.plan_id == USED or entry.old_disk_id in gone:
            continue
        was = attempts.get(entry.plan_id)
        attempts[entry.plan_id] = HistoryEntry(
            plan_id=entry.plan_id,
            result="",
            old_disk_id=entry.old_disk_id,
            started_at=NOW,
            ended_at=NOW,
            attempt=max(entry.attempt or 1, (was.attempt or 1) if was else 1),
        )
    return tuple(attempts[plan] for plan in sorted(attempts))


def bare_op(op: Operation) -> Operation:
    """Return `op` with what the rules of its step, and of those that follow, can read."""
    ages, coming = _LONGEST_AGES[op.step], _COMING.get(op.step)
    times: dict[str, Any] = {name: None for name in _TIMES if name not in ages}
    times |= {name: None for name in _COMING.values() if name != coming}
    if op.step is not Step.REPLACE or op.outcome is not Outcome.UNKNOWN:
        times["unlocked_since"] = None
    if op.step is Step.REPLACE or op.step is Step.FINISH:
        times["step_at"] = NOW
    later = op.step in (Step.VERIFY, Step.START, Step.FINISH)
    update: dict[str, Any] = {
        **times,
        "started_at": NOW,
        "request_ids": (),
        "steps": (),
        "inputs": _bare_inputs(op),
        "ending": _bare_ending(op.ending),
        "last_error": None if _error_is_past(op) else _bare_error(op.last_error),
        "snapshot_id": op.snapshot_id if op.step is Step.BACKUP else None,
    }
    if op.window_ends_at is not None:
        sets = op.step in (Step.BACKUP, Step.STOP)  # it is the base of the deadline to come
        update["window_ends_at"] = NOW + _FAR if sets else None
    if later:
        update["backup_failures"] = 0
    if op.snapshot_token is not None and later:
        update["snapshot_token"] = USED
    return aged(op.model_copy(update=update), timedelta(0))


def _bare_inputs(op: Operation) -> OperationInputs:
    """Return the inputs; the Secret's version is read where a request with it may be under way."""
    changes: dict[str, Any] = {"generation": 0}
    ref = op.inputs.password_secret_ref
    if ref is not None and not (op.step is Step.REPLACE and op.outcome is Outcome.UNKNOWN):
        changes["password_secret_ref"] = ref.model_copy(update={"resource_version": None})
    return op.inputs.model_copy(update=changes)


def _bare_ending(ending: str | None) -> str | None:
    if ending is None:
        return None
    for kind in (SPENT, RESTED):
        if ending in kind:
            return ending if ending.startswith("Backup") else min(kind - _OF_BACKUPS)
    return CHANGED_MIND


_OF_BACKUPS: Final = frozenset({"BackupFailed", "BackupOverdue"})


def _error_is_past(op: Operation) -> bool:
    """Whether the error is but told: it ended an earlier step, and this one has met none."""
    if op.step is Step.START:
        return op.outcome is not Outcome.REFUSED and op.tries <= 1
    return op.step in (Step.VERIFY, Step.FINISH)


def _bare_error(error: LastError | None) -> LastError | None:
    if error is None:
        return None
    return LastError(code=error.code, class_=error.class_)


def aged(op: Operation, passed: timedelta) -> Operation:
    """Return `op` when `passed` is over."""
    times: dict[str, Any] = {}
    for name, longest in _LONGEST_AGES[op.step].items():
        time = getattr(op, name)
        if time is not None:
            times[name] = max(time - passed, NOW - longest)
    coming = _COMING.get(op.step)
    by = getattr(op, coming) if coming else None
    if coming and by is not None:
        times[coming] = max(by - passed, NOW)
    return op.model_copy(update=times)


def older(status: SystemDiskSpecStatus, passed: timedelta) -> SystemDiskSpecStatus:
    """Return a bare `status` when `passed` is over: times of what is recorded move back."""
    plan, op = status.plan, status.operation
    moved: dict[str, Any] = {}
    if plan is not None and plan.rest_until is not None:
        rest = max(plan.rest_until - passed, NOW)
        moved["plan"] = plan.model_copy(update={"rest_until": rest})
    if op is not None:
        moved["operation"] = aged(op, passed)
    return status.model_copy(update=moved) if moved else status


def edited(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return a bare `status` that belongs to an earlier generation: which one, no rule asks."""
    changes: dict[str, Any] = {}
    if status.observed_generation is not None:
        changes["observed_generation"] = 0
    if status.plan is not None:
        changes["plan"] = status.plan.model_copy(update={"generation": 0})
    return status.model_copy(update=changes)


def deadlines(status: SystemDiskSpecStatus) -> Iterator[datetime]:
    """Yield every time at which a rule may change its mind about `status`."""
    if status.plan is not None and status.plan.rest_until is not None:
        yield status.plan.rest_until
    op = status.operation
    if op is None:
        return
    match op.step:
        case Step.BACKUP:
            yield (op.outcome_at or op.step_at) + backup.APPEARS_WITHIN
            yield from _after_the_last_try(op, backoff(op.tries))
            if op.first_try_at is not None:
                yield op.first_try_at + under_way.TOKEN_LIFE
            if op.backup_by is not None:
                yield op.backup_by
        case Step.STOP:
            patience = op.inputs.stop_timeout
            yield from (op.step_at + patience, op.step_at + 2 * patience)
            yield (op.last_try_at or op.step_at) + operate.STOP_SETTLES
            yield from _after_the_last_try(op, backoff(op.tries), operate.STOP_AGAIN)
        case Step.REPLACE:
            yield from _of_the_replacement(op)
        case Step.VERIFY:
            yield op.step_at + operate.VERIFY_OVERDUE
        case Step.START:
            yield op.step_at + operate.START_OVERDUE
            pauses = (operate.LOST_START, timedelta(seconds=15))
            yield from _after_the_last_try(op, *(backoff(op.tries, pause) for pause in pauses))
            yield from _after_the_last_try(op, backoff(op.tries), operate.STOP_AGAIN)
        case _:
            return


def _of_the_replacement(op: Operation) -> Iterator[datetime]:
    if op.give_back_by is not None:
        yield op.give_back_by
    if op.first_try_at is not None:
        yield op.first_try_at + under_way.TOKEN_LIFE
    if op.unlocked_since is not None:
        yield op.unlocked_since + operate.WATCH
    yield from _after_the_last_try(op, backoff(op.tries), operate.WATCH)


def _after_the_last_try(op: Operation, *pauses: timedelta) -> Iterator[datetime]:
    if op.last_try_at is not None:
        yield from (op.last_try_at + pause for pause in pauses)
