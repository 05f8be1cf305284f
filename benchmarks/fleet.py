"""A hundred machines re-imaged together: what it costs in calls (design, section 8)."""

from __future__ import annotations

import asyncio

from benchmarks.ground import apply, ecs_calls, ground, until_ready
from benchmarks.report import Figure
from sysdisk.sandbox.stage import Stage

SIZE = 100
CALLS = 6
"""The budget of ECS calls per replacement, with a backup or without."""

WRITES = ("StopInstance", "ReplaceSystemDisk", "StartInstance", "CreateSnapshot")


async def measure() -> list[Figure]:
    """Return calls and writes per replacement, and the calls of steady intervals."""
    return [*await _measure(saved=False), *await _measure(saved=True)]


async def _measure(*, saved: bool) -> list[Figure]:
    async with ground(SIZE, time_scale=5, arguments=("--resync-interval", "20s")) as (stage, _):
        images = stage.seeded.images
        fresh = {"linux": images["ubuntu-24"].id, "windows": images["windows-new"].id}
        arm = {images["arm"].id: images["arm-new"].id}
        vms = stage.seeded.instances
        specs = {
            f"web-{n:03d}": {
                "instanceId": vm.id,
                "imageId": arm.get(vm.image_id) or fresh[vm.os_type],
                "backup": {"enabled": saved},
            }
            for n, vm in enumerate(vms)
        }
        await apply(stage, specs)
        await until_ready(stage, SIZE, 180)
        calls, writes = ecs_calls(stage), stage.spec_writes()
        replaced = len(stage.cloud.effects_of("disk_replaced"))
        steady = [] if saved else await _steady(stage)
    extra = max(0, calls["ApplyAutoSnapshotPolicy"] / replaced)
    name = f"fleet of {SIZE}, {'with' if saved else 'without'} backup"
    return [
        Figure(f"{name}: disks replaced", replaced, "disks", SIZE),
        Figure(
            f"{name}: ECS calls per replacement (policies put back apart)",
            sum(calls.values()) / replaced - extra,
            "calls",
            CALLS,
        ),
        *(Figure(f"  {each}", calls[each] / replaced, "calls", 1) for each in WRITES),
        Figure(
            f"{name}: Kubernetes writes per spec, mean",
            sum(writes.values()) / SIZE,
            "writes",
            10,
        ),
        Figure(f"{name}: Kubernetes writes per spec, most", max(writes.values()), "writes", 10),
        *steady,
    ]


async def _steady(stage: Stage) -> list[Figure]:
    """Return what three intervals cost in which nothing happens."""
    before = ecs_calls(stage)
    await asyncio.sleep(60)
    steady = ecs_calls(stage) - before
    return [
        Figure("steady, 3 intervals: DescribeInstances", steady["DescribeInstances"], "calls", 4),
        Figure("steady, 3 intervals: DescribeDisks", steady["DescribeDisks"], "calls", 4),
    ]
