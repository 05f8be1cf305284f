"""Plans that were tried: retried when told so, or when they have rested."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.at_rest.common import SUSPEND, R, planned
from tests.support.builders import (
    LOCKED,
    NOW,
    SECURITY,
    account,
    after,
    at,
    disk,
    opened,
    operation,
    ready,
    replaced,
    seen,
    subject,
)

from sysdisk.api.meta import (
    ANNOTATION_APPROVE,
    ANNOTATION_PROTECT,
    ANNOTATION_RETRY,
    ANNOTATION_SUSPEND,
)
from sysdisk.api.status import (
    HistoryEntry,
    LastError,
)
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    AddFinalizer,
    Nothing,
    RemoveFinalizer,
    StopInstance,
    Subject,
)
from sysdisk.core.world import Lock, Observed

RESTING: dict[str, Any] = {"rounds": 1, "rest_until": at(hours=1)}


@pytest.mark.parametrize(
    "tried", [{"spent": True}, {"rounds": 1, "rest_until": at(hours=1)}, {"rounds": 3}]
)
def test_a_retry_names_the_plan_that_may_be_tried_once_more(tried: dict[str, Any]) -> None:
    status = planned(**tried)
    assert status.plan is not None
    for named, begins in ((status.plan.id, True), ("p1-other", False)):
        asked = subject(status, annotations={ANNOTATION_RETRY: named})
        asked = after(asked, decide(asked, seen(), at(1)))
        decision = decide(asked, seen(), at(2))
        if begins or tried == {"rounds": 3}:
            assert decision.action == AddFinalizer()
        else:
            assert decision.action == Nothing()


def test_a_new_generation_tries_a_spent_plan_once_more() -> None:
    assert decide(subject(planned(spent=True), generation=2), seen(), NOW).action == AddFinalizer()


@pytest.mark.parametrize(
    "world",
    [
        seen(image_id="m-0"),
        seen(system_disks=(disk("d-0"),)),
        seen(system_disks=(disk(size=41),)),
        seen(data_disk_ids=frozenset({"d-other"})),
    ],
)
def test_a_changed_world_is_another_plan(world: Observed) -> None:
    assert decide(subject(planned(spent=True)), world, NOW).action == AddFinalizer()


@pytest.mark.parametrize(
    "world", [seen("Stopped"), seen(locks=LOCKED), seen("Starting"), seen(host_name="other")]
)
def test_power_and_locks_do_not_change_the_plan(world: Observed) -> None:
    assert decide(subject(planned(spent=True)), world, at(hours=9)).reason is R.PLAN_SPENT


def test_a_plan_that_has_rested_begins_again_with_the_next_attempt() -> None:
    rested = subject(planned(rounds=1, rest_until=at(60)))
    waiting = decide(rested, seen(), at(50))
    assert (waiting.reason, waiting.look_again) == (R.RESTING, timedelta(seconds=10))
    assert decide(rested, seen(), at(60)).action == AddFinalizer()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LastError(code="Odd", message="why", request_id="R", advice="Pay."), "Odd: why"),
        (LastError(code="Odd"), "ECS refused it. Last answer: Odd."),
        (None, "ECS refused it. "),
    ],
)
def test_a_spent_plan_says_why(error: LastError | None, says: str) -> None:
    status = planned(spent=True, spent_reason="Refused", last_error=error)
    message = ready(decide(subject(status), seen(), NOW))[2]
    assert says in message
    assert "`sysdisk retry web-1 -n shop`" in message
    assert "The old disk is untouched." in message
    assert ".." not in message
    assert ". ." not in message
    if error is not None and error.request_id:
        assert "request ID R" in message
        assert "Pay." in message


@pytest.mark.parametrize(
    ("result", "says", "force"),
    [
        ("StopTimedOut", "once and ended without a replacement: the machine did not stop", "Never"),
        ("StopTimedOut", "Raise power.stopTimeout (now 7m), or set power.forceStop", "Never"),
        ("StopTimedOut", "Raise power.stopTimeout (now 7m), or find out", "AfterTimeout"),
        ("GivenBack", "Raise power.giveBackAfter (now 10m)", "Never"),
        ("StartedByOthers", "somebody else. It is tried again after 2026-03-01T12:01", "Never"),
        ("BackupOverdue", "the backup was not finished in time", "Never"),
        ("OfALaterVersion", "without a replacement: OfALaterVersion", "Never"),
        (None, "the cause is not recorded", "Never"),
    ],
)
def test_a_resting_plan_says_what_happened_and_what_helps(
    result: str | None, says: str, force: str
) -> None:
    status = planned(rounds=1, rest_until=at(60))
    assert status.plan is not None
    if result is not None:
        entry = HistoryEntry(plan_id=status.plan.id, result=result, started_at=NOW, ended_at=NOW)
        status = status.replace(history=(entry,))
    resting = subject(status, power={"stopTimeout": "7m", "forceStop": force})
    decision = decide(resting, seen(), NOW)
    assert decision.reason is R.RESTING
    assert says in ready(decision)[2]
    assert "`sysdisk retry web-1 -n shop` tries it at once" in ready(decision)[2]


def test_a_plan_that_failed_twice_says_so_in_words() -> None:
    resting = subject(planned(rounds=2, rest_until=at(60)))
    message = ready(decide(resting, seen(), NOW))[2]
    assert "was begun twice and ended without a replacement each time" in message
    resting = subject(planned(rounds=5, rest_until=at(60)))
    assert "was begun 5 times" in ready(decide(resting, seen(), NOW))[2]


@pytest.mark.parametrize("result", ["BackupFailed", "BackupOverdue"])
def test_a_plan_whose_backup_failed_says_that_the_machine_was_not_touched(result: str) -> None:
    message = ready(decide(subject(planned(spent=True, spent_reason=result)), seen(), NOW))[2]
    assert "The machine was not touched." in message


@pytest.mark.parametrize("value", ["true", "True", "yes", "1", "on", " ", "False", "x" * 200])
def test_every_value_of_a_brake_but_false_holds_and_is_told_with_its_remedy(value: str) -> None:
    held = subject(annotations={ANNOTATION_PROTECT: value, ANNOTATION_SUSPEND: value})
    decision = decide(held, seen(), NOW)
    assert (decision.action, decision.reason) == (Nothing(), R.PROTECTED)
    message = ready(decision)[2]
    assert f'annotation sysdisk.dev/protect is "{value[:40]}' in message
    assert "`kubectl annotate sds web-1 -n shop sysdisk.dev/protect-`" in message
    held = subject(annotations={ANNOTATION_SUSPEND: value})
    decision = decide(held, seen(), NOW)
    assert (decision.action, decision.reason) == (Nothing(), R.SUSPENDED)
    message = ready(decision)[2]
    assert f'annotation sysdisk.dev/suspend is "{value[:40]}' in message
    assert "`sysdisk resume web-1 -n shop`" in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("value", "told"),
    [("x" * 40, f'"{"x" * 40}"'), ("x" * 41, f'"{"x" * 40}..."'), ("yes", '"yes"')],
)
def test_a_long_value_of_a_brake_is_told_cut_short(value: str, told: str) -> None:
    message = ready(decide(subject(annotations={ANNOTATION_PROTECT: value}), seen(), NOW))[2]
    assert f"annotation sysdisk.dev/protect is {told};" in message


@pytest.mark.parametrize("value", ["false", ""])
def test_a_brake_that_says_no_holds_nothing(value: str) -> None:
    free = subject(annotations={ANNOTATION_PROTECT: value, ANNOTATION_SUSPEND: value})
    assert decide(free, seen(), NOW).action == AddFinalizer()


def test_a_spec_that_is_suspended_twice_names_both_remedies() -> None:
    message = ready(decide(subject(suspend=True), seen(), NOW))[2]
    assert "spec.suspend is true" in message
    assert "sysdisk resume" not in message
    message = ready(decide(subject(suspend=True, annotations=SUSPEND), seen(), NOW))[2]
    assert "spec.suspend is true" in message
    assert "`sysdisk resume web-1 -n shop`" in message


def retrying(**tried: Any) -> Subject:
    """Return a spec whose plan was tried, and that somebody asks to be tried once more."""
    status = planned(**tried)
    assert status.plan is not None
    return subject(status, annotations={ANNOTATION_RETRY: status.plan.id})


def test_a_retry_is_on_record_before_its_annotation_is_taken_off() -> None:
    asked = retrying(spent=True, spent_reason="Refused")
    first = decide(asked, seen(), NOW)
    assert (first.action, first.reason, first.look_again) == (Nothing(), R.PLANNED, timedelta(0))
    assert ready(first)[2].endswith(" It is tried once more.")
    assert decide(after(asked, first), seen(), at(1)).action == AddFinalizer()


def test_a_retry_of_a_plan_that_was_not_tried_yet_is_nothing_to_record_first() -> None:
    assert decide(retrying(), seen(), NOW).action == AddFinalizer()


FULL = seen(account=account(under_way=10))


def test_a_retry_that_was_taken_off_holds_until_an_operation_begins_with_it() -> None:
    asked = retrying(spent=True, spent_reason="Refused")
    recorded = after(asked, decide(asked, seen(), NOW))
    taken = replace(recorded, annotations={}, has_finalizer=True)
    held = decide(taken, FULL, at(1))
    assert (held.action, held.reason) == (RemoveFinalizer(), R.AWAITING_SLOT)
    bare = replace(after(taken, held), has_finalizer=False)
    assert decide(bare, FULL, at(2)).reason is R.AWAITING_SLOT
    assert decide(bare, seen(), at(3)).action == AddFinalizer()
    begun = decide(replace(bare, has_finalizer=True), seen(), at(3))
    assert isinstance(begun.action, StopInstance)
    plan = begun.status.plan
    assert plan is not None
    assert (plan.spent, plan.spent_reason, begun.status.retry) == (False, None, None)


@pytest.mark.parametrize(
    "world", [FULL, seen(locks=SECURITY), seen(account=account(suspended=True))]
)
def test_a_retry_that_is_taken_back_behind_a_gate_leaves_the_plan_as_it_was(
    world: Observed,
) -> None:
    tried = {"spent": True, "spent_reason": "Refused", "last_error": LastError(code="Odd")}
    asked = retrying(**tried)
    held = decide(asked, world, NOW)
    assert held.reason is not R.PLAN_SPENT
    back = decide(replace(after(asked, held), annotations={}), seen(), at(1))
    assert (back.action, back.reason) == (Nothing(), R.PLAN_SPENT)
    assert "Odd" in ready(back)[2]


def test_a_retry_behind_a_gate_says_the_same_until_something_changes() -> None:
    asked = retrying(rounds=1, rest_until=at(hours=1))
    held = decide(asked, FULL, NOW)
    assert held.reason is R.AWAITING_SLOT
    assert decide(after(asked, held), FULL, at(60)).status == held.status


def test_a_retry_begins_the_rounds_anew_and_what_comes_by_itself_does_not() -> None:
    rested: dict[str, Any] = {"rounds": 2, "rest_until": at(-60)}
    for asked, rounds in ((retrying(**RESTING), 0), (subject(planned(**rested)), 2)):
        begun, _ = opened(after(asked, decide(asked, seen(), NOW)))
        assert begun.status.plan is not None
        assert begun.status.plan.rounds == rounds
        assert (begun.status.plan.rest_until is None) is (rounds == 0)


@pytest.mark.parametrize("tried", [{"spent": True, "spent_reason": "Refused"}, {"rounds": 2}])
def test_a_plan_that_is_begun_tells_no_error_of_an_earlier_try(tried: dict[str, Any]) -> None:
    asked = retrying(**tried, last_error=LastError(code="Odd"))
    begun, _ = opened(after(asked, decide(asked, seen(), NOW)))
    assert begun.status.plan is not None
    assert begun.status.plan.last_error is None


@pytest.mark.parametrize(
    ("sent", "attempt"), [((), 1), ((3,), 4), ((None,), 2), ((0,), 2), ((5, 2, None), 6)]
)
def test_each_operation_of_a_plan_has_an_attempt_that_none_before_it_has_sent(
    sent: tuple[int | None, ...], attempt: int
) -> None:
    status = planned()
    assert status.plan is not None
    told = HistoryEntry(plan_id=status.plan.id, result="Refused", started_at=NOW, ended_at=NOW)
    other = told.replace(plan_id="p1-other", attempt=9)
    history = (other, *(told.replace(attempt=number) for number in sent))
    begun, _ = opened(subject(status.replace(history=history)))
    assert operation(begun).attempt == attempt


def test_an_order_is_used_up_although_the_finalizer_is_on_already() -> None:
    asked = retrying(spent=True)
    asked = replace(after(asked, decide(asked, seen(), NOW)), has_finalizer=True)
    assert decide(asked, seen(), NOW).action == AddFinalizer()
    taken = decide(replace(asked, orders_taken=True), seen(), NOW)
    assert isinstance(taken.action, StopInstance)
    bare = subject(planned(), has_finalizer=True)
    assert isinstance(decide(bare, seen(), NOW).action, StopInstance)


@pytest.mark.parametrize("tried", [{"spent": True, "spent_reason": "Refused"}, RESTING])
def test_under_manual_approval_a_tried_plan_names_the_approval_that_it_needs(
    tried: dict[str, Any],
) -> None:
    needs = "Either way it needs a new approval: `sysdisk approve web-1 -n shop`."
    assert needs not in ready(decide(subject(planned(**tried)), seen(), NOW))[2]
    waiting = subject(planned(**tried), approval="Manual")
    first = decide(waiting, seen(), NOW)
    assert needs in ready(first)[2]
    assert first.status.plan is not None
    given = replace(after(waiting, first), annotations={ANNOTATION_APPROVE: first.status.plan.id})
    assert needs not in ready(decide(given, seen(), NOW))[2]


def test_a_region_that_does_not_exist_is_the_specs_fault_and_not_the_accounts() -> None:
    failure = "InvalidRegionId.NotFound: The specified region is not found (request ID R)"
    for world in (seen(no_region=True, failure="no answer"), seen(failure=failure)):
        decision = decide(subject(regionId="cn-nowhere"), world, NOW)
        assert (decision.action, decision.reason) == (Nothing(), R.INVALID_SPEC)
        assert ready(decision)[2].startswith("ECS has no region cn-test (ECS code InvalidRegionId.")
        assert decision.status.condition("Stalled") is not None
    assert decide(subject(), seen(failure=failure), NOW).reason is R.ACCOUNT_NOT_READY


def test_a_lock_that_is_not_known_says_so() -> None:
    locks = (Lock("Security"), Lock("odd"))
    for decision in (
        decide(subject(), seen(locks=locks), NOW),
        decide(subject(), replaced("Running", locks=locks), NOW),
    ):
        text = "(Security, odd, a lock that this version does not know)"
        assert text in ready(decision)[2]
