"""What stands in the way of any step: records, brakes, machines out of sight, clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.operation.common import MISMATCH, QUIET, Kind, R
from tests.support.builders import (
    LOCKED,
    NEW_DISK,
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    VM,
    account,
    after,
    at,
    operation,
    ready,
    replaced,
    seen,
    under_way,
    vm,
    with_op,
)

from sysdisk.api.meta import ANNOTATION_PROTECT, ANNOTATION_SUSPEND
from sysdisk.api.reasons import Standing, standing
from sysdisk.api.status import Outcome, Step
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    RESYNC,
    DiskLook,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.not_ours import not_understood
from sysdisk.core.world import Grant, Observed

# -- what stands in the way of any step --------------------------------------------------------


@pytest.mark.parametrize("step", list(Step))
def test_every_step_asks_for_a_fresh_look_first(step: Step) -> None:
    decision = decide(under_way(step), seen(fresh=False), at(1))
    assert isinstance(decision.action, Look)
    assert decision.action.fresh
    assert decision.status == under_way(step).status


@pytest.mark.parametrize("step", list(Step))
def test_only_a_step_that_is_about_disks_looks_at_them_first(step: Step) -> None:
    about_disks = step in (Step.BACKUP, Step.REPLACE, Step.VERIFY)
    look = Look(fresh=True, disks=DiskLook.KNOWN if about_disks else DiskLook.NONE)
    assert decide(under_way(step), seen(fresh=False), at(1)).action == look


@pytest.mark.parametrize(
    "change",
    [
        {"plan_id": "p1-0123456789abcdef"},
        {"client_token": "sd1-0"},
        {"attempt": 2},
        {"old_disk_id": "d-other"},
        {"from_size": 41},
        {"from_image_id": None},
        {"data_disk_ids": ()},
    ],
)
@pytest.mark.parametrize("step", list(Step))
def test_a_record_that_does_not_recompute_is_not_believed(
    step: Step, change: dict[str, Any]
) -> None:
    begun = under_way(step)
    begun = replace(
        begun,
        status=begun.status.replace(operation=operation(begun).replace(**change)),
    )
    for world in (seen("Stopped"), replaced(), seen("Running")):
        decision = decide(begun, world, at(700))
        assert (decision.action, decision.reason) == (Nothing(), R.RECORD_NOT_OURS)
        assert decision.status.operation == begun.status.operation


@pytest.mark.parametrize("step", list(Step))
def test_frozen_inputs_that_were_changed_are_not_believed(step: Step) -> None:
    op = operation(under_way(step))
    other = op.replace(inputs=op.inputs.replace(image_id="m-evil"))
    decision = decide(with_op(under_way(step), other), seen("Stopped"), at(1))
    assert (decision.action, decision.reason) == (Nothing(), R.RECORD_NOT_OURS)


def not_ours(step: Step = Step.STOP, **change: Any) -> Subject:
    """Return a subject whose record in `step` does not recompute."""
    begun = under_way(step)
    return with_op(begun, operation(begun).replace(attempt=2, **change))


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (seen("Running"), "Instance i-1 is Running. To go on"),
        (seen("Stopped"), "Instance i-1 is Stopped. THE RECORD SAYS THAT THE OPERATION STOPPED"),
        (seen("Stopped", account=account(grant=Grant())), "Look at instance i-1. THE RECORD SAYS"),
        (seen("Stopped", instance=None), "Look at instance i-1. THE RECORD SAYS"),
        (seen(failure="no answer", instance_seen=False, instance=None), "Look at instance i-1."),
        (seen(account=None, instance_seen=False, instance=None), "Look at instance i-1."),
    ],
)
def test_a_record_that_is_not_ours_tells_the_machines_state_and_the_way_out(
    world: Observed, says: str
) -> None:
    decision = decide(not_ours(), world, at(1))
    assert (decision.action, decision.reason) == (Nothing(), R.RECORD_NOT_OURS)
    message = ready(decision)[2]
    assert says in message
    assert "delete this object and apply it again" in message
    assert "`kubectl patch sds web-1 -n shop --subresource=status" in message
    assert "`sysdisk release` alone does not cure it" in message
    assert len(message) < 1024


def test_a_record_that_says_nothing_of_a_stop_blames_nobody() -> None:
    message = ready(decide(not_ours(stopped_by_us=False), seen("Stopped"), at(1)))[2]
    assert "Instance i-1 is Stopped. To go on" in message


@pytest.mark.parametrize("stopped", [True, False])
def test_what_is_not_understood_is_told_and_nothing_is_done(stopped: bool) -> None:
    decision = not_understood(under_way(), "status.operation.step: odd", NOW, stopped=stopped)
    assert (decision.action, standing(decision.reason)) == (Nothing(), Standing.STUCK)
    said = ready(decision)[2]
    assert said.startswith("status.operation.step: odd: another version")
    assert VM in said
    assert ("NOBODY STARTS IT AGAIN" in said) is stopped
    assert "kubectl patch sds web-1 -n shop --subresource=status" in said


def test_the_machine_of_a_record_that_is_not_ours_is_looked_at() -> None:
    world = seen(instance_seen=False, instance=None)
    assert decide(not_ours(), world, at(1)).action == Look()


@pytest.mark.parametrize("power", ["Running", "Stopped", "Stopping", "Odd"])
@pytest.mark.parametrize("step", list(Step))
def test_a_deleted_object_whose_record_is_not_ours_goes_after_a_while_and_touches_nothing(
    step: Step, power: str
) -> None:
    found = not_ours(step)
    told = after(found, decide(found, seen(power), at(10)))
    deleted = replace(told, deleting=True, has_finalizer=True)
    held = decide(deleted, seen(power), at(10, minutes=14))
    assert (held.action, held.reason) == (Nothing(), R.RECORD_NOT_OURS)
    assert held.look_again == timedelta(minutes=1)
    assert "it goes at 2026-03-01T12:15:10Z" in ready(held)[2]
    assert "`sysdisk release web-1 -n shop`" in ready(held)[2]
    gone = decide(deleted, seen(power), at(10, minutes=15))
    assert (gone.action, gone.status) == (RemoveFinalizer(), deleted.status)
    assert gone.look_again == timedelta(0)


def test_a_record_that_is_not_ours_is_looked_at_no_more_often_as_time_goes_by() -> None:
    found = not_ours()
    told = after(found, decide(found, seen(), at(10)))
    for minutes in (1, 14, 15, 60):
        assert decide(told, seen(), at(minutes=minutes)).look_again == RESYNC


def test_a_deleted_object_waits_from_when_a_person_was_told() -> None:
    begun = replace(not_ours(), deleting=True, has_finalizer=True)
    first = decide(begun, seen(), at(hours=9))
    assert first.action == Nothing()
    assert "it goes at 2026-03-01T21:15:00Z" in ready(first)[2]
    # A clock that was set back makes nobody wait for ever.
    back = decide(after(begun, first), seen(), NOW)
    assert "it goes at 2026-03-01T12:15:00Z" in ready(back)[2]


def test_a_record_that_was_taken_out_lets_the_object_go_on() -> None:
    cured = with_op(replace(not_ours(), has_finalizer=True), None)
    assert isinstance(decide(cured, seen(), at(1)).action, StopInstance)


def test_a_lock_that_holds_a_replacement_up_is_named() -> None:
    late = under_way(Step.VERIFY, new_disk_id="d-2")
    decision = decide(late, replaced(system_disks=(), locks=LOCKED), at(minutes=20))
    assert decision.reason is R.VERIFY_OVERDUE
    assert "and ECS has locked the instance (InstanceReplacing, a lock" in ready(decision)[2]


def test_what_is_said_while_asking_tells_what_happens_at_the_deadline() -> None:
    running = under_way(Step.REPLACE)
    message = ready(decide(running, seen("Stopping"), at(1)))[2]
    assert "by 2026-03-01T12:10:00Z, the machine is started again with its old disk." in message
    stopped = with_op(running, operation(running).replace(was_running=False))
    message = ready(decide(stopped, seen("Stopping"), at(1)))[2]
    assert "by 2026-03-01T12:10:00Z, it is given up." in message


@pytest.mark.parametrize("value", ["true", "True", "yes"])
@pytest.mark.parametrize("name", [ANNOTATION_PROTECT, ANNOTATION_SUSPEND])
def test_a_brake_with_any_value_ends_an_operation_that_has_not_asked_yet(
    name: str, value: str
) -> None:
    begun = replace(under_way(), annotations={name: value})
    decision = decide(begun, seen("Stopped"), at(1))
    assert isinstance(decision.action, StartInstance)
    assert "is not carried out, because the object was" in ready(decision)[2]
    free = replace(under_way(), annotations={name: "false"})
    assert isinstance(decide(free, seen("Stopped"), at(1)).action, ReplaceSystemDisk)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 80])
def test_a_record_recomputes_however_many_data_disks_there_are(count: int) -> None:
    data = frozenset(f"d-data-{n}" for n in range(count))
    begun = under_way(world=seen(data_disk_ids=data))
    assert decide(begun, seen("Stopped"), at(5)).reason is R.REPLACING


@pytest.mark.parametrize("step", list(Step))
def test_one_failed_call_is_no_news(step: Step) -> None:
    begun = under_way(step)
    decision = decide(begun, seen(failure="Throttling: slow down"), at(30))
    assert (decision.action, decision.status, decision.events) == (Nothing(), begun.status, ())


@pytest.mark.parametrize("step", list(Step))
def test_a_machine_that_cannot_be_asked_about_for_long_is_shouted_about(step: Step) -> None:
    begun = under_way(step)
    lost = seen(failure="no credentials (request ID A)")
    decision = decide(begun, lost, at(60))
    assert (decision.action, decision.reason) == (Nothing(), R.MACHINE_LEFT_STOPPED)
    assert decision.events[-1].warning
    later = decide(after(begun, decision), seen(failure="no credentials (request ID B)"), at(200))
    assert later.status == after(begun, decision).status


@pytest.mark.parametrize(("tries", "rest"), [(0, 2), (1, 4), (3, 16)])
@pytest.mark.parametrize("seconds", [5, 61])
def test_the_more_often_something_was_tried_the_less_often_ecs_is_asked_about_it(
    tries: int, rest: float, seconds: float
) -> None:
    begun = under_way(Step.VERIFY, tries=tries)
    waiting = decide(begun, seen(failure="no answer"), at(seconds)).look_again.total_seconds()
    assert waiting == (rest if seconds == 5 else max(rest, 6.1))


@pytest.mark.parametrize(
    ("seconds", "rest"), [(61, 6.1), (200, 20.0), (3600, 30.0), (90_000, 30.0)]
)
def test_the_longer_ecs_does_not_answer_the_less_often_it_is_asked(
    seconds: float, rest: float
) -> None:
    begun = under_way(Step.VERIFY)
    waiting = decide(begun, seen(failure="no answer"), at(seconds)).look_again
    assert waiting.total_seconds() == pytest.approx(rest, rel=0.2)


def test_a_machine_that_was_stopped_before_is_not_shouted_about() -> None:
    begun = under_way(Step.VERIFY, world=seen("Stopped"))
    decision = decide(begun, seen(failure="no credentials"), at(90))
    assert decision.reason is R.ACCOUNT_NOT_READY


@pytest.mark.parametrize("step", list(Step))
def test_an_instance_that_is_gone_holds_its_object_for_a_quarter_of_an_hour(step: Step) -> None:
    gone = seen(instance=None)
    begun = replace(under_way(step), deleting=True)
    first = decide(begun, gone, at(100))
    assert (first.action, first.reason) == (Nothing(), R.INSTANCE_NOT_FOUND)
    begun = after(begun, first)
    assert decide(begun, gone, at(999)).status == begun.status
    last = decide(begun, gone, at(1000))
    assert isinstance(last.action, RemoveFinalizer)
    assert last.status.history[-1].result == "InstanceGone"
    kept = replace(begun, deleting=False)
    assert decide(kept, gone, at(9999)).action == Nothing()


def test_the_quarter_of_an_hour_begins_anew_when_the_instance_was_seen_again() -> None:
    begun = replace(under_way(Step.VERIFY), deleting=True)
    begun = after(begun, decide(begun, seen(instance=None), at(10)))
    begun = after(begun, decide(begun, seen("Stopped"), at(20)))
    begun = after(begun, decide(begun, seen(instance=None), at(950)))
    assert decide(begun, seen(instance=None), at(1000)).action == Nothing()


@pytest.mark.parametrize("power", ["Running", "Stopped", "Stopping", "Starting", "Strange"])
@pytest.mark.parametrize("step", list(Step))
def test_a_deletion_never_removes_the_finalizer_before_the_end_is_recorded(
    step: Step, power: str
) -> None:
    begun = replace(under_way(step), deleting=True)
    for world in (seen(power), replaced(power)):
        decision = decide(begun, world, at(5))
        if isinstance(decision.action, RemoveFinalizer):
            assert decision.status.operation is None
            assert decision.status.history


def test_locks_and_disk_are_shown_while_the_work_goes_on() -> None:
    decision = decide(under_way(Step.VERIFY), seen("Stopped", locks=LOCKED), at(5))
    assert decision.status.locked is True
    assert decision.status.operation_locks[0].reason == LOCKED[0].reason
    done = decide(under_way(Step.VERIFY), replaced(), at(5))
    assert (done.status.disk_id, done.status.previous_disk_id) == (NEW_DISK, OLD_DISK)


def test_the_power_of_the_machine_alone_is_no_reason_to_write() -> None:
    begun = under_way()
    begun = after(begun, decide(begun, seen(), at(1)))
    assert decide(begun, seen("Stopping"), at(2)).status == begun.status


def test_an_image_that_is_seen_before_its_disk_alone_is_no_reason_to_write() -> None:
    begun = under_way(Step.VERIFY)
    begun = after(begun, decide(begun, seen("Stopped"), at(1)))
    early = replace(vm("Stopped"), image_id=NEW_IMAGE)
    assert decide(begun, replace(seen("Stopped"), instance=early), at(2)).status == begun.status
    told = decide(begun, replaced("Stopped"), at(2)).status
    assert (told.image_id, told.disk_id) == (NEW_IMAGE, NEW_DISK)


def test_a_reason_that_this_version_does_not_know_is_no_obstacle() -> None:
    begun = under_way()
    strange = tuple(c.replace(reason="FromTheFuture") for c in begun.status.conditions)
    begun = replace(begun, status=begun.status.replace(conditions=strange))
    assert decide(begun, seen(fresh=False), at(1)).reason is R.OBSERVING
    assert decide(begun, seen(failure="x"), at(1)).reason is R.ACCOUNT_NOT_READY


def test_a_step_that_no_parser_lets_through_is_refused_loudly() -> None:
    op = operation(under_way()).model_copy(update={"step": "Dance"})
    begun = under_way()
    begun = replace(begun, status=begun.status.model_copy(update={"operation": op}))
    with pytest.raises(AssertionError):
        decide(begun, seen(), NOW)


# -- a clock that was set back -----------------------------------------------------------------

AHEAD: dict[str, Any] = {"step_at": at(hours=5), "last_try_at": at(hours=5), "tries": 1}


@pytest.mark.parametrize(
    ("step", "fields", "world", "action"),
    [
        (Step.STOP, AHEAD, seen(), StopInstance),
        (Step.REPLACE, {**AHEAD, "outcome": Outcome.REFUSED}, seen("Stopped"), ReplaceSystemDisk),
        (Step.START, {**AHEAD, "outcome": Outcome.ACCEPTED}, replaced(), StartInstance),
    ],
)
def test_nothing_waits_for_a_clock_that_was_set_back_to_catch_up(
    step: Step, fields: dict[str, Any], world: Observed, action: Kind
) -> None:
    decision = decide(under_way(step, **fields), world, at(5))
    assert isinstance(decision.action, action)
    assert operation(decision).last_try_at == at(5)


def test_a_token_of_unknown_age_is_not_sent_again_and_the_disk_is_watched() -> None:
    ahead = {**AHEAD, "outcome": Outcome.UNKNOWN, "first_try_at": at(hours=5)}
    begun = under_way(Step.REPLACE, **ahead)
    waiting = decide(begun, seen("Stopped"), at(5))
    assert (waiting.action, waiting.reason) == (Nothing(), R.OUTCOME_UNKNOWN)
    back = decide(after(begun, waiting), seen("Stopped"), at(minutes=16))
    assert isinstance(back.action, StartInstance)


def test_the_deadline_for_giving_back_is_never_further_away_than_it_was_set() -> None:
    begun = under_way(Step.REPLACE, step_at=at(hours=5), give_back_by=at(hours=5, minutes=10))
    waiting = decide(begun, seen("Stopped", locks=LOCKED), NOW)
    assert operation(waiting).give_back_by == at(minutes=10)
    back = decide(after(begun, waiting), seen("Stopped", locks=LOCKED), at(minutes=10))
    assert back.action == StartInstance(VM)


def test_a_watch_that_began_in_the_future_begins_now() -> None:
    watched: dict[str, Any] = {**QUIET, "last_error": MISMATCH, "unlocked_since": at(hours=5)}
    decision = decide(under_way(Step.REPLACE, **watched), seen("Stopped"), at(5))
    assert operation(decision).unlocked_since == at(5)


def test_clocks_that_differ_by_seconds_are_left_alone() -> None:
    begun = under_way(last_try_at=at(20), step_at=at(20))
    assert operation(decide(begun, seen(), at(5))) == operation(begun)
