"""The ground that the parts share: a stage with an operator process, and counts of what it did."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.child import Operator
from sysdisk.sandbox.ecs_state import Timings
from sysdisk.sandbox.stage import EMBEDDED, TEAM, Stage, spec_manifest

RAISED = {"limits": {"concurrentReplacements": 10_000, "firstSightPerHour": 10_000}}


@asynccontextmanager
async def ground(
    size: int, *, time_scale: float, timings: Timings | None = None, arguments: Sequence[str] = ()
) -> AsyncIterator[tuple[Stage, Operator]]:
    """Run a stage of `size` instances with an operator; its journal counts every request."""
    stage = Stage(kube=EMBEDDED, time_scale=time_scale, fleet=size, timings=timings, account=RAISED)
    async with stage:
        child = Operator(
            stage.kubeconfig,
            stage.directory / "operator.log",
            arguments=("--log-level", "warning", *arguments),
        )
        await child.start()
        try:
            yield stage, child
        finally:
            await child.stop()


async def apply(stage: Stage, specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Create the specs, a few at a time."""
    gate = asyncio.Semaphore(32)

    async def one(name: str, spec: Mapping[str, Any]) -> None:
        async with gate:
            await stage.client.create(SPECS, TEAM, spec_manifest(name, **spec))

    await asyncio.gather(*(one(name, spec) for name, spec in specs.items()))


async def until_ready(stage: Stage, count: int, within: float) -> float:
    """Wait until `count` specs are Ready and at rest; return the seconds. Raises TimeoutError."""
    begun = time.monotonic()
    async with asyncio.timeout(within):
        while True:
            ready = 0
            async for body in stage.client.list(SPECS, TEAM):
                status = body.get("status", {})
                conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
                ready += conditions.get("Ready") == "True" and "operation" not in status
            if ready >= count:
                return time.monotonic() - begun
            await asyncio.sleep(0.25)


def ecs_calls(stage: Stage) -> Counter[str]:
    """Return how often each ECS action was asked for."""
    return Counter(request.action for request in stage.cloud.requests)
