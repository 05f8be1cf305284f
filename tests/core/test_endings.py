"""The end of an operation: what the history says, what is settled, what becomes of the plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.builders import (
    LOCKED,
    NEW_DISK,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    VM,
    after,
    at,
    disk,
    error,
    opened,
    operation,
    ready,
    replaced,
    seen,
    subject,
    under_way,
    with_op,
)

from sysdisk.api.meta import ANNOTATION_REPLACE
from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Plan, Step, StepTaken, SystemDiskSpecStatus
from sysdisk.core.decide import decide
from sysdisk.core.ending import FAILED_RESULTS, RESTED, SPENT, close
from sysdisk.core.model import Decision, DiskLook, Look, Nothing, RemoveFinalizer, Subject
from sysdisk.core.outcome import last_error
from sysdisk.core.wanted import login_hash
from sysdisk.core.world import Observed

UNPAID = last_error(error("INST_HAS_UNPAID_ORDER"))


def ended(before: Subject, world: Observed, now: datetime = NOW) -> Decision:
    """Return the decision that ends the operation of `before`."""
    decision = decide(before, world, now)
    assert isinstance(decision.action, RemoveFinalizer), decision
    assert decision.status.operation is None
    return decision


def given_back(result: str, **fields: Any) -> Subject:
    """Return an operation that is on its way back, with its machine running again."""
    return under_way(Step.START, ending=result, new_disk_id=None, **fields)


def test_a_replacement_ends_ready_settled_and_in_the_history() -> None:
    steps = (StepTaken(step=Step.STOP, seconds=20),)
    begun = under_way(Step.START, request_ids=("a", "b"), steps=steps)
    decision = ended(begun, replaced("Running"), at(40))
    entry = decision.status.history[-1]
    assert (entry.result, entry.old_disk_id, entry.new_disk_id) == ("Replaced", OLD_DISK, NEW_DISK)
    assert (entry.started_at, entry.ended_at, entry.request_ids) == (NOW, at(40), ("a", "b"))
    assert entry.steps == (*steps, StepTaken(step=Step.START, seconds=40))
    assert (decision.reason, ready(decision)[0]) == (Reason.UP_TO_DATE, "True")
    assert decision.status.plan is None
    assert decision.status.settled is not None
    assert decision.status.settled.inputs == operation(begun).inputs.hash
    assert (decision.status.disk_id, decision.status.previous_disk_id) == (NEW_DISK, OLD_DISK)
    assert [event.reason for event in decision.events] == ["Replaced", "UpToDate"]
    assert "saved" not in decision.events[0].message
    assert decision.look_again == timedelta(0)


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (replaced("Running", image_id="m-9"), "image m-9 instead of m-2"),
        (replaced("Running", system_disks=(disk(NEW_DISK, size=50),)), "size 50 GiB instead"),
        (replaced("Running", system_disks=(disk("d-9"),)), "disk d-9 instead of d-2"),
        (replaced("Running", data_disk_ids=frozenset()), "data disk d-data is not attached"),
        (replaced("Running", addresses=("10.0.0.2", "1.2.3.4")), "IP address 10.0.0.1 is gone"),
    ],
)
def test_what_is_not_as_planned_is_told_and_holds_nothing_back(world: Observed, says: str) -> None:
    begun = under_way(Step.START, world=seen(addresses=("10.0.0.1", "1.2.3.4")))
    decision = ended(begun, world, at(9))
    entry = decision.status.history[-1]
    assert entry.result == "ReplacedWithDifferences"
    assert says in (entry.message or "")
    assert decision.events[0].warning
    assert decision.status.settled is not None
    assert decision.status.condition("Stalled") is None


HAD: dict[str, Any] = {"addresses": ("10.0.0.1", "1.2.3.4"), "key_pair_name": "ops"}


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ({"data_disk_ids": frozenset()}, "data disk d-data is not attached any more"),
        ({"addresses": ("1.2.3.4",)}, "IP address 10.0.0.1 is gone"),
        ({"key_pair_name": ""}, "key pair none instead of ops"),
    ],
)
def test_what_a_machine_lost_with_its_disk_is_drift_until_the_spec_is_changed(
    lost: dict[str, Any], says: str
) -> None:
    begun, world = under_way(Step.START, world=seen(**HAD)), replaced("Running", **{**HAD, **lost})
    decision = ended(begun, world, at(9))
    rests = after(begun, decision)
    later = decide(rests, world, at(99))
    for told in (decision, later):
        assert (told.reason, ready(told)[0]) == (Reason.DRIFTED, "True")
        assert says in ready(told)[2]
        shown = told.status.condition("Drifted")
        assert shown is not None
        assert says in shown.message
    assert later.status == rests.status
    edited = decide(replace(rests, generation=rests.generation + 1), world, at(200))
    assert (edited.reason, edited.status.condition("Drifted")) == (Reason.UP_TO_DATE, None)


def test_what_was_lost_is_told_although_the_spec_was_edited_before_it_was() -> None:
    begun = under_way(Step.START, world=seen(**HAD))
    edited = replace(begun, spec=subject(power={"stopTimeout": "1m"}).spec, generation=2)
    decision = ended(edited, replaced("Running", **{**HAD, "key_pair_name": ""}), at(9))
    assert decision.reason is Reason.DRIFTED
    assert "key pair none instead of ops" in ready(decision)[2]


def test_a_machine_that_kept_its_disk_is_not_told_to_have_lost_anything() -> None:
    begun = given_back("Suspended", world=seen(**HAD))
    decision = ended(begun, seen(addresses=(), key_pair_name="", image_id="m-9"), at(9))
    assert decision.status.history[-1].message is None


def test_what_was_lost_is_not_told_where_drift_is_ignored() -> None:
    begun = under_way(Step.START, world=seen(addresses=("10.0.0.1",)))
    rests = after(begun, ended(begun, replaced("Running", addresses=()), at(9)))
    ignored = replace(rests, spec=subject(driftPolicy="Ignore").spec)
    decision = decide(ignored, replaced("Running", addresses=()), at(99))
    assert (decision.reason, decision.status.condition("Drifted")) == (Reason.UP_TO_DATE, None)


def test_the_data_disks_are_looked_at_before_the_end_is_told() -> None:
    begun = under_way(Step.START)
    decision = decide(begun, replaced("Running", data_disk_ids=None), at(9))
    assert decision.action == Look(fresh=True, disks=DiskLook.KNOWN, attached=("d-data",))
    given = under_way(Step.START, new_disk_id=None, ending="Refused")
    assert isinstance(
        decide(given, seen("Running", data_disk_ids=None), at(9)).action, RemoveFinalizer
    )
    blind = seen("Running", system_disks=None, data_disk_ids=None)
    assert decide(given, blind, at(9)).action == Look(fresh=True, disks=DiskLook.KNOWN)


@pytest.mark.parametrize(("name", "says"), [("", "none"), ("other", "other")])
def test_a_key_pair_that_is_not_the_planned_one_is_told(name: str, says: str) -> None:
    begun = under_way(Step.START, world=seen(key_pair_name="ops"))
    decision = ended(begun, replaced("Running", key_pair_name=name), at(9))
    assert f"key pair {says} instead of ops" in (decision.status.history[-1].message or "")


def test_an_image_that_still_differs_is_drift_and_not_a_second_replacement() -> None:
    begun = under_way(Step.START)
    world = replaced("Running", image_id="m-9")
    decision = ended(begun, world, at(9))
    assert decision.reason is Reason.DRIFTED
    assert decide(after(begun, decision), world, at(99)).reason is Reason.DRIFTED


def test_an_image_that_still_differs_is_not_replaced_again_where_drift_is() -> None:
    begun = under_way(Step.START, wanting=subject(driftPolicy="Reconcile"))
    world = replaced("Running", image_id="m-9")
    rests = after(begun, ended(begun, world, at(9)))
    again = decide(replace(rests, has_finalizer=False), world, at(99))
    assert (again.action, again.reason) == (Nothing(), Reason.DRIFTED)


def test_a_refused_plan_is_spent_with_its_error_and_is_not_begun_again() -> None:
    begun = given_back("Refused", last_error=UNPAID)
    begun = replace(
        begun,
        status=begun.status.replace(
            plan=(begun.status.plan or Plan(id="", made_at=NOW)).replace(last_error=UNPAID)
        ),
    )
    decision = ended(begun, seen(), at(9))
    plan = decision.status.plan
    assert plan is not None
    assert (plan.spent, plan.spent_reason, plan.last_error) == (True, "Refused", UNPAID)
    assert decision.reason is Reason.PLAN_SPENT
    assert "INST_HAS_UNPAID_ORDER" in ready(decision)[2]
    again = replace(after(begun, decision), has_finalizer=False)
    assert decide(again, seen(), at(hours=100)).status == again.status
    assert [e.reason for e in decision.events] == ["NotReplaced", "PlanSpent"]
    assert "because ECS refused it (INST_HAS_UNPAID_ORDER)." in decision.events[0].message


@pytest.mark.parametrize("result", sorted(RESTED))
def test_a_machine_given_back_rests_longer_each_time_and_is_spent_after_three(result: str) -> None:
    wanting, now, rests = subject(), NOW, []
    for round_ in (1, 2, 3):
        begun, _ = opened(wanting, now=now)
        op = operation(begun).replace(step=Step.START, ending=result)
        decision = ended(with_op(begun, op), seen(), now)
        plan = decision.status.plan
        assert plan is not None
        assert plan.rest_until is not None
        assert (plan.rounds, plan.spent) == (round_, round_ == 3)
        assert plan.spent_reason == (result if plan.spent else None)
        rests.append(plan.rest_until - now)
        wanting = replace(after(begun, decision), has_finalizer=False)
        now = plan.rest_until
    half = timedelta(minutes=30)
    assert rests == [half, 2 * half, 4 * half]
    assert decide(wanting, seen(), now).reason is Reason.PLAN_SPENT


def test_a_rest_is_a_day_at_most_however_many_rounds_a_record_tells() -> None:
    begun = given_back("GivenBack")
    assert begun.status.plan is not None
    many = begun.status.replace(plan=begun.status.plan.replace(rounds=10**9))
    plan = ended(replace(begun, status=many), seen()).status.plan
    assert plan is not None
    assert plan.rest_until == at(hours=24)


@pytest.mark.parametrize("result", ["Deleted", "Suspended", "SpecChanged", "WorldChanged"])
def test_a_change_of_mind_spends_nothing(result: str) -> None:
    begun = replace(given_back(result), spec=subject(suspend=True).spec)
    decision = ended(begun, seen())
    assert decision.status.plan is not None
    assert (decision.status.plan.spent, decision.status.plan.rounds) == (False, 0)
    assert decision.reason is Reason.SUSPENDED
    assert not decision.events[0].warning


@pytest.mark.parametrize("deleting", [True, False])
def test_a_change_of_mind_does_not_wipe_out_how_often_the_plan_was_tried(deleting: bool) -> None:
    begun = given_back("Suspended")
    assert begun.status.plan is not None
    tried = begun.status.plan.replace(rounds=2)
    begun = replace(begun, status=begun.status.replace(plan=tried), deleting=deleting)
    plan = ended(begun, seen(), at(9)).status.plan
    assert plan is not None
    assert (plan.id, plan.rounds) == (tried.id, 2)


def test_results_that_spend_or_rest_count_towards_the_brake() -> None:
    assert SPENT | RESTED == FAILED_RESULTS
    assert not SPENT & RESTED


def test_the_next_try_of_a_plan_has_the_next_attempt_and_so_another_token() -> None:
    begun, _ = opened(subject())
    token = operation(begun).client_token
    over = after(
        begun,
        ended(
            with_op(
                begun, operation(begun).replace(step=Step.START, ending="GivenBack", attempt=1)
            ),
            seen(),
        ),
    )
    again, _ = opened(replace(over, has_finalizer=False), now=at(hours=1))
    assert operation(again).attempt == 2
    assert operation(again).client_token != token
    assert operation(again).plan_id == operation(begun).plan_id


def test_an_edit_in_mid_operation_that_asks_for_nothing_else_does_not_unspend_the_plan() -> None:
    begun = given_back("Refused", last_error=UNPAID)
    edited = replace(begun, spec=subject(power={"stopTimeout": "1m"}).spec, generation=2)
    decision = ended(edited, seen(), at(9))
    assert decision.reason is Reason.PLAN_SPENT
    assert decide(after(edited, decision), seen(), at(99)).reason is Reason.PLAN_SPENT


def test_the_plan_of_another_wish_survives_the_end() -> None:
    begun = given_back("Suspended")
    other = Plan(id="p1-other", made_at=NOW, spent=True)
    begun = replace(begun, status=begun.status.replace(plan=other), deleting=True)
    assert ended(begun, seen()).status.plan == other


def test_the_login_that_was_sent_is_settled_and_not_the_one_declared_since() -> None:
    begun = under_way(Step.START)
    edited = replace(begun, spec=subject(login={"passwordInherit": True}).spec, generation=2)
    decision = ended(edited, replaced("Running"), at(9))
    assert decision.reason is Reason.LOGIN_PENDING
    assert decision.status.settled is not None
    assert decision.status.settled.login == login_hash(subject().spec.login)


@pytest.mark.parametrize("login", [
    {"passwordSecretRef": {"name": "pw", "key": "root"}},
    {"passwordInherit": True},
    {"keyPairName": "ops"},
    {},
])  # fmt: skip
def test_the_login_that_was_sent_is_not_pending(login: dict[str, Any]) -> None:
    begun = under_way(Step.START, wanting=subject(login=login))
    world = replaced("Running", key_pair_name=login.get("keyPairName", ""))
    assert ended(begun, world, at(9)).reason is Reason.UP_TO_DATE


def test_a_spec_that_changed_after_the_request_is_planned_next() -> None:
    begun = under_way(Step.START)
    edited = replace(begun, spec=subject(imageId="m-1").spec, generation=2)
    decision = ended(edited, replaced("Running"), at(9))
    assert decision.status.history[-1].result == "Replaced"
    again = replace(after(edited, decision), has_finalizer=False)
    assert opened(again, replaced("Running"))[1].status.operation is not None


def test_what_has_still_to_be_seen_is_looked_at_in_the_next_pass() -> None:
    edited = replace(under_way(Step.START), spec=subject(imageId="m-9").spec, generation=2)
    decision = ended(edited, replaced("Running"), at(9))
    assert (decision.reason, decision.look_again) == (Reason.PLANNED, timedelta(0))
    assert "has ended: disk d-1 was replaced. " in ready(decision)[2]
    assert decision.status.plan is None
    assert (decision.status.instance_status, decision.status.disk_id) == ("Running", NEW_DISK)


def test_no_plan_is_made_of_the_data_disks_that_the_end_alone_looked_for() -> None:
    begun = replace(under_way(Step.START), spec=subject(imageId=OLD_IMAGE, suspend=True).spec)
    decision = ended(begun, replaced("Running"), at(9))
    assert (decision.reason, decision.status.plan) == (Reason.PLANNED, None)


def test_an_end_is_told_although_the_next_plan_waits_for_its_turn() -> None:
    begun = given_back("SpecChanged")
    edited = replace(begun, spec=subject(size=80).spec, generation=2, has_finalizer=True)
    near = (("StopInstance", timedelta(seconds=4)),)
    decision = ended(edited, seen(turns=near), at(9))
    assert decision.reason is Reason.PLANNED
    assert "has ended without a replacement" in ready(decision)[2]


def test_the_end_of_an_operation_whose_machine_is_gone_shows_nothing_of_it() -> None:
    begun = given_back("Refused")
    decision = close(begun, operation(begun), seen(instance=None), at(9), result="InstanceGone")
    assert decision.status.history[-1].result == "InstanceGone"
    assert decision.status.instance_status == begun.status.instance_status


def test_an_end_without_a_disk_says_why_in_words() -> None:
    leaving = under_way(Step.FINISH, new_disk_id=None, ending="Refused")
    edited = replace(leaving, spec=subject(imageId="m-9").spec, generation=2)
    decision = ended(edited, seen("Running", data_disk_ids=None), at(9))
    assert "has ended without a replacement, because ECS refused it. Looking" in ready(decision)[2]
    told = next(event for event in decision.events if event.reason == "NotReplaced")
    assert "was not carried out, because ECS refused it. It did not replace d" in told.message


def test_a_trigger_that_was_acted_upon_is_remembered_and_not_due_again() -> None:
    for value in ("a", "two\nlines", "x" * 200, "ä" * 256):
        wanting = subject(SystemDiskSpecStatus(triggers=("",)), replaceTrigger=value)
        wanting = replace(wanting, annotations={ANNOTATION_REPLACE: "by hand"})
        begun, _ = opened(wanting, replaced("Running"))
        op = operation(begun)
        assert op.old_disk_id == NEW_DISK
        done = with_op(begun, op.replace(step=Step.START, new_disk_id="d-3"))
        world = replaced("Running", system_disks=(disk("d-3"),))
        decision = ended(done, world, at(9))
        assert decision.reason is Reason.UP_TO_DATE, value
        assert len(decision.status.triggers) == 3


def test_a_trigger_whose_replacement_did_not_happen_stays_due() -> None:
    wanting = subject(SystemDiskSpecStatus(triggers=("",)), replaceTrigger="a")
    begun, _ = opened(wanting, replaced("Running"))
    op = operation(begun).replace(step=Step.START, ending="Refused", outcome=Outcome.REFUSED)
    decision = ended(with_op(begun, op), replaced("Running"), at(9))
    assert (decision.reason, decision.status.triggers) == (Reason.PLAN_SPENT, ("",))


def test_a_deleted_object_lets_go_only_with_its_end_recorded() -> None:
    begun = replace(under_way(Step.START), deleting=True)
    decision = ended(begun, replaced("Running"), at(9))
    assert decision.status.history[-1].result == "Replaced"
    assert decision.action == RemoveFinalizer()


def test_a_history_entry_without_an_ending_says_cancelled() -> None:
    begun = under_way(Step.FINISH, new_disk_id=None)
    assert ended(begun, seen()).status.history[-1].result == "Cancelled"


def test_an_end_under_a_lock_says_what_stands_in_the_way_now() -> None:
    decision = ended(given_back("WorldChanged"), seen(locks=LOCKED), at(9))
    assert decision.reason is Reason.OPERATION_LOCKED
    assert VM in ready(decision)[2] or "locked" in ready(decision)[2]
