"""The gates of policy: a person's approval, a window, and where windows are written wrongly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import (
    NOW,
    OLD_IMAGE,
    SECURITY,
    account,
    after,
    at,
    opened,
    operation,
    ready,
    seen,
    subject,
)

from sysdisk.api.account import Defaults, Require
from sysdisk.api.meta import ANNOTATION_APPROVE, ANNOTATION_APPROVED_BY, ANNOTATION_RETRY
from sysdisk.api.policy import Approval, Backup, MaintenanceWindow
from sysdisk.api.reasons import Reason
from sysdisk.core.decide import decide
from sysdisk.core.ending import close
from sysdisk.core.model import (
    RESYNC,
    AddFinalizer,
    Decision,
    DropApproval,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.world import AccountState, Observed

# NOW is Sunday, 2026-03-01, 12:00 UTC.
NOON = {"schedule": "0 12 * * *", "duration": "2h"}
LATER = {"schedule": "0 13 * * *", "duration": "4h"}
NIGHT = {"schedule": "0 2 * * *", "duration": "2h"}
SHORT = {"schedule": "0 12 * * *", "duration": "5m"}
WRONG = {"schedule": "0 25 * * *", "duration": "2h"}


def manual(**annotations: str) -> Subject:
    return subject(approval="Manual", annotations=annotations)


def plan_id(of: Decision) -> str:
    assert of.status.plan is not None
    return of.status.plan.id


def approved(by: str = "ann") -> Subject:
    """Return a spec whose plan `by` approves by annotation, not yet taken up."""
    waiting = manual()
    given = {
        ANNOTATION_APPROVE: plan_id(decide(waiting, seen(), NOW)),
        ANNOTATION_APPROVED_BY: by,
    }
    return replace(waiting, annotations=given)


def condition(decision: Decision, kind: str) -> tuple[str, str] | None:
    found = decision.status.condition(kind)
    return (found.status.value, found.reason) if found else None


# -- approval ---------------------------------------------------------------------------------


def test_a_plan_that_nobody_approved_waits_and_touches_nothing() -> None:
    decision = decide(manual(), seen(), NOW)
    assert (decision.action, decision.reason) == (Nothing(), Reason.AWAITING_APPROVAL)
    assert condition(decision, "Approved") == ("False", "AwaitingApproval")
    assert decision.status.condition("Reconciling") is None
    assert decision.status.condition("Stalled") is None
    assert "sysdisk approve web-1" in ready(decision)[2]
    assert decision.look_again == RESYNC


def test_an_approval_is_recorded_first_and_then_the_plan_begins() -> None:
    given = approved()
    first = decide(given, seen(), NOW)
    assert (first.action, first.look_again) == (Nothing(), timedelta(0))
    assert condition(first, "Approved") == ("True", "Approved")
    assert ready(first)[2].endswith(". It is approved by ann.")
    assert "once more" not in ready(first)[2]
    second = decide(after(given, first), seen(), at(1))
    assert isinstance(second.action, AddFinalizer)


def test_the_operation_knows_who_approved_after_the_annotation_is_gone() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    taken = replace(recorded, annotations={}, has_finalizer=True)
    begun = decide(taken, seen(), at(1))
    assert isinstance(begun.action, StopInstance)
    assert operation(begun).approved_by == "ann"
    assert condition(begun, "Approved") == ("True", "Approved")


def test_the_history_keeps_who_approved() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    begun, _ = opened(recorded)
    ended = close(begun, operation(begun), seen(), at(60), result="Cancelled")
    assert ended.status.history[-1].approved_by == "ann"


def test_an_operation_uses_its_approval_up_and_a_retry_needs_another() -> None:
    given = approved()
    begun, _ = opened(after(given, decide(given, seen(), NOW)))
    begun = replace(begun, annotations={})
    ended = close(begun, operation(begun), seen(), at(60), result="Refused")
    assert ended.status.plan is not None
    assert (ended.status.plan.spent, ended.status.plan.approved_by) == (True, None)
    # Even with the finalizer still there, as after an end between the two writes.
    again = replace(
        after(begun, ended),
        annotations={ANNOTATION_RETRY: ended.status.plan.id},
        has_finalizer=True,
    )
    assert decide(again, seen(), at(61)).reason is Reason.AWAITING_APPROVAL


def test_a_lapsed_approval_is_told_and_taken_off() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    decision = decide(recorded, seen(), NOW + timedelta(days=7))
    assert (decision.action, decision.reason) == (DropApproval(), Reason.AWAITING_APPROVAL)
    assert decision.look_again == timedelta(0)
    assert condition(decision, "Approved") == ("False", "Lapsed")
    gone = replace(after(recorded, decision), annotations={})
    for days in (7, 70):
        anew = decide(gone, seen(), NOW + timedelta(days=days, seconds=1))
        assert (anew.action, anew.reason) == (Nothing(), Reason.AWAITING_APPROVAL)
        assert condition(anew, "Approved") == ("False", "Lapsed")
        assert "The approval by ann lapsed at 2026-03-08T12:00:00Z" in ready(anew)[2]
        gone = after(gone, anew)
    again = decide(replace(gone, annotations=given.annotations), seen(), NOW + timedelta(days=71))
    assert again.reason is Reason.PLANNED
    assert again.status.plan is not None
    assert again.status.plan.expires_at == NOW + timedelta(days=78)


def test_an_approval_lapses_although_its_plan_went_and_came_back() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    other = replace(recorded, spec=subject(approval="Manual", size=80).spec, generation=2)
    away = after(other, decide(other, seen(), NOW + timedelta(days=1)))
    back = replace(away, spec=given.spec, generation=3)
    assert decide(back, seen(), NOW + timedelta(days=6)).action == AddFinalizer()
    late = decide(back, seen(), NOW + timedelta(days=200))
    assert (late.action, condition(late, "Approved")) == (DropApproval(), ("False", "Lapsed"))


@pytest.mark.parametrize(
    "meanwhile",
    [
        seen(account=None),
        seen(account=account(state=AccountState.NOT_GRANTED)),
        replace(seen(), instance=None),
    ],
    ids=["no-account", "no-grant", "no-instance"],
)
def test_an_approval_lapses_although_nothing_is_seen_meanwhile(meanwhile: Observed) -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    away = after(recorded, decide(recorded, meanwhile, NOW + timedelta(days=6)))
    late = decide(away, seen(), NOW + timedelta(days=7))
    assert late.action == DropApproval()


def test_an_approval_lapses_although_nothing_is_due_meanwhile() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    unwanted = replace(recorded, spec=subject(approval="Manual", imageId=OLD_IMAGE).spec)
    idle = decide(unwanted, seen(), NOW + timedelta(days=6))
    assert (idle.reason, idle.status.plan) == (Reason.UP_TO_DATE, None)
    back = replace(after(unwanted, idle), spec=given.spec)
    assert decide(back, seen(), NOW + timedelta(days=7)).action == DropApproval()


FULL = seen(account=account(under_way=10))


def test_an_approval_that_was_taken_off_holds_until_an_operation_begins_with_it() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    # The pass that takes the annotation off, or one after it, or after a crash, meets a full house.
    same_pass = replace(recorded, has_finalizer=True, orders_taken=True)
    next_pass = replace(recorded, has_finalizer=True, annotations={})
    for taken in (same_pass, next_pass):
        held = decide(taken, FULL, at(1))
        assert (held.action, held.reason) == (RemoveFinalizer(), Reason.AWAITING_SLOT)
        bare = replace(after(taken, held), has_finalizer=False, orders_taken=False, annotations={})
        still = decide(bare, FULL, at(hours=1))
        assert (still.reason, condition(still, "Approved")) == (
            Reason.AWAITING_SLOT,
            ("True", "Approved"),
        )
        begun, _ = opened(bare, now=at(hours=2))
        assert operation(begun).approved_by == "ann"
        assert begun.status.approval is None


@pytest.mark.parametrize("meanwhile", [seen(account=None), seen(failure="no answer")])
def test_an_approval_that_was_taken_off_holds_through_a_moment_without_sight(
    meanwhile: Observed,
) -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    taken = replace(recorded, has_finalizer=True, annotations={})
    held = decide(taken, meanwhile, at(1))
    assert held.action == RemoveFinalizer()
    bare = replace(after(taken, held), has_finalizer=False)
    assert decide(bare, seen(), at(2)).action == AddFinalizer()


def test_an_approval_that_is_taken_back_before_the_beginning_is_none() -> None:
    given = approved()
    held = after(given, decide(given, FULL, NOW))
    assert decide(held, FULL, at(1)).reason is Reason.AWAITING_SLOT
    back = decide(replace(held, annotations={}), seen(), at(2))
    assert back.reason is Reason.AWAITING_APPROVAL
    assert back.status.approval is None


@pytest.mark.parametrize(
    ("fields", "world"), [({"suspend": True}, seen()), ({}, seen(locks=SECURITY))]
)
def test_an_approval_behind_another_gate_is_recorded_once(
    fields: dict[str, Any], world: Observed
) -> None:
    held = replace(approved(), spec=subject(approval="Manual", **fields).spec)
    first = decide(held, world, NOW)
    assert first.status.plan is not None
    assert first.status.plan.expires_at == NOW + timedelta(days=7)
    assert decide(after(held, first), world, at(hours=4)).status == first.status


def test_an_approval_of_a_plan_that_is_void_approves_nothing() -> None:
    given = approved()
    changed = replace(given, spec=subject(approval="Manual", size=80).spec, generation=2)
    decision = decide(changed, seen(), NOW)
    assert decision.reason is Reason.AWAITING_APPROVAL
    assert "approves nothing" in ready(decision)[2]


def test_a_new_generation_of_the_same_plan_keeps_its_approval_and_its_end() -> None:
    given = approved()
    recorded = after(given, decide(given, seen(), NOW))
    edited = replace(recorded, generation=2)
    decision = decide(edited, seen(), at(hours=1))
    assert isinstance(decision.action, AddFinalizer)
    late = decide(edited, seen(), NOW + timedelta(days=7))
    assert late.reason is Reason.AWAITING_APPROVAL


def test_a_required_approval_needs_the_admission_policy() -> None:
    given = replace(approved(), require=Require(approval=Approval.MANUAL))
    bare = decide(given, seen(account=account(approval_enforced=False)), NOW)
    assert (bare.action, bare.reason) == (Nothing(), Reason.APPROVAL_NOT_ENFORCED)
    assert condition(bare, "Approved") == ("False", "ApprovalNotEnforced")
    assert bare.status.condition("Stalled") is not None
    held = decide(given, seen(), NOW)
    assert held.reason is Reason.PLANNED


def test_an_approval_that_the_team_itself_asks_for_needs_no_policy() -> None:
    decision = decide(approved(), seen(account=account(approval_enforced=False)), NOW)
    assert decision.reason is Reason.PLANNED


def test_an_annotation_means_nothing_where_no_approval_is_asked_for() -> None:
    plain = subject(annotations={ANNOTATION_APPROVE: "p1-other"})
    decision = decide(plain, seen(), NOW)
    assert isinstance(decision.action, AddFinalizer)
    assert condition(decision, "Approved") is None
    named = decide(replace(approved(), spec=subject(suspend=True).spec), seen(), NOW)
    assert named.status.plan is not None
    assert (named.status.plan.approved_by, named.status.plan.expires_at) == (None, None)
    begun = decide(replace(plain, has_finalizer=True, orders_taken=True), seen(), NOW)
    assert isinstance(begun.action, StopInstance)
    assert operation(begun).approved_by is None
    assert condition(begun, "Approved") is None
    held = decide(plain, FULL, NOW)
    assert (held.reason, condition(held, "Approved")) == (Reason.AWAITING_SLOT, None)


def test_a_question_records_nothing_of_an_order_that_stands() -> None:
    asked = replace(subject(), annotations={ANNOTATION_RETRY: "p1-1", ANNOTATION_APPROVE: "p1-2"})
    decision = decide(asked, seen(instance_seen=False, fresh=False), NOW)
    assert isinstance(decision.action, Look)
    assert decision.status == asked.status


# -- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "hour", "reason", "says"),
    [
        ([NOON], 0, None, ""),
        ([NOON], 1.9, Reason.AWAITING_WINDOW, "opens at 2026-03-02T12:00:00Z"),
        ([NIGHT], 0, Reason.AWAITING_WINDOW, "opens at 2026-03-02T02:00:00Z"),
        ([NIGHT, NOON], 0, None, ""),
        ([SHORT], 0, Reason.WINDOW_TOO_SHORT, "longest maintenance window is 5m"),
        ([WRONG], 0, Reason.INVALID_SPEC, "maintenanceWindows[0]: schedule"),
        ([], 0, None, ""),
    ],
)
def test_a_plan_begins_only_in_a_window_that_holds_it(
    windows: list[dict[str, str]], hour: float, reason: Reason | None, says: str
) -> None:
    decision = decide(subject(maintenanceWindows=windows), seen(), at(hours=hour))
    if reason is None:
        assert isinstance(decision.action, AddFinalizer)
        return
    assert (decision.action, decision.reason) == (Nothing(), reason)
    assert says in ready(decision)[2]


def test_waiting_looks_again_when_the_window_opens() -> None:
    decision = decide(subject(maintenanceWindows=[NOON]), seen(), at(hours=-1, minutes=59))
    assert decision.look_again == timedelta(minutes=1)


def test_waiting_for_a_window_says_the_same_until_something_changes() -> None:
    waiting = subject(maintenanceWindows=[NIGHT])
    first = decide(waiting, seen(), NOW)
    second = decide(after(waiting, first), seen(), at(hours=3))
    assert second.status == first.status


@pytest.mark.parametrize(
    ("fields", "more", "where"),
    [
        ({"maintenanceWindows": [WRONG]}, {}, "spec.maintenanceWindows"),
        ({}, {"defaults": Defaults}, "EcsAccount default, defaults.maintenanceWindows"),
        ({}, {"require": Require}, "EcsAccount default, require.maintenanceWindows"),
    ],
)
def test_a_wrong_window_is_told_with_the_place_where_it_is_written(
    fields: dict[str, Any], more: dict[str, Any], where: str
) -> None:
    window = MaintenanceWindow.from_api(WRONG)
    policies = {name: kind(maintenance_windows=(window,)) for name, kind in more.items()}
    decision = decide(replace(subject(**fields), **policies), seen(), NOW)
    assert decision.reason is Reason.INVALID_SPEC
    assert f"{where}[0]: schedule" in ready(decision)[2]
    assert ready(decision)[2].endswith(". Correct it there.")


def test_wrong_windows_in_two_places_are_told_one_by_one() -> None:
    nowhere = {**NIGHT, "timeZone": "Mars/Phobos"}
    must = Require(maintenance_windows=(MaintenanceWindow.from_api(WRONG),))
    decision = decide(replace(subject(maintenanceWindows=[nowhere]), require=must), seen(), NOW)
    assert (
        "Not begun: spec.maintenanceWindows[0]: timeZone Mars/Phobos is not known (use the name "
        "of an IANA time zone, such as Asia/Shanghai); and EcsAccount default, "
        "require.maintenanceWindows[0]: schedule"
    ) in ready(decision)[2]
    assert ready(decision)[2].endswith("Correct each of them in its place.")


@pytest.mark.parametrize(
    ("own", "required", "hour", "reason"),
    [
        ([NOON], NOON, 0, None),
        ([], NOON, 0, None),
        ([NIGHT], NOON, 0, Reason.WINDOW_TOO_SHORT),
        ([NOON], NIGHT, 0, Reason.WINDOW_TOO_SHORT),
        ([NOON], LATER, 0, Reason.AWAITING_WINDOW),
        ([NOON], LATER, 1, None),
    ],
)
def test_a_required_window_narrows_those_of_the_spec_and_never_takes_their_place(
    own: list[dict[str, str]], required: dict[str, str], hour: float, reason: Reason | None
) -> None:
    must = Require(maintenance_windows=(MaintenanceWindow.from_api(required),))
    given = replace(subject(maintenanceWindows=own), require=must)
    decision = decide(given, seen(), at(hours=hour))
    assert isinstance(decision.action, AddFinalizer) is (reason is None)
    assert reason is None or decision.reason is reason


def test_an_approval_is_asked_for_before_the_window_opens() -> None:
    decision = decide(subject(approval="Manual", maintenanceWindows=[NIGHT]), seen(), NOW)
    assert decision.reason is Reason.AWAITING_APPROVAL


def test_an_approved_plan_that_waits_for_its_window_shows_both() -> None:
    waiting = subject(approval="Manual", maintenanceWindows=[NIGHT])
    given = replace(
        waiting, annotations={ANNOTATION_APPROVE: plan_id(decide(waiting, seen(), NOW))}
    )
    recorded = after(given, decide(given, seen(), NOW))
    decision = decide(recorded, seen(), at(1))
    assert decision.reason is Reason.AWAITING_WINDOW
    assert condition(decision, "Approved") == ("True", "Approved")


def test_an_operation_that_has_begun_is_not_held_by_the_end_of_its_window() -> None:
    begun, _ = opened(subject(maintenanceWindows=[NOON]))
    decision = decide(begun, seen("Stopped"), at(hours=2, minutes=1))
    assert not isinstance(decision.action, RemoveFinalizer)
    assert decision.status.operation is not None


def test_nothing_is_replaced_after_the_end_of_the_window_and_the_machine_is_given_back() -> None:
    begun, _ = opened(subject(maintenanceWindows=[NOON]), seen())
    last = decide(begun, seen("Stopped"), at(hours=2, seconds=-1))
    assert operation(last).give_back_by == at(hours=2)
    assert isinstance(last.action, ReplaceSystemDisk)
    for late in (at(hours=2), at(hours=2, minutes=30)):
        assert isinstance(decide(begun, seen("Stopped"), late).action, StartInstance)


@pytest.mark.parametrize(
    ("own", "default", "required", "place"),
    [
        ([NIGHT], None, None, "spec.maintenanceWindows."),
        (None, NIGHT, None, "EcsAccount default, defaults.maintenanceWindows."),
        (None, None, NIGHT, "change EcsAccount default, require.maintenanceWindows."),
        ([NIGHT], None, NIGHT, "change spec.maintenanceWindows and EcsAccount default, require."),
    ],
)
def test_who_waits_for_a_window_is_told_where_it_is_written(
    own: list[dict[str, str]] | None,
    default: dict[str, str] | None,
    required: dict[str, str] | None,
    place: str,
) -> None:
    def listed(window: dict[str, str] | None) -> tuple[MaintenanceWindow, ...] | None:
        return (MaintenanceWindow.from_api(window),) if window else None

    waiting = replace(
        subject(maintenanceWindows=own),
        defaults=Defaults(maintenance_windows=listed(default), backup=Backup(enabled=False)),
        require=Require(maintenance_windows=listed(required)),
    )
    decision = decide(waiting, seen(), NOW)
    assert decision.reason is Reason.AWAITING_WINDOW
    assert place in ready(decision)[2]
