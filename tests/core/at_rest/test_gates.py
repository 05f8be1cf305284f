"""Each situation at rest has one reason, and all gates are open before anything begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.at_rest.common import SUSPEND, R, planned, settled
from tests.support.builders import (
    LOCKED,
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    SECURITY,
    VM,
    account,
    after,
    at,
    error,
    image,
    opened,
    operation,
    ready,
    replaced,
    seen,
    subject,
    vm,
)

from sysdisk.api.account import Require
from sysdisk.api.meta import (
    ANNOTATION_PROTECT,
)
from sysdisk.api.policy import Approval
from sysdisk.api.reasons import Reason
from sysdisk.api.status import (
    HistoryEntry,
    LastError,
    Operation,
    Outcome,
    Plan,
    Step,
    SystemDiskSpecStatus,
)
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    AddFinalizer,
    DiskLook,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StopInstance,
    Subject,
)
from sysdisk.core.stray import stray_stop
from sysdisk.core.world import AccountState, Claim, Family, Grant, Observed

NO_ACCOUNT = account(state=AccountState.MISSING)
PLAN = decide(subject(), seen(), NOW)
PROTECT = {ANNOTATION_PROTECT: "true"}
MANY = account(failures_in_a_row=3)
FULL = account(under_way=10)
NEW_HERE = account(first_sights=20)
HELD = account(suspended=True)
ROWS: list[tuple[Subject, Observed, Reason]] = [
    (subject(), seen(account=None), R.ACCOUNT_NOT_FOUND),
    (subject(), seen(account=NO_ACCOUNT), R.ACCOUNT_NOT_FOUND),
    (subject(), seen(account=account(state=AccountState.NOT_GRANTED)), R.NAMESPACE_NOT_GRANTED),
    (subject(), seen(account=account(state=AccountState.NOT_READY)), R.ACCOUNT_NOT_READY),
    (subject(), seen(failure="no answer"), R.ACCOUNT_NOT_READY),
    (subject(), seen(instance=None), R.INSTANCE_NOT_FOUND),
    (subject(), seen(account=account(grant=Grant())), R.INSTANCE_NOT_FOUND),
    (subject(), replaced("Running"), R.UP_TO_DATE),
    (subject(), replaced("Running", locks=SECURITY), R.UP_TO_DATE),
    (subject(login={"keyPairName": "ops"}), replaced("Running"), R.LOGIN_PENDING),
    (subject(annotations=PROTECT), seen(), R.PROTECTED),
    (subject(suspend=True), seen(), R.SUSPENDED),
    (subject(annotations=SUSPEND), seen(), R.SUSPENDED),
    (subject(), seen(account=HELD), R.ACCOUNT_SUSPENDED),
    (subject(planned(spent=True)), seen(), R.PLAN_SPENT),
    (subject(planned(rounds=1, rest_until=at(60))), seen(), R.RESTING),
    (subject(size=20), seen(), R.PREFLIGHT_FAILED),
    (subject(), seen(locks=LOCKED), R.OPERATION_LOCKED),
    (subject(), seen("Starting"), R.INSTANCE_BUSY),
    (subject(), seen("Strange"), R.INSTANCE_NOT_UNDERSTOOD),
    (subject(), seen(account=MANY), R.BRAKE_PULLED),
    (subject(), seen(account=NEW_HERE), R.FIRST_SIGHT_LIMITED),
    (subject(), seen(account=FULL), R.AWAITING_SLOT),
    (subject(), seen(dry_run=True), R.DRY_RUN),
    (subject(imageId=None, imageFamily="none"), seen(family=Family("none")), R.IMAGE_NOT_FOUND),
]


@pytest.mark.parametrize(("what", "world", "reason"), ROWS)
def test_each_situation_at_rest_has_one_reason_and_nothing_begins(
    what: Subject, world: Observed, reason: Reason
) -> None:
    decision = decide(what, world, NOW)
    assert (decision.action, decision.reason) == (Nothing(), reason)
    assert decision.status.operation is None


@pytest.mark.parametrize(("what", "world", "reason"), ROWS)
def test_an_object_at_rest_carries_no_finalizer_of_ours(
    what: Subject, world: Observed, reason: Reason
) -> None:
    decision = decide(replace(what, has_finalizer=True), world, NOW)
    assert (decision.action, decision.reason) == (RemoveFinalizer(), reason)


@pytest.mark.parametrize(("what", "world", "reason"), ROWS)
def test_a_deletion_at_rest_touches_nothing(what: Subject, world: Observed, reason: Reason) -> None:
    decision = decide(replace(what, deleting=True, has_finalizer=True), world, NOW)
    assert (decision.action, decision.status) == (RemoveFinalizer(), what.status)
    assert decision.look_again == timedelta(0)


@pytest.mark.parametrize(("what", "world", "reason"), ROWS)
def test_a_message_at_rest_says_what_is_so_and_what_to_do(
    what: Subject, world: Observed, reason: Reason
) -> None:
    _, named, message = ready(decide(what, world, NOW))
    assert named == reason
    assert len(message) > 30
    assert message.endswith(".")
    assert "None" not in message


GATES: list[tuple[dict[str, Any], dict[str, Any], Reason]] = [
    ({"annotations": PROTECT}, {}, R.PROTECTED),
    ({"suspend": True}, {}, R.SUSPENDED),
    ({}, {"suspended": True}, R.ACCOUNT_SUSPENDED),
    ({"status": planned(spent=True)}, {}, R.PLAN_SPENT),
    ({}, {"failures_in_a_row": 3}, R.BRAKE_PULLED),
    ({}, {"first_sights": 20}, R.FIRST_SIGHT_LIMITED),
    ({}, {"under_way": 10}, R.AWAITING_SLOT),
]


@pytest.mark.parametrize("first", range(len(GATES)))
def test_of_several_gates_the_first_in_the_list_is_told(first: int) -> None:
    """What a person decided comes before what was tried, and that before what a limit says."""
    fields: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for given, limit, _ in reversed(GATES[first:]):
        fields |= given
        limits |= limit
    decision = decide(subject(**fields), seen(account=account(**limits)), NOW)
    assert decision.reason is GATES[first][2]


def test_a_spec_that_was_tried_or_found_right_before_is_no_first_sight() -> None:
    tried = HistoryEntry(plan_id="p1-old", result="Refused", started_at=NOW, ended_at=NOW)
    known = SystemDiskSpecStatus(history=(tried,))
    for what in (subject(known), settled(imageId="m-9")):
        world = seen(account=NEW_HERE, images=(image(), image("m-9")))
        assert decide(what, world, NOW).action == AddFinalizer()


def test_when_all_gates_are_open_the_finalizer_comes_first_and_then_the_intent() -> None:
    first = decide(subject(), seen(), NOW)
    assert (first.action, first.look_again) == (AddFinalizer(), timedelta(0))
    decision = decide(subject(has_finalizer=True), seen(), NOW)
    assert decision.action == StopInstance(VM, False, "KeepCharging")
    op = operation(decision)
    assert op.give_back_by is None
    assert (op.step, op.tries, op.was_running, op.stopped_by_us) == (Step.STOP, 1, True, True)
    assert (op.old_disk_id, op.from_image_id, op.outcome) == (OLD_DISK, OLD_IMAGE, Outcome.UNKNOWN)
    assert decision.status.plan is not None
    assert decision.status.plan.id == op.plan_id


def test_a_stopped_machine_is_replaced_at_once_and_has_a_deadline_too() -> None:
    decision = decide(subject(has_finalizer=True), seen("Stopped"), NOW)
    op = operation(decision)
    assert decision.action == ReplaceSystemDisk(VM, op.inputs, op.client_token)
    assert (op.step, op.was_running, op.stopped_by_us) == (Step.REPLACE, False, False)
    assert (op.first_try_at, op.give_back_by) == (NOW, at(minutes=10))


def test_a_forced_stop_is_forced_from_the_start() -> None:
    wanting = subject(has_finalizer=True, power={"forceStop": "Always"})
    assert decide(wanting, seen(), NOW).action == StopInstance(VM, True, "KeepCharging")


@pytest.mark.parametrize(
    ("missing", "look"),
    [
        ({"fresh": False}, Look(fresh=True, disks=DiskLook.ALL)),
        ({"data_disk_ids": None}, Look(disks=DiskLook.ALL)),
    ],
)
def test_nothing_begins_on_an_old_look(missing: dict[str, Any], look: Look) -> None:
    decision = decide(subject(has_finalizer=True), seen(**missing), NOW)
    assert decision.action == look


@pytest.mark.parametrize(
    ("what", "missing", "look"),
    [
        ({}, {"instance_seen": False, "instance": None}, Look(disks=DiskLook.KNOWN)),
        ({}, {"system_disks": None}, Look(disks=DiskLook.KNOWN)),
        ({"suspend": True}, {"data_disk_ids": None}, Look(disks=DiskLook.ALL)),
        ({}, {"images": ()}, Look(image=NEW_IMAGE)),
        (
            {"imageId": None, "imageFamily": "ubuntu"},
            {"family": None},
            Look(family="ubuntu"),
        ),
        ({"login": {"keyPairName": "new"}}, {}, Look(key_pair="new")),
        (
            {"login": {"passwordSecretRef": {"name": "pw", "key": "root"}}},
            {"secret": None},
            Look(secret=True),
        ),
        ({}, {"default_encryption": None}, Look(default_encryption=True)),
        ({}, {"snapshot_running": None}, Look(snapshot=True)),
    ],
)
def test_what_was_not_seen_is_looked_at_and_nothing_is_recorded(
    what: dict[str, Any], missing: dict[str, Any], look: Look
) -> None:
    wanting = subject(**what)
    decision = decide(wanting, seen(**missing), NOW)
    assert (decision.action, decision.status) == (look, wanting.status)


# -- not granted, not found, not ours ----------------------------------------------------------


def test_not_found_and_not_granted_read_the_same_and_show_nothing() -> None:
    before = after(subject(), decide(subject(suspend=True), seen(), NOW))
    gone = decide(before, seen(instance=None), at(1))
    hidden = decide(before, seen(account=account(grant=Grant())), at(1))
    assert gone.status == hidden.status
    shown = gone.status
    assert (shown.disk_id, shown.image_id, shown.size, shown.plan, shown.instance_status) == (
        None,
    ) * 5


@pytest.mark.parametrize("lost", [seen(instance=None), seen(account=account(grant=Grant()))])
@pytest.mark.parametrize(
    ("tried", "reason"),
    [({"spent": True}, R.PLAN_SPENT), ({"rounds": 1, "rest_until": at(hours=1)}, R.RESTING)],
)
def test_a_plan_that_was_tried_stays_so_when_the_instance_was_out_of_sight(
    lost: Observed, tried: dict[str, Any], reason: Reason
) -> None:
    tried_once = subject(planned(last_error=LastError(code="X", message="about m-2"), **tried))
    away = after(tried_once, decide(tried_once, lost, at(1)))
    assert "m-2" not in str(away.status.plan)
    assert decide(away, seen(), at(2)).reason is reason


OLDER, YOUNGER = NOW - timedelta(days=2), NOW


@pytest.mark.parametrize(
    ("claim", "owned"),
    [
        (Claim(OLDER, "u", "shop", "other"), True),
        (Claim(YOUNGER, "u", "shop", "other"), False),
        (Claim(YOUNGER, "u", "shop", "other", under_way=True), True),
        (Claim(subject().created_at, "uid-0", "shop", "other"), True),
        (Claim(subject().created_at, "uid-1", "shop", "web-1"), False),
        (Claim(subject().created_at, "uid-2", "shop", "other"), False),
    ],
)
def test_one_instance_has_one_owner(claim: Claim, owned: bool) -> None:
    decision = decide(subject(), seen(claims=(claim,)), NOW)
    assert (decision.reason is R.INSTANCE_OWNED) is owned


def test_the_oldest_of_many_claims_is_the_owner_and_named_only_at_home() -> None:
    first, second = Claim(OLDER, "u", "shop", "old"), Claim(YOUNGER, "v", "secret", "young")
    here = ready(decide(subject(), seen(claims=(second, first)), NOW))[2]
    assert "SystemDiskSpec old" in here
    away = replace(first, namespace="secret")
    there = ready(decide(subject(), seen(claims=(second, away)), NOW))[2]
    assert "an older SystemDiskSpec elsewhere" in there
    assert "secret" not in there


@pytest.mark.parametrize("power", ["Running", "Stopped"])
def test_the_same_inputs_give_the_same_intent_whenever_they_are_asked_for(power: str) -> None:
    what, now = subject(has_finalizer=True), at(hours=-5)
    decision = decide(what, seen(power), now)
    assert decide(what, seen(power), now) == decision
    op = operation(decision)
    assert (op.started_at, op.step_at, op.last_try_at) == (now, now, now)


# -- an account that is not ready --------------------------------------------------------------


def test_what_is_right_stays_so_while_the_account_is_not_ready() -> None:
    right = settled()
    decision = decide(right, seen(failure="no credentials"), at(1))
    assert (decision.status, decision.reason) == (right.status, R.UP_TO_DATE)
    edited = replace(right, generation=2)
    assert decide(edited, seen(failure="x"), at(1)).reason is R.ACCOUNT_NOT_READY


def test_a_reason_of_a_later_version_does_not_break_this_one() -> None:
    right = settled()
    strange = tuple(c.replace(reason="FromTheFuture") for c in right.status.conditions)
    right = replace(right, status=right.status.replace(conditions=strange))
    decision = decide(right, seen(failure="no credentials"), at(1))
    assert decision.status == right.status


def test_a_read_that_ecs_refuses_needs_a_person_also_where_all_was_right() -> None:
    denied = replace(error("Forbidden.RAM"), action="DescribeImages", advice="Ask for it.")
    for what in (subject(), settled()):
        decision = decide(what, seen(failure="Forbidden.RAM", refused=denied), at(1))
        assert (decision.action, decision.reason) == (Nothing(), R.READ_REFUSED)
        assert ready(decision)[0] == "False"
        assert ready(decision)[2].startswith("ECS refuses DescribeImages through EcsAccount ")
        assert "Ask for it. It is asked again" in ready(decision)[2]
    bare = replace(error("Forbidden.RAM"), advice="")
    said = ready(decide(subject(), seen(failure="x", refused=bare), at(1)))[2]
    assert said.startswith("ECS refuses a read through")
    assert "Ask an admin for it." in said


def test_an_account_that_works_is_not_blamed_for_an_answer_that_does_not_come() -> None:
    said = ready(decide(subject(), seen(failure="NoAnswer: lost"), at(1)))[2]
    assert said == (
        "ECS cannot be asked through EcsAccount default: NoAnswer: lost. It goes on by itself when "
        "ECS answers."
    )


@pytest.mark.parametrize("message", ["the keys are wrong", ""])
def test_an_account_that_is_not_ready_says_why_or_where_that_is_written(message: str) -> None:
    broken = account(state=AccountState.NOT_READY, message=message)
    said = ready(decide(subject(), seen(account=broken), at(1)))[2]
    assert f"default is not ready: {message or 'see its Ready condition'}. It goes on" in said


def test_failing_calls_are_not_written_one_by_one() -> None:
    first = decide(subject(), seen(failure="slow (request ID A)"), NOW)
    before = after(subject(), first)
    again = decide(before, seen(failure="slow (request ID B)"), at(60))
    assert again.status == before.status
    assert decide(before, seen(failure="other"), at(60)).status != before.status


# -- policies, stray stops ---------------------------------------------------------------------


def test_what_an_account_requires_is_not_left_out() -> None:
    strict = replace(subject(), require=Require(approval=Approval.MANUAL))
    decision = decide(strict, seen(), NOW)
    assert decision.action == Nothing()
    assert ready(decision)[0] == "False"


def stray() -> tuple[Subject, Operation]:
    """Return a subject whose operation another process ended, and the stop that we had sent."""
    begun, _ = opened(subject())
    sent = operation(begun)
    done = subject(SystemDiskSpecStatus(plan=Plan(id="p1-next", made_at=NOW, spent=True)))
    return replace(done, status=stray_stop(done.status, sent)), sent


def test_a_stop_that_comes_true_outside_any_operation_is_followed_by_a_start() -> None:
    owed, sent = stray()
    waiting = decide(owed, replaced("Running"), at(5))
    assert (waiting.action, waiting.reason) == (Nothing(), R.GIVING_BACK)
    decision = decide(owed, replaced("Stopped"), at(5))
    op = operation(decision)
    assert (type(decision.action).__name__, op.plan_id) == ("StartInstance", sent.plan_id)


def test_a_stray_stop_that_never_came_true_leaves_the_present_plan_alone() -> None:
    owed, _ = stray()
    over = decide(owed, replaced("Running"), at(60))
    assert over.status.operation is None
    assert over.status.history[-1].result == "StrayStop"
    lost = decide(owed, seen(instance=vm(image_id="m-0")), at(60))
    assert lost.status.operation is None
