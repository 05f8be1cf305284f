"""What a finding becomes: the status and the events of it, how long it rests, and its words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.core.at_rest.common import R, planned
from tests.support.builders import (
    NEW_DISK,
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    SECURITY,
    after,
    at,
    disk,
    subject,
    vm,
)

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.reasons import Reason, Standing, phase, standing
from sysdisk.api.status import (
    LastError,
    OperationLock,
    SystemDiskSpecStatus,
)
from sysdisk.core import words
from sysdisk.core.model import RESYNC, Decision, Event, Nothing, Subject
from sysdisk.core.verdict import verdict, with_sight, without_sight
from sysdisk.core.world import Lock


def found(reason: Reason, seconds: float = 0, before: Subject | None = None) -> Decision:
    """Return the finding `reason`, so long after `NOW`."""
    was = before or subject(generation=4)
    return verdict(was, was.status, reason, f"It is {reason}.", at(seconds))


# -- what is recorded -------------------------------------------------------------------------


@pytest.mark.parametrize("reason", Reason)
def test_a_finding_is_recorded_with_its_generation_and_its_phase(reason: Reason) -> None:
    decision = found(reason)
    assert (decision.action, decision.reason) == (Nothing(), reason)
    assert decision.status.observed_generation == 4
    assert decision.status.phase == phase(reason)


def test_what_is_to_be_told_beside_ready_is_told() -> None:
    was = subject()
    extra = Extra(Kind.DRIFTED, True, "OutOfBand", "It moved away.")
    told = verdict(was, was.status, R.UP_TO_DATE, "It is right.", NOW, extras=(extra,))
    condition = told.status.condition("Drifted")
    assert condition is not None
    assert (condition.reason, condition.message) == ("OutOfBand", "It moved away.")


@pytest.mark.parametrize("reason", Reason)
def test_a_finding_is_an_event_once_and_a_warning_where_a_person_should_hear_of_it(
    reason: Reason,
) -> None:
    shouted = (R.OUTCOME_UNKNOWN, R.VERIFY_OVERDUE, R.GIVING_BACK)
    first = found(reason)
    warning = standing(reason) is Standing.STUCK or reason in shouted
    assert first.events == (Event(reason, f"It is {reason}.", warning),)
    assert found(reason, 60, after(subject(), first)).events == ()


def test_events_of_a_step_are_told_before_what_was_found() -> None:
    was, begun = subject(), Event("PlanBegun", "Begun.")
    told = verdict(was, was.status, R.STOPPING, "Stopping.", NOW, events=(begun,))
    assert [event.reason for event in told.events] == ["PlanBegun", "Stopping"]


# -- how long it rests ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "lasted", "pause"),
    [
        (R.UP_TO_DATE, 0, RESYNC),
        (R.UP_TO_DATE, 60, RESYNC),
        (R.PREFLIGHT_FAILED, 0, timedelta(seconds=5)),
        (R.PREFLIGHT_FAILED, 60, timedelta(seconds=30)),
        (R.PREFLIGHT_FAILED, 7200, RESYNC),
        (R.SUSPENDED, 60, timedelta(seconds=30)),
    ],
)
def test_who_waits_for_a_person_looks_soon_and_then_ever_more_seldom(
    reason: Reason, lasted: float, pause: timedelta
) -> None:
    first = found(reason)
    assert found(reason, lasted, after(subject(), first)).look_again == pause


def test_a_new_reason_is_looked_at_soon_again_however_long_another_one_lasted() -> None:
    long_ago = after(subject(), found(R.PREFLIGHT_FAILED))
    assert found(R.OPERATION_LOCKED, 3600, long_ago).look_again == timedelta(seconds=5)
    assert found(R.OPERATION_LOCKED).look_again == timedelta(seconds=5)


def test_who_says_when_to_look_again_is_believed() -> None:
    was = subject()
    for pause in (timedelta(0), timedelta(hours=1)):
        told = verdict(was, was.status, R.UP_TO_DATE, "Right.", NOW, look_again=pause)
        assert told.look_again == pause


# -- what was seen ----------------------------------------------------------------------------

SEEN = with_sight(SystemDiskSpecStatus(), vm(), disk(), NOW)


def test_what_is_seen_is_on_record_with_its_time() -> None:
    assert (SEEN.disk_id, SEEN.size, SEEN.image_id) == (OLD_DISK, 40, OLD_IMAGE)
    assert (SEEN.instance_status, SEEN.locked, SEEN.operation_locks) == ("Running", False, ())
    assert (SEEN.previous_disk_id, SEEN.observed_at) == (None, NOW)


def test_nothing_is_written_where_the_same_is_seen() -> None:
    assert with_sight(SEEN, vm(), disk(), at(60)) is SEEN
    assert with_sight(SEEN, vm(), None, at(60)) is SEEN


def test_locks_are_shown_in_one_order_and_without_empty_words() -> None:
    locked = with_sight(SEEN, vm(locks=(Lock("z"), *SECURITY)), disk(), at(60))
    assert locked.locked
    assert locked.operation_locks == (
        OperationLock(reason="security", message="mining"),
        OperationLock(reason="z"),
    )
    assert locked.observed_at == at(60)


def test_another_disk_leaves_the_one_before_it_on_record() -> None:
    other = with_sight(SEEN, vm(image_id=NEW_IMAGE), disk(NEW_DISK, size=80), at(60))
    assert (other.disk_id, other.previous_disk_id, other.size) == (NEW_DISK, OLD_DISK, 80)
    assert (other.image_id, other.observed_at) == (NEW_IMAGE, at(60))
    again = with_sight(other, vm("Stopped", image_id=""), disk(NEW_DISK, size=80), at(90))
    assert (again.previous_disk_id, again.image_id) == (OLD_DISK, None)


TRIED = {"rounds": 2, "rest_until": at(60), "spent_reason": "Refused", "generation": 3}


@pytest.mark.parametrize(
    ("spent", "rounds", "kept"), [(True, 0, True), (False, 1, True), (False, 0, False)]
)
def test_of_a_machine_that_may_not_be_shown_only_whether_its_plan_was_tried_is_kept(
    spent: bool, rounds: int, kept: bool
) -> None:
    plan = planned(**{**TRIED, "spent": spent, "rounds": rounds}).plan
    assert plan is not None
    shown = with_sight(SEEN, vm(locks=SECURITY), disk(), NOW)
    hidden = without_sight(shown.replace(plan=plan, previous_disk_id="d-0", phase="Odd"))
    assert hidden == SystemDiskSpecStatus(phase="Odd", plan=hidden.plan)
    assert (hidden.plan is not None) is kept
    if hidden.plan is not None:
        same = ("id", "made_at", "generation", "rounds", "rest_until", "spent", "spent_reason")
        assert [getattr(hidden.plan, n) for n in same] == [getattr(plan, n) for n in same]
        assert (hidden.plan.changes, hidden.plan.image_id, hidden.plan.policy) == ((), None, None)


def test_without_anything_seen_there_is_nothing_to_hide() -> None:
    assert without_sight(SystemDiskSpecStatus()) == SystemDiskSpecStatus()


# -- words ------------------------------------------------------------------------------------


def test_a_number_is_told_as_people_say_it() -> None:
    assert [words.operations(n) for n in (0, 1, 2)] == [
        "0 operations",
        "1 operation",
        "2 operations",
    ]
    assert [words.times(n) for n in (1, 2, 3)] == ["once", "twice", "3 times"]


@pytest.mark.parametrize(
    "ending",
    [
        *("AccountSuspended", "ApprovalRequired", "BackupFailed", "BackupOverdue", "BrakePulled"),
        *("Cancelled", "Deleted", "EndedWithoutNewDisk", "GivenBack", "GrantRevoked"),
        *("InstanceGone", "PreflightFailed", "Protected", "Refused", "SpecChanged"),
        *("StartedByOthers", "StopTimedOut", "StrayStop", "Suspended", "WindowClosed"),
        "WorldChanged",
    ],
)
def test_every_end_without_a_new_disk_is_told_in_a_clause(ending: str) -> None:
    assert " " in words.why(ending)
    assert not words.why(ending).endswith(".")


def test_an_end_that_is_not_known_is_told_as_it_is() -> None:
    assert words.why("OfTomorrow") == "OfTomorrow"


@pytest.mark.parametrize(
    ("message", "request_id", "text"),
    [
        ("It is odd. ", "R", "Odd: It is odd (request ID R)"),
        ("It is odd.", None, "Odd: It is odd"),
        (" . ", "R", "Odd (request ID R)"),
        (None, None, "Odd"),
    ],
)
def test_an_answer_is_one_clause(message: str | None, request_id: str | None, text: str) -> None:
    assert words.answer(LastError(code="Odd", message=message, request_id=request_id)) == text


def test_each_lock_is_named_once_in_one_order_and_one_that_is_not_known_says_so() -> None:
    locks = (Lock("odd"), Lock("Security", "mining"), Lock("Security"), Lock("financial"))
    text = "Security, financial, odd, a lock that this version does not know"
    assert words.locks(locks) == text


def test_only_a_request_id_is_no_news() -> None:
    first = found(R.ACCOUNT_NOT_READY).status.condition("Ready")
    assert first is not None
    was = asked(first.message)
    condition = first.replace(message=was)
    assert words.steady(condition, asked(first.message, "R-2")) == was
    other = asked("It is something else.", "R-2")
    assert words.steady(condition, other) == other
    assert words.steady(None, other) == other


def asked(text: str, request: str = "R-1") -> str:
    return f"Odd: {text.rstrip('.')} (request ID {request}). It goes on."
