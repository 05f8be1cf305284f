"""How the process answers for itself, and how it ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from sysdisk.api.reasons import PHASES
from sysdisk.controllers.health import Freshness
from sysdisk.controllers.metrics import LOCK_REASONS, OTHER, Metrics
from sysdisk.controllers.run import serve, unchanged
from sysdisk.controllers.store import spec_store
from sysdisk.core.model import Key
from sysdisk.kube.resources import LEASES
from sysdisk.settings import Address, RunSettings
from tests.support.kube_shell import Api, HardExit, Seen, eventually, operating, serving_api
from tests.support.virtual_time import virtual_time

SHORT = timedelta(seconds=0.3)


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving_api(tmp_path) as api:
        yield api


class Gate:
    """A pass that lasts until the gate is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, key: Key) -> timedelta | None:
        await self.open.wait()
        return timedelta(minutes=5)


async def test_it_is_alive_at_once_and_ready_when_everything_listed_is_known(api: Api) -> None:
    await api.spec("web-1")
    async with operating(api, Seen()) as running:
        assert (await running.get("/healthz"))[0] == 200
        await running.ready()
        assert Key("default", "web-1") in running.shell.specs


@virtual_time
async def test_it_is_not_fresh_when_the_cluster_was_not_listed_for_longer_than_the_limit() -> None:
    freshness = Freshness(limit_seconds=600)
    assert freshness.check_synced() is not None
    freshness.synced = True
    assert freshness.check_fresh() is not None
    freshness.confirm()
    await asyncio.sleep(599)
    assert (freshness.check_synced(), freshness.check_fresh()) == (None, None)
    await asyncio.sleep(2)
    assert "601 s ago" in str(freshness.check_fresh())


async def test_ready_tells_the_age_of_the_last_event_and_of_the_last_listing(api: Api) -> None:
    async with operating(api, Seen()) as running:
        await running.ready()
        assert "[+]fresh ok: last event never, listed " in (await running.get("/readyz"))[1]
        await api.spec("web-1")

        async def heard() -> bool:
            text = (await running.get("/readyz"))[1]
            return bool(re.search(r"fresh ok: last event \d+ s ago, listed \d+ s ago", text))

        await eventually(heard)


async def test_a_worker_that_is_stuck_or_gone_is_not_alive(api: Api) -> None:
    async with operating(api, Seen()) as running:
        await running.ready()
        worker = next(task for task in asyncio.all_tasks() if task.get_name() == "worker")
        worker.cancel()
        await asyncio.wait({worker})
        status, text = await running.get("/healthz")
        assert (status, "1 of 64 workers" in text) == (503, True)


async def test_passes_in_flight_end_before_it_does_and_nothing_new_begins(api: Api) -> None:
    gate = Gate()
    seen = Seen(during=gate)
    await api.spec("web-1")
    async with operating(api, seen) as running:
        await eventually(lambda: seen.specs == ["web-1"])
        running.stop.set()

        async def stopping() -> bool:
            return "[-]running: stopping" in (await running.get("/readyz"))[1]

        await eventually(stopping)
        running.shell.wake(Key("default", "web-2"))
        assert not running.task.done()
        gate.open.set()
        assert await asyncio.wait_for(running.task, 10) == 0
    assert (seen.specs, seen.ended, running.exits) == (["web-1"], ["web-1"], [])


async def test_a_pass_that_does_not_end_is_cut_off_and_the_lease_is_kept(api: Api) -> None:
    seen = Seen(during=Gate())
    await api.spec("web-1")
    changes = {"grace": SHORT, "leader_elect": True}
    async with operating(api, seen, **changes) as running:
        await eventually(lambda: seen.specs == ["web-1"])
        running.stop.set()
        with pytest.raises(HardExit):
            await asyncio.wait_for(asyncio.shield(running.task), 10)
    assert running.exits == [0]
    lease = await api.client.read(LEASES, "default", "sysdisk-operator")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] != ""


async def test_a_second_operator_begins_only_when_the_first_gave_the_lease_up(api: Api) -> None:
    gate = Gate()
    first, second = Seen(during=gate), Seen()
    await api.spec("web-1")
    async with operating(api, first, leader_elect=True) as one:
        await eventually(lambda: first.specs == ["web-1"])
        async with operating(api, second, leader_elect=True) as two:
            await two.ready()
            assert one.shell.may_act()
            assert not two.shell.may_act()
            one.stop.set()
            await eventually(lambda: one.shell.queue.running == 1)
            assert second.specs == []
            gate.open.set()
            assert await one.task == 0
            await eventually(lambda: second.specs == ["web-1"])
            assert two.shell.may_act()
            assert "sysdisk_leader 1.0" in (await two.get("/metrics"))[1]


async def test_it_does_not_begin_without_access_or_at_an_address_in_use(
    api: Api, tmp_path: Path
) -> None:
    def build(shell: object) -> object:
        return unchanged(Seen())

    missing = RunSettings(kubeconfig=str(tmp_path / "missing"))
    assert await serve(missing, build) == 1  # type: ignore[arg-type]
    async with operating(api, Seen()) as running:
        taken = RunSettings(kubeconfig=str(api.kubeconfig), listen=running.address)
        assert await serve(taken, build) == 1  # type: ignore[arg-type]


async def test_the_metrics_are_those_that_dashboards_know(api: Api) -> None:
    await api.spec("web-1")
    async with operating(api, Seen()) as running:
        await running.ready()
        running.shell.metrics.watch_fleet(running.shell.specs)
        _, text = await running.get("/metrics")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {
        "sysdisk_specs",
        "sysdisk_replacements",
        "sysdisk_step_seconds",
        "sysdisk_ecs_requests",
        "sysdisk_ecs_throttled",
        "sysdisk_drifted",
        "sysdisk_locked",
        "sysdisk_awaiting_approval",
        "sysdisk_observation_age_seconds",
        "sysdisk_reconcile_errors",
        "sysdisk_leader",
    } <= names
    assert 'sysdisk_specs{phase="Pending"} 1.0' in text


def test_no_label_grows_without_bound() -> None:
    metrics = Metrics(max_values_per_label=3)
    specs = spec_store()
    metrics.watch_fleet(specs)
    for number in range(50):
        metrics.count_ecs_request("StopInstance", f"Code{number}", throttled=True)
        specs.remember(
            {
                "metadata": {"name": f"w-{number}", "namespace": "a", "resourceVersion": "1"},
                "status": {"operationLocks": [{"reason": f"odd-{number}"}, {"reason": "security"}]},
            }
        )
    text = metrics.render().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    codes = {sample.labels["code"] for sample in families["sysdisk_ecs_requests"].samples}
    assert len(codes | {OTHER}) <= 4
    locks = {s.labels["reason"]: s.value for s in families["sysdisk_locked"].samples}
    assert locks == dict.fromkeys(LOCK_REASONS, 0) | {"security": 50, OTHER: 50}


def test_what_has_known_label_values_is_0_before_it_happens() -> None:
    metrics = Metrics()
    metrics.watch_fleet(spec_store())
    lines = metrics.render().decode().splitlines()
    for series in (
        *(f'sysdisk_specs{{phase="{each}"}}' for each in PHASES),
        *(f'sysdisk_locked{{reason="{each}"}}' for each in (*LOCK_REASONS, OTHER)),
        *(f'sysdisk_replacements_total{{result="{each}"}}' for each in ("Replaced", "Refused")),
        *(f'sysdisk_reconcile_errors_total{{kind="{each}"}}' for each in ("kube", "internal")),
        'sysdisk_step_seconds_count{step="Replace"}',
    ):
        assert f"{series} 0.0" in lines
    assert not [line for line in lines if "_created" in line]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        (":9090", Address("0.0.0.0", 9090)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "8080", "host", "host:", "host:x", "host:70000"])
def test_a_wrong_address_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)
