"""Approval, window and backup in a simulated world: cut at every call, they end as they must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from sysdisk.kube.resources import ACCOUNTS
from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.simulation.stories import Story, tell, telling_calls
from tests.simulation.test_cuts import CUTS, Cut
from tests.support.world import World, _served, run


def _by_default(world: World) -> None:
    """Let nobody say anything about backups: the account of the simulated world switches it off."""
    world.edit_account({"spec": {"defaults": None}})


BACKUP: Final = Story("backup", before=_by_default)


def _never_started(world: World) -> None:
    _by_default(world)
    world.cloud.outside.set_instance(world.vm().id, ever_started=False)


NEVER_USED: Final = Story("never-used", before=_never_started)


def _no_service(world: World) -> None:
    _by_default(world)
    account = world.cloud.state.accounts[world.vm().account]
    account.snapshot_service = False


UNSAVED: Final = Story("backup-refused", before=_no_service, replaced=0, reason="BackupFailed")
WINDOW: Final = Story(
    "window",
    before=_by_default,
    spec={"maintenanceWindows": [{"schedule": "0 */3 * * *", "duration": "1h"}]},
)


class Approved(Story):
    """A person approves as soon as a plan waits for it, and no second time."""

    async def begin(self, world: World) -> None:
        await super().begin(world)
        waiting = "AwaitingApproval"
        await world.until("a plan", lambda: world.ready().get("reason") == waiting)
        plan = world.status()["plan"]["id"]
        world.edit(
            {
                "metadata": {
                    "annotations": {"sysdisk.dev/approve": plan, "sysdisk.dev/approved-by": "ann"}
                }
            }
        )


APPROVAL: Final = Approved("approval", spec={"approval": "Manual"})


def _every_call(story: Story) -> list[object]:
    return [
        pytest.param(call.number, id=f"{call.number}-{call.verb.replace(' ', '-')}")
        for call in telling_calls(story)
    ]


def test_a_backup_costs_one_write_and_comes_before_the_stop() -> None:
    writes = ["CreateSnapshot", "StopInstance", "ReplaceSystemDisk", "StartInstance"]
    world = tell(BACKUP)
    assert world.ecs_writes() == writes
    (entry,) = world.status()["history"]
    assert entry["snapshotId"] in world.cloud.state.snapshots


def test_with_a_backup_a_replacement_takes_ten_writes_on_the_spec() -> None:
    world = tell(BACKUP)
    writes = Counter(
        call.verb for call in world.traffic.log if call.write and call.subject == "shop/web-1"
    )
    assert writes == {"patch_status systemdiskspecs": 8, "patch_metadata systemdiskspecs": 2}


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", _every_call(BACKUP))
def test_a_backup_that_is_cut_anywhere_still_saves_the_disk_that_is_replaced(
    number: int, side: Side, how: str
) -> None:
    world = tell(BACKUP, Cut(number, side, how))
    replaced = [entry for entry in world.status()["history"] if entry.get("newDiskId")]
    (entry,) = replaced
    (saved,) = world.cloud.state.snapshots.values()
    assert (saved.id, saved.status) == (entry["snapshotId"], "accomplished")
    assert (saved.disk_id, saved.retention_days) == (entry["oldDiskId"], 7)
    assert saved.tags["sysdisk.dev/spec"] == "shop/web-1"
    assert saved.tags["sysdisk.dev/plan"] == entry["planId"]


def test_a_disk_that_was_never_used_is_replaced_without_a_backup() -> None:
    world = tell(NEVER_USED)
    assert not world.cloud.state.snapshots


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", _every_call(UNSAVED))
def test_a_backup_that_is_refused_stops_before_anything_is_lost(number: int, side: Side) -> None:
    world = tell(UNSAVED, Cut(number, side, "killed"))
    assert "StopInstance" not in world.ecs_writes()


def test_a_replacement_waits_for_its_window() -> None:
    world = tell(WINDOW)
    (entry,) = world.status()["history"]
    hour = int(entry["startedAt"][11:13])
    assert hour % 3 == 0


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", _every_call(APPROVAL))
def test_one_approval_is_enough_wherever_the_operator_is_killed(number: int, side: Side) -> None:
    world = tell(APPROVAL, Cut(number, side, "killed"))
    assert [entry["approvedBy"] for entry in world.status()["history"]] == ["ann"]
    annotations = world.object_of()["metadata"].get("annotations", {})
    assert "sysdisk.dev/approve" not in annotations


@pytest.mark.slow
def test_an_approval_that_lapses_before_its_window_is_taken_off_and_another_one_counts() -> None:
    rare = [{"schedule": "0 0 29 2 *", "duration": "4h"}]
    story = Approved("lapse", spec={"approval": "Manual", "maintenanceWindows": rare})

    async def told(world: World) -> None:
        await story.begin(world)
        await world.until("taken up", lambda: world.ready().get("reason") == "AwaitingWindow")
        week = 8 * 86400.0
        reason = "AwaitingApproval"
        await world.until("lapsed", lambda: world.ready().get("reason") == reason, week)
        await world.until("taken off", lambda: not _approvals(world))
        await world.until("known", lambda: world.status()["approval"]["taken"])
        assert "lapsed at" in world.ready()["message"]
        again = {"approve": world.status()["plan"]["id"], "approved-by": "bob"}
        world.annotate(**again)
        await world.until("again", lambda: world.ready().get("reason") == "AwaitingWindow")
        assert world.status()["plan"]["approvedBy"] == "bob"

    run(told)


def _approvals(world: World) -> list[str]:
    annotations = world.object_of()["metadata"].get("annotations", {})
    return [name for name in annotations if name.startswith("sysdisk.dev/approve")]


NAMES: Final = ("web-1", "web-2", "web-3")


def _crowd(world: World, **limits: Any) -> None:
    """Let stops wait for each other, so that a pass ends between the finalizer and the intent."""
    slow = {"requestsPerSecond": {"StopInstance": 0.05}, "stopAfterFailures": 100}
    world.edit_account({"spec": {"limits": {**slow, **limits}}})


def _all(world: World, reason: str) -> Callable[[], bool]:
    return lambda: all(world.ready(name).get("reason") == reason for name in NAMES)


async def _all_replaced(world: World) -> None:
    await world.until("replaced", _all(world, "UpToDate"))
    assert [world.replaced(number) for number, _ in enumerate(NAMES, 1)] == [1, 1, 1]


def test_every_approval_counts_although_one_machine_after_another_is_replaced() -> None:
    async def told(world: World) -> None:
        _crowd(world, concurrentReplacements=1)
        for number, name in enumerate(NAMES, 1):
            machine = world.vm(number).id
            world.apply(name, instanceId=machine, imageId=world.image(), approval="Manual")
        await world.until("planned", _all(world, "AwaitingApproval"))
        for name in NAMES:
            world.annotate(name, approve=world.status(name)["plan"]["id"])
        await _all_replaced(world)

    run(told)


def test_every_retry_counts_although_the_stops_wait_for_each_other() -> None:
    async def told(world: World) -> None:
        _crowd(world)
        machines = [world.vm(number).id for number, _ in enumerate(NAMES, 1)]
        for name, machine in zip(NAMES, machines, strict=True):
            world.cloud.outside.set_instance(machine, unpaid_order="order")
            world.apply(name, instanceId=machine, imageId=world.image())
        spent = _all(world, "PlanSpent")
        await world.until("spent", lambda: spent() and all(map(world.rests, NAMES)))
        for name, machine in zip(NAMES, machines, strict=True):
            world.cloud.outside.set_instance(machine, unpaid_order="")
            world.annotate(name, retry=world.status(name)["plan"]["id"])
        await _all_replaced(world)

    run(told)


def _ends_between_the_finalizer_and_the_intent(world: World) -> None:
    """End the process there, and let the account be suspended before another one takes over."""
    struck: list[Call] = []

    def strike(call: Call, side: Side) -> Blow | None:
        if struck or side != "after" or call.verb != "patch_metadata systemdiskspecs":
            return None
        struck.append(call)
        world.edit_account({"spec": {"suspend": True}})
        return Blow(Kind.KILLED)

    world.traffic.meddler = strike


async def _goes_on_after_a_while(world: World) -> None:
    await world.until("held", lambda: world.ready().get("reason") == "AccountSuspended")
    await world.until("at rest", world.rests)
    annotations = world.object_of()["metadata"].get("annotations", {})
    assert not set(annotations) & {"sysdisk.dev/approve", "sysdisk.dev/retry"}
    world.edit_account({"spec": {"suspend": False}})
    await world.until("replaced", lambda: world.ready().get("reason") == "UpToDate")
    assert world.replaced() == 1


def test_an_approval_that_was_taken_off_by_a_process_that_ended_still_counts() -> None:
    async def told(world: World) -> None:
        _ends_between_the_finalizer_and_the_intent(world)
        await APPROVAL.begin(world)
        await _goes_on_after_a_while(world)

    run(told)


def test_a_retry_that_was_taken_off_by_a_process_that_ended_still_counts() -> None:
    async def told(world: World) -> None:
        machine = world.vm().id
        world.cloud.outside.set_instance(machine, unpaid_order="order")
        world.apply(instanceId=machine, imageId=world.image())
        await world.until("spent", lambda: world.ready().get("reason") == "PlanSpent")
        await world.until("at rest", world.rests)
        world.cloud.outside.set_instance(machine, unpaid_order="")
        _ends_between_the_finalizer_and_the_intent(world)
        world.annotate(retry=world.status()["plan"]["id"])
        await _goes_on_after_a_while(world)

    run(told)


def test_an_approval_behind_a_brake_is_written_down_once() -> None:
    async def told(world: World) -> None:
        world.apply(instanceId=world.vm().id, imageId=world.image(), approval="Manual")
        await world.until("a plan", lambda: world.ready().get("reason") == "AwaitingApproval")
        world.edit({"spec": {"suspend": True}})
        await world.until("suspended", lambda: world.ready().get("reason") == "Suspended")
        world.annotate(approve=world.status()["plan"]["id"])
        begun, before = world.now, world.spec_writes()
        await world.until("hours", lambda: world.now > begun + 4 * 3600, 5 * 3600)
        assert world.spec_writes() == before + 1

    run(told)


def _account(world: World) -> dict[str, Any]:
    found = world.store.find(_served(world.store, ACCOUNTS), None, "default")
    assert found is not None
    return dict(found)


def test_the_order_to_resume_an_account_counts_its_failures_anew_and_is_taken_off() -> None:
    async def told(world: World) -> None:
        await UNSAVED.begin(world)
        await world.until("refused", lambda: UNSAVED.ended(world))
        await world.until("counted", lambda: _account(world)["status"].get("brake") is not None)
        order = {"sysdisk.dev/resume": "2026-03-01T12:00:00Z"}
        world.edit_account({"metadata": {"annotations": order}})
        await world.until("resumed", lambda: "brake" not in _account(world)["status"])
        await world.until(
            "taken off", lambda: not _account(world)["metadata"].get("annotations", {})
        )

    run(told)
