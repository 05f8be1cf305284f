"""Verify, Start, Finish: nothing ends before the new disk was seen and the machine runs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.operation.common import Kind, R, check
from tests.support.builders import (
    LOCKED,
    NEW_DISK,
    NOW,
    SECURITY,
    VM,
    account,
    after,
    at,
    disk,
    error,
    operation,
    ready,
    replaced,
    seen,
    subject,
    under_way,
)

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    ApplyAutoSnapshotPolicy,
    DiskLook,
    Look,
    Nothing,
    RemoveFinalizer,
    StartInstance,
)
from sysdisk.core.outcome import last_error
from sysdisk.core.world import AccountState, Observed

# -- Verify ------------------------------------------------------------------------------------

VERIFY_ROWS: list[tuple[Observed, float, Kind, Reason, Step]] = [
    (seen("Stopped"), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (seen("Stopped", locks=LOCKED), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (seen("Stopped", system_disks=None), 5, Look, R.STOPPING, Step.VERIFY),
    (seen("Stopped", system_disks=(disk(), disk(NEW_DISK))), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (replaced(locks=LOCKED), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (replaced(system_disks=(disk(NEW_DISK, status="Creating"),)), 5, Nothing, R.VERIFYING,
     Step.VERIFY),
    (replaced(), 5, StartInstance, R.STARTING, Step.START),
    (replaced("Strange"), 5, Nothing, R.STARTING, Step.START),
    (replaced(locks=SECURITY), 5, Nothing, R.MACHINE_LEFT_STOPPED, Step.VERIFY),
    (replaced(locks=LOCKED), 900, StartInstance, R.STARTING, Step.START),
    (seen("Stopped", locks=LOCKED), 900, Nothing, R.VERIFY_OVERDUE, Step.VERIFY),
    (seen("Stopped", system_disks=()), 900, Nothing, R.VERIFY_OVERDUE, Step.VERIFY),
    (seen("Stopped"), 900, StartInstance, R.GIVING_BACK, Step.START),
]  # fmt: skip


@pytest.mark.parametrize(("world", "seconds", "kind", "reason", "step"), VERIFY_ROWS)
def test_a_replacement_is_verified_before_the_machine_is_started(
    world: Observed, seconds: float, kind: Kind, reason: Reason, step: Step
) -> None:
    check(under_way(Step.VERIFY), world, at(seconds), kind, reason, step)


def test_a_lock_on_a_machine_that_was_stopped_before_holds_it_without_an_alarm() -> None:
    begun = under_way(Step.VERIFY, world=seen("Stopped"))
    assert decide(begun, replaced(locks=SECURITY), at(5)).reason is R.OPERATION_LOCKED


@pytest.mark.parametrize("step", [Step.REPLACE, Step.VERIFY])
def test_the_disks_are_looked_at_freshly_with_the_machine(step: Step) -> None:
    decision = decide(under_way(step), seen("Stopped", system_disks=None), at(5))
    assert decision.action == Look(fresh=True, disks=DiskLook.KNOWN)


def test_the_disk_that_is_there_when_the_time_is_over_is_recorded_as_the_new_one() -> None:
    other = replaced(system_disks=(disk("d-9"),))
    assert operation(decide(under_way(Step.VERIFY), other, at(899))).new_disk_id == NEW_DISK
    decision = decide(under_way(Step.VERIFY), other, at(900))
    assert (decision.action, operation(decision).new_disk_id) == (StartInstance(VM), "d-9")


def test_a_replacement_that_takes_too_long_without_a_lock_tells_of_none() -> None:
    decision = decide(under_way(Step.VERIFY), seen("Stopped", system_disks=()), at(900))
    assert decision.reason is R.VERIFY_OVERDUE
    assert "locked" not in ready(decision)[2]


def test_an_accepted_request_that_ended_without_a_new_disk_is_a_refusal() -> None:
    begun = under_way(Step.VERIFY)
    back = after(begun, decide(begun, seen("Stopped"), at(900)))
    over = decide(back, seen(), at(960))
    assert over.status.history[-1].result == "EndedWithoutNewDisk"
    assert over.status.history[-1].new_disk_id is None
    assert over.status.plan is not None
    assert (over.status.plan.spent, over.status.settled) == (True, None)


# -- Start -------------------------------------------------------------------------------------

NO_STOCK = last_error(error("OperationDenied.NoStock", "wait"))
RACE = last_error(error("IncorrectInstanceStatus", "wait"))
FLAKY = last_error(error("InternalError", "retry"))
REFUSED: dict[str, Any] = {"outcome": Outcome.REFUSED, "last_try_at": NOW}
GIVEN: dict[str, Any] = {"ending": "Refused", "new_disk_id": None}
START_ROWS: list[tuple[dict[str, Any], str, float, Kind, Reason]] = [
    ({}, "Stopped", 5, StartInstance, R.STARTING),
    ({}, "Starting", 5, Nothing, R.STARTING),
    ({}, "Pending", 599, Nothing, R.STARTING),
    ({}, "Pending", 600, Nothing, R.MACHINE_LEFT_STOPPED),
    ({}, "Pending", 601, Nothing, R.MACHINE_LEFT_STOPPED),
    ({}, "Strange", 5, Nothing, R.STARTING),
    (GIVEN, "Stopped", 5, StartInstance, R.GIVING_BACK),
    (GIVEN, "Starting", 5, Nothing, R.GIVING_BACK),
    ({"outcome": Outcome.ACCEPTED, "last_try_at": NOW, "tries": 1}, "Stopped", 29, Nothing,
     R.STARTING),
    ({"outcome": Outcome.ACCEPTED, "last_try_at": NOW, "tries": 1}, "Stopped", 30, StartInstance,
     R.STARTING),
    # what came before the accepted start says nothing about it
    ({"outcome": Outcome.ACCEPTED, "last_try_at": NOW, "tries": 1, "last_error": NO_STOCK},
     "Stopped", 29, Nothing, R.STARTING),
    ({"outcome": Outcome.UNKNOWN, "last_try_at": NOW, "tries": 1}, "Stopped", 4, Nothing,
     R.STARTING),
    ({"outcome": Outcome.UNKNOWN, "last_try_at": NOW, "tries": 1}, "Stopped", 5, StartInstance,
     R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": RACE}, "Stopped", 1, Nothing, R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": RACE}, "Stopped", 2, StartInstance, R.STARTING),
    ({**REFUSED, "tries": 2, "last_error": FLAKY}, "Stopped", 4, StartInstance, R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": NO_STOCK}, "Stopped", 14, Nothing, R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": NO_STOCK}, "Stopped", 15, StartInstance, R.STARTING),
    ({**REFUSED, "tries": 2, "last_error": NO_STOCK}, "Stopped", 29, Nothing,
     R.MACHINE_LEFT_STOPPED),
    # one more try is no reason to sound the all-clear
    ({**REFUSED, "tries": 2, "last_error": NO_STOCK}, "Stopped", 30, StartInstance,
     R.MACHINE_LEFT_STOPPED),
]  # fmt: skip


@pytest.mark.parametrize(("op", "power", "seconds", "kind", "reason"), START_ROWS)
def test_a_machine_is_started_until_it_runs(
    op: dict[str, Any], power: str, seconds: float, kind: Kind, reason: Reason
) -> None:
    check(under_way(Step.START, **op), replaced(power), at(seconds), kind, reason, Step.START)


def test_each_start_raises_the_tries_and_is_recorded_as_unknown_before_it_is_sent() -> None:
    begun = under_way(Step.START, tries=2, last_try_at=NOW, outcome=Outcome.ACCEPTED)
    decision = decide(begun, replaced(), at(30))
    op = operation(decision)
    assert decision.action == StartInstance(VM)
    assert (op.tries, op.outcome, op.last_try_at) == (3, Outcome.UNKNOWN, at(30))


@pytest.mark.parametrize(
    ("op", "seconds", "says"),
    [
        ({}, 5, "Starting i-1 for plan p1-"),
        (GIVEN, 5, "is not carried out, because ECS refused it."),
        ({}, 600, "does not start; it is tried again and again. Start it by hand if you can"),
        (GIVEN, 600, "does not start; it is tried again and again. Start it by hand if you can"),
    ],
)
def test_a_machine_that_is_being_started_tells_why_and_who_can_help(
    op: dict[str, Any], seconds: float, says: str
) -> None:
    decision = decide(under_way(Step.START, **op), replaced("Starting"), at(seconds))
    assert says in ready(decision)[2]


def test_the_error_that_ended_an_operation_is_no_alarm_about_its_start() -> None:
    unpaid = last_error(error("INST_HAS_UNPAID_ORDER"))
    given: dict[str, Any] = {**GIVEN, "outcome": Outcome.ACCEPTED, "tries": 2, "last_error": unpaid}
    decision = decide(under_way(Step.START, **given), seen("Stopped"), at(5))
    assert decision.reason is R.GIVING_BACK


@pytest.mark.parametrize(
    ("policy", "was", "starts"),
    [
        ("IfItWasRunning", "Running", True),
        ("IfItWasRunning", "Stopped", False),
        ("Always", "Running", True),
        ("Always", "Stopped", True),
        ("Never", "Running", False),
        ("Never", "Stopped", False),
    ],
)
def test_after_a_replacement_the_machine_is_started_as_asked(
    policy: str, was: str, starts: bool
) -> None:
    begun = under_way(Step.VERIFY, wanting=subject(power={"startAfter": policy}), world=seen(was))
    decision = decide(begun, replaced(), at(5))
    assert isinstance(decision.action, StartInstance) is starts


@pytest.mark.parametrize("policy", ["IfItWasRunning", "Always", "Never"])
@pytest.mark.parametrize("was", ["Running", "Stopped"])
def test_without_a_replacement_the_machine_gets_back_the_power_that_it_had(
    policy: str, was: str
) -> None:
    wanting = subject(power={"startAfter": policy})
    begun = under_way(Step.REPLACE, wanting=wanting, world=seen(was), ending="Refused")
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, StartInstance) is (was == "Running")


def test_a_machine_that_we_stopped_is_started_without_a_grant() -> None:
    revoked = replaced(account=account(state=AccountState.NOT_GRANTED))
    assert decide(under_way(Step.START), revoked, at(5)).action == StartInstance(VM)


def test_a_machine_that_we_did_not_stop_is_not_started_without_a_grant() -> None:
    wanting = subject(power={"startAfter": "Always"})
    begun = under_way(Step.START, wanting=wanting, world=seen("Stopped"))
    revoked = replaced(account=account(state=AccountState.NOT_GRANTED))
    assert isinstance(decide(begun, revoked, at(5)).action, RemoveFinalizer)


# -- Finish ------------------------------------------------------------------------------------


def with_policy() -> Observed:
    return seen(system_disks=(disk(auto_snapshot_policy_id="sp-1"),))


def test_the_automatic_snapshot_policy_is_put_back_on_the_new_disk() -> None:
    begun = under_way(Step.START, world=with_policy())
    decision = decide(begun, replaced("Running"), at(5))
    assert decision.action == ApplyAutoSnapshotPolicy(NEW_DISK, "sp-1")
    assert (decision.reason, operation(decision).step) == (R.FINISHING, Step.FINISH)


@pytest.mark.parametrize(("seconds", "kind"), [(1, Nothing), (2, ApplyAutoSnapshotPolicy)])
def test_putting_the_policy_back_is_repeated_with_pauses(seconds: float, kind: Kind) -> None:
    begun = under_way(Step.FINISH, world=with_policy(), tries=1, last_try_at=NOW)
    check(begun, replaced("Running"), at(seconds), kind, R.FINISHING, Step.FINISH)


def test_each_try_to_put_the_policy_back_is_counted_before_it_is_sent() -> None:
    begun = under_way(Step.FINISH, world=with_policy(), tries=2, last_try_at=NOW)
    op = operation(decide(begun, replaced("Running"), at(4)))
    assert (op.tries, op.last_try_at) == (3, at(4))


def test_the_policy_is_not_put_back_without_a_grant() -> None:
    begun = under_way(Step.FINISH, world=with_policy())
    revoked = replaced("Running", account=account(state=AccountState.NOT_GRANTED))
    assert isinstance(decide(begun, revoked, at(5)).action, RemoveFinalizer)


def test_a_machine_that_keeps_its_disk_keeps_its_policy_too() -> None:
    begun = under_way(Step.START, world=with_policy(), **GIVEN)
    assert isinstance(decide(begun, seen(), at(5)).action, RemoveFinalizer)


def test_an_operation_looks_at_the_disks_before_it_ends() -> None:
    decision = decide(under_way(Step.START), replaced("Running", system_disks=None), at(5))
    assert decision.action == Look(fresh=True, disks=DiskLook.KNOWN, attached=("d-data",))
