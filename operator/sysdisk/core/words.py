"""What is told of an answer, a lock, an end: the words for what the record holds in one word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sysdisk.api.status import Condition, LastError
from sysdisk.core.world import FORBIDDING_LOCKS, Lock

_REQUEST: Final = re.compile(r" \(request ID [^)]*\)")
WHY: Final = {
    "AccountSuspended": "the EcsAccount was suspended",
    "ApprovalRequired": "an approval is required by now",
    "BackupFailed": "the backup failed",
    "BackupOverdue": "the backup was not finished in time",
    "BrakePulled": "too many operations of the EcsAccount failed in a row meanwhile",
    "Cancelled": "it was cancelled",
    "Deleted": "the object is being deleted",
    "EndedWithoutNewDisk": "ECS ended the replacement without a new disk",
    "GivenBack": "ECS did not accept the replacement in time",
    "GrantRevoked": "the EcsAccount does not grant the instance any more",
    "InstanceGone": "the instance is gone",
    "PreflightFailed": "something stands in the way that did not when it began",
    "Protected": "the object was protected by annotation",
    "Refused": "ECS refused it",
    "SpecChanged": "the spec was changed",
    "StartedByOthers": "the machine was started by somebody else",
    "StopTimedOut": "the machine did not stop in time",
    "StrayStop": "a late stop of it came true after it had ended",
    "Suspended": "the object was suspended",
    "WindowClosed": "the maintenance window does not hold the rest of the work any more",
    "WorldChanged": "somebody else changed the machine or its disks",
}
"""Why an operation ended without a new disk, to be read after "because"."""


def why(ending: str) -> str:
    """Return `ending` in words; one that is not known (of a later version) as it is."""
    return WHY.get(ending, ending)


def clause(text: str) -> str:
    """Return `text` without its full stops, to be put into a sentence."""
    return text.rstrip(". ")


def answer(error: LastError) -> str:
    """Return an answer of ECS in one clause: code, message and request ID, no full stop."""
    said = clause(error.message or "")
    message = f": {said}" if said else ""
    request = f" (request ID {error.request_id})" if error.request_id else ""
    return f"{error.code}{message}{request}"


def operations(count: int) -> str:
    """Return how many operations, in words."""
    return "1 operation" if count == 1 else f"{count} operations"


def times(count: int) -> str:
    """Return how often, in words."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def locks(found: Iterable[Lock]) -> str:
    """Return the reasons of `found`, sorted; one that this version does not know says so."""
    return ", ".join(_lock(reason) for reason in sorted({lock.reason for lock in found}))


def _lock(reason: str) -> str:
    known = reason.lower() in FORBIDDING_LOCKS
    return reason if known else f"{reason}, a lock that this version does not know"


def without_request_ids(message: str) -> str:
    """Return `message` without what differs from call to call."""
    return _REQUEST.sub("", message)


def steady(was: Condition | None, message: str) -> str:
    """Return `message`, or what `was` told where only a request ID tells them apart.

    Each failed call has another one: to tell every one of them would write without end.
    """
    if was is not None and without_request_ids(was.message) == without_request_ids(message):
        return was.message
    return message
