"""Stop: a machine is stopped, as the policy says, and not for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.core.operation.common import Kind, R, check
from tests.support.builders import (
    VM,
    after,
    at,
    error,
    operation,
    ready,
    seen,
    subject,
    under_way,
)

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    Action,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
)
from sysdisk.core.outcome import last_error

STOP_ROWS: list[tuple[str, dict[str, Any], float, Kind, Reason, Step]] = [
    ("Running", {}, 1, Nothing, R.STOPPING, Step.STOP),
    ("Running", {}, 29, Nothing, R.STOPPING, Step.STOP),
    ("Running", {}, 30, StopInstance, R.STOPPING, Step.STOP),
    ("Running", {"last_try_at": None}, 1, StopInstance, R.STOPPING, Step.STOP),
    ("Running", {"outcome": Outcome.REFUSED}, 2, StopInstance, R.STOPPING, Step.STOP),
    ("Stopping", {}, 60, Nothing, R.STOPPING, Step.STOP),
    ("Starting", {}, 60, Nothing, R.STOPPING, Step.STOP),
    ("Stopped", {}, 1, ReplaceSystemDisk, R.REPLACING, Step.REPLACE),
    ("Stopped", {"ending": "Suspended"}, 1, StartInstance, R.GIVING_BACK, Step.START),
    ("Stopping", {}, 300, Nothing, R.GIVING_BACK, Step.STOP),
    ("Running", {"last_try_at": at(290)}, 300, Nothing, R.GIVING_BACK, Step.STOP),
    ("Strange", {}, 1, Nothing, R.INSTANCE_NOT_UNDERSTOOD, Step.STOP),
]


@pytest.mark.parametrize(("power", "op", "seconds", "kind", "reason", "step"), STOP_ROWS)
def test_a_stop_leads_to_a_replacement_or_back(
    power: str, op: dict[str, Any], seconds: float, kind: Kind, reason: Reason, step: Step
) -> None:
    check(under_way(**op), seen(power), at(seconds), kind, reason, step)


@pytest.mark.parametrize(
    ("policy", "seconds", "power", "action"),
    [
        ("Never", 31, "Running", StopInstance(VM, False, "KeepCharging")),
        ("Never", 301, "Stopping", Nothing()),
        ("AfterTimeout", 31, "Running", StopInstance(VM, False, "KeepCharging")),
        ("AfterTimeout", 299, "Stopping", Nothing()),
        ("AfterTimeout", 300, "Stopping", StopInstance(VM, True, "KeepCharging")),
        ("AfterTimeout", 300, "Running", StopInstance(VM, True, "KeepCharging")),
        ("AfterTimeout", 600, "Stopping", Nothing()),
        ("Always", 31, "Running", StopInstance(VM, True, "KeepCharging")),
        ("Always", 300, "Stopping", Nothing()),
    ],
)
def test_a_stop_is_forced_as_the_policy_says_and_has_an_end(
    policy: str, seconds: float, power: str, action: Action
) -> None:
    wanting = subject(power={"forceStop": policy})
    assert decide(under_way(wanting=wanting), seen(power), at(seconds)).action == action


def test_the_stopped_mode_is_the_frozen_one() -> None:
    begun = under_way(wanting=subject(power={"stoppedMode": "StopCharging"}))
    begun = replace(begun, spec=subject().spec)
    action = decide(begun, seen(), at(31)).action
    assert action == StopInstance(VM, False, "StopCharging")


def test_each_stop_raises_the_tries_and_is_recorded_as_unknown_before_it_is_sent() -> None:
    begun = under_way(outcome=Outcome.ACCEPTED)
    op = operation(decide(begun, seen(), at(30)))
    assert (op.tries, op.outcome, op.last_try_at) == (2, Outcome.UNKNOWN, at(30))


def test_a_stop_that_timed_out_is_over_when_the_machine_is_seen_running_for_good() -> None:
    begun = under_way(last_try_at=at(290))
    waiting = decide(begun, seen(), at(300))
    assert operation(waiting).ending == "StopTimedOut"
    over = decide(after(begun, waiting), seen(), at(350))
    assert isinstance(over.action, RemoveFinalizer)
    assert over.status.history[-1].result == "StopTimedOut"


def test_a_stop_that_timed_out_and_came_true_later_is_followed_by_a_start() -> None:
    begun = under_way(ending="StopTimedOut")
    assert decide(begun, seen("Stopped"), at(400)).action == StartInstance(VM)


def test_a_machine_that_is_not_wanted_stopped_any_more_is_started_without_a_look_at_its_disks() -> (
    None
):
    begun = under_way(ending="Suspended")
    assert decide(begun, seen("Stopped", system_disks=None), at(5)).action == StartInstance(VM)


def test_what_the_stop_met_is_not_told_of_the_replacement() -> None:
    begun = under_way(last_error=last_error(error("IncorrectInstanceStatus", "wait")))
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk)
    assert operation(decision).last_error is None
    assert "IncorrectInstanceStatus" not in ready(decision)[2]


def test_a_stop_that_was_never_sent_is_undone_at_once() -> None:
    begun = replace(under_way(outcome=None, last_try_at=None), deleting=True)
    decision = decide(begun, seen(), at(1))
    assert decision.status.operation is None
    assert decision.status.history[-1].result == "Deleted"
