"""Replace: one request with one token and one Secret, and the watch over its outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.core.operation.common import MISMATCH, QUIET, WITH_SECRET, Kind, R, check
from tests.support.builders import (
    LOCKED,
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
    under_way,
    with_op,
)

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
)
from sysdisk.core.outcome import last_error, next_attempt
from sysdisk.core.world import Grant, Observed, SecretLook, SecretState

# -- Replace -----------------------------------------------------------------------------------

BUSY = last_error(error("IncorrectDiskStatus", "wait"))
FAULT = last_error(error("OperationDenied", "wait", http_status=500))
REPLACE_ROWS: list[tuple[dict[str, Any], Observed, float, Kind, Reason, Step]] = [
    ({}, seen("Stopped"), 1, ReplaceSystemDisk, R.REPLACING, Step.REPLACE),
    ({}, seen("Stopped", locks=LOCKED), 1, Nothing, R.REPLACING, Step.REPLACE),
    ({}, seen("Stopping"), 1, Nothing, R.REPLACING, Step.REPLACE),
    ({}, seen("Strange"), 1, Nothing, R.REPLACING, Step.REPLACE),
    ({}, seen("Stopped", system_disks=()), 1, Nothing, R.REPLACING, Step.REPLACE),
    ({}, seen("Stopped", system_disks=(disk(status="ReIniting"),)), 1, Nothing, R.REPLACING,
     Step.REPLACE),
    ({}, seen("Stopped", system_disks=None), 1, Look, R.STOPPING, Step.REPLACE),
    ({}, seen("Starting"), 1, Nothing, R.GIVING_BACK, Step.START),
    ({}, replaced(), 1, StartInstance, R.GIVING_BACK, Step.START),
    ({}, seen("Stopped"), 600, StartInstance, R.GIVING_BACK, Step.START),
    ({}, seen("Stopped", locks=LOCKED), 600, StartInstance, R.GIVING_BACK, Step.START),
    ({}, seen("Stopped", locks=SECURITY), 600, Nothing, R.MACHINE_LEFT_STOPPED, Step.START),
    ({"ending": "Refused"}, seen("Stopped"), 1, StartInstance, R.GIVING_BACK, Step.START),
    # the outcome of a request is not known
    (QUIET, seen("Stopped"), 1, Nothing, R.OUTCOME_UNKNOWN, Step.REPLACE),
    (QUIET, seen("Stopped"), 2, ReplaceSystemDisk, R.REPLACING, Step.REPLACE),
    (QUIET, seen("Stopped"), 700, ReplaceSystemDisk, R.REPLACING, Step.REPLACE),
    (QUIET, seen("Stopped", locks=LOCKED), 700, Nothing, R.OUTCOME_UNKNOWN, Step.REPLACE),
    (QUIET, seen("Running"), 700, Nothing, R.OUTCOME_UNKNOWN, Step.REPLACE),
    (QUIET, seen("Stopped", system_disks=()), 700, Nothing, R.OUTCOME_UNKNOWN, Step.REPLACE),
    (QUIET, seen("Stopped"), 3600, Nothing, R.OUTCOME_UNKNOWN, Step.REPLACE),
    ({**QUIET, "last_error": MISMATCH}, seen("Stopped"), 60, Nothing, R.OUTCOME_UNKNOWN,
     Step.REPLACE),
    ({**QUIET, "last_error": BUSY}, seen("Stopped"), 60, Nothing, R.OUTCOME_UNKNOWN,
     Step.REPLACE),
    ({**QUIET, "last_error": FAULT}, seen("Stopped"), 60, ReplaceSystemDisk, R.REPLACING,
     Step.REPLACE),
    (QUIET, seen("Stopped", account=account(grant=Grant())), 60, Nothing, R.OUTCOME_UNKNOWN,
     Step.REPLACE),
    (QUIET, replaced(), 60, StartInstance, R.STARTING, Step.START),
    (QUIET, replaced(locks=LOCKED), 60, Nothing, R.VERIFYING, Step.VERIFY),
    # the last request was refused for certain
    ({**QUIET, "outcome": Outcome.REFUSED}, seen("Stopped"), 1, Nothing, R.REPLACING,
     Step.REPLACE),
    ({**QUIET, "outcome": Outcome.REFUSED}, seen("Stopped"), 2, ReplaceSystemDisk, R.REPLACING,
     Step.REPLACE),
    ({**QUIET, "outcome": Outcome.REFUSED}, seen("Stopped"), 600, StartInstance, R.GIVING_BACK,
     Step.START),
    ({**QUIET, "outcome": Outcome.REFUSED}, replaced(), 1, StartInstance, R.STARTING, Step.START),
]  # fmt: skip


@pytest.mark.parametrize(("op", "world", "seconds", "kind", "reason", "step"), REPLACE_ROWS)
def test_a_stopped_machine_is_replaced_watched_or_given_back(
    op: dict[str, Any], world: Observed, seconds: float, kind: Kind, reason: Reason, step: Step
) -> None:
    check(under_way(Step.REPLACE, **op), world, at(seconds), kind, reason, step)


def test_a_replacement_carries_the_recorded_token_and_raises_the_tries() -> None:
    begun = under_way(Step.REPLACE)
    decision = decide(begun, seen("Stopped"), at(1))
    op = operation(decision)
    assert decision.action == ReplaceSystemDisk(VM, op.inputs, operation(begun).client_token)
    assert (op.tries, op.outcome, op.first_try_at) == (1, Outcome.UNKNOWN, at(1))


def test_a_retry_sends_the_very_same_request() -> None:
    begun = under_way(Step.REPLACE)
    first = decide(begun, seen("Stopped"), at(1))
    second = decide(after(begun, first), seen("Stopped"), at(10))
    assert second.action == first.action
    assert (operation(second).tries, operation(second).first_try_at) == (2, at(1))


def test_a_retry_keeps_what_ecs_said_last() -> None:
    begun = under_way(Step.REPLACE, **{**QUIET, "last_error": FAULT})
    retry = decide(begun, seen("Stopped"), at(10))
    assert isinstance(retry.action, ReplaceSystemDisk)
    assert operation(retry).last_error == FAULT


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome.UNKNOWN, "its answer was lost. The same request"),
        (Outcome.REFUSED, "Replacing system disk d-1"),
    ],
)
def test_a_pause_between_two_requests_tells_what_became_of_the_first(
    outcome: Outcome, says: str
) -> None:
    begun = under_way(Step.REPLACE, **{**QUIET, "outcome": outcome})
    assert says in ready(decide(begun, seen("Stopped"), at(1)))[2]


@pytest.mark.parametrize("op", [{}, QUIET])
def test_a_request_that_sends_no_secret_asks_for_none(op: dict[str, Any]) -> None:
    decision = decide(under_way(Step.REPLACE, **op), seen("Stopped", secret=None), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk)


def test_a_refused_request_is_not_repeated_past_the_deadline_for_giving_back() -> None:
    refused: dict[str, Any] = {
        **QUIET,
        "outcome": Outcome.REFUSED,
        "tries": 20,
        "last_try_at": at(500),
    }
    decision = decide(under_way(Step.REPLACE, **refused), seen("Stopped"), at(501))
    assert decision.look_again == at(600) - at(501)


def test_a_lost_request_waits_its_full_pause_for_its_outcome_is_what_the_machine_waits_for() -> (
    None
):
    lost: dict[str, Any] = {**QUIET, "tries": 20, "last_try_at": at(650)}
    decision = decide(under_way(Step.REPLACE, **lost), seen("Stopped"), at(651))
    assert decision.look_again == timedelta(seconds=299)


@pytest.mark.parametrize(
    ("stopped", "reason"),
    [(True, R.MACHINE_LEFT_STOPPED), (False, R.OPERATION_LOCKED)],
)
def test_a_lock_that_is_not_the_replacements_is_told_while_its_outcome_is_unknown(
    stopped: bool, reason: Reason
) -> None:
    begun = under_way(Step.REPLACE, **{**QUIET, "stopped_by_us": stopped})
    decision = decide(begun, seen("Stopped", locks=SECURITY), at(700))
    assert (decision.action, decision.reason) == (Nothing(), reason)
    assert "security" in ready(decision)[2]
    assert ("The machine is stopped and cannot be started" in ready(decision)[2]) is stopped
    assert operation(decision).unlocked_since is None


def test_any_lock_is_named_while_the_outcome_is_unknown() -> None:
    decision = decide(under_way(Step.REPLACE, **QUIET), seen("Stopped", locks=LOCKED), at(700))
    assert "ECS has locked it (" in ready(decision)[2]
    free = decide(under_way(Step.REPLACE, **QUIET), seen("Stopped", system_disks=()), at(700))
    assert "ECS has locked" not in ready(free)[2]


def test_an_unlocked_old_disk_counts_as_untouched_after_a_quarter_of_an_hour() -> None:
    begun = under_way(Step.REPLACE, **{**QUIET, "last_error": MISMATCH, "give_back_by": None})
    token = operation(begun).client_token
    first = decide(begun, seen("Stopped"), at(5))
    assert operation(first).unlocked_since == at(5)
    begun = after(begun, first)
    assert decide(begun, seen("Stopped"), at(904)).reason is R.OUTCOME_UNKNOWN
    decision = decide(begun, seen("Stopped"), at(905))
    op = operation(decision)
    assert isinstance(decision.action, ReplaceSystemDisk)
    assert decision.action.token == op.client_token != token
    assert (op.attempt, op.first_try_at, op.last_error) == (2, at(905), None)


def test_that_a_request_was_never_done_is_recorded_also_where_none_can_follow_yet() -> None:
    watched: dict[str, Any] = {**QUIET, "last_error": MISMATCH, "unlocked_since": NOW}
    begun = under_way(Step.REPLACE, **{**watched, "give_back_by": None})
    decision = decide(begun, seen("Stopping"), at(900))
    op = operation(decision)
    assert (decision.action, decision.reason) == (Nothing(), R.REPLACING)
    assert (op.attempt, op.outcome, op.outcome_at) == (2, Outcome.REFUSED, at(900))


def test_a_lock_in_between_begins_the_watch_anew() -> None:
    watched: dict[str, Any] = {**QUIET, "last_error": MISMATCH, "unlocked_since": at(5)}
    begun = under_way(Step.REPLACE, **watched)
    locked = decide(begun, seen("Stopped", locks=LOCKED), at(800))
    assert operation(locked).unlocked_since is None
    unlocked = decide(after(begun, locked), seen("Stopped"), at(905))
    assert (unlocked.reason, operation(unlocked).attempt) == (R.OUTCOME_UNKNOWN, 1)


def test_a_watch_that_ends_after_the_deadline_gives_the_machine_back() -> None:
    watched: dict[str, Any] = {**QUIET, "last_error": MISMATCH, "unlocked_since": at(0)}
    decision = decide(under_way(Step.REPLACE, **watched), seen("Stopped"), at(900))
    assert decision.action == StartInstance(VM)
    assert (operation(decision).ending, operation(decision).attempt) == ("GivenBack", 2)


def test_a_machine_that_somebody_started_is_left_to_them() -> None:
    decision = decide(under_way(Step.REPLACE), seen("Running"), at(5))
    assert isinstance(decision.action, RemoveFinalizer)
    assert decision.status.history[-1].result == "StartedByOthers"


def test_a_disk_that_somebody_replaced_before_anything_was_sent_is_not_ours() -> None:
    begun = under_way(Step.REPLACE)
    begun = with_op(begun, next_attempt(operation(begun), VM))
    assert operation(decide(begun, replaced(), at(5))).ending == "WorldChanged"


# -- the login Secret --------------------------------------------------------------------------

OTHER = SecretLook(SecretState.OK, uid="s-1", resource_version="8")


def test_the_intent_holds_the_secrets_version_and_never_its_value() -> None:
    ref = operation(under_way(wanting=WITH_SECRET)).inputs.password_secret_ref
    assert ref is not None
    assert ref.to_api() == {"name": "pw", "key": "root", "uid": "s-1", "resourceVersion": "7"}


@pytest.mark.parametrize("op", [{}, QUIET])
def test_a_secret_is_looked_at_before_it_is_sent(op: dict[str, Any]) -> None:
    begun = under_way(Step.REPLACE, wanting=WITH_SECRET, **op)
    decision = decide(begun, seen("Stopped", secret=None), at(5))
    assert decision.action == Look(secret=True)


def test_a_first_request_takes_the_secret_as_it_is_now() -> None:
    begun = under_way(Step.REPLACE, wanting=WITH_SECRET)
    decision = decide(begun, seen("Stopped", secret=OTHER), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk)
    ref = decision.action.inputs.password_secret_ref
    assert ref is not None
    assert ref.resource_version == "8"


@pytest.mark.parametrize("look", [OTHER, SecretLook(SecretState.MISSING)])
def test_a_lost_request_is_not_repeated_with_another_secret(look: SecretLook) -> None:
    begun = under_way(Step.REPLACE, wanting=WITH_SECRET, **QUIET)
    decision = decide(begun, seen("Stopped", secret=look), at(60))
    assert (decision.action, decision.reason) == (Nothing(), R.OUTCOME_UNKNOWN)


def test_a_lost_request_is_repeated_with_the_same_secret() -> None:
    begun = under_way(Step.REPLACE, wanting=WITH_SECRET, **QUIET)
    assert isinstance(decide(begun, seen("Stopped"), at(60)).action, ReplaceSystemDisk)


def test_a_secret_that_vanished_is_waited_for_until_the_machine_is_given_back() -> None:
    begun = under_way(Step.REPLACE, wanting=WITH_SECRET)
    gone = seen("Stopped", secret=SecretLook(SecretState.MISSING))
    decision = decide(begun, gone, at(60))
    assert (decision.action, decision.reason) == (Nothing(), R.REPLACING)
    assert "Secret pw cannot be used any more (Missing)" in ready(decision)[2]
    assert decide(begun, gone, at(600)).action == StartInstance(VM)
