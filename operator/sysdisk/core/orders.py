"""The annotations that forbid or order: what a person, the CLI or an Argo CD action wrote.

Whoever forbids wants to be safe, so every value counts but the two that plainly say no: a brake
that was meant as `yes` and is read as nothing would cost a disk (I9).

An order is for one operation, so its annotation is taken off before the intent. Much can come in
between (a limit, another operation, the end of the process), so it is the record that counts: made
when the annotation is seen, undone when a person takes it back, used up by the intent alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from sysdisk.api.meta import (
    ANNOTATION_APPROVE,
    ANNOTATION_APPROVED_BY,
    ANNOTATION_PROTECT,
    ANNOTATION_RETRY,
    ANNOTATION_SUSPEND,
)
from sysdisk.api.status import Order, Plan, SystemDiskSpecStatus
from sysdisk.core.approval import LAPSES_AFTER, NOBODY
from sysdisk.core.model import Subject

ORDERS: Final = (ANNOTATION_APPROVE, ANNOTATION_APPROVED_BY, ANNOTATION_RETRY)
"""Orders for one operation: taken off the object before its intent, so that each counts once."""

_NO: Final = frozenset({"", "false"})


def is_set(annotations: Mapping[str, str], name: str) -> bool:
    """Whether annotation `name` forbids: with any value but `false` and the empty one."""
    return annotations.get(name, "") not in _NO


def protected(subject: Subject) -> str:
    """Return why no replacement may begin, and how to lift that; empty: nothing protects."""
    if not is_set(subject.annotations, ANNOTATION_PROTECT):
        return ""
    lift = f"kubectl annotate sds {subject.key.name} -n {subject.key.namespace}"
    return (
        f"{_said(subject, ANNOTATION_PROTECT)} Remove it to go on: `{lift} {ANNOTATION_PROTECT}-`."
    )


def suspended(subject: Subject) -> str:
    """Return why nothing new may begin, and how to lift that; empty: nothing suspends."""
    resume = f"Run `sysdisk resume {subject.key.name} -n {subject.key.namespace}` to go on."
    by_annotation = is_set(subject.annotations, ANNOTATION_SUSPEND)
    if subject.spec.suspend:
        also = f" {_said(subject, ANNOTATION_SUSPEND)} {resume}" if by_annotation else ""
        return f"spec.suspend is true. Set it to false in the manifest to go on.{also}"
    return f"{_said(subject, ANNOTATION_SUSPEND)} {resume}" if by_annotation else ""


def _said(subject: Subject, name: str) -> str:
    value = subject.annotations[name]
    return f'annotation {name} is {_quoted(value)}; every value but "false" counts.'


def _quoted(value: str) -> str:
    short = value if len(value) <= 40 else f"{value[:40]}..."
    return f'"{short}"'


# -- what was ordered -------------------------------------------------------------------------


def noted(subject: Subject, now: datetime) -> Subject:
    """Return `subject` with its orders as they are to be recorded: given, taken off, taken back."""
    marks = {} if subject.orders_taken else subject.annotations
    status, approves, retries = subject.status, None, None
    if ANNOTATION_APPROVE in marks:
        approves = Order(
            plan_id=marks[ANNOTATION_APPROVE],
            by=marks.get(ANNOTATION_APPROVED_BY) or NOBODY,
            expires_at=now + LAPSES_AFTER,
        )
    if ANNOTATION_RETRY in marks:
        retries = Order(plan_id=marks[ANNOTATION_RETRY])
    approval = _noted(subject, status.approval, approves, now)
    retry = _noted(subject, status.retry, retries, now)
    changes = [(status.approval, approval, approves), (status.retry, retry, retries)]
    return replace(
        subject,
        status=status.replace(approval=approval, retry=retry),
        orders_new=any(was != is_now and stands is not None for was, is_now, stands in changes),
    )


def _noted(
    subject: Subject, was: Order | None, stands: Order | None, now: datetime
) -> Order | None:
    """Return the record of an order; `stands`: as its annotation would be taken up now.

    An annotation that is gone was taken off by us if the finalizer is on, because both are one
    write, or if the order has lapsed; else a person took it back. What stands after we took one off
    is a new one.
    """
    if stands is not None:
        same = was is not None and was.plan_id == stands.plan_id and not was.taken
        return was if same else stands
    if was is None or was.taken:
        return was
    lapsed = was.expires_at is not None and now >= was.expires_at
    return was.replace(taken=True) if lapsed or subject.has_finalizer else None


def retried(subject: Subject, plan: Plan) -> bool:
    """Whether somebody asks for exactly this plan, which was tried, once more."""
    asked = subject.status.retry
    tried = plan.spent or plan.rounds > 0
    return tried and asked is not None and asked.plan_id == plan.id


def used_up(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return `status` without any order: an operation begins with them, whatever becomes of it."""
    return status.replace(approval=None, retry=None)


def let_go(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return `status` without the orders that we took off: nothing is due that they could be for.

    Those that stand are kept, so that an approval lapses although nothing is due meanwhile.
    """
    kept = {
        name: None if order is not None and order.taken else order
        for name, order in (("approval", status.approval), ("retry", status.retry))
    }
    return status.replace(**kept)
