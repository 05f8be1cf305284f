"""Conditions as kstatus, Argo CD and Flux read them: the one place that builds them.

`Ready` is always there; `Reconciling` and `Stalled` only while true, never both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sysdisk.api.reasons import Reason, Standing, standing
from sysdisk.api.status import Condition, ConditionStatus

MESSAGE_LIMIT: Final = 1024


class Kind(StrEnum):
    """The condition types that we write."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DRIFTED = "Drifted"
    APPROVED = "Approved"
    BACKED_UP = "BackedUp"


@dataclass(frozen=True, slots=True)
class Extra:
    """A condition beside the three of kstatus: shown while there is something to say."""

    kind: Kind
    holds: bool
    reason: str
    message: str


def conditions(
    before: Iterable[Condition],
    reason: Reason,
    message: str,
    *,
    generation: int,
    now: datetime,
    extras: Iterable[Extra] = (),
) -> tuple[Condition, ...]:
    """Return the conditions for `reason`, sorted by type.

    `lastTransitionTime` is kept from `before` unless the status flips. Types that `before` has
    and that do not hold any more are left out.
    """
    old = {c.type: c for c in before}
    where = standing(reason)

    def made(kind: Kind, holds: bool, why: str, text: str) -> Condition:
        status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
        was = old.get(kind)
        since = was.last_transition_time if was is not None and was.status == status else now
        return Condition(
            type=kind,
            status=status,
            reason=why,
            message=text[:MESSAGE_LIMIT],
            last_transition_time=since,
            observed_generation=generation,
        )

    found = [made(Kind.READY, where is Standing.DONE, reason, message)]
    if where is Standing.WORKING:
        found.append(made(Kind.RECONCILING, True, reason, message))
    if where is Standing.STUCK:
        found.append(made(Kind.STALLED, True, reason, message))
    found.extend(made(e.kind, e.holds, e.reason, e.message) for e in extras)
    return tuple(sorted(found, key=lambda c: c.type))
