"""The backup: finished before the machine is touched, or nothing happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from tests.support.builders import (
    NOW,
    OLD_DISK,
    REQUEST,
    account,
    after,
    at,
    disk,
    error,
    image,
    opened,
    operation,
    ready,
    refused,
    replaced,
    seen,
    subject,
    under_way,
    unknown,
    with_op,
)

from sysdisk.api.account import Defaults, Require
from sysdisk.api.meta import ANNOTATION_SUSPEND
from sysdisk.api.policy import Approval, Backup
from sysdisk.api.reasons import Reason
from sysdisk.api.status import Operation, Outcome, PlanPolicy, Step
from sysdisk.core.answers import Accepted, Answer, NotSent
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    CreateSnapshot,
    Decision,
    DiskLook,
    Key,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import is_news, last_error, learn
from sysdisk.core.policy import backup_lines
from sysdisk.core.tell import tell
from sysdisk.core.world import Grant, Observed, Snapshot

SNAPSHOT = "s-1"
NOON = {"schedule": "0 12 * * *", "duration": "2h"}
TAKEN = Accepted(REQUEST, snapshot_id=SNAPSHOT)
LOWER: tuple[dict[str, Any], ...] = (
    {},
    {"enabled": False},
    {"enabled": False, "retentionDays": 1},
    {"retentionDays": 1},
)


def wanting(**fields: Any) -> Subject:
    return subject(**{"backup": {"enabled": True, "retentionDays": 3}, **fields})


def begun(world: Observed | None = None, **fields: Any) -> tuple[Subject, Decision]:
    return opened(wanting(**fields), world)


def saving(status: str = "progressing", **fields: Any) -> tuple[Subject, Observed]:
    """Return an operation whose snapshot was accepted, and the world that shows it so."""
    start, _ = begun(**fields)
    op = operation(start).replace(
        snapshot_id=SNAPSHOT, outcome=Outcome.ACCEPTED, outcome_at=NOW, last_error=None
    )
    return with_op(start, op), seen(backup=Snapshot(SNAPSHOT, status, "42%"))


def learned(answer: Answer, now: datetime = NOW, **fields: Any) -> Operation:
    """Return the operation after `answer` to its first CreateSnapshot, with `fields` before."""
    start, decision = begun()
    action, intent = decision.action, operation(decision).replace(**fields)
    assert isinstance(action, CreateSnapshot)
    before = intent.replace(outcome=None, first_try_at=None, last_try_at=None)
    return learn(before, intent, action, start.spec.instance_id, answer, now)


def condition(decision: Decision) -> tuple[str, str] | None:
    found = decision.status.condition("BackedUp")
    return (found.status.value, found.reason) if found else None


def result(decision: Decision) -> str:
    """Return how the operation ended; it must have, with the machine left alone."""
    assert isinstance(decision.action, RemoveFinalizer), decision
    assert decision.status.operation is None
    return decision.status.history[-1].result


# -- the beginning ----------------------------------------------------------------------------


def test_the_first_write_is_a_snapshot_of_the_old_disk_with_a_token_on_record() -> None:
    _, decision = begun()
    op, action = operation(decision), decision.action
    assert isinstance(action, CreateSnapshot)
    assert (action.disk_id, action.token, action.days) == (OLD_DISK, op.snapshot_token, 3)
    assert (op.step, op.tries, op.outcome) == (Step.BACKUP, 1, Outcome.UNKNOWN)
    assert not op.stopped_by_us
    assert decision.reason is Reason.BACKING_UP
    assert condition(decision) == ("False", "BackingUp")
    text = ready(decision)[2]
    assert "Asking for a snapshot" in text
    assert "It has to be finished by 2026-03-01T13:00:00Z." in text


def test_a_person_finds_the_snapshot_by_spec_plan_and_time() -> None:
    _, decision = begun()
    action = decision.action
    assert isinstance(action, CreateSnapshot)
    assert dict(action.tags) == {
        "sysdisk.dev/spec": "shop/web-1",
        "sysdisk.dev/plan": operation(decision).plan_id,
        "sysdisk.dev/begun": "2026-03-01T12:00:00Z",
    }
    assert action.name == "sysdisk-shop-web-1"


def test_the_longest_names_fit_what_ecs_takes_and_stay_apart() -> None:
    tags = []
    for last in "ab":
        key = Key("n" * 63, "x" * 252 + last)
        _, decision = opened(replace(wanting(), key=key))
        assert isinstance(decision.action, CreateSnapshot)
        assert len(decision.action.name) <= 128
        assert 2 <= len(decision.action.description) <= 256
        assert all(len(value) <= 128 for _, value in decision.action.tags)
        tags.append(dict(decision.action.tags)["sysdisk.dev/spec"])
    assert tags[0] != tags[1]
    assert tags[0].startswith(f"{'n' * 63}/xxx")


def test_a_name_that_just_fits_a_tag_is_not_shortened() -> None:
    key = Key("n" * 63, "x" * 64)
    _, decision = opened(replace(wanting(), key=key))
    assert isinstance(decision.action, CreateSnapshot)
    assert dict(decision.action.tags)["sysdisk.dev/spec"] == str(key)


@pytest.mark.parametrize("power", ["Running", "Stopped"])
def test_a_machine_that_is_only_being_saved_has_no_deadline_to_be_given_back(power: str) -> None:
    assert operation(begun(seen(power))[1]).give_back_by is None


def test_the_plan_says_what_is_saved_and_what_is_lost() -> None:
    _, decision = begun()
    assert decision.status.plan is not None
    assert f"+ backup: a snapshot of {OLD_DISK}, kept 3 days" in decision.status.plan.changes
    assert "! what is written between snapshot and stop is lost" in decision.status.plan.changes


def test_a_plan_without_a_backup_says_nothing_of_one() -> None:
    plan = opened(subject())[1].status.plan
    assert plan is not None
    assert not [line for line in plan.changes if "snapshot" in line]
    assert backup_lines(PlanPolicy(), OLD_DISK) == ()


def test_a_backup_without_an_end_is_said_to_be_kept() -> None:
    kept, _ = backup_lines(PlanPolicy(backup=Backup(enabled=True)), OLD_DISK)
    assert kept == f"+ backup: a snapshot of {OLD_DISK}, kept until it is deleted"


@pytest.mark.parametrize(
    ("windows", "by"), [([NOON], at(hours=2)), ([], at(hours=1))], ids=["window", "hour"]
)
def test_a_backup_counts_for_its_window_or_for_an_hour(
    windows: list[dict[str, str]], by: datetime
) -> None:
    _, decision = begun(maintenanceWindows=windows)
    assert operation(decision).backup_by == by


def test_a_token_is_one_of_this_operation_alone() -> None:
    first = operation(begun()[1]).snapshot_token
    later = operation(opened(wanting(), now=at(hours=5))[1]).snapshot_token
    assert first != later
    assert first is not None
    assert len(first) <= 64


def test_where_nobody_says_anything_a_backup_is_made_and_kept_for_a_week() -> None:
    _, decision = opened(replace(subject(), defaults=Defaults()))
    assert isinstance(decision.action, CreateSnapshot)
    assert decision.action.days == 7
    assert decision.status.plan is not None
    assert decision.status.plan.policy == PlanPolicy(
        approval=Approval.AUTOMATIC,
        backup=Backup(enabled=True, retention_days=7),
        maintenance_windows=(),
    )


@pytest.mark.parametrize("default", [None, *LOWER], ids=str)
@pytest.mark.parametrize("asked", [None, *LOWER], ids=str)
def test_a_namespace_cannot_lower_a_backup_that_is_required(
    asked: dict[str, Any] | None, default: dict[str, Any] | None
) -> None:
    lowered = replace(
        subject(backup=asked),
        defaults=Defaults(backup=Backup.from_api(default) if default is not None else None),
        require=Require(backup=Backup(enabled=True, retention_days=30)),
    )
    _, decision = opened(lowered)
    assert isinstance(decision.action, CreateSnapshot)
    assert decision.action.days == 30


def test_a_spec_can_raise_a_backup_that_is_required() -> None:
    required = Require(backup=Backup(enabled=True, retention_days=30))
    _, decision = opened(replace(wanting(backup={"retentionDays": 90}), require=required))
    assert isinstance(decision.action, CreateSnapshot)
    assert decision.action.days == 90


def test_required_days_alone_ask_for_no_backup_and_hold_where_one_is_made() -> None:
    days = Require(backup=Backup(retention_days=30))
    _, off = opened(replace(subject(backup={"enabled": False}), require=days))
    assert isinstance(off.action, StopInstance)
    _, on = opened(replace(wanting(), require=days))
    assert isinstance(on.action, CreateSnapshot)
    assert on.action.days == 30


# -- what answers teach -----------------------------------------------------------------------


def test_an_accepted_snapshot_is_put_on_record() -> None:
    op = learned(TAKEN)
    assert (op.snapshot_id, op.outcome, op.step) == (SNAPSHOT, Outcome.ACCEPTED, Step.BACKUP)
    start, decision = begun()
    assert isinstance(decision.action, CreateSnapshot)
    assert is_news(operation(start), op, decision.action)


@pytest.mark.parametrize(
    ("answer", "outcome", "ending", "same_token"),
    [
        (unknown(), Outcome.UNKNOWN, None, True),
        (Accepted(REQUEST), Outcome.UNKNOWN, None, True),
        (NotSent("late"), None, None, True),
        (refused("LastTokenProcessing", "retry"), Outcome.UNKNOWN, None, True),
        (refused("IncorrectDiskStatus.CreatingSnapshot", "wait"), Outcome.REFUSED, None, False),
        (refused("CreateSnapshot.Failed", "retry"), Outcome.REFUSED, None, False),
        (refused("IdempotentParameterMismatch", "user"), Outcome.REFUSED, None, False),
        (refused("QuotaExceed.Snapshot", "user"), Outcome.REFUSED, "BackupFailed", False),
    ],
)
def test_only_a_definite_refusal_brings_a_new_token_and_only_a_persons_ends_it(
    answer: Answer, outcome: Outcome | None, ending: str | None, same_token: bool
) -> None:
    first, op = operation(begun()[1]), learned(answer)
    assert (op.outcome, op.ending, op.snapshot_id) == (outcome, ending, None)
    assert (op.snapshot_token == first.snapshot_token) is same_token


def test_a_snapshot_that_is_accepted_late_is_given_its_time_to_appear_from_then_on() -> None:
    start, _ = begun()
    op = learned(TAKEN, at(110))
    assert isinstance(
        decide(with_op(start, op), seen(backup=Snapshot(SNAPSHOT)), at(200)).action, Nothing
    )


def test_each_refused_snapshot_is_followed_by_a_token_of_its_own() -> None:
    busy = refused("CreateSnapshot.Failed", "retry")
    once = learned(busy, at(3))
    again = learned(busy, snapshot_token=once.snapshot_token)
    other = learned(busy, snapshot_token="sb1-other")
    first = operation(begun()[1]).snapshot_token
    tokens = {first, *(op.snapshot_token for op in (once, again, other))}
    assert len(tokens) == 4
    assert once.outcome_at == at(3)


@pytest.mark.parametrize("answer", [TAKEN, refused("IncorrectDiskStatus.NeverUsed")])
def test_a_backup_that_is_settled_leaves_no_error_of_the_try_before(answer: Answer) -> None:
    failed = last_error(refused("CreateSnapshot.Failed", "retry").failure)
    assert learned(answer, last_error=failed).last_error is None


@pytest.mark.parametrize("code", ["NeverUsed", "NeverAttached"])
def test_a_disk_that_was_never_used_has_nothing_to_save(code: str) -> None:
    op = learned(refused(f"IncorrectDiskStatus.{code}", advice="Nothing to save."))
    assert op.ending is None
    assert op.backup_skipped == f"IncorrectDiskStatus.{code}: Nothing to save."
    start, _ = begun()
    decision = decide(with_op(start, op), seen(), at(1))
    assert isinstance(decision.action, StopInstance)
    assert condition(decision) == ("False", "NothingToSave")


def test_a_refused_backup_is_told_with_code_advice_and_that_nothing_is_lost() -> None:
    start, decision = begun()
    op = learned(refused("QuotaExceed.Snapshot", advice="Delete old ones."))
    told = tell(start, decision.reason, operation(decision), op, NOW)
    assert told.reason is Reason.BACKUP_FAILED
    text = ready(told)[2]
    for part in (
        "CreateSnapshot for plan",
        "QuotaExceed.Snapshot",
        REQUEST,
        "Delete old ones",
        "touched",
    ):
        assert part in text


def test_a_refused_backup_ends_the_operation_and_spends_the_plan() -> None:
    start, decision = begun()
    op = learned(refused("QuotaExceed.Snapshot"))
    told = tell(start, decision.reason, operation(decision), op, NOW)
    ended = decide(after(start, told), seen(), at(1))
    assert result(ended) == "BackupFailed"
    assert ended.reason is Reason.BACKUP_FAILED
    assert ended.status.plan is not None
    assert ended.status.plan.spent
    assert "QuotaExceed.Snapshot" in ready(ended)[2]


# -- waiting for it ---------------------------------------------------------------------------


def test_an_unknown_outcome_is_asked_again_with_the_same_token() -> None:
    start, first = begun()
    op = learned(unknown())
    waiting = decide(with_op(start, op), seen(), at(1))
    assert isinstance(waiting.action, Nothing)
    again = decide(with_op(start, op), seen(), at(10)).action
    assert again == first.action


def test_the_snapshot_is_looked_at_before_anything_is_decided() -> None:
    start, _ = saving()
    decision = decide(start, seen(), at(10))
    assert decision.action == Look(backup=SNAPSHOT)


def test_a_snapshot_that_is_being_made_costs_no_fresh_look_at_the_machine() -> None:
    start, world = saving()
    remembered = replace(world, fresh=False, system_disks=None, data_disk_ids=None)
    decision = decide(start, remembered, at(10))
    assert (decision.action, decision.reason) == (Nothing(), Reason.BACKING_UP)


@pytest.mark.parametrize(
    ("status", "change", "seconds", "disks"),
    [
        ("accomplished", {}, 10, DiskLook.ALL),
        ("failed", {}, 10, DiskLook.KNOWN),
        ("", {}, 200, DiskLook.KNOWN),
        ("progressing", {}, 3600, DiskLook.KNOWN),
        ("progressing", {"deleting": True}, 10, DiskLook.KNOWN),
    ],
)
def test_whatever_follows_is_decided_on_a_fresh_look(
    status: str, change: dict[str, Any], seconds: float, disks: DiskLook
) -> None:
    start, world = saving(status)
    remembered = replace(world, fresh=False, system_disks=None, data_disk_ids=None)
    decision = decide(replace(start, **change), remembered, at(seconds))
    assert decision.action == Look(fresh=True, disks=disks)


def test_a_machine_that_is_gone_while_its_disk_is_saved_is_looked_for_freshly() -> None:
    start, world = saving()
    decision = decide(start, replace(world, fresh=False, instance=None), at(10))
    assert decision.action == Look(fresh=True, disks=DiskLook.KNOWN)


@pytest.mark.parametrize("power", ["Running", "Stopped", "Stopping", "Strange"])
def test_the_disk_is_looked_at_before_the_backup_is_asked_for_again(power: str) -> None:
    start, _ = begun()
    op = operation(start).replace(outcome=Outcome.REFUSED)
    look = decide(with_op(start, op), seen(power, system_disks=None), at(60)).action
    assert look == Look(fresh=True, disks=DiskLook.KNOWN)


@pytest.mark.parametrize(("seconds", "kind"), [(1, Nothing), (2, CreateSnapshot)])
def test_a_refused_backup_is_asked_for_again_after_its_pause(
    seconds: int, kind: type[object]
) -> None:
    start, _ = begun()
    asked = with_op(start, operation(start).replace(outcome=Outcome.REFUSED))
    assert isinstance(decide(asked, seen(), at(seconds)).action, kind)


def test_each_request_is_counted_and_recorded_as_unknown_before_it_is_sent() -> None:
    start, _ = begun()
    refused_once = operation(start).replace(outcome=Outcome.REFUSED, first_try_at=None)
    op = operation(decide(with_op(start, refused_once), seen(), at(10)))
    assert (op.tries, op.outcome) == (2, Outcome.UNKNOWN)
    assert (op.first_try_at, op.last_try_at) == (at(10), at(10))


def test_a_backup_without_an_end_on_record_goes_on() -> None:
    start, world = saving()
    waiting = decide(with_op(start, operation(start).replace(backup_by=None)), world, at(10))
    assert (waiting.action, waiting.reason) == (Nothing(), Reason.BACKING_UP)
    assert "has to be finished by" not in ready(waiting)[2]


def test_a_backup_that_was_never_asked_for_is_asked_for_at_once() -> None:
    start, first = begun()
    op = operation(start).replace(last_try_at=None)
    assert decide(with_op(start, op), seen(), at(1)).action == first.action


@pytest.mark.parametrize("power", ["Running", "Stopped", "Stopping", "Strange"])
def test_the_machine_is_not_touched_while_the_snapshot_is_made(power: str) -> None:
    start, _ = saving()
    world = seen(power, backup=Snapshot(SNAPSHOT, "progressing"))
    decision = decide(start, world, at(10))
    assert (decision.action, decision.reason) == (Nothing(), Reason.BACKING_UP)


def test_nothing_is_written_while_nothing_changes() -> None:
    start, world = saving()
    first = decide(start, world, at(10))
    assert decide(after(start, first), world, at(60)).status == first.status


def test_a_snapshot_that_failed_is_made_again_twice_and_then_it_ends() -> None:
    start, world = saving("failed")
    again = decide(start, world, at(60))
    assert isinstance(again.action, CreateSnapshot)
    tokens = {operation(start).snapshot_token}
    for failures in (1, 2):
        assert operation(again).backup_failures == failures
        assert operation(again).snapshot_id is None
        tokens.add(operation(again).snapshot_token)
        op = operation(again).replace(snapshot_id=SNAPSHOT, outcome=Outcome.ACCEPTED)
        again = decide(with_op(start, op), world, at(minutes=10 * failures))
    assert result(again) == "BackupFailed"
    assert len(tokens) == 3
    assert f"SnapshotFailed: snapshot {SNAPSHOT} of disk d-1 ended as failed" in ready(again)[2]
    assert again.status.plan is not None
    assert again.status.plan.last_error is not None
    assert again.status.plan.last_error.code == "SnapshotFailed"


def test_tokens_of_snapshots_that_failed_belong_to_their_machine() -> None:
    tokens = set()
    for vm_id in ("i-1", "i-2"):
        start, world = saving("failed")
        op = operation(start)
        mine = op.replace(snapshot_token=f"{op.snapshot_token}-{vm_id}")
        tokens.add(operation(decide(with_op(start, mine), world, at(60))).snapshot_token)
    assert len(tokens) == 2


def test_a_snapshot_that_failed_and_is_not_made_again_yet_is_not_on_record_as_accepted() -> None:
    start, world = saving("failed")
    waiting = decide(start, world, at(1))
    assert isinstance(waiting.action, Nothing)
    op = operation(waiting)
    assert (op.outcome, op.snapshot_id, op.backup_failures) == (Outcome.REFUSED, None, 1)


def test_many_refused_requests_do_not_count_as_snapshots_that_failed() -> None:
    start, world = saving("failed")
    busy = with_op(start, operation(start).replace(tries=9))
    again = decide(busy, world, at(minutes=30))
    assert isinstance(again.action, CreateSnapshot)
    assert operation(again).backup_failures == 1


def lost(**fields: Any) -> Subject:
    """Return an operation whose CreateSnapshot nobody has answered, in a window of two hours."""
    start, _ = begun(maintenanceWindows=[NOON])
    asked = operation(start).replace(outcome=Outcome.UNKNOWN, tries=20, last_try_at=NOW, **fields)
    return with_op(start, asked)


def test_a_snapshot_whose_outcome_is_unknown_is_not_asked_for_with_a_forgotten_token() -> None:
    young = decide(lost(), seen(), at(minutes=59))
    assert isinstance(young.action, CreateSnapshot)
    assert operation(young).first_try_at == NOW
    ended = decide(lost(), seen(), at(hours=1))
    assert result(ended) == "BackupOverdue"
    assert "SnapshotUnknown" in ready(ended)[2]


def test_a_token_is_as_old_as_its_own_first_request() -> None:
    refused_now = learned(refused("CreateSnapshot.Failed", "retry"))
    assert refused_now.first_try_at is None
    start, world = saving("failed", maintenanceWindows=[NOON])
    again = decide(start, world, at(hours=1.5))
    assert operation(again).first_try_at == at(hours=1.5)
    assert isinstance(again.action, CreateSnapshot)
    # What was not sent leaves nothing of the token before it.
    answered = learn(operation(start), operation(again), again.action, "i-1", NotSent("late"), NOW)
    assert (answered.first_try_at, answered.outcome) == (None, Outcome.REFUSED)
    retried = decide(lost(first_try_at=at(hours=1)), seen(), at(hours=1.5))
    assert isinstance(retried.action, CreateSnapshot)


@pytest.mark.parametrize(("seconds", "kind"), [(60, Nothing), (120, CreateSnapshot)])
def test_a_snapshot_that_does_not_appear_is_given_two_minutes(
    seconds: int, kind: type[object]
) -> None:
    start, _ = saving()
    decision = decide(start, seen(backup=Snapshot(SNAPSHOT)), at(seconds))
    assert isinstance(decision.action, kind)
    assert ("snapshot s-1 of disk d-1 is not there any more" in ready(decision)[2]) is (
        kind is CreateSnapshot
    )


def test_the_two_minutes_begin_when_the_snapshot_was_accepted() -> None:
    start, _ = saving()
    late = with_op(start, operation(start).replace(outcome_at=at(minutes=10)))
    world = seen(backup=Snapshot(SNAPSHOT))
    assert isinstance(decide(late, world, at(minutes=11)).action, Nothing)
    assert isinstance(decide(late, world, at(minutes=12)).action, CreateSnapshot)


def test_a_backup_that_is_not_finished_when_it_ceases_to_count_ends_the_operation() -> None:
    start, world = saving()
    assert isinstance(decide(start, world, at(minutes=59)).action, Nothing)
    ended = decide(start, world, at(hours=1))
    assert result(ended) == "BackupOverdue"
    assert ended.reason is Reason.RESTING
    assert "SnapshotOverdue" in ready(ended)[2]
    assert "was not finished by 2026-03-01T13:00:00Z" in ready(ended)[2]


# -- changes of mind, and a second look -------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "world", "ending"),
    [
        ({"deleting": True}, {}, "Deleted"),
        ({"annotations": {ANNOTATION_SUSPEND: "true"}}, {}, "Suspended"),
        ({"spec": wanting(size=80).spec}, {}, "SpecChanged"),
        ({}, {"account": account(grant=Grant(ids=frozenset({"i-9"})))}, "GrantRevoked"),
        ({}, {"system_disks": (disk("d-9"),)}, "WorldChanged"),
    ],
)
@pytest.mark.parametrize("status", ["progressing", "accomplished"])
def test_a_change_of_mind_during_the_backup_ends_it_with_nothing_to_start(
    change: dict[str, Any], world: dict[str, Any], ending: str, status: str
) -> None:
    start, _ = saving()
    seen_now = seen(backup=Snapshot(SNAPSHOT, status), **world)
    assert result(decide(replace(start, **change), seen_now, at(10))) == ending


def test_a_finished_backup_is_followed_by_the_stop_in_the_same_pass() -> None:
    start, world = saving("accomplished")
    decision = decide(start, world, at(30))
    op = operation(decision)
    assert isinstance(decision.action, StopInstance)
    assert (op.step, op.tries, op.stopped_by_us, op.was_running) == (Step.STOP, 1, True, True)
    assert op.snapshot_id == SNAPSHOT
    assert [taken.step for taken in op.steps] == [Step.BACKUP]
    assert condition(decision) == ("True", "SnapshotAccomplished")


def test_what_the_backup_met_and_when_it_was_asked_for_say_nothing_of_what_follows() -> None:
    start, world = saving("accomplished")
    failed = last_error(error("ServiceUnavailable", "retry"))
    start = with_op(start, operation(start).replace(last_error=failed))
    stopping = decide(start, world, at(minutes=50))
    assert (operation(start).first_try_at, operation(stopping).first_try_at) == (NOW, None)
    assert operation(stopping).last_error is None
    assert "ServiceUnavailable" not in ready(stopping)[2]


def test_a_machine_that_others_stopped_is_not_started_when_the_backup_is_called_off() -> None:
    start, _ = saving()
    world = seen("Stopped", backup=Snapshot(SNAPSHOT, "progressing"))
    assert result(decide(replace(start, deleting=True), world, at(10))) == "Deleted"


def test_a_machine_that_was_stopped_meanwhile_by_others_is_left_stopped_at_the_end() -> None:
    start, _ = saving()
    decision = decide(start, seen("Stopped", backup=Snapshot(SNAPSHOT, "accomplished")), at(30))
    assert isinstance(decision.action, ReplaceSystemDisk)
    assert (operation(decision).was_running, operation(decision).stopped_by_us) == (False, False)


@pytest.mark.parametrize(
    "world",
    [
        {"data_disk_ids": frozenset({"d-other"})},
        {"image_id": "m-9"},
        {"system_disks": (disk(size=50),)},
    ],
)
def test_a_plan_of_another_world_is_not_carried_out(world: dict[str, Any]) -> None:
    start, _ = saving()
    done = seen(backup=Snapshot(SNAPSHOT, "accomplished"), **world)
    assert result(decide(start, done, at(30))) == "WorldChanged"


def test_what_became_impossible_meanwhile_ends_it_before_the_stop() -> None:
    start, _ = saving()
    gone = seen(backup=Snapshot(SNAPSHOT, "accomplished"), images=(image(status="Deprecated"),))
    ended = decide(start, gone, at(30))
    assert result(ended) == "PreflightFailed"
    assert ended.status.plan is not None
    assert not ended.status.plan.spent


def test_what_passes_by_itself_is_waited_for() -> None:
    start, _ = saving()
    busy = seen(backup=Snapshot(SNAPSHOT, "accomplished"), snapshot_running=True)
    decision = decide(start, busy, at(30))
    assert (decision.action, decision.reason) == (Nothing(), Reason.BACKING_UP)
    assert "DiskCreatingSnapshot" in ready(decision)[2]


@pytest.mark.parametrize(
    ("looked_at", "asked"),
    [
        ({"data_disk_ids": None}, "disks"),
        ({"images": ()}, "image"),
        ({"snapshot_running": None}, "snapshot"),
    ],
)
def test_everything_is_looked_at_once_more_before_the_stop(
    looked_at: dict[str, Any], asked: str
) -> None:
    start, _ = saving()
    world = seen(backup=Snapshot(SNAPSHOT, "accomplished"), **looked_at)
    action = decide(start, world, at(30)).action
    assert isinstance(action, Look)
    assert getattr(action, asked)
    assert action.fresh or asked != "disks"


def test_a_window_in_which_the_rest_does_not_fit_any_more_ends_it_unspent() -> None:
    start, _ = opened(wanting(maintenanceWindows=[NOON]), now=at(minutes=90))
    start = with_op(
        start, operation(start).replace(snapshot_id=SNAPSHOT, outcome_at=at(minutes=90))
    )
    world = seen(backup=Snapshot(SNAPSHOT, "accomplished"))
    ended = decide(start, world, at(minutes=115))
    assert result(ended) == "WindowClosed"
    assert ended.reason is Reason.AWAITING_WINDOW
    assert ended.status.plan is not None
    assert not ended.status.plan.spent


def test_a_backup_that_took_nearly_all_of_its_window_is_not_tried_in_the_next_one() -> None:
    start, world = saving("accomplished", maintenanceWindows=[NOON])
    ended = decide(start, world, at(minutes=115))
    assert result(ended) == "WindowClosed"
    assert ended.reason is Reason.WINDOW_TOO_SHORT


def test_a_finished_backup_takes_no_more_of_its_window() -> None:
    start, world = saving("accomplished", maintenanceWindows=[NOON])
    assert isinstance(decide(start, world, at(minutes=110)).action, StopInstance)


def test_a_window_that_was_made_nonsense_meanwhile_ends_it() -> None:
    start, world = saving("accomplished")
    wrong = wanting(maintenanceWindows=[{"schedule": "0 25 * * *", "duration": "2h"}]).spec
    ended = decide(replace(start, spec=wrong), world, at(30))
    assert result(ended) == "WindowClosed"
    assert ended.reason is Reason.INVALID_SPEC


def test_an_approval_that_is_required_meanwhile_ends_it() -> None:
    start, world = saving("accomplished")
    raised = replace(start, require=Require(approval=Approval.MANUAL))
    assert result(decide(raised, world, at(30))) == "ApprovalRequired"


def test_a_brake_that_is_pulled_meanwhile_ends_it_before_the_stop_and_spends_nothing() -> None:
    start, world = saving("accomplished")
    braked = replace(world, account=account(failures_in_a_row=3, stop_after_failures=3))
    ended = decide(start, braked, at(30))
    assert result(ended) == "BrakePulled"
    assert ended.reason is Reason.BRAKE_PULLED
    assert ended.status.plan is not None
    assert not ended.status.plan.spent


@pytest.mark.parametrize("status", ["progressing", "", "strange"])
def test_a_snapshot_that_is_not_finished_lets_nothing_begin(status: str) -> None:
    """One that was deleted by somebody has no status."""
    start, _ = saving()
    world = seen(backup=Snapshot(SNAPSHOT, status))
    assert isinstance(decide(start, world, at(30)).action, Nothing)


def test_a_snapshot_that_somebody_deletes_at_the_last_moment_is_made_again() -> None:
    start, _ = saving()
    busy = seen(backup=Snapshot(SNAPSHOT, "accomplished"), in_transfer=True)
    waiting = decide(start, busy, at(minutes=5))
    assert isinstance(waiting.action, Nothing)
    gone = decide(after(start, waiting), seen(backup=Snapshot(SNAPSHOT)), at(minutes=6))
    assert isinstance(gone.action, CreateSnapshot)
    assert gone.action.token != operation(start).snapshot_token


def test_the_policy_of_automatic_snapshots_is_put_back_after_a_backup_too() -> None:
    world = seen(system_disks=(disk(auto_snapshot_policy_id="sp-1"),))
    _, decision = begun(world)
    assert operation(decision).auto_snapshot_policy_id == "sp-1"


def test_no_backup_means_no_condition() -> None:
    decision = decide(under_way(wanting=subject(backup={"enabled": False})), seen(), at(30))
    assert condition(decision) is None


# -- what is told -----------------------------------------------------------------------------


def test_an_accepted_snapshot_is_told_in_the_words_that_stay() -> None:
    start, decision = begun()
    told = tell(start, decision.reason, operation(decision), learned(TAKEN), NOW)
    assert SNAPSHOT in ready(told)[2]
    later = decide(after(start, told), seen(backup=Snapshot(SNAPSHOT, "progressing")), at(10))
    assert later.status == told.status


def test_a_refused_backup_is_not_called_under_way() -> None:
    start, decision = begun()
    op = learned(refused("QuotaExceed.Snapshot"))
    told = tell(start, decision.reason, operation(decision), op, NOW)
    assert condition(told) == ("False", "BackupFailed")


def test_a_deletion_says_why_it_waits() -> None:
    start = replace(under_way(Step.VERIFY), deleting=True)
    waiting = decide(start, seen("Stopped"), at(30))
    assert waiting.reason is Reason.VERIFYING
    assert "goes when the operation has ended" in ready(waiting)[2]


def test_the_end_tells_which_snapshot_holds_the_old_disk() -> None:
    start = under_way(Step.FINISH, wanting=wanting(), snapshot_id=SNAPSHOT)
    ended = decide(start, replaced("Running"), at(60))
    (told,) = [event for event in ended.events if event.reason == "Replaced"]
    assert told.message.endswith(f"It is saved as snapshot {SNAPSHOT}.")
