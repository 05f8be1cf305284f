"""The backup: a snapshot of the old disk, finished before the machine is touched.

It is the first step of an operation that asks for one. The machine is left alone in it, so that
whatever goes wrong ends the operation with nothing lost and nothing to start. It counts for the
window that it was begun in, without windows for an hour; what is written to the disk between the
snapshot and the stop is lost, which the plan says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.durations import format_time
from sysdisk.api.reasons import Reason
from sysdisk.api.status import ErrorClass, LastError, Operation, Outcome, PlanPolicy, Step
from sysdisk.core.backoff import backoff
from sysdisk.core.model import CreateSnapshot, Decision, DiskLook, Key, Look, Nothing
from sysdisk.core.outcome import ENDING_BACKUP_FAILED
from sysdisk.core.tokens import next_snapshot_token, snapshot_token
from sysdisk.core.under_way import TOKEN_LIFE, Pass, ask, error_text
from sysdisk.core.world import Snapshot

COUNTS_FOR: Final = timedelta(hours=1)
"""How long a backup counts from its beginning where there are no windows."""

APPEARS_WITHIN: Final = timedelta(minutes=2)
"""A snapshot that ECS does not show so long after it accepted it, is gone."""

FAILURES_AT_MOST: Final = 3
NAME_LIMIT: Final = 128
TAG_LIMIT: Final = 128
"""Characters of a tag's value. Source: ECS CreateSnapshot, Tag.N.Value."""

ACCOMPLISHED: Final = "accomplished"
ENDING_OVERDUE: Final = "BackupOverdue"
ENDING_WORLD_CHANGED: Final = "WorldChanged"


@dataclass(frozen=True, slots=True)
class Leave:
    """End the operation; nothing was touched. `ending`: why, in one word."""

    op: Operation
    ending: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """The backup is there, or there is nothing to save."""


def opened(op: Operation, instance_id: str, policy: PlanPolicy) -> Operation:
    """Return `op` at its first step, the backup, with its token."""
    begun = format_time(op.started_at)
    return op.replace(
        step=Step.BACKUP,
        snapshot_token=snapshot_token(instance_id, op.old_disk_id, op.plan_id, begun),
        backup_days=policy.backup.retention_days if policy.backup else None,
        backup_by=op.window_ends_at or op.started_at + COUNTS_FOR,
        first_try_at=op.started_at,
        give_back_by=None,
    )


def request(op: Operation, key: Key) -> CreateSnapshot:
    """Return the snapshot to ask for, named and tagged so that a person finds it again."""
    tags = {
        "sysdisk.dev/spec": _tag(str(key)),
        "sysdisk.dev/plan": op.plan_id,
        "sysdisk.dev/begun": format_time(op.started_at),
    }
    return CreateSnapshot(
        disk_id=op.old_disk_id,
        token=op.snapshot_token or "",
        name=f"sysdisk-{key.namespace}-{key.name}"[:NAME_LIMIT],
        description=f"Before plan {op.plan_id} of {key}"[:256],
        days=op.backup_days,
        tags=tuple(tags.items()),
    )


def _tag(text: str) -> str:
    """Return `text` as a tag may hold it: a name that is too long ends in its hash."""
    if len(text) <= TAG_LIMIT:
        return text
    return f"{text[: TAG_LIMIT - 17]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def back_up(p: Pass) -> Decision | Leave | GoOn:
    """Return the next step of the backup, or where it leads."""
    op = p.op
    if p.observed.system_disks is None:
        return ask(p.subject, Look(fresh=True, disks=DiskLook.KNOWN))
    disk = p.observed.system_disk
    if disk is None or disk.disk_id != op.old_disk_id:
        return Leave(op, ENDING_WORLD_CHANGED)
    if op.backup_skipped:
        return GoOn()
    if op.backup_by is not None and p.now >= op.backup_by:
        return Leave(op.replace(last_error=_overdue(op, op.backup_by)), ENDING_OVERDUE)
    if op.snapshot_id is None:
        return _create(p)
    assert p.observed.backup is not None, "asked for at the beginning of every look at a backup"
    return _wait(p, p.observed.backup)


def settled(op: Operation, seen: Snapshot | None) -> bool:
    """Whether the backup is there, or there is nothing to save."""
    return bool(op.backup_skipped) or (seen is not None and seen.status == ACCOMPLISHED)


def progress(p: Pass) -> Decision | None:
    """Return the decision to wait for a snapshot that is being made; None: there is more to do."""
    seen, by = p.observed.backup, p.op.backup_by
    if seen is None or (by is not None and p.now >= by):
        return None
    waiting = _wait(p, seen)
    return waiting if isinstance(waiting, Decision) and waiting.action == Nothing() else None


def _create(p: Pass) -> Decision | Leave:
    op = p.op
    if op.last_try_at is not None:
        due = op.last_try_at + backoff(op.tries)
        if p.now < due:
            return p.say(Reason.BACKING_UP, text(op), look_again=due - p.now)
    first = op.first_try_at or p.now
    if op.outcome is Outcome.UNKNOWN and p.now >= first + TOKEN_LIFE:
        return Leave(op.replace(last_error=_unknown(op)), ENDING_OVERDUE)
    sent = op.replace(
        tries=op.tries + 1, first_try_at=first, last_try_at=p.now, outcome=Outcome.UNKNOWN
    )
    return p.send(sent, request(sent, p.subject.key), Reason.BACKING_UP, text(op))


def _wait(p: Pass, seen: Snapshot) -> Decision | Leave | GoOn:
    op = p.op
    if settled(op, seen):
        return GoOn()
    gone = not seen.status and p.now >= (op.outcome_at or op.step_at) + APPEARS_WITHIN
    if seen.status != "failed" and not gone:
        return p.say(Reason.BACKING_UP, text(op))
    failures = op.backup_failures + 1
    failed = op.replace(last_error=_failed(op, gone=gone), backup_failures=failures)
    if failures >= FAILURES_AT_MOST:
        return Leave(failed, ENDING_BACKUP_FAILED)
    again = failed.replace(
        snapshot_id=None,
        snapshot_token=next_snapshot_token(op.snapshot_token or ""),
        first_try_at=None,
        outcome=Outcome.REFUSED,
    )
    return _create(p.with_op(again))


def _failed(op: Operation, *, gone: bool) -> LastError:
    what = "is not there any more" if gone else "ended as failed"
    return LastError(
        code="SnapshotFailed",
        message=f"snapshot {op.snapshot_id} of disk {op.old_disk_id} {what}",
        class_=ErrorClass.RETRY,
        advice="Look at the disk in the ECS console.",
    )


def _unknown(op: Operation) -> LastError:
    return LastError(
        code="SnapshotUnknown",
        message=f"ECS has not said in time whether it made the snapshot of disk {op.old_disk_id}; "
        "asking once more might make a second one",
        class_=ErrorClass.WAIT,
        advice="Look at the snapshots of the disk in the ECS console.",
    )


def _overdue(op: Operation, by: datetime) -> LastError:
    return LastError(
        code="SnapshotOverdue",
        message=f"the backup of disk {op.old_disk_id} was not finished by {format_time(by)}, when "
        "it ceased to count",
        class_=ErrorClass.WAIT,
        advice="A later snapshot of the disk is incremental and takes less time. A maintenance "
        "window that is longer lets a backup take longer.",
    )


def text(op: Operation) -> str:
    """Return what is said while the backup is made: the same words until something changes."""
    by = f" It has to be finished by {format_time(op.backup_by)}." if op.backup_by else ""
    if op.snapshot_id is None:
        return (
            f"Asking for a snapshot of disk {op.old_disk_id} for plan {op.plan_id}; the machine "
            f"is not touched before it is finished.{by}{error_text(op)}"
        )
    return (
        f"Backing up disk {op.old_disk_id} as snapshot {op.snapshot_id} for plan {op.plan_id}; "
        f"the machine is not touched before it is finished.{by}{error_text(op)}"
    )
