"""Manual approval: a person lets exactly one plan begin, once, within seven days.

The annotation names the plan. It is taken up into `status.plan` before it counts, because the time
of an annotation is nobody's record; from then on it lapses after seven days. With the finalizer
patch that opens an operation the annotation goes: every operation needs an approval of its own.
Who may set it is the admission policy's business, and nothing here is proof of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.durations import format_time
from sysdisk.api.meta import ANNOTATION_APPROVE, ANNOTATION_APPROVED_BY
from sysdisk.api.policy import Approval
from sysdisk.api.status import Plan
from sysdisk.core.model import Subject

LAPSES_AFTER: Final = timedelta(days=7)
NOBODY: Final = "unknown"
"""Stands for who approved where `approved-by` was not set."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The plan may begin."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Approved just now: `plan` has it on record, and that comes first."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class NotApproved:
    """The plan waits. `why`: what is missing, in words; `lapsed`: an old approval is to be taken
    off, so that a new one can be told from it."""

    plan: Plan
    why: str
    lapsed: bool = False


Judgement = Approved | TakenUp | NotApproved


def judge(subject: Subject, plan: Plan, now: datetime) -> Judgement:
    """Return whether `plan` is approved; only asked where the policy says Manual."""
    given = subject.annotations.get(ANNOTATION_APPROVE)
    if given == plan.id:
        return _of_this_plan(subject, plan, now)
    if given is None and subject.has_finalizer and _on_record(plan, now):
        return Approved(plan)  # taken off by ourselves, with the patch that put the finalizer on
    unapproved = forgotten(plan)
    if given is None:
        return NotApproved(unapproved, _how(subject))
    return NotApproved(
        unapproved,
        f"The approval in annotation {ANNOTATION_APPROVE} is for plan {given or '(empty)'} and "
        f"approves nothing: spec or machine have changed since, or it was never right. "
        f"{_how(subject)}",
    )


def _of_this_plan(subject: Subject, plan: Plan, now: datetime) -> Judgement:
    if plan.expires_at is None:
        by = subject.annotations.get(ANNOTATION_APPROVED_BY) or NOBODY
        return TakenUp(plan.replace(approved_by=by, expires_at=now + LAPSES_AFTER))
    if _on_record(plan, now):
        return Approved(plan)
    return NotApproved(
        plan,
        f"The approval by {plan.approved_by or NOBODY} lapsed at {format_time(plan.expires_at)} "
        f"and approves nothing any more. {_how(subject)}",
        lapsed=True,
    )


def _on_record(plan: Plan, now: datetime) -> bool:
    return plan.approved_by is not None and plan.expires_at is not None and now < plan.expires_at


def _how(subject: Subject) -> str:
    name, namespace = subject.key.name, subject.key.namespace
    return f"To let it begin, run `sysdisk approve {name} -n {namespace}`."


def forgotten(plan: Plan) -> Plan:
    """Return `plan` without any approval: an operation uses it up, whatever becomes of it."""
    return plan.replace(approved_by=None, expires_at=None)


def needed(policy: Approval | None) -> bool:
    """Whether a person must approve."""
    return policy is Approval.MANUAL


def condition(judgement: Judgement) -> Extra:
    """Return the condition Approved for a plan that needs an approval."""
    plan = judgement.plan
    if isinstance(judgement, NotApproved):
        reason = "Lapsed" if judgement.lapsed else "AwaitingApproval"
        text = f"Plan {plan.id} is not approved. {judgement.why}"
        return Extra(Kind.APPROVED, False, reason, text)
    until = f", until {format_time(plan.expires_at)}" if plan.expires_at else ""
    text = f"Plan {plan.id} is approved by {plan.approved_by}{until}."
    return Extra(Kind.APPROVED, True, "Approved", text)
