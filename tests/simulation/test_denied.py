"""Reads that ECS refuses, or does not answer: told, seldom asked, and taken up again."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.world import World, run

HALF_AN_HOUR: Final = 1800.0
READS: Final = (
    *("DescribeInstances", "DescribeImages", "DescribeKeyPairs", "DescribeSnapshots"),
    "DescribeDiskEncryptionByDefaultStatus",
)


def _deny(world: World, *actions: str) -> None:
    world.cloud.outside.set_key(world.seeded.key.id, denied=actions)


def _asked(world: World, action: str) -> int:
    return sum(1 for request in world.cloud.requests if request.action == action)


async def _rest(world: World, seconds: float) -> None:
    later = world.now + seconds
    await world.until("time passes", lambda: world.now >= later)


@pytest.mark.parametrize("action", READS)
def test_a_read_that_is_not_permitted_is_named_and_taken_up_when_it_is(action: str) -> None:
    async def told(world: World) -> None:
        _deny(world, action)
        world.apply(instanceId=world.vm().id, imageId=world.image())
        refused = "ReadRefused"
        await world.until("told", lambda: world.ready().get("reason") == refused, 30.0)
        ready = world.ready()
        assert ready["status"] == "False"
        for part in (action, "Forbidden.RAM", "request ID", "ram-policy"):
            assert part in ready["message"]
        await _rest(world, HALF_AN_HOUR)
        assert world.ready() == ready
        assert _asked(world, action) < 60
        _deny(world)
        await world.until("it goes on", world.is_ready)
        assert world.replaced() == 1

    run(told)


@pytest.mark.parametrize("action", ["DescribeImages", "DescribeTasks", "DescribeInstances"])
def test_a_read_that_is_not_answered_is_told_and_asked_ever_more_seldom(action: str) -> None:
    async def told(world: World) -> None:
        world.cloud.faults.garble(action, "html-502", times=100_000)
        world.apply(instanceId=world.vm().id, imageId=world.image())
        waits = "AccountNotReady"
        await world.until("told", lambda: world.ready().get("reason") == waits, 120.0)
        assert "ECS cannot be asked through EcsAccount default" in world.ready()["message"]
        await _rest(world, HALF_AN_HOUR)
        assert _asked(world, action) < 90
        world.cloud.faults.clear()
        await world.until("it goes on", world.is_ready)
        assert world.replaced() == 1

    run(told)
