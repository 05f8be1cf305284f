"""SIGKILL at any moment of a replacement, and a new process: one disk replaced, machine running."""

from collections import Counter
from collections.abc import Callable

import pytest

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.ecs_faults import Side
from sysdisk.sandbox.ecs_state import Instance
from sysdisk.sandbox.stage import TEAM
from tests.support.e2e import World, step

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

WRITES = {
    "Stop": "StopInstance",
    "Replace": "ReplaceSystemDisk",
    "Start": "StartInstance",
    "Finish": "ApplyAutoSnapshotPolicy",
}
"""The write to ECS that each step is about; Verify has none."""

STEPS = ("Stop", "Replace", "Verify", "Start", "Finish")
ROUNDS: tuple[Side, ...] = ("before", "after", "before", "after", "before", "after")
"""In each round one machine is replaced, and the operator killed in every step of it: with the
request of the step on its way, or with its answer."""

LONG = 1.0
"""Seconds that a request, or its answer, is on its way."""


async def test_thirty_kills_in_all_steps_leave_one_new_disk_and_a_running_machine(
    stormy: World, record_property: Callable[[str, object], None]
) -> None:
    machines, killed = [], Counter[str]()
    await stormy.operator.start()
    try:
        for side in ROUNDS:
            machine = stormy.machine(policy=stormy.stage.seeded.policy)
            machines.append(machine)
            killed += await _killed_in_every_step(stormy, machine, side)
    finally:
        if stormy.operator.running:
            await stormy.operator.kill()
    print(f"killed in step: {dict(killed)}")
    record_property("killed in step", dict(killed))
    assert killed.total() >= 30
    assert all(killed[name] >= 5 for name in STEPS)
    assert [stormy.replacements(m) for m in machines] == [1] * len(machines)
    assert [len(stormy.effects(m, "disk_replaced")) for m in machines] == [1] * len(machines)
    assert all(stormy.running(m) for m in machines)


async def _killed_in_every_step(stormy: World, machine: Instance, side: Side) -> Counter[str]:
    """Return the steps in which the operator was killed; the machine is Ready afterwards."""
    killed = Counter[str]()
    for action in WRITES.values():
        of = "" if action == WRITES["Finish"] else machine.id  # that one names a disk
        stormy.stage.cloud.faults.delay(action, LONG, side=side, instance_id=of)
    name = await stormy.declare(machine)
    outside = stormy.stage.cloud.outside
    for wanted in STEPS:
        await _until_in(stormy, name, wanted)
        if wanted == "Replace":
            outside.freeze(machine.id)  # the cloud waits until the next operator has seen Verify
        await stormy.operator.kill()
        killed.update(await _steps_under_way(stormy))
        if wanted == "Verify":
            outside.thaw(machine.id)
        await stormy.operator.start(ready=False)
    found = await stormy.until_ready(name)
    assert [entry["result"] for entry in found["status"]["history"]] == ["Replaced"]
    return killed


async def _until_in(stormy: World, name: str, wanted: str) -> None:
    """Return when that step is recorded, and its slow request, if it has one, on its way."""
    await stormy.until(name, lambda found: step(found) == wanted)
    if wanted in WRITES:
        await stormy.until_true(lambda: _on_its_way(stormy, wanted), wanted)


def _on_its_way(stormy: World, wanted: str) -> bool:
    """Whether the simulator has met the slow request of that step."""
    return WRITES[wanted] not in {rule.action for rule in stormy.stage.cloud.faults.rules}


async def _steps_under_way(stormy: World) -> list[str]:
    """Return the steps of all operations that are recorded now, with nobody to go on with them."""
    return [found async for o in stormy.stage.client.list(SPECS, TEAM) if (found := step(o))]
