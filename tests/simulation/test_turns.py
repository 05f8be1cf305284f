"""Whose turn it is, and how old a look may be: limits, hours and memories shared by many passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from sysdisk.api.durations import parse_time
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.support.world import World, run

LONG: Final = 3600.0
NAMES: Final = ("web-0", "web-1", "web-2", "web-3", "web-4")


def _rates(world: World, **rates: float) -> None:
    world.edit_account({"spec": {"limits": {"requestsPerSecond": rates}}})


def _declare(world: World, *numbers: int, **spec: object) -> None:
    for n in numbers:
        world.apply(NAMES[n], instanceId=world.vm(n).id, imageId=world.image(), **spec)


def test_who_gets_no_turn_to_replace_gives_the_machine_back_by_the_deadline() -> None:
    async def told(world: World) -> None:
        _rates(world, ReplaceSystemDisk=0.002)
        _declare(world, 1, 2, power={"giveBackAfter": "2m"})
        await world.until("one is replaced", lambda: any(map(world.replaced, (1, 2))), LONG)
        (left,) = (n for n in (1, 2) if not world.replaced(n))

        def operation() -> Mapping[str, str]:
            found: Mapping[str, str] = world.status(NAMES[left]).get("operation", {})
            return found

        await world.until("its deadline is known", lambda: "giveBackBy" in operation(), LONG)
        by = parse_time(operation()["giveBackBy"]).timestamp()
        assert "waits for its turn" in world.ready(NAMES[left])["message"]
        await world.until("it is started", lambda: world.vm(left).status != "Stopped", LONG)
        assert world.wall() <= by + 15.0
        assert world.replaced(left) == 0

    run(told)


def test_looks_that_have_to_wait_for_their_turn_keep_no_machine_from_its_start() -> None:
    async def told(world: World) -> None:
        images = [Fleet(world.cloud).image().id for _ in range(4)]
        _declare(world, 1)
        replaced = "ReplaceSystemDisk"
        await world.until("it is being replaced", lambda: replaced in world.ecs_writes(), LONG)
        world.cloud.faults.throttle("DescribeImages", 0)
        for n, image in zip((0, 2, 3, 4), images, strict=True):
            world.apply(NAMES[n], instanceId=world.vm(n).id, imageId=image)
        await world.until("it is started", lambda: "StartInstance" in world.ecs_writes(), 15.0)
        world.cloud.faults.throttle("DescribeImages", -1)
        await world.until("all", lambda: all(map(world.is_ready, NAMES)), LONG)

    run(told)


def test_who_gets_no_turn_to_stop_says_so_and_holds_nothing() -> None:
    async def told(world: World) -> None:
        _rates(world, StopInstance=0.01)
        _declare(world, 1)
        await world.until("the turn is taken", lambda: "StopInstance" in world.ecs_writes())
        _declare(world, 2)
        waits = "AwaitingSlot"
        await world.until("it waits", lambda: world.ready(NAMES[2]).get("reason") == waits)
        assert "StopInstance waits for its turn" in world.ready(NAMES[2])["message"]
        assert not world.object_of(NAMES[2])["metadata"].get("finalizers")
        await world.until("both", lambda: all(world.is_ready(NAMES[n]) for n in (1, 2)), LONG)

    run(told)


def test_the_hour_of_first_sights_holds_however_slow_the_account_is_written() -> None:
    async def told(world: World) -> None:
        def slow(call: Call, side: Side) -> Blow | None:
            held = (call.verb, side) == ("patch_status ecsaccounts", "before")
            return Blow(Kind.HELD, 0.3) if held else None

        world.edit_account({"spec": {"limits": {"firstSightPerHour": 2}}})
        world.traffic.meddler = slow
        _declare(world, *range(5))
        later = world.now + 300.0
        await world.until("five minutes", lambda: world.now >= later, 400.0)
        assert sum(world.replaced(n) for n in range(5)) == 2
        limited = [n for n in range(5) if world.ready(NAMES[n])["reason"] == "FirstSightLimited"]
        assert len(limited) == 3

    run(told)


def _deprecated(world: World, image_id: str) -> None:
    world.cloud.outside.set_image(image_id, status="Deprecated")


def _encrypted(world: World, _: str) -> None:
    world.cloud.outside.set_region(world.vm(2).region, default_encryption=True)


def _moving(world: World, _: str) -> None:
    world.cloud.outside.transfer(world.vm(2).system_disk_id, True)


def _sold_out(world: World, _: str) -> None:
    world.cloud.outside.set_region(world.vm(2).region, sold_out=((world.vm(2).zone, "cloud_essd"),))


@pytest.mark.parametrize("change", [_deprecated, _encrypted, _moving, _sold_out])
def test_what_another_spec_was_told_a_moment_ago_stops_no_machine(
    change: Callable[[World, str], None],
) -> None:
    async def told(world: World) -> None:
        image = Fleet(world.cloud).image().id
        world.apply(NAMES[1], instanceId=world.vm(1).id, imageId=image)
        await world.until("the first is done", lambda: world.is_ready(NAMES[1]), LONG)
        writes = world.ecs_writes()
        change(world, image)
        world.apply(NAMES[2], instanceId=world.vm(2).id, imageId=image)
        stuck = ("PreflightFailed", "InstanceBusy")
        await world.until("refused", lambda: world.ready(NAMES[2]).get("reason") in stuck, LONG)
        assert world.ecs_writes() == writes

    run(told)
