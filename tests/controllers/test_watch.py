"""From kubectl to a pass: the real kopf watch, and what happens when it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from sysdisk.controllers.store import AccountKey
from sysdisk.core.model import Key
from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.kube_faults import Fault
from tests.support.kube_shell import (
    Api,
    Seen,
    eventually,
    install_crds,
    operating,
    serving_api,
)

SHORT = timedelta(seconds=0.3)
NEVER = timedelta(hours=1)


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving_api(tmp_path) as api:
        yield api


async def test_what_is_there_at_the_start_and_what_comes_later_gets_a_pass(api: Api) -> None:
    await api.account("prod")
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen) as running:
        await eventually(lambda: seen.specs == ["web-1"] and seen.accounts == ["prod"])
        await running.ready()
        await api.spec("web-2")
        await eventually(lambda: "web-2" in seen.specs)
        assert AccountKey("prod") in running.shell.accounts
        kept = running.shell.specs.get(Key("default", "web-2"))
        assert kept is not None
        assert kept["spec"]["imageId"] == "m-1"


async def test_nothing_is_written_to_an_object_by_watching_it(api: Api) -> None:
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen) as running:
        await eventually(lambda: bool(seen.specs))
        await running.ready()
    writes = {entry.method for entry in api.server.journal if "systemdiskspecs" in entry.path}
    assert writes <= {"GET", "POST"}


async def test_a_deletion_gets_a_pass_and_so_does_who_else_names_the_instance(api: Api) -> None:
    first = await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen) as running:
        await eventually(lambda: bool(seen.specs))
        body = {**first, "metadata": {"name": "twin"}}
        await api.client.create(SPECS, "default", body)
        await eventually(lambda: sorted(seen.specs) == ["twin", "web-1", "web-1"])
        await api.delete("web-1")
        await eventually(lambda: sorted(seen.specs) == ["twin", "twin", "web-1", "web-1", "web-1"])
        assert Key("default", "web-1") not in running.shell.specs


async def test_a_changed_account_wakes_its_specs(api: Api) -> None:
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen) as running:
        await eventually(lambda: seen.specs == ["web-1"])
        await running.ready()
        await api.account("default")
        await eventually(lambda: seen.specs == ["web-1", "web-1"])


async def test_only_the_served_namespaces_are_seen(api: Api) -> None:
    namespaces = api.server.store.resource("", "v1", "namespaces")
    api.server.store.create(namespaces, None, {"metadata": {"name": "shop"}})
    seen = Seen()
    async with operating(api, seen, namespaces=("shop",)) as running:
        await api.account("prod")
        await api.spec("elsewhere")
        await api.spec("web-1", namespace="shop")
        await eventually(lambda: seen.specs == ["web-1"] and seen.accounts == ["prod"])
        await running.ready()
        assert seen.specs == ["web-1"]


@pytest.mark.parametrize("trouble", ["cut", "410", "restart"])
async def test_changes_are_seen_after_the_watch_was_disturbed(api: Api, trouble: str) -> None:
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen) as running:
        await running.ready()
        match trouble:
            case "cut":
                assert api.server.cut_watches()
            case "410":
                api.server.expire_history()
                api.server.cut_watches()
            case _:
                await api.server.stop()
                await api.server.start()
        await api.spec("web-2")
        await eventually(lambda: "web-2" in seen.specs)


async def test_a_watch_that_ends_for_good_is_begun_again_and_passes_in_flight_go_on(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    async def wait(key: Key) -> timedelta | None:
        await release.wait()
        return None

    await api.spec("web-1")
    seen = Seen(during=wait)
    async with operating(api, seen) as running:
        await eventually(lambda: seen.specs == ["web-1"])
        await running.ready()
        # kopf 1.45 gives a watch up for good at a 404, and goes on without it.
        api.server.faults.add(Fault("GET", ".*/systemdiskspecs", status=404))
        with caplog.at_level(logging.CRITICAL, logger="kopf"):
            api.server.cut_watches()
            await eventually(lambda: not api.server.faults.waiting)
            await api.spec("web-2")
            await eventually(lambda: "web-2" in seen.specs)
            await api.spec("web-3")
            await eventually(lambda: "web-3" in seen.specs)
        metrics = running.shell.metrics.registry
        await eventually(lambda: bool(metrics.get_sample_value("sysdisk_watch_restarts_total")))
        release.set()
        await eventually(lambda: sorted(set(seen.ended)) == ["web-1", "web-2", "web-3"])


async def test_without_the_crds_it_waits_for_them_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    async with serving_api(tmp_path, crds=False) as api, operating(api, seen) as running:
        await eventually(lambda: "the CRDs are not installed" in caplog.text)
        assert (await running.get("/readyz"))[0] == 503
        assert (await running.get("/healthz"))[0] == 200
        install_crds(api.server.store)
        await api.spec("web-1")
        await eventually(lambda: seen.specs == ["web-1"])


async def test_a_listing_finds_a_deletion_that_the_watch_did_not_tell(api: Api) -> None:
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen, prune_interval=SHORT) as running:
        await running.ready()
        ghost = await api.client.read(SPECS, "default", "web-1")
        assert ghost is not None
        ghost["metadata"].update(name="ghost", uid="u-ghost", resourceVersion="1")
        running.shell.specs.remember(ghost)
        await eventually(lambda: Key("default", "ghost") not in running.shell.specs)
        await eventually(lambda: "ghost" in seen.specs)
        assert Key("default", "web-1") in running.shell.specs


async def test_a_listing_finds_a_change_that_the_watch_did_not_tell(api: Api) -> None:
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen, prune_interval=SHORT) as running:
        await running.ready()
        lost = Key("default", "web-1")
        running.shell.specs._records.pop(lost)  # as if it had never been told
        await eventually(lambda: lost in running.shell.specs)
        await eventually(lambda: seen.specs.count("web-1") == 2)


async def test_an_outage_of_the_api_server_changes_nothing_that_is_known(api: Api) -> None:
    await api.spec("web-1")
    seen = Seen()
    async with operating(api, seen, prune_interval=SHORT) as running:
        await running.ready()
        api.server.faults.add(Fault(method="GET", path=".*", status=503, times=6))
        await eventually(lambda: not api.server.faults.waiting)
        assert Key("default", "web-1") in running.shell.specs
        await running.ready()
