"""An operation under way: every situation has one next step; the way out leads through Start."""

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
    subject,
    under_way,
    with_op,
)

from sysdisk.api.meta import ANNOTATION_PROTECT, ANNOTATION_SUSPEND
from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome, Step, SystemDiskSpecStatus
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    Action,
    ApplyAutoSnapshotPolicy,
    DiskLook,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import last_error, next_attempt
from sysdisk.core.world import AccountState, Grant, Observed, SecretLook, SecretState

Kind = type[Action]
R = Reason


def check(
    before: Subject, world: Observed, now: datetime, kind: Kind, reason: Reason, step: Step | None
) -> None:
    decision = decide(before, world, now)
    op = decision.status.operation
    found = (type(decision.action), decision.reason, op.step if op else None)
    assert found == (kind, reason, step)


# -- Stop -------------------------------------------------------------------------------------

STOP_ROWS: list[tuple[str, dict[str, Any], float, Kind, Reason, Step]] = [
    ("Running", {}, 1, Nothing, R.STOPPING, Step.STOP),
    ("Running", {}, 30, StopInstance, R.STOPPING, Step.STOP),
    ("Running", {"last_try_at": None}, 1, StopInstance, R.STOPPING, Step.STOP),
    ("Running", {"outcome": Outcome.REFUSED}, 2, StopInstance, R.STOPPING, Step.STOP),
    ("Stopping", {}, 60, Nothing, R.STOPPING, Step.STOP),
    ("Starting", {}, 60, Nothing, R.STOPPING, Step.STOP),
    ("Stopped", {}, 1, ReplaceSystemDisk, R.REPLACING, Step.REPLACE),
    ("Stopped", {"ending": "Suspended"}, 1, StartInstance, R.GIVING_BACK, Step.START),
    ("Stopping", {}, 300, Nothing, R.GIVING_BACK, Step.STOP),
    ("Running", {"last_try_at": at(290)}, 300, Nothing, R.GIVING_BACK, Step.STOP),
    ("Strange", {}, 1, Nothing, R.INSTANCE_NOT_UNDERSTOOD, Step.STOP),
]


@pytest.mark.parametrize(("power", "op", "seconds", "kind", "reason", "step"), STOP_ROWS)
def test_a_stop_leads_to_a_replacement_or_back(
    power: str, op: dict[str, Any], seconds: float, kind: Kind, reason: Reason, step: Step
) -> None:
    check(under_way(**op), seen(power), at(seconds), kind, reason, step)


@pytest.mark.parametrize(
    ("policy", "seconds", "power", "action"),
    [
        ("Never", 31, "Running", StopInstance(VM, False, "KeepCharging")),
        ("Never", 301, "Stopping", Nothing()),
        ("AfterTimeout", 31, "Running", StopInstance(VM, False, "KeepCharging")),
        ("AfterTimeout", 299, "Stopping", Nothing()),
        ("AfterTimeout", 300, "Stopping", StopInstance(VM, True, "KeepCharging")),
        ("AfterTimeout", 300, "Running", StopInstance(VM, True, "KeepCharging")),
        ("AfterTimeout", 600, "Stopping", Nothing()),
        ("Always", 31, "Running", StopInstance(VM, True, "KeepCharging")),
        ("Always", 300, "Stopping", Nothing()),
    ],
)
def test_a_stop_is_forced_as_the_policy_says_and_has_an_end(
    policy: str, seconds: float, power: str, action: Action
) -> None:
    wanting = subject(power={"forceStop": policy})
    assert decide(under_way(wanting=wanting), seen(power), at(seconds)).action == action


def test_the_stopped_mode_is_the_frozen_one() -> None:
    begun = under_way(wanting=subject(power={"stoppedMode": "StopCharging"}))
    begun = replace(begun, spec=subject().spec)
    action = decide(begun, seen(), at(31)).action
    assert action == StopInstance(VM, False, "StopCharging")


def test_each_stop_raises_the_tries_and_is_recorded_as_unknown_before_it_is_sent() -> None:
    begun = under_way(outcome=Outcome.ACCEPTED)
    op = operation(decide(begun, seen(), at(30)))
    assert (op.tries, op.outcome, op.last_try_at) == (2, Outcome.UNKNOWN, at(30))


def test_a_stop_that_timed_out_is_over_when_the_machine_is_seen_running_for_good() -> None:
    begun = under_way(last_try_at=at(290))
    waiting = decide(begun, seen(), at(300))
    assert operation(waiting).ending == "StopTimedOut"
    over = decide(after(begun, waiting), seen(), at(350))
    assert isinstance(over.action, RemoveFinalizer)
    assert over.status.history[-1].result == "StopTimedOut"


def test_a_stop_that_timed_out_and_came_true_later_is_followed_by_a_start() -> None:
    begun = under_way(ending="StopTimedOut")
    assert decide(begun, seen("Stopped"), at(400)).action == StartInstance(VM)


def test_a_stop_that_was_never_sent_is_undone_at_once() -> None:
    begun = replace(under_way(outcome=None, last_try_at=None), deleting=True)
    decision = decide(begun, seen(), at(1))
    assert decision.status.operation is None
    assert decision.status.history[-1].result == "Deleted"


# -- Replace ----------------------------------------------------------------------------------

QUIET: dict[str, Any] = {
    "outcome": Outcome.UNKNOWN,
    "first_try_at": NOW,
    "last_try_at": NOW,
    "tries": 1,
}
MISMATCH = last_error(error("IdempotentParameterMismatch"))
BUSY = last_error(error("IncorrectDiskStatus", "wait"))

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


# -- the login Secret -------------------------------------------------------------------------

LOGIN: dict[str, Any] = {"passwordSecretRef": {"name": "pw", "key": "root"}}
WITH_SECRET = subject(login=LOGIN)
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


# -- changes of mind --------------------------------------------------------------------------

MINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Deleted", {"deleting": True}, {}),
    ("Protected", {"annotations": {ANNOTATION_PROTECT: "true"}}, {}),
    ("Suspended", {"annotations": {ANNOTATION_SUSPEND: "true"}}, {}),
    ("Suspended", {"spec": subject(suspend=True).spec}, {}),
    ("GrantRevoked", {}, {"account": account(grant=Grant())}),
    ("GrantRevoked", {}, {"account": account(state=AccountState.NOT_GRANTED)}),
    ("GrantRevoked", {}, {"account": None}),
    ("AccountSuspended", {}, {"account": account(suspended=True)}),
    ("SpecChanged", {"spec": subject(imageId="m-3").spec}, {}),
    ("SpecChanged", {"spec": subject(size=80).spec}, {}),
    ("SpecChanged", {"spec": subject(accountRef={"name": "other"}).spec}, {}),
    ("SpecChanged", {"spec": subject(login={"keyPairName": "ops"}).spec}, {}),
    ("SpecChanged", {"spec": subject(encryption={"enabled": True}).spec}, {}),
    ("SpecChanged", {"spec": subject(useAdditionalService=True).spec}, {}),
    ("SpecChanged", {"spec": subject(securityEnhancementStrategy="Active").spec}, {}),
    ("SpecChanged", {"spec": subject(advanced={"platform": "CentOS"}).spec}, {}),
]


@pytest.mark.parametrize(("word", "change", "world"), MINDS)
def test_a_change_of_mind_before_the_first_request_ends_by_start(
    word: str, change: dict[str, Any], world: dict[str, Any]
) -> None:
    for begun in (under_way(), under_way(Step.REPLACE)):
        decision = decide(replace(begun, **change), seen("Stopped", **world), at(5))
        assert (decision.action, operation(decision).ending) == (StartInstance(VM), word)


@pytest.mark.parametrize(("word", "change", "world"), MINDS)
def test_a_change_of_mind_while_stopping_waits_until_the_stop_is_settled(
    word: str, change: dict[str, Any], world: dict[str, Any]
) -> None:
    begun = replace(under_way(), **change)
    for power in ("Running", "Stopping"):
        decision = decide(begun, seen(power, **world), at(59))
        assert (decision.action, operation(decision).ending) == (Nothing(), word)
    over = decide(begun, seen(**world), at(60))
    assert (over.status.operation, over.status.history[-1].result) == (None, word)


@pytest.mark.parametrize(("word", "change", "world"), MINDS)
def test_a_change_of_mind_after_the_first_request_is_carried_out_as_frozen(
    word: str, change: dict[str, Any], world: dict[str, Any]
) -> None:
    begun = replace(under_way(Step.REPLACE, **QUIET), **change)
    waiting = decide(begun, seen("Stopped", locks=LOCKED, **world), at(60))
    assert (waiting.reason, operation(waiting).ending) == (R.OUTCOME_UNKNOWN, None), word
    done = decide(begun, replaced(**world), at(60))
    assert (done.action, operation(done).new_disk_id) == (StartInstance(VM), NEW_DISK)


def test_a_change_of_mind_that_is_taken_back_does_not_bring_the_operation_back() -> None:
    begun = under_way(ending="Suspended")
    assert decide(begun, seen("Stopped"), at(5)).action == StartInstance(VM)


BENIGN: list[dict[str, Any]] = [
    {"power": {"stopTimeout": "1m"}},
    {"driftPolicy": "Reconcile"},
    {"backup": {"enabled": True}},
    {"approval": "Manual"},
    {"login": {}},
]


@pytest.mark.parametrize("change", BENIGN)
def test_an_edit_that_asks_for_nothing_else_does_not_end_the_operation(
    change: dict[str, Any],
) -> None:
    begun = replace(under_way(Step.REPLACE), spec=subject(**change).spec, generation=2)
    assert isinstance(decide(begun, seen("Stopped"), at(5)).action, ReplaceSystemDisk)


@pytest.mark.parametrize(
    ("login", "same"),
    [
        ({"passwordSecretRef": {"name": "pw", "key": "root"}}, True),
        ({"passwordSecretRef": {"name": "pw", "key": "admin"}}, False),
        ({"passwordInherit": True}, False),
    ],
)
def test_another_login_is_another_wish(login: dict[str, Any], same: bool) -> None:
    begun = replace(under_way(Step.REPLACE, wanting=WITH_SECRET), spec=subject(login=login).spec)
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk) is same


def test_a_kept_key_pair_is_no_change_of_the_declared_login() -> None:
    begun = under_way(Step.REPLACE, world=seen(key_pair_name="ops"))
    assert operation(begun).inputs.key_pair_name == "ops"
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk)


@pytest.mark.parametrize(
    ("now_set", "kind"), [("a", ReplaceSystemDisk), ("b", StartInstance), (None, StartInstance)]
)
def test_a_trigger_is_wanted_as_long_as_it_is_set(now_set: str | None, kind: Kind) -> None:
    base = SystemDiskSpecStatus(triggers=("",))
    begun = under_way(Step.REPLACE, wanting=subject(base, replaceTrigger="a"))
    begun = replace(begun, spec=subject(replaceTrigger=now_set).spec)
    assert isinstance(decide(begun, seen("Stopped"), at(5)).action, kind)


def test_another_family_or_a_new_trigger_for_it_is_a_change_of_mind() -> None:
    family: dict[str, Any] = {"imageId": None, "imageFamily": "ubuntu"}
    wanting = subject(SystemDiskSpecStatus(triggers=("",)), **family)
    wanting = after(wanting, decide(wanting, seen(), NOW))
    begun = under_way(Step.REPLACE, wanting=wanting)
    stopped = seen("Stopped", family=None)
    assert isinstance(decide(begun, stopped, at(5)).action, ReplaceSystemDisk)
    changes: list[dict[str, Any]] = [{"imageFamily": "debian"}, {"replaceTrigger": "b"}]
    for change in changes:
        changed = replace(begun, spec=subject(**{**family, **change}).spec)
        assert operation(decide(changed, stopped, at(5))).ending == "SpecChanged"


# -- Verify -----------------------------------------------------------------------------------

VERIFY_ROWS: list[tuple[Observed, float, Kind, Reason, Step]] = [
    (seen("Stopped"), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (seen("Stopped", locks=LOCKED), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (seen("Stopped", system_disks=None), 5, Look, R.STOPPING, Step.VERIFY),
    (seen("Stopped", system_disks=(disk(), disk(NEW_DISK))), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (replaced(locks=LOCKED), 5, Nothing, R.VERIFYING, Step.VERIFY),
    (replaced(system_disks=(disk(NEW_DISK, status="Creating"),)), 5, Nothing, R.VERIFYING,
     Step.VERIFY),
    (replaced(), 5, StartInstance, R.STARTING, Step.START),
    (replaced("Strange"), 5, Nothing, R.STARTING, Step.START),
    (replaced(locks=SECURITY), 5, Nothing, R.MACHINE_LEFT_STOPPED, Step.VERIFY),
    (replaced(locks=LOCKED), 900, StartInstance, R.STARTING, Step.START),
    (seen("Stopped", locks=LOCKED), 900, Nothing, R.VERIFY_OVERDUE, Step.VERIFY),
    (seen("Stopped", system_disks=()), 900, Nothing, R.VERIFY_OVERDUE, Step.VERIFY),
    (seen("Stopped"), 900, StartInstance, R.GIVING_BACK, Step.START),
]  # fmt: skip


@pytest.mark.parametrize(("world", "seconds", "kind", "reason", "step"), VERIFY_ROWS)
def test_a_replacement_is_verified_before_the_machine_is_started(
    world: Observed, seconds: float, kind: Kind, reason: Reason, step: Step
) -> None:
    check(under_way(Step.VERIFY), world, at(seconds), kind, reason, step)


def test_a_lock_on_a_machine_that_was_stopped_before_holds_it_without_an_alarm() -> None:
    begun = under_way(Step.VERIFY, world=seen("Stopped"))
    assert decide(begun, replaced(locks=SECURITY), at(5)).reason is R.OPERATION_LOCKED


def test_an_accepted_request_that_ended_without_a_new_disk_is_a_refusal() -> None:
    begun = under_way(Step.VERIFY)
    back = after(begun, decide(begun, seen("Stopped"), at(900)))
    over = decide(back, seen(), at(960))
    assert over.status.history[-1].result == "EndedWithoutNewDisk"
    assert over.status.history[-1].new_disk_id is None
    assert over.status.plan is not None
    assert (over.status.plan.spent, over.status.settled) == (True, None)


# -- Start ------------------------------------------------------------------------------------

NO_STOCK = last_error(error("OperationDenied.NoStock", "wait"))
RACE = last_error(error("IncorrectInstanceStatus", "wait"))
FLAKY = last_error(error("InternalError", "retry"))
REFUSED: dict[str, Any] = {"outcome": Outcome.REFUSED, "last_try_at": NOW}
GIVEN: dict[str, Any] = {"ending": "Refused", "new_disk_id": None}

START_ROWS: list[tuple[dict[str, Any], str, float, Kind, Reason]] = [
    ({}, "Stopped", 5, StartInstance, R.STARTING),
    ({}, "Starting", 5, Nothing, R.STARTING),
    ({}, "Pending", 601, Nothing, R.MACHINE_LEFT_STOPPED),
    ({}, "Strange", 5, Nothing, R.STARTING),
    (GIVEN, "Stopped", 5, StartInstance, R.GIVING_BACK),
    (GIVEN, "Starting", 5, Nothing, R.GIVING_BACK),
    ({"outcome": Outcome.ACCEPTED, "last_try_at": NOW, "tries": 1}, "Stopped", 29, Nothing,
     R.STARTING),
    ({"outcome": Outcome.ACCEPTED, "last_try_at": NOW, "tries": 1}, "Stopped", 30, StartInstance,
     R.STARTING),
    ({"outcome": Outcome.UNKNOWN, "last_try_at": NOW, "tries": 1}, "Stopped", 4, Nothing,
     R.STARTING),
    ({"outcome": Outcome.UNKNOWN, "last_try_at": NOW, "tries": 1}, "Stopped", 5, StartInstance,
     R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": RACE}, "Stopped", 1, Nothing, R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": RACE}, "Stopped", 2, StartInstance, R.STARTING),
    ({**REFUSED, "tries": 2, "last_error": FLAKY}, "Stopped", 4, StartInstance, R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": NO_STOCK}, "Stopped", 14, Nothing, R.STARTING),
    ({**REFUSED, "tries": 1, "last_error": NO_STOCK}, "Stopped", 15, StartInstance, R.STARTING),
    ({**REFUSED, "tries": 2, "last_error": NO_STOCK}, "Stopped", 29, Nothing,
     R.MACHINE_LEFT_STOPPED),
]  # fmt: skip


@pytest.mark.parametrize(("op", "power", "seconds", "kind", "reason"), START_ROWS)
def test_a_machine_is_started_until_it_runs(
    op: dict[str, Any], power: str, seconds: float, kind: Kind, reason: Reason
) -> None:
    check(under_way(Step.START, **op), replaced(power), at(seconds), kind, reason, Step.START)


def test_the_error_that_ended_an_operation_is_no_alarm_about_its_start() -> None:
    unpaid = last_error(error("INST_HAS_UNPAID_ORDER"))
    given: dict[str, Any] = {**GIVEN, "outcome": Outcome.ACCEPTED, "tries": 2, "last_error": unpaid}
    decision = decide(under_way(Step.START, **given), seen("Stopped"), at(5))
    assert decision.reason is R.GIVING_BACK


@pytest.mark.parametrize(
    ("policy", "was", "starts"),
    [
        ("IfItWasRunning", "Running", True),
        ("IfItWasRunning", "Stopped", False),
        ("Always", "Running", True),
        ("Always", "Stopped", True),
        ("Never", "Running", False),
        ("Never", "Stopped", False),
    ],
)
def test_after_a_replacement_the_machine_is_started_as_asked(
    policy: str, was: str, starts: bool
) -> None:
    begun = under_way(Step.VERIFY, wanting=subject(power={"startAfter": policy}), world=seen(was))
    decision = decide(begun, replaced(), at(5))
    assert isinstance(decision.action, StartInstance) is starts


@pytest.mark.parametrize("policy", ["IfItWasRunning", "Always", "Never"])
@pytest.mark.parametrize("was", ["Running", "Stopped"])
def test_without_a_replacement_the_machine_gets_back_the_power_that_it_had(
    policy: str, was: str
) -> None:
    wanting = subject(power={"startAfter": policy})
    begun = under_way(Step.REPLACE, wanting=wanting, world=seen(was), ending="Refused")
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, StartInstance) is (was == "Running")


def test_a_machine_that_we_stopped_is_started_without_a_grant() -> None:
    revoked = replaced(account=account(state=AccountState.NOT_GRANTED))
    assert decide(under_way(Step.START), revoked, at(5)).action == StartInstance(VM)


def test_a_machine_that_we_did_not_stop_is_not_started_without_a_grant() -> None:
    wanting = subject(power={"startAfter": "Always"})
    begun = under_way(Step.START, wanting=wanting, world=seen("Stopped"))
    revoked = replaced(account=account(state=AccountState.NOT_GRANTED))
    assert isinstance(decide(begun, revoked, at(5)).action, RemoveFinalizer)


# -- Finish -----------------------------------------------------------------------------------


def with_policy() -> Observed:
    return seen(system_disks=(disk(auto_snapshot_policy_id="sp-1"),))


def test_the_automatic_snapshot_policy_is_put_back_on_the_new_disk() -> None:
    begun = under_way(Step.START, world=with_policy())
    decision = decide(begun, replaced("Running"), at(5))
    assert decision.action == ApplyAutoSnapshotPolicy(NEW_DISK, "sp-1")
    assert (decision.reason, operation(decision).step) == (R.FINISHING, Step.FINISH)


@pytest.mark.parametrize(("seconds", "kind"), [(1, Nothing), (2, ApplyAutoSnapshotPolicy)])
def test_putting_the_policy_back_is_repeated_with_pauses(seconds: float, kind: Kind) -> None:
    begun = under_way(Step.FINISH, world=with_policy(), tries=1, last_try_at=NOW)
    check(begun, replaced("Running"), at(seconds), kind, R.FINISHING, Step.FINISH)


def test_the_policy_is_not_put_back_without_a_grant() -> None:
    begun = under_way(Step.FINISH, world=with_policy())
    revoked = replaced("Running", account=account(state=AccountState.NOT_GRANTED))
    assert isinstance(decide(begun, revoked, at(5)).action, RemoveFinalizer)


def test_a_machine_that_keeps_its_disk_keeps_its_policy_too() -> None:
    begun = under_way(Step.START, world=with_policy(), **GIVEN)
    assert isinstance(decide(begun, seen(), at(5)).action, RemoveFinalizer)


def test_an_operation_looks_at_the_disks_before_it_ends() -> None:
    decision = decide(under_way(Step.START), replaced("Running", system_disks=None), at(5))
    assert decision.action == Look(fresh=True, disks=DiskLook.KNOWN)


# -- what stands in the way of any step ---------------------------------------------------------


@pytest.mark.parametrize("step", list(Step))
def test_every_step_asks_for_a_fresh_look_first(step: Step) -> None:
    decision = decide(under_way(step), seen(fresh=False), at(1))
    assert isinstance(decision.action, Look)
    assert decision.action.fresh
    assert decision.status == under_way(step).status


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
    decision = decide(begun, lost, at(90))
    assert (decision.action, decision.reason) == (Nothing(), R.MACHINE_LEFT_STOPPED)
    assert decision.events[-1].warning
    later = decide(after(begun, decision), seen(failure="no credentials (request ID B)"), at(200))
    assert later.status == after(begun, decision).status


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


# -- a clock that was set back --------------------------------------------------------------------

AHEAD: dict[str, Any] = {"step_at": at(hours=5), "last_try_at": at(hours=5), "tries": 1}


@pytest.mark.parametrize(
    ("step", "fields", "world", "action"),
    [
        (Step.STOP, AHEAD, seen(), StopInstance),
        (Step.REPLACE, {**AHEAD, "outcome": Outcome.REFUSED}, seen("Stopped"), ReplaceSystemDisk),
        (
            Step.REPLACE,
            {**AHEAD, "outcome": Outcome.UNKNOWN, "first_try_at": at(hours=5)},
            seen("Stopped"),
            ReplaceSystemDisk,
        ),
        (Step.START, {**AHEAD, "outcome": Outcome.ACCEPTED}, replaced(), StartInstance),
    ],
)
def test_nothing_waits_for_a_clock_that_was_set_back_to_catch_up(
    step: Step, fields: dict[str, Any], world: Observed, action: Kind
) -> None:
    decision = decide(under_way(step, **fields), world, at(5))
    assert isinstance(decision.action, action)
    assert operation(decision).last_try_at == at(5)


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
