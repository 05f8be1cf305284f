"""Manual approval: for exactly this plan, once, within seven days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sysdisk.api.policy import Approval
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import Plan, SystemDiskSpecStatus
from sysdisk.core.approval import (
    LAPSES_AFTER,
    NOBODY,
    Approved,
    NotApproved,
    TakenUp,
    condition,
    forgotten,
    judge,
    needed,
)
from sysdisk.core.model import Key, Subject

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLAN = Plan(id="p1-a", made_at=NOW)
APPROVED = PLAN.replace(approved_by="ann", expires_at=NOW + LAPSES_AFTER)


def subject(*, has_finalizer: bool = False, **annotations: str) -> Subject:
    ours = {f"sysdisk.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    return Subject(
        key=Key("shop", "web-1"),
        uid="u",
        resource_version="1",
        generation=1,
        created_at=NOW,
        spec=SystemDiskSpecSpec(instance_id="i-1", image_id="m-1"),
        status=SystemDiskSpecStatus(),
        has_finalizer=has_finalizer,
        annotations=ours,
    )


GIVEN = subject(approve="p1-a", approved_by="ann")


def test_without_an_annotation_nothing_is_approved_and_the_command_is_named() -> None:
    found = judge(subject(), PLAN, NOW)
    assert isinstance(found, NotApproved)
    assert "sysdisk approve web-1 -n shop" in found.why
    assert not found.lapsed


def test_an_approval_is_put_on_record_with_its_end_before_it_counts() -> None:
    assert judge(GIVEN, PLAN, NOW) == TakenUp(APPROVED)


def test_an_approval_by_nobody_named_says_so() -> None:
    found = judge(subject(approve="p1-a"), PLAN, NOW)
    assert found.plan.approved_by == NOBODY


def test_an_approval_on_record_lets_the_plan_begin_until_it_lapses() -> None:
    assert judge(GIVEN, APPROVED, NOW) == Approved(APPROVED)
    assert judge(GIVEN, APPROVED, NOW + LAPSES_AFTER - SECOND) == Approved(APPROVED)


def test_a_lapsed_approval_approves_nothing_and_is_to_be_taken_off() -> None:
    found = judge(GIVEN, APPROVED, NOW + LAPSES_AFTER)
    assert isinstance(found, NotApproved)
    assert found.lapsed
    assert "lapsed at 2026-03-08T12:00:00Z" in found.why
    # The record stays until the annotation is gone: else the same one would count anew.
    assert found.plan == APPROVED


@pytest.mark.parametrize("text", ["p1-b", "P1-A", "true", "", " p1-a"])
def test_an_approval_of_another_plan_approves_nothing_and_says_so(text: str) -> None:
    found = judge(subject(approve=text, approved_by="ann"), PLAN, NOW)
    assert isinstance(found, NotApproved)
    assert "approves nothing" in found.why
    assert found.plan == PLAN


def test_taking_the_annotation_off_withdraws_the_approval() -> None:
    found = judge(subject(), APPROVED, NOW)
    assert isinstance(found, NotApproved)
    assert found.plan == PLAN


def test_the_annotation_that_was_taken_off_with_the_finalizer_still_counts() -> None:
    assert judge(subject(has_finalizer=True), APPROVED, NOW) == Approved(APPROVED)


def test_a_finalizer_alone_approves_nothing() -> None:
    assert isinstance(judge(subject(has_finalizer=True), PLAN, NOW), NotApproved)
    late = judge(subject(has_finalizer=True), APPROVED, NOW + LAPSES_AFTER)
    assert isinstance(late, NotApproved)


def test_an_approval_of_another_plan_under_the_finalizer_approves_nothing() -> None:
    found = judge(subject(has_finalizer=True, approve="p1-b"), APPROVED, NOW)
    assert isinstance(found, NotApproved)


def test_an_operation_uses_the_approval_up() -> None:
    assert forgotten(APPROVED) == PLAN


def test_the_condition_says_who_and_until_when() -> None:
    extra = condition(Approved(APPROVED))
    assert (extra.holds, extra.reason) == (True, "Approved")
    assert extra.message == "Plan p1-a is approved by ann, until 2026-03-08T12:00:00Z."


def test_the_condition_tells_waiting_from_lapsed() -> None:
    waiting = condition(judge(subject(), PLAN, NOW))
    lapsed = condition(judge(GIVEN, APPROVED, NOW + LAPSES_AFTER))
    assert (waiting.holds, waiting.reason) == (False, "AwaitingApproval")
    assert (lapsed.holds, lapsed.reason) == (False, "Lapsed")


def test_only_manual_needs_a_person() -> None:
    assert needed(Approval.MANUAL)
    assert not needed(Approval.AUTOMATIC)
    assert not needed(None)
