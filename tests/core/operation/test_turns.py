"""A write that has to wait for its turn: nothing is intended yet, and every deadline runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.operation.common import QUIET, R
from tests.support.builders import at, replaced, seen, subject, under_way

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import AddFinalizer, Nothing, RemoveFinalizer, StopInstance
from sysdisk.core.under_way import TURN_TOLD
from sysdisk.core.world import Observed

HELD = tuple(
    (action, timedelta(minutes=5))
    for action in (
        *("CreateSnapshot", "StopInstance", "ReplaceSystemDisk", "StartInstance"),
        "ApplyAutoSnapshotPolicy",
    )
)
BACK: dict[str, Any] = {"auto_snapshot_policy_id": "sp-1"}
ROWS: list[tuple[Step, dict[str, Any], Observed, Reason]] = [
    (Step.STOP, {"tries": 0, "last_try_at": None}, seen(turns=HELD), R.STOPPING),
    (Step.REPLACE, {}, seen("Stopped", turns=HELD), R.REPLACING),
    (Step.REPLACE, QUIET, seen("Stopped", turns=HELD), R.REPLACING),
    (Step.START, {}, replaced("Stopped", turns=HELD), R.STARTING),
    (Step.FINISH, BACK, replaced("Running", turns=HELD), R.FINISHING),
]


@pytest.mark.parametrize(("step", "fields", "world", "reason"), ROWS)
def test_what_waits_for_its_turn_is_not_intended(
    step: Step, fields: dict[str, Any], world: Observed, reason: Reason
) -> None:
    before = under_way(step, **fields)
    decision = decide(before, world, at(2))
    op, was = decision.status.operation, before.status.operation
    assert op is not None
    assert was is not None
    assert (decision.action, decision.reason) == (Nothing(), reason)
    assert (op.tries, op.outcome, op.last_try_at) == (was.tries, was.outcome, was.last_try_at)
    ready = decision.status.condition("Ready")
    assert ready is not None
    assert "waits for its turn in EcsAccount" in ready.message
    assert decision.look_again == timedelta(seconds=15)


SOON = tuple((action, timedelta(seconds=4)) for action, _ in HELD)


def test_a_turn_that_is_near_is_waited_for_without_a_word() -> None:
    starting = under_way(Step.START)
    decision = decide(starting, replaced("Stopped", turns=SOON), at(2))
    assert (decision.action, decision.status) == (Nothing(), starting.status)
    assert decision.look_again == timedelta(seconds=4)
    resting = decide(subject(), seen(turns=SOON), at(2))
    assert (resting.action, resting.status) == (Nothing(), subject().status)
    assert resting.look_again == timedelta(seconds=4)


def test_an_object_that_has_our_finalizer_keeps_it_while_its_turn_is_near() -> None:
    held = replace(subject(), has_finalizer=True)
    near = decide(held, seen(turns=SOON), at(2))
    assert isinstance(near.action, StopInstance)
    far = decide(held, seen(turns=HELD), at(2))
    assert (far.action, far.reason) == (RemoveFinalizer(), R.AWAITING_SLOT)


def test_a_deadline_that_begins_is_recorded_however_near_the_turn() -> None:
    stopped = decide(under_way(Step.STOP), seen("Stopped", turns=SOON), at(20))
    op = stopped.status.operation
    assert op is not None
    assert (op.step, op.give_back_by) == (Step.REPLACE, at(20) + op.inputs.give_back_after)


def test_the_deadline_to_give_back_is_recorded_though_nothing_may_be_sent() -> None:
    stopped = decide(under_way(Step.STOP), seen("Stopped", turns=HELD), at(20))
    op = stopped.status.operation
    assert op is not None
    assert (op.step, op.give_back_by) == (Step.REPLACE, at(20) + op.inputs.give_back_after)
    assert op.outcome is None


def test_who_waits_for_a_turn_looks_again_by_the_deadline() -> None:
    before = under_way(Step.REPLACE)
    op = before.status.operation
    assert op is not None
    assert op.give_back_by is not None
    late = decide(before, seen("Stopped", turns=HELD), op.give_back_by - timedelta(seconds=4))
    assert late.look_again == timedelta(seconds=4)


@pytest.mark.parametrize("power", ["Running", "Stopped"])
@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("wait", [TURN_TOLD, timedelta(minutes=5)], ids=str)
def test_nothing_is_put_on_an_object_whose_first_write_waits(
    power: str, saved: bool, wait: timedelta
) -> None:
    spec = subject(backup={"enabled": saved})
    assert isinstance(decide(spec, seen(power), at(0)).action, AddFinalizer)
    turns = tuple((action, wait) for action, _ in HELD)
    decision = decide(spec, seen(power, turns=turns), at(0))
    assert (decision.action, decision.reason) == (Nothing(), R.AWAITING_SLOT)
    assert decision.status.operation is None


def test_an_unknown_outcome_stays_unknown_while_the_next_try_waits() -> None:
    decision = decide(under_way(Step.REPLACE, **QUIET), seen("Stopped", turns=HELD), at(2))
    assert decision.status.operation is not None
    assert decision.status.operation.outcome is Outcome.UNKNOWN
