"""A spec at rest: may we, is it there, is it ours, is it right already, may it begin."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import (
    LOCKED,
    NEW_DISK,
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    SECURITY,
    VM,
    account,
    after,
    at,
    disk,
    opened,
    operation,
    ready,
    replaced,
    seen,
    stored,
    subject,
    vm,
)

from sysdisk.api.account import Require
from sysdisk.api.meta import (
    ANNOTATION_PROTECT,
    ANNOTATION_REPLACE,
    ANNOTATION_RETRY,
    ANNOTATION_SUSPEND,
)
from sysdisk.api.policy import Approval
from sysdisk.api.reasons import Reason, Standing, standing
from sysdisk.api.status import (
    HistoryEntry,
    LastError,
    Operation,
    Outcome,
    Plan,
    Settled,
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
from sysdisk.core.world import AccountState, Claim, Family, Grant, Lock, Observed

R = Reason
NO_ACCOUNT = account(state=AccountState.MISSING)
PLAN = decide(subject(), seen(), NOW)


def planned(**fields: Any) -> SystemDiskSpecStatus:
    """Return a status that holds the plan of `subject()` in the world of `seen()`."""
    held = decide(subject(suspend=True), seen(), NOW).status.plan
    assert held is not None
    return SystemDiskSpecStatus(plan=held.replace(**fields))


PROTECT = {ANNOTATION_PROTECT: "true"}
SUSPEND = {ANNOTATION_SUSPEND: "true"}
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


def test_when_all_gates_are_open_the_finalizer_comes_first_and_then_the_intent() -> None:
    assert decide(subject(), seen(), NOW).action == AddFinalizer()
    decision = decide(subject(has_finalizer=True), seen(), NOW)
    assert decision.action == StopInstance(VM, False, "KeepCharging")
    op = operation(decision)
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


@pytest.mark.parametrize("missing", [{"fresh": False}, {"data_disk_ids": None}])
def test_nothing_begins_on_an_old_look(missing: dict[str, Any]) -> None:
    decision = decide(subject(has_finalizer=True), seen(**missing), NOW)
    assert isinstance(decision.action, Look)
    assert decision.action.disks is DiskLook.ALL


@pytest.mark.parametrize(
    ("what", "missing", "look"),
    [
        ({}, {"instance_seen": False, "instance": None}, Look(disks=DiskLook.KNOWN)),
        ({}, {"system_disks": None}, Look(disks=DiskLook.KNOWN)),
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


# -- not granted, not found, not ours -----------------------------------------------------------


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


# -- right already, drift, login -----------------------------------------------------------------


def settled(**fields: Any) -> Subject:
    """Return a subject that was found right, with `fields` of its spec changed since."""
    begun = subject()
    return replace(subject(**fields), status=stored(decide(begun, replaced("Running"), NOW).status))


def test_a_machine_that_matches_is_settled_once() -> None:
    right = settled()
    assert right.status.settled is not None
    assert decide(right, replaced("Running"), at(hours=5)).status == right.status


@pytest.mark.parametrize(
    ("policy", "reason", "stands"),
    [
        ("Report", R.DRIFTED, "True"),
        ("Ignore", R.UP_TO_DATE, "True"),
        ("Reconcile", R.SUSPENDED, "False"),
    ],
)
def test_drift_is_treated_as_the_policy_says(policy: str, reason: Reason, stands: str) -> None:
    drifted = settled(driftPolicy=policy, suspend=True)
    decision = decide(drifted, seen(), at(1))
    assert (decision.reason, ready(decision)[0]) == (reason, stands)
    shown = decision.status.condition("Drifted")
    assert (shown is not None) is (policy != "Ignore")


def test_drift_is_replaced_under_reconcile() -> None:
    begun, decision = opened(settled(driftPolicy="Reconcile"))
    assert isinstance(decision.action, StopInstance)
    assert begun.status.condition("Drifted") is not None


def test_what_differs_after_its_own_replacement_is_not_replaced_for_ever() -> None:
    was = settled(driftPolicy="Reconcile")
    assert was.status.settled is not None
    differs = was.status.settled.replace(differs=True)
    decision = decide(replace(was, status=was.status.replace(settled=differs)), seen(), at(1))
    assert (decision.reason, decision.action) == (R.DRIFTED, Nothing())
    assert "not tried again" in ready(decision)[2]


def test_a_new_wish_is_a_plan_and_not_drift() -> None:
    decision = decide(settled(imageId=OLD_IMAGE), replaced("Running"), at(1))
    assert decision.action == AddFinalizer()


def test_a_trigger_overrules_the_drift_policy() -> None:
    asked = replace(settled(driftPolicy="Ignore"), annotations={ANNOTATION_REPLACE: "now"})
    assert decide(asked, seen(), at(1)).action == AddFinalizer()


def test_a_changed_login_waits_for_the_next_replacement() -> None:
    changed = settled(login={"passwordInherit": True})
    decision = decide(changed, replaced("Running"), at(1))
    assert (decision.reason, ready(decision)[0]) == (R.LOGIN_PENDING, "True")


def test_a_record_without_a_login_is_no_reason_to_wait_for_one() -> None:
    was = settled()
    assert was.status.settled is not None
    bare = Settled(inputs=was.status.settled.inputs, at=NOW)
    right = replace(was, status=was.status.replace(settled=bare))
    assert decide(right, replaced("Running"), at(1)).reason is R.UP_TO_DATE


def test_an_instance_without_a_system_disk_is_told_and_left_alone() -> None:
    decision = decide(subject(), seen(system_disks=()), NOW)
    assert (decision.action, standing(decision.reason)) == (Nothing(), Standing.STUCK)


def test_the_first_disk_seen_has_no_predecessor_and_the_next_one_has() -> None:
    first = after(subject(), decide(subject(suspend=True), seen(), NOW))
    assert (first.status.disk_id, first.status.previous_disk_id) == (OLD_DISK, None)
    second = decide(first, replaced("Running"), at(1))
    assert (second.status.disk_id, second.status.previous_disk_id) == (NEW_DISK, OLD_DISK)


# -- families -------------------------------------------------------------------------------------

FAMILY: dict[str, Any] = {"imageId": None, "imageFamily": "ubuntu"}


def pinned(**fields: Any) -> Subject:
    wanting = subject(**{**FAMILY, **fields})
    return after(wanting, decide(wanting, seen(), NOW))


def test_a_family_is_resolved_once_and_a_newer_member_is_told() -> None:
    assert pinned().status.resolved_image_id == NEW_IMAGE
    decision = decide(pinned(), replaced("Running", family=Family("ubuntu", "m-9")), at(1))
    assert decision.reason is R.UP_TO_DATE
    assert "NewerImageInFamily" in ready(decision)[2]
    assert decision.status.resolved_image_id == NEW_IMAGE


def test_the_present_member_of_a_family_is_looked_at_where_all_is_right() -> None:
    decision = decide(pinned(), replaced("Running", family=None), at(1))
    assert decision.action == Look(family="ubuntu")


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"suspend": True}, False),
        ({"power": {"stopTimeout": "1m"}}, False),
        ({"imageFamily": "debian"}, True),
        ({"size": 80}, True),
        ({"replaceTrigger": "b"}, True),
    ],
)
def test_a_family_is_resolved_anew_where_something_new_is_asked_for(
    change: dict[str, Any], anew: bool
) -> None:
    edited = replace(pinned(), spec=subject(**{**FAMILY, **change}).spec, generation=2)
    decision = decide(edited, replaced("Running", family=Family("x", "m-9")), at(1))
    assert (decision.status.resolved_image_id == "m-9") is anew


# -- retry, rest, refusal -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "tried", [{"spent": True}, {"rounds": 1, "rest_until": at(hours=1)}, {"rounds": 3}]
)
def test_a_retry_names_the_plan_that_may_be_tried_once_more(tried: dict[str, Any]) -> None:
    status = planned(**tried)
    assert status.plan is not None
    for named, begins in ((status.plan.id, True), ("p1-other", False)):
        asked = subject(status, annotations={ANNOTATION_RETRY: named})
        decision = decide(asked, seen(), at(1))
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
    assert ".." not in message
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


def test_an_order_is_used_up_although_the_finalizer_is_on_already() -> None:
    status = planned(spent=True)
    assert status.plan is not None
    asked = subject(status, annotations={ANNOTATION_RETRY: status.plan.id}, has_finalizer=True)
    assert decide(asked, seen(), NOW).action == AddFinalizer()
    taken = decide(replace(asked, orders_taken=True), seen(), NOW)
    assert isinstance(taken.action, StopInstance)
    bare = subject(planned(), has_finalizer=True)
    assert isinstance(decide(bare, seen(), NOW).action, StopInstance)


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


# -- an account that is not ready -----------------------------------------------------------------


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


def test_failing_calls_are_not_written_one_by_one() -> None:
    first = decide(subject(), seen(failure="slow (request ID A)"), NOW)
    before = after(subject(), first)
    again = decide(before, seen(failure="slow (request ID B)"), at(60))
    assert again.status == before.status
    assert decide(before, seen(failure="other"), at(60)).status != before.status


# -- policies, stray stops ----------------------------------------------------


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
