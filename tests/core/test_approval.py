"""Manual approval: for exactly this plan, once, within seven days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sysdisk.api.policy import Approval
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import Order, Plan, SystemDiskSpecStatus
from sysdisk.core.approval import (
    LAPSES_AFTER,
    NOBODY,
    Approved,
    NotApproved,
    condition,
    forgotten,
    judge,
    needed,
)
from sysdisk.core.model import Key, Subject
from sysdisk.core.orders import let_go, noted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLAN = Plan(id="p1-a", made_at=NOW)
LAPSES = NOW + LAPSES_AFTER
APPROVED = PLAN.replace(approved_by="ann", expires_at=LAPSES)
GIVEN = Order(plan_id="p1-a", by="ann", expires_at=LAPSES)
TAKEN = GIVEN.replace(taken=True)


def subject(
    approval: Order | None = None, *, has_finalizer: bool = False, **annotations: str
) -> Subject:
    ours = {f"sysdisk.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    return Subject(
        key=Key("shop", "web-1"),
        uid="u",
        resource_version="1",
        generation=1,
        created_at=NOW,
        spec=SystemDiskSpecSpec(instance_id="i-1", image_id="m-1"),
        status=SystemDiskSpecStatus(approval=approval),
        has_finalizer=has_finalizer,
        annotations=ours,
    )


ANN = {"approve": "p1-a", "approved_by": "ann"}
LATER = NOW + timedelta(days=1)


# -- on record --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "finalizer", "annotations", "now", "then"),
    [
        pytest.param(None, False, {}, NOW, None, id="nothing"),
        pytest.param(None, False, ANN, NOW, GIVEN, id="given"),
        pytest.param(GIVEN, False, ANN, LATER, GIVEN, id="the same word keeps its time"),
        pytest.param(GIVEN, False, ANN, LAPSES, GIVEN, id="too old, and still there"),
        pytest.param(GIVEN, False, {}, LATER, None, id="taken back"),
        pytest.param(GIVEN, True, {}, LATER, TAKEN, id="taken off with the finalizer"),
        pytest.param(GIVEN, False, {}, LAPSES, TAKEN, id="taken off as too old"),
        pytest.param(TAKEN, False, {}, LATER, TAKEN, id="holds without the annotation"),
        pytest.param(TAKEN, False, ANN, NOW, GIVEN, id="given anew"),
        pytest.param(GIVEN, True, ANN, LATER, GIVEN, id="not taken off yet"),
        pytest.param(None, True, {}, NOW, None, id="a finalizer is no approval"),
    ],
)
def test_an_approval_is_kept_on_record_with_its_end(
    was: Order | None,
    finalizer: bool,
    annotations: dict[str, str],
    now: datetime,
    then: Order | None,
) -> None:
    before = subject(was, has_finalizer=finalizer, **annotations)
    assert noted(before, now).status.approval == then


@pytest.mark.parametrize("text", ["p1-b", "P1-A", "true", "", " p1-a"])
@pytest.mark.parametrize("was", [GIVEN, TAKEN])
def test_any_other_value_takes_the_approval_back(was: Order, text: str) -> None:
    after = noted(subject(was, approve=text), LATER)
    assert after.status.approval is not None
    assert after.status.approval.plan_id == text
    found = judge(after, PLAN, LATER)
    assert isinstance(found, NotApproved)
    assert "approves nothing" in found.why
    assert found.plan == PLAN


def test_a_name_that_is_cut_to_its_limit_is_still_the_same_word() -> None:
    first = noted(subject(approve="x" * 999), NOW)
    assert noted(first, LATER).status.approval == first.status.approval


def test_an_approval_by_nobody_named_says_so() -> None:
    assert noted(subject(approve="p1-a"), NOW).status.approval == GIVEN.replace(by=NOBODY)


def test_what_stands_and_is_not_on_record_is_new_and_nothing_else() -> None:
    assert noted(subject(approve="p1-a"), NOW).orders_new
    assert noted(subject(retry="p1-a"), NOW).orders_new
    standing = subject(GIVEN, approve="p1-a", approved_by="ann")
    for old in (subject(), standing, subject(GIVEN), subject(TAKEN)):
        assert not noted(old, NOW).orders_new


def test_orders_that_went_with_this_very_pass_hold() -> None:
    taken = replace(subject(GIVEN, has_finalizer=True, approve="p1-a"), orders_taken=True)
    assert noted(taken, NOW).status.approval == TAKEN
    assert not noted(taken, NOW).orders_new


def test_the_end_of_all_differences_forgets_what_was_taken_off_and_keeps_what_stands() -> None:
    assert let_go(SystemDiskSpecStatus(approval=TAKEN, retry=GIVEN)) == SystemDiskSpecStatus(
        retry=GIVEN
    )


# -- what it is worth -------------------------------------------------------------------------


def test_without_an_approval_nothing_is_approved_and_the_command_is_named() -> None:
    found = judge(subject(), PLAN, NOW)
    assert isinstance(found, NotApproved)
    assert "sysdisk approve web-1 -n shop" in found.why
    assert not found.lapsed


def test_an_approval_on_record_lets_the_plan_begin_until_it_lapses() -> None:
    assert judge(subject(GIVEN), PLAN, NOW) == Approved(APPROVED)
    assert judge(subject(TAKEN), PLAN, LAPSES - SECOND) == Approved(APPROVED, taken=True)


@pytest.mark.parametrize(("given", "stands"), [(GIVEN, True), (TAKEN, False)])
@pytest.mark.parametrize("plan", [PLAN, PLAN.replace(id="p1-b")])
def test_a_lapsed_approval_approves_nothing_and_is_to_be_taken_off(
    given: Order, stands: bool, plan: Plan
) -> None:
    found = judge(subject(given), plan, LAPSES)
    assert isinstance(found, NotApproved)
    assert (found.lapsed, found.stands, found.plan) == (True, stands, plan)
    assert "The approval by ann lapsed at 2026-03-08T12:00:00Z" in found.why


def test_an_approval_of_another_plan_approves_nothing_and_says_so() -> None:
    found = judge(subject(GIVEN), PLAN.replace(id="p1-b"), NOW)
    assert isinstance(found, NotApproved)
    assert (found.lapsed, found.stands) == (False, False)
    assert "The approval by ann is for plan p1-a and approves nothing but that" in found.why
    empty = judge(subject(GIVEN.replace(plan_id="")), PLAN, NOW)
    assert isinstance(empty, NotApproved)
    assert "for plan (empty)" in empty.why


def test_a_record_of_an_approval_without_an_end_or_a_name_is_told_and_approves_nothing() -> None:
    found = judge(subject(Order(plan_id="p1-a")), PLAN, NOW)
    assert isinstance(found, NotApproved)
    assert "The approval by unknown lapsed at once" in found.why


def test_an_operation_uses_the_approval_up() -> None:
    assert forgotten(APPROVED) == PLAN


def test_the_condition_says_who_and_until_when() -> None:
    extra = condition(Approved(APPROVED))
    assert (extra.holds, extra.reason) == (True, "Approved")
    assert extra.message == "Plan p1-a is approved by ann, until 2026-03-08T12:00:00Z."


def test_the_condition_says_how_to_take_back_what_is_off_the_object() -> None:
    text = condition(Approved(APPROVED, taken=True)).message
    assert text.startswith(condition(Approved(APPROVED)).message)
    assert "any other value of sysdisk.dev/approve takes the approval back" in text


def test_the_condition_tells_waiting_from_lapsed() -> None:
    waiting = condition(judge(subject(), PLAN, NOW))
    lapsed = condition(judge(subject(GIVEN), PLAN, LAPSES))
    assert (waiting.holds, waiting.reason) == (False, "AwaitingApproval")
    assert (lapsed.holds, lapsed.reason) == (False, "Lapsed")


def test_only_manual_needs_a_person() -> None:
    assert needed(Approval.MANUAL)
    assert not needed(Approval.AUTOMATIC)
    assert not needed(None)
