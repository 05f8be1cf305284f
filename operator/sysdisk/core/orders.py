"""The annotations that forbid or order: what a person, the CLI or an Argo CD action wrote.

Whoever forbids wants to be safe, so every value counts but the two that plainly say no: a brake
that was meant as `yes` and is read as nothing would cost a disk (I9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sysdisk.api.meta import (
    ANNOTATION_APPROVE,
    ANNOTATION_APPROVED_BY,
    ANNOTATION_PROTECT,
    ANNOTATION_RETRY,
    ANNOTATION_SUSPEND,
)
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
