"""A hundred machines re-imaged together: what it costs, in calls and writes."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable

import pytest

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.stage import TEAM
from tests.support.e2e import World, stands

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

MACHINES = 100
CALLS_EACH = 6
"""ECS calls per replacement, with a backup or without."""

WRITES_EACH = 10
SAVED = (False, True) if "CHAOS_ROUNDS" in os.environ else (False,)
"""With backups it is counted by `make chaos` and `make bench`."""

PATIENCE = 300.0


@pytest.mark.parametrize("saved", SAVED, ids=lambda saved: f"backup-{saved}")
async def test_a_hundred_replacements_cost_few_calls_and_few_writes(
    stormy: World, saved: bool, record_property: Callable[[str, object], None]
) -> None:
    machines = [stormy.machine() for _ in range(MACHINES)]
    async with stormy.another("--resync-interval=5m") as operator:
        await stormy.until_ready(await stormy.declare(stormy.machine(), "ubuntu-22"))
        asked = len(stormy.stage.cloud.requests)
        backup = {"enabled": saved}
        names = await asyncio.gather(*(stormy.declare(m, backup=backup) for m in machines))
        await _all_ready(stormy, set(names))
        assert await operator.terminate() == 0
    calls = Counter(request.action for request in stormy.stage.cloud.requests[asked:])
    written = stormy.stage.spec_writes()
    writes = Counter({name: written[name] for name in names})
    most = max(writes.values())
    print(f"ECS calls per replacement: {calls.total() / MACHINES:.2f} {dict(calls)}")
    print(f"writes on a spec: at most {most}, {writes.total() / MACHINES:.2f} on average")
    record_property("ECS calls per replacement", calls.total() / MACHINES)
    record_property("writes on a spec, at most", most)
    assert [stormy.replacements(machine) for machine in machines] == [1] * MACHINES
    assert all(stormy.running(machine) for machine in machines)
    assert calls["CreateSnapshot"] == (MACHINES if saved else 0)
    assert calls.total() <= CALLS_EACH * MACHINES
    assert 3 <= most <= WRITES_EACH


async def _all_ready(stormy: World, names: set[str]) -> None:
    async def ready() -> bool:
        found = [o async for o in stormy.stage.client.list(SPECS, TEAM)]
        done = {o["metadata"]["name"] for o in found if stands(o, "Ready", "True", "UpToDate")}
        still = {o["metadata"]["name"] for o in found if o["metadata"].get("finalizers")}
        return names <= done and not names & still

    await stormy.until_true(ready, "all are ready, without our finalizer", PATIENCE)
