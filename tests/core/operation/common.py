"""What the tests of an operation share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.support.builders import (
    NOW,
    error,
    subject,
)

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    Action,
    Subject,
)
from sysdisk.core.outcome import last_error
from sysdisk.core.world import Observed

Kind = type[Action]
R = Reason


def check(
    before: Subject, world: Observed, now: datetime, kind: Kind, reason: Reason, step: Step | None
) -> None:
    decision = decide(before, world, now)
    op = decision.status.operation
    found = (type(decision.action), decision.reason, op.step if op else None)
    assert found == (kind, reason, step)


QUIET: dict[str, Any] = {
    "outcome": Outcome.UNKNOWN,
    "first_try_at": NOW,
    "last_try_at": NOW,
    "tries": 1,
}
MISMATCH = last_error(error("IdempotentParameterMismatch"))
LOGIN: dict[str, Any] = {"passwordSecretRef": {"name": "pw", "key": "root"}}
WITH_SECRET = subject(login=LOGIN)
