"""`decide`: from what is wanted, what is seen and what is recorded to the single next step.

Pure: no I/O, no clock, no randomness. The same inputs give the same step whatever happened before,
so every start of the operator is a recovery and needs no code of its own.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sysdisk.api.reasons import Reason
from sysdisk.core.model import Decision, Look, Nothing, RemoveFinalizer, Subject
from sysdisk.core.operate import operate
from sysdisk.core.orders import noted
from sysdisk.core.rest import at_rest
from sysdisk.core.world import Observed


def decide(subject: Subject, observed: Observed, now: datetime) -> Decision:
    """Return the next step for `subject`. Never raises.

    `now` is aware UTC. Where the decision needs to see more, its action is a `Look`, and nothing is
    recorded; the caller looks, and asks again in the same pass.
    """
    op = subject.status.operation
    if op is not None:
        return operate(subject, op, observed, now)
    if subject.deleting:
        return Decision(RemoveFinalizer(), subject.status, Reason.FINISHING, timedelta(0))
    decision = at_rest(noted(subject, now), observed, now)
    if isinstance(decision.action, Look):
        return replace(decision, status=subject.status)
    if subject.has_finalizer and isinstance(decision.action, Nothing):
        return replace(decision, action=RemoveFinalizer())
    return decision
