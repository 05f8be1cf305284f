"""What is told of a plan that was tried and did not succeed: what happened, and what helps."""

from __future__ import annotations

from datetime import datetime

from sysdisk.api.durations import format_duration, format_time
from sysdisk.api.spec import ForceStop
from sysdisk.api.status import OperationInputs, Plan
from sysdisk.core import words
from sysdisk.core.approval import needed
from sysdisk.core.model import Subject
from sysdisk.core.outcome import ENDING_BACKUP_FAILED
from sysdisk.core.policy import effective


def resting_text(subject: Subject, plan: Plan, inputs: OperationInputs, until: datetime) -> str:
    """Return why `plan` rests until then, and how to have it tried at once."""
    result = _last_result(subject, plan)
    each = " each time" if plan.rounds > 1 else ""
    return (
        f"Plan {plan.id} was begun {words.times(plan.rounds)} and ended without a replacement"
        f"{each}: {_what(plan, result)}. {_advice(result, inputs)}It is tried again after "
        f"{format_time(until)}; `{retry(subject)}` tries it at once.{_approval(subject, plan)}"
    )


def spent_text(subject: Subject, plan: Plan, inputs: OperationInputs) -> str:
    """Return why `plan` is not tried again by itself, and what makes it be tried."""
    result = plan.spent_reason or ""
    given = words.clause(plan.last_error.advice or "") if plan.last_error else ""
    advice = f"{given}. " if given else ""
    untouched = "The machine was not touched" if _untouched(result) else "The old disk is untouched"
    return (
        f"Plan {plan.id} was tried and did not succeed: {_what(plan, result)}. {untouched}. "
        f"{advice}{_advice(result, inputs)}It is not tried again by itself: correct the cause and "
        f"run `{retry(subject)}`, or change the spec.{_approval(subject, plan)}"
    )


def _approval(subject: Subject, plan: Plan) -> str:
    """Return that a new approval is needed as well, the last one being used up; or nothing."""
    if plan.approved_by is not None or not needed(effective(subject).approval):
        return ""
    name, namespace = subject.key.name, subject.key.namespace
    return f" Either way it needs a new approval: `sysdisk approve {name} -n {namespace}`."


def retry(subject: Subject) -> str:
    """Return the command that has the plan of `subject` tried once more."""
    return f"sysdisk retry {subject.key.name} -n {subject.key.namespace}"


def _last_result(subject: Subject, plan: Plan) -> str:
    """Return how the last operation for `plan` ended, in one word; empty: that is not recorded."""
    ended = [entry.result for entry in subject.status.history if entry.plan_id == plan.id]
    return ended[-1] if ended else ""


def _untouched(result: str) -> bool:
    return result in (ENDING_BACKUP_FAILED, "BackupOverdue")


def _what(plan: Plan, result: str) -> str:
    why = words.why(result) if result else "the cause is not recorded"
    if plan.last_error is None:
        return why
    return f"{why}. Last answer: {words.answer(plan.last_error)}"


def _advice(result: str, inputs: OperationInputs) -> str:
    """Return what may help beside trying again, or nothing."""
    if result == "StopTimedOut":
        force = inputs.force_stop is ForceStop.NEVER
        forced = ", or set power.forceStop: AfterTimeout" if force else ""
        return (
            f"Raise power.stopTimeout (now {format_duration(inputs.stop_timeout)}){forced}, or "
            "find out in the machine why it does not shut down. "
        )
    if result == "GivenBack":
        patience = format_duration(inputs.give_back_after)
        return (
            f"Raise power.giveBackAfter (now {patience}) if ECS only needs longer, or lengthen "
            "the maintenance window if it ended before. "
        )
    return ""
