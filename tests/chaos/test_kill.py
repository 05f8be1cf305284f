"""SIGKILL at any moment of a replacement, and a new process: one disk replaced, machine running."""

import os
from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice

import pytest

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.ecs_faults import FaultRule, Side
from sysdisk.sandbox.ecs_state import Instance
from sysdisk.sandbox.stage import TEAM
from tests.support.e2e import World, step

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

WRITES = {
    "Backup": "CreateSnapshot",
    "Stop": "StopInstance",
    "Replace": "ReplaceSystemDisk",
    "Start": "StartInstance",
    "Finish": "ApplyAutoSnapshotPolicy",
}
"""The write to ECS that each step is about; Verify has none."""

KINDS: tuple[tuple[Side, str], ...] = (
    ("before", "Replace"),
    ("after", "Replace"),
    ("before", "Verify"),
    ("after", "Verify"),
)
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "8"))
"""In each round one machine is replaced, and the operator killed in five steps of it, with the
request of the step on its way, or with its answer. Replace and Verify take turns: after a lost
request ECS is watched, and when that ends Verify is over too. Forty rounds are 200 kills."""

LONG = 1.0
"""Seconds that a request, or its answer, is on its way."""


@pytest.mark.timeout(60 + 60 * ROUNDS)
async def test_kills_in_all_steps_leave_one_new_disk_one_backup_and_a_running_machine(
    stormy: World, record_property: Callable[[str, object], None]
) -> None:
    machines, killed = [], Counter[str]()
    await stormy.operator.start()
    try:
        for side, middle in islice(cycle(KINDS), ROUNDS):
            machine = stormy.machine(policy=stormy.stage.seeded.policy)
            machines.append(machine)
            killed += await _killed_in_five_steps(stormy, machine, side, middle)
    finally:
        if stormy.operator.running:
            await stormy.operator.kill()
    print(f"killed in step: {dict(killed)}")
    record_property("killed in step", dict(killed))
    assert killed.total() >= 5 * ROUNDS
    assert all(killed[name] >= ROUNDS // 2 for name in (*WRITES, "Verify"))
    assert [stormy.replacements(m) for m in machines] == [1] * len(machines)
    assert [len(stormy.effects(m, "disk_replaced")) for m in machines] == [1] * len(machines)
    assert [len(stormy.effects(m, "snapshot_begun")) for m in machines] == [1] * len(machines)
    assert all(stormy.running(m) for m in machines)


async def _killed_in_five_steps(
    stormy: World, machine: Instance, side: Side, middle: str
) -> Counter[str]:
    """Return the steps in which the operator was killed; the machine is Ready afterwards."""
    killed, cloud = Counter[str](), stormy.stage.cloud
    steps = ("Backup", "Stop", middle, "Start", "Finish")
    slow: dict[str, FaultRule] = {}
    for wanted, action in WRITES.items():
        of = "" if wanted in ("Backup", "Finish") else machine.id  # those calls name a disk
        if wanted in steps:
            slow[wanted] = cloud.faults.delay(action, LONG, side=side, instance_id=of)
    name = await stormy.declare(machine, backup={"enabled": True})
    for wanted in steps:
        await _until_in(stormy, name, wanted, slow.get(wanted))
        if wanted == "Verify":
            cloud.outside.freeze(machine.id)  # else it would be over when the next one looks
        await stormy.operator.kill()
        killed.update(await _steps_under_way(stormy))
        await stormy.operator.start(ready=False)
        if wanted == "Verify":
            cloud.outside.thaw(machine.id)
    found = await stormy.until_ready(name)
    assert [entry["result"] for entry in found["status"]["history"]] == ["Replaced"]
    return killed


async def _until_in(stormy: World, name: str, wanted: str, slow: FaultRule | None) -> None:
    """Return when that step is recorded, and its slow request, if it has one, on its way."""
    await stormy.until(name, lambda found: step(found) == wanted)
    if slow is not None:
        # The simulator has met the request when it has used the rule up; others may be left over.
        await stormy.until_true(lambda: slow not in stormy.stage.cloud.faults.rules, wanted)


async def _steps_under_way(stormy: World) -> list[str]:
    """Return the steps of all operations that are recorded now, with nobody to go on with them."""
    return [found async for o in stormy.stage.client.list(SPECS, TEAM) if (found := step(o))]
