"""The end of an operation: the history, what it settled, and what becomes of its plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.reasons import Reason
from sysdisk.api.status import (
    HistoryEntry,
    LastError,
    Operation,
    Plan,
    Settled,
    SystemDiskSpecStatus,
)
from sysdisk.core import words
from sysdisk.core.approval import forgotten
from sysdisk.core.model import Decision, DiskLook, Event, Look, Nothing, RemoveFinalizer, Subject
from sysdisk.core.verdict import verdict, with_sight
from sysdisk.core.wanted import frozen_login, login_hash, with_trigger
from sysdisk.core.world import Observed

REPLACED: Final = "Replaced"
REPLACED_WITH_DIFFERENCES: Final = "ReplacedWithDifferences"
FAILED_RESULTS: Final = frozenset(
    {
        "Refused",
        "EndedWithoutNewDisk",
        "GivenBack",
        "StopTimedOut",
        "StartedByOthers",
        "BackupFailed",
        "BackupOverdue",
    }
)
"""Results that count towards the account's brake."""

SPENT: Final = frozenset({"Refused", "EndedWithoutNewDisk", "BackupFailed"})
RESTED: Final = frozenset({"GivenBack", "StopTimedOut", "StartedByOthers", "BackupOverdue"})
FIRST_REST: Final = timedelta(minutes=30)
LONGEST_REST: Final = timedelta(hours=24)
ROUNDS: Final = 3


def close(
    subject: Subject,
    op: Operation,
    observed: Observed | None,
    now: datetime,
    *,
    result: str | None = None,
) -> Decision:
    """Return the decision that records the end of `op` and then takes the finalizer off."""
    instance = observed.instance if observed else None
    if observed is not None and instance is not None and _unseen(op, observed):
        data = op.data_disk_ids if op.new_disk_id else ()
        asked = Look(fresh=True, disks=DiskLook.KNOWN, attached=data)
        return Decision(asked, subject.status, Reason.FINISHING, timedelta(0))
    lost = _lost(op, observed) if op.new_disk_id else ()
    differs = _differences(op, observed) if op.new_disk_id else ()
    word = result or _result(op, (*differs, *lost))
    status = subject.status
    op = op.replace(last_error=_cause(status, op))
    if observed is not None and instance is not None:
        status = with_sight(status, instance, observed.system_disk, now)
    status = status.replace(
        operation=None,
        plan=_plan_after(subject, op, word, now),
        history=(*status.history, _entry(op, word, (*differs, *lost), now)),
    )
    if op.new_disk_id:
        status = _settle(subject, status, op, differs, lost, now)
    return _speak(subject, status, op, word, (*differs, *lost), observed, now)


def _unseen(op: Operation, observed: Observed) -> bool:
    """Whether the end cannot be told yet: the disks that it is about were not looked at."""
    data = op.new_disk_id is not None and bool(op.data_disk_ids)
    return observed.system_disks is None or (data and observed.data_disk_ids is None)


def with_cause(
    status: SystemDiskSpecStatus, was: Operation | None, op: Operation
) -> SystemDiskSpecStatus:
    """Return `status` with the error that made `op` end kept in its plan.

    The start that follows may meet errors of its own, which are not why the plan is spent.
    """
    ends = op.ending is not None and (was is None or was.ending is None)
    if not ends or status.plan is None or status.plan.id != op.plan_id:
        return status
    return status.replace(plan=status.plan.replace(last_error=op.last_error))


def _cause(status: SystemDiskSpecStatus, op: Operation) -> LastError | None:
    """Return the error that `op` ended with, or for."""
    plan = status.plan
    told = status.operation is not None and status.operation.ending is not None
    if told and op.new_disk_id is None and plan is not None and plan.id == op.plan_id:
        return plan.last_error
    return op.last_error


def _result(op: Operation, differs: tuple[str, ...]) -> str:
    if op.new_disk_id is None:
        return op.ending or "Cancelled"
    return REPLACED_WITH_DIFFERENCES if differs else REPLACED


def _differences(op: Operation, observed: Observed | None) -> tuple[str, ...]:
    """Return in what the new disk is not as planned: told, never a reason to hold it back."""
    if observed is None or observed.instance is None:
        return ()
    found: list[str] = []
    instance, disk, inputs = observed.instance, observed.system_disk, op.inputs
    if inputs.image_id and instance.image_id != inputs.image_id:
        found.append(f"image {instance.image_id} instead of {inputs.image_id}")
    if disk is not None and inputs.size and disk.size != inputs.size:
        found.append(f"size {disk.size} GiB instead of {inputs.size} GiB")
    if disk is not None and disk.disk_id != op.new_disk_id:
        found.append(f"disk {disk.disk_id} instead of {op.new_disk_id}")
    return tuple(found)


def _lost(op: Operation, observed: Observed | None) -> tuple[str, ...]:
    """Return what the machine had before, or was to have, and has not now, beside its disk."""
    if observed is None or observed.instance is None:
        return ()
    found: list[str] = []
    instance, pair = observed.instance, op.inputs.key_pair_name
    if pair and instance.key_pair_name != pair:
        found.append(f"key pair {instance.key_pair_name or 'none'} instead of {pair}")
    gone = sorted(set(op.data_disk_ids) - (observed.data_disk_ids or frozenset()))
    found.extend(f"data disk {disk_id} is not attached any more" for disk_id in gone)
    lost = [address for address in op.addresses if address not in instance.addresses]
    found.extend(f"IP address {address} is gone" for address in lost)
    if (policy := op.auto_snapshot_policy_id) is not None:
        found.append(f"automatic snapshot policy {policy} is not on disk {op.new_disk_id}")
    return tuple(found)


def _entry(op: Operation, word: str, differs: tuple[str, ...], now: datetime) -> HistoryEntry:
    message = "; ".join(differs) or None
    error = op.last_error
    if message is None and error is not None:
        message = words.answer(error)
    return HistoryEntry(
        plan_id=op.plan_id,
        result=word,
        message=message,
        old_disk_id=op.old_disk_id,
        new_disk_id=op.new_disk_id,
        from_image_id=op.from_image_id,
        to_image_id=op.inputs.image_id,
        snapshot_id=op.snapshot_id,
        started_at=op.started_at,
        ended_at=now,
        steps=op.steps,
        request_ids=op.request_ids,
        approved_by=op.approved_by,
        attempt=op.attempt,
    )


def _plan_after(subject: Subject, op: Operation, word: str, now: datetime) -> Plan | None:
    """Return what becomes of the plan: gone when done, spent when refused, resting when given back.

    It was tried under the generation that is in force now: an edit during the operation which
    asked for nothing else is no reason to try once more.
    """
    plan = subject.status.plan
    if op.new_disk_id:
        return None
    if plan is None or plan.id != op.plan_id:
        return plan
    plan = forgotten(plan).replace(generation=subject.generation)
    if word in SPENT:
        return plan.replace(spent=True, spent_reason=word, last_error=op.last_error)
    if word in RESTED:
        rounds = plan.rounds + 1
        return plan.replace(
            rounds=rounds,
            rest_until=now + min(FIRST_REST * (1 << min(rounds - 1, 10)), LONGEST_REST),
            spent=rounds >= ROUNDS,
            spent_reason=word if rounds >= ROUNDS else None,
            last_error=op.last_error,
        )
    return plan


def _settle(
    subject: Subject,
    status: SystemDiskSpecStatus,
    op: Operation,
    differs: tuple[str, ...],
    lost: tuple[str, ...],
    now: datetime,
) -> SystemDiskSpecStatus:
    settled = Settled(
        inputs=op.inputs.hash,
        at=now,
        login=login_hash(frozen_login(op.inputs)),
        differs=bool(differs) or None,
        lost=lost,
    )
    return status.replace(settled=settled, triggers=with_trigger(subject, op.inputs.trigger))


def _speak(
    subject: Subject,
    status: SystemDiskSpecStatus,
    op: Operation,
    word: str,
    differs: tuple[str, ...],
    observed: Observed | None,
    now: datetime,
) -> Decision:
    """Return the closing decision in the words of what is so afterwards."""
    from sysdisk.core.rest import at_rest  # the two halves of `decide` know each other

    known = status.replace(observed_generation=subject.generation)
    closed = replace(subject, status=known)
    told = _event(op, word, differs)
    if observed is not None and observed.instance is not None and not subject.deleting:
        if op.new_disk_id is not None:  # of the data disks, those alone were looked at that it had
            observed = replace(observed, data_disk_ids=None)
        after = at_rest(closed, observed, now)
        if isinstance(after.action, Nothing):
            return Decision(
                RemoveFinalizer(), after.status, after.reason, timedelta(0), (told, *after.events)
            )
    if op.new_disk_id is None:
        ended = f"Plan {op.plan_id} has ended without a replacement, because {words.why(word)}"
    else:
        ended = f"Plan {op.plan_id} has ended: disk {op.old_disk_id} was replaced"
    return verdict(
        closed,
        status,
        Reason.PLANNED,
        f"{ended}. Looking at what is wanted now.",
        now,
        action=RemoveFinalizer(),
        look_again=timedelta(0),
        events=(told,),
    )


def _event(op: Operation, word: str, differs: tuple[str, ...]) -> Event:
    if op.new_disk_id is None:
        error = f" ({op.last_error.code})" if op.last_error else ""
        return Event(
            "NotReplaced",
            f"Plan {op.plan_id} was not carried out, because {words.why(word)}{error}. It did not "
            f"replace disk {op.old_disk_id}.",
            warning=word in FAILED_RESULTS,
        )
    text = f"Disk {op.old_disk_id} was replaced by {op.new_disk_id} (plan {op.plan_id})."
    if op.snapshot_id is not None:
        text += f" It is saved as snapshot {op.snapshot_id}."
    if differs:
        error = f" Last answer of ECS: {words.answer(op.last_error)}." if op.last_error else ""
        told = f"{text} But: {'; '.join(differs)}.{error}"
        return Event("ReplacedWithDifferences", told, warning=True)
    return Event("Replaced", text)
