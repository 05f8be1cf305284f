"""The time that the operator adds to the cloud's own, for a machine that takes 11 s."""

from __future__ import annotations

import time

from benchmarks.ground import apply, ground, until_ready
from benchmarks.report import Figure
from sysdisk.sandbox.ecs_state import Timings

CLOUD = Timings(stop=3.0, replace=5.0, start=3.0, lock_lag=0.2)
ROUNDS = 4


async def measure() -> list[Figure]:
    """Return the median share, in percent of the cloud's 11 s, over a few replacements in a row."""
    shares: list[float] = []
    async with ground(6, time_scale=1, timings=CLOUD) as (stage, _):
        image = stage.seeded.images["ubuntu-24"].id
        own = CLOUD.stop + CLOUD.replace + CLOUD.start
        linux = [v for v in stage.seeded.instances if v.os_type == "linux"]
        for n, vm in enumerate(linux[:ROUNDS]):
            begun = time.monotonic()
            spec = {"instanceId": vm.id, "imageId": image, "backup": {"enabled": False}}
            await apply(stage, {f"web-{n}": spec})
            await until_ready(stage, n + 1, 60)
            shares.append((time.monotonic() - begun - own) / own * 100)
    shares.sort()
    return [Figure("time over the cloud's own (11 s), median", shares[len(shares) // 2], "%", 10)]
