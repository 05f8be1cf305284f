"""What the exploration found, each as the one decision that was wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import Nothing, ReplaceSystemDisk, StopInstance
from sysdisk.core.operate import STOP_AGAIN, VERIFY_OVERDUE
from sysdisk.core.outcome import ON_ITS_WAY, last_error, learn
from tests.support.builders import (
    NEW_DISK,
    NOW,
    at,
    disk,
    error,
    refused,
    replaced,
    seen,
    under_way,
)


@pytest.mark.parametrize(("after", "sent"), [(2, False), (29, False), (30, True)])
def test_a_stop_without_an_answer_is_given_time_to_get_lost(after: int, sent: bool) -> None:
    told = last_error(error("NoAnswer", "retry"))
    before = under_way(Step.STOP, outcome=Outcome.UNKNOWN, last_try_at=NOW, last_error=told)
    decision = decide(before, seen("Running"), at(after))
    assert isinstance(decision.action, StopInstance) is sent
    assert timedelta(seconds=30) == STOP_AGAIN


def test_a_refusal_settles_nothing_while_an_earlier_try_may_still_arrive() -> None:
    before = under_way(
        Step.REPLACE, outcome=Outcome.UNKNOWN, first_try_at=NOW, last_try_at=NOW, tries=1
    )
    again = decide(before, seen("Stopped"), at(5))
    assert isinstance(again.action, ReplaceSystemDisk)
    known, intent = before.status.operation, again.status.operation
    assert known is not None
    assert intent is not None
    soon = learn(known, intent, again.action, "i-1", refused(), at(6))
    assert (soon.outcome, soon.ending) == (Outcome.UNKNOWN, None)
    later = learn(known, intent, again.action, "i-1", refused(), NOW + ON_ITS_WAY)
    assert (later.outcome, later.ending) == (Outcome.REFUSED, "Refused")


def test_a_disk_put_in_by_hand_is_not_taken_for_the_promised_one() -> None:
    before = under_way(Step.VERIFY)
    by_hand = replaced(system_disks=(disk("d-by-hand"),))
    decision = decide(before, by_hand, at(5))
    assert (type(decision.action), decision.reason) == (Nothing, Reason.VERIFYING)
    overdue = decide(before, by_hand, NOW + VERIFY_OVERDUE)
    op = overdue.status.operation
    assert op is not None
    assert (op.step, op.new_disk_id) == (Step.START, "d-by-hand")
    promised = decide(before, replaced(), at(5)).status.operation
    assert promised is not None
    assert (promised.step, promised.new_disk_id) == (Step.START, NEW_DISK)
