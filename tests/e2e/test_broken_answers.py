"""Answers of the cloud that are none: nothing destructive follows, and nothing is done twice."""

import asyncio

import pytest

from sysdisk.sandbox.ecs_faults import Broken, Side
from tests.support.e2e import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITES = ("StopInstance", "ReplaceSystemDisk", "StartInstance")
SIDES: tuple[Side, ...] = ("before", "after")


async def test_a_write_with_a_broken_answer_is_done_once(world: World) -> None:
    cases = [(action, kind, side) for action in WRITES for kind in Broken for side in SIDES]
    machines = [world.machine() for _ in cases]
    for (action, kind, side), machine in zip(cases, machines, strict=True):
        world.stage.cloud.faults.garble(action, kind, side=side, instance_id=machine.id)
    names = await asyncio.gather(*(world.declare(machine) for machine in machines))
    await asyncio.gather(*(world.until_ready(name) for name in names))
    assert {world.replacements(machine) for machine in machines} == {1}
    assert {world.stops(machine) for machine in machines} == {1}
    assert all(world.running(machine) for machine in machines)
    assert not world.stage.cloud.faults.rules


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeDisks", "DescribeImages"])
async def test_a_read_with_a_broken_answer_leads_to_nothing_destructive(
    world: World, action: str
) -> None:
    faults = world.stage.cloud.faults
    for kind in Broken:
        faults.garble(action, kind)
    machine = world.machine()
    name = await world.declare(machine, "big")
    await world.until_ready(name)
    assert world.replacements(machine) == world.stops(machine) == 1
    faults.clear()


@pytest.mark.parametrize("side", SIDES)
async def test_a_lost_request_or_answer_is_found_out_about_and_done_once(
    world: World, side: Side
) -> None:
    machines = [world.machine() for _ in WRITES]
    for action, machine in zip(WRITES, machines, strict=True):
        world.stage.cloud.faults.drop(action, side, instance_id=machine.id)
    names = await asyncio.gather(*(world.declare(machine) for machine in machines))
    await asyncio.gather(*(world.until_ready(name) for name in names))
    assert {world.replacements(machine) for machine in machines} == {1}
    assert all(world.running(machine) for machine in machines)
    tokens = {r.token for r in world.stage.cloud.requests_of("ReplaceSystemDisk")
              if r.instance_id == machines[1].id}  # fmt: skip
    assert len(tokens) == 1
