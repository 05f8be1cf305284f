"""Ten thousand specs at rest: memory, start and idle CPU. See README.md for the budgets."""

from __future__ import annotations

import asyncio
import time

import psutil

from benchmarks.ground import apply, ecs_calls, ground, until_ready
from benchmarks.report import Figure

SIZE = 10_000
MEMORY_MIB = 400.0
CPU_SECONDS = 90.0
IDLE_PERCENT = 10.0


async def measure() -> list[Figure]:
    """Return the figures of a restart over 10 000 specs that match, and of a minute at rest."""
    from sysdisk.sandbox.child import Operator

    async with ground(SIZE, time_scale=1) as (stage, first):
        specs = {
            f"web-{n:05d}": {
                "instanceId": vm.id,
                "imageId": vm.image_id,
                "backup": {"enabled": False},
            }
            for n, vm in enumerate(stage.seeded.instances)
        }
        await apply(stage, specs)
        await until_ready(stage, SIZE, 900)
        await first.stop()
        calls, writes = ecs_calls(stage), sum(stage.spec_writes().values())
        again = Operator(
            stage.kubeconfig, stage.directory / "again.log", arguments=("--log-level", "warning")
        )
        begun = time.monotonic()
        await again.start()
        try:
            process = psutil.Process(again.pid)
            seen = await _all_seen(stage_calls=lambda: ecs_calls(stage) - calls)
            took, busy = time.monotonic() - begun, sum(process.cpu_times()[:2])
            await asyncio.sleep(60)
            idle = (sum(process.cpu_times()[:2]) - busy) / 60 * 100
            memory = process.memory_info().rss / 2**20
        finally:
            await again.stop()
        rewritten = sum(stage.spec_writes().values()) - writes
    return [
        Figure("10 000 specs: start to all observed", took, "s"),
        Figure("10 000 specs: CPU until then", busy, "s", CPU_SECONDS),
        Figure("10 000 specs: resident memory", memory, "MiB", MEMORY_MIB),
        Figure("10 000 specs: idle CPU, of one core", idle, "%", IDLE_PERCENT),
        Figure("10 000 specs: DescribeInstances at start", seen, "calls", SIZE / 100 * 1.2),
        Figure("10 000 specs: Kubernetes writes at a restart", rewritten, "writes", 0),
    ]


async def _all_seen(stage_calls: object) -> float:
    """Wait until looks have come to rest; return how many DescribeInstances that took."""
    assert callable(stage_calls)
    last, quiet = -1.0, 0
    while quiet < 6:
        await asyncio.sleep(1)
        now = float(stage_calls()["DescribeInstances"])
        quiet = quiet + 1 if now == last and now > 0 else 0
        last = now
    return last
