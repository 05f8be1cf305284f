"""What an answer taught, in the words of the conditions: recorded in the same pass (I10)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sysdisk.api.conditions import Kind
from sysdisk.api.reasons import Reason
from sysdisk.api.status import ErrorClass, LastError, Operation, Outcome, Step
from sysdisk.core import backup, words
from sysdisk.core.ending import SPENT, with_cause
from sysdisk.core.model import SETTLE, Decision, Event, Subject
from sysdisk.core.verdict import verdict

_CALLS: Final = {
    Step.BACKUP: "CreateSnapshot",
    Step.STOP: "StopInstance",
    Step.REPLACE: "ReplaceSystemDisk",
    Step.START: "StartInstance",
    Step.FINISH: "ApplyAutoSnapshotPolicy",
}


def tell(
    subject: Subject, reason: Reason, intent: Operation, learned: Operation, now: datetime
) -> Decision:
    """Return the decision that records `learned`, which an answer made of `intent`."""
    status = with_cause(subject.status, intent, learned).replace(operation=learned)
    if learned.step is Step.VERIFY and intent.step is not Step.VERIFY:
        return verdict(
            subject,
            status,
            Reason.VERIFYING,
            f"ECS accepted the replacement of {learned.old_disk_id}; waiting until new disk "
            f"{learned.new_disk_id} is in use and the old one is gone.",
            now,
            look_again=SETTLE,
        )
    if learned.snapshot_id is not None and intent.snapshot_id is None:
        return verdict(subject, status, reason, backup.text(learned), now, look_again=SETTLE)
    error = learned.last_error
    where = _reason(reason, learned)
    if error is None or (learned.request_ids == intent.request_ids and error == intent.last_error):
        ready = subject.status.condition(Kind.READY)
        return verdict(
            subject, status, where, ready.message if ready else "", now, look_again=SETTLE
        )
    return verdict(
        subject,
        status,
        where,
        f"{_what(intent)} for plan {learned.plan_id}: {_words(error)}. {_then(learned)}",
        now,
        look_again=SETTLE,
        events=(Event("EcsAnswered", f"{_what(intent)}: {_words(error)}", warning=True),),
    )


def _reason(reason: Reason, learned: Operation) -> Reason:
    if learned.ending is not None and learned.step is Step.BACKUP:
        return Reason.BACKUP_FAILED
    if learned.ending is not None:
        return Reason.GIVING_BACK
    if learned.step is Step.REPLACE and learned.outcome is Outcome.UNKNOWN:
        return Reason.OUTCOME_UNKNOWN
    return reason


def _what(intent: Operation) -> str:
    return _CALLS.get(intent.step, str(intent.step))


def _words(error: LastError) -> str:
    advice = f". {words.clause(error.advice)}" if error.advice else ""
    return f"{words.answer(error)}{advice}"


def _then(learned: Operation) -> str:
    if learned.ending is not None and learned.step is Step.BACKUP:
        return "Nothing was touched, and the plan is spent."
    if learned.step is Step.START:
        return "It is tried again until the machine runs."
    if learned.ending is not None:
        spent = ", and the plan is spent" if learned.ending in SPENT else ""
        return f"The machine is given back with its old disk{spent}."
    if learned.outcome is Outcome.UNKNOWN and learned.step is Step.REPLACE:
        return "Its outcome is not known: it is found out with the same token, never guessed."
    error = learned.last_error
    if error is not None and error.class_ is ErrorClass.WAIT:
        return "It is asked again when the state has changed."
    return "It is tried again by itself."
