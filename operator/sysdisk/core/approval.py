"""Manual approval: a person lets exactly one plan begin, once, within seven days.

The annotation names the plan. It is taken up into `status.approval` before it counts, because the
time of an annotation is nobody's record; from then on it lapses after seven days, whatever becomes
of the plan meanwhile. The intent that opens an operation uses it up: every operation needs an
approval of its own. Who may set the annotation is the admission policy's business, and nothing here
is proof of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.durations import format_time
from sysdisk.api.meta import ANNOTATION_APPROVE
from sysdisk.api.policy import Approval
from sysdisk.api.status import Order, Plan
from sysdisk.core.model import Subject

LAPSES_AFTER: Final = timedelta(days=7)
NOBODY: Final = "unknown"
"""Stands for who approved where `approved-by` was not set."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The plan may begin. `taken`: by the record alone, the annotation is off already."""

    plan: Plan
    taken: bool = False


@dataclass(frozen=True, slots=True)
class NotApproved:
    """The plan waits. `why`: what is missing, in words; `lapsed`: its approval is too old;
    `stands`: that one is still on the object, and to be taken off."""

    plan: Plan
    why: str
    lapsed: bool = False
    stands: bool = False


Judgement = Approved | NotApproved


def judge(subject: Subject, plan: Plan, now: datetime) -> Judgement:
    """Return whether `plan` is approved by what is on record; only asked under policy Manual."""
    given = subject.status.approval
    if given is None:
        return NotApproved(forgotten(plan), _how(subject))
    lapsed = given.expires_at is None or now >= given.expires_at
    if given.plan_id == plan.id and not lapsed:
        approved = plan.replace(approved_by=given.by or NOBODY, expires_at=given.expires_at)
        return Approved(approved, given.taken)
    return NotApproved(
        forgotten(plan),
        f"{_void(given, plan, lapsed=lapsed)} {_how(subject)}",
        lapsed=lapsed,
        stands=lapsed and not given.taken,
    )


def _void(given: Order, plan: Plan, *, lapsed: bool) -> str:
    """Return why an approval does not let `plan` begin."""
    until = format_time(given.expires_at) if given.expires_at else "once"
    by = f"The approval by {given.by or NOBODY}"
    if lapsed:
        return f"{by} lapsed at {until} and approves nothing any more."
    return (
        f"{by} is for plan {given.plan_id or '(empty)'} and approves nothing but that, until "
        f"{until}: spec or machine have changed since, or it was never right."
    )


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
    if judgement.taken:
        text += (
            f" The annotation is off already, because it was about to begin; any other value of "
            f"{ANNOTATION_APPROVE} takes the approval back."
        )
    return Extra(Kind.APPROVED, True, "Approved", text)
