"""More than one operator at once: none of them knows, and each disk is replaced once."""

import asyncio

import pytest

from sysdisk.kube.resources import LEASES
from sysdisk.sandbox.ecs_faults import Side
from tests.support.e2e import World, condition, step
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_two_operators_at_once_replace_each_disk_once(stormy: World) -> None:
    machines = [stormy.machine() for _ in range(8)]
    async with stormy.another() as one, stormy.another() as other:
        names = await asyncio.gather(*(stormy.declare(machine) for machine in machines))
        await asyncio.gather(*(stormy.until_ready(name) for name in names))
        await stormy.until_true(lambda: all(map(stormy.running, machines)), "all run")
        assert await one.terminate() == await other.terminate() == 0
    assert [stormy.replacements(m) for m in machines] == [1] * 8
    assert all(stormy.running(m) for m in machines)


async def test_a_standby_takes_over_when_the_leader_is_killed(stormy: World) -> None:
    machine, later = stormy.machine(), stormy.machine()
    first, second = stormy.another("--leader-elect"), stormy.another("--leader-elect")
    async with first:
        await _until_leading(stormy, first)
        async with second:
            assert (await second.metrics())["sysdisk_leader"] == 0
            name = await stormy.declare(machine)
            await stormy.until(name, lambda o: step(o) == "Verify")
            assert second.records("answered") == []
            await first.kill()
            await _until_leading(stormy, second)
            await stormy.until_ready(name)
            await stormy.until_ready(await stormy.declare(later))
            assert await second.terminate() == 0
    lease = await stormy.stage.client.read(LEASES, "default", "sysdisk-operator")
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    assert stormy.replacements(machine) == stormy.replacements(later) == 1
    assert stormy.running(machine)


@pytest.mark.parametrize(
    ("wanted", "action"), [("Stop", "StopInstance"), ("Replace", "ReplaceSystemDisk")]
)
async def test_one_frozen_after_its_intent_does_no_harm_when_it_goes_on(
    stormy: World, wanted: str, action: str
) -> None:
    sides: tuple[Side, ...] = ("before", "after")
    machines = [stormy.machine() for _ in sides]
    for side, machine in zip(sides, machines, strict=True):
        stormy.stage.cloud.faults.delay(action, 1.0, side=side, instance_id=machine.id)
        async with stormy.another() as slow, stormy.another() as quick:
            quick.freeze()
            name = await stormy.declare(machine)
            await stormy.until(name, lambda o: step(o) == wanted)
            slow.freeze()
            quick.thaw()
            await stormy.until_ready(name)
            await quick.kill()
            slow.thaw()
            probe = stormy.machine()
            await stormy.until_ready(await stormy.declare(probe))
            found = await stormy.look(name)
            assert condition(found, "Ready")["reason"] in ("UpToDate", "GivingBack")
            assert stormy.replacements(probe) == 1
    assert [stormy.replacements(m) for m in machines] == [1] * len(machines)
    assert [stormy.stops(m) for m in machines] == [1] * len(machines)
    assert all(stormy.running(m) for m in machines)


async def _until_leading(stormy: World, operator: OperatorProcess) -> None:
    async def leads() -> bool:
        return (await operator.metrics())["sysdisk_leader"] == 1

    await stormy.until_true(leads, f"{operator.name} leads")
