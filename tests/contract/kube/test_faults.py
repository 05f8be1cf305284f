"""Faults on demand, restarts and lost history: what only the embedded API can do on command."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_faults import Fault
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from tests.contract.kube.client import Api

MAPS = "/api/v1/namespaces/default/configmaps"
BODY = {"metadata": {"name": "a"}}


@pytest.fixture
async def server() -> AsyncIterator[KubeServer]:
    """Yield a server of this test's own."""
    async with KubeServer(complete(KubeStore()), bookmark_every=0.05) as running:
        yield running


@pytest.fixture
async def client(server: KubeServer) -> AsyncIterator[Api]:
    """Yield a client for it, with a new connection for each request."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        made = Api(session, server.url)
        yield made
        await made.close()


async def test_a_fault_answers_as_often_as_it_was_told(server: KubeServer, client: Api) -> None:
    server.faults.add(Fault("GET", f"{MAPS}/.*", times=2, status=429, retry_after=1))
    codes = [(await client.ask("GET", f"{MAPS}/a")).code for _ in range(3)]
    assert codes == [429, 429, 404]


@pytest.mark.parametrize(("side", "code"), [("before", 404), ("after", 200)])
async def test_a_cut_request_has_its_effect_only_if_cut_afterwards(
    server: KubeServer, client: Api, side: Any, code: int
) -> None:
    server.faults.add(Fault("POST", MAPS, side=side))
    with pytest.raises(aiohttp.ClientError):
        await client.ask("POST", MAPS, BODY)
    assert (await client.ask("GET", f"{MAPS}/a")).code == code
    assert server.faults.hits == [("POST", MAPS)]


async def test_a_watch_over_lost_history_ends_with_410(server: KubeServer, client: Api) -> None:
    version = server.store.version
    await client.ask("POST", MAPS, BODY)
    server.expire_history()
    async with asyncio.timeout(10):
        events = [each async for each in client.watch(MAPS, f"resourceVersion={version}")]
    assert [(each["type"], each["object"]["code"]) for each in events] == [("ERROR", 410)]
    assert events[0]["object"]["reason"] == "Expired"


async def test_an_open_watch_is_cut_and_its_version_still_good(
    server: KubeServer, client: Api
) -> None:
    version = server.store.version
    seen: list[Any] = []

    async def follow() -> None:
        query = f"resourceVersion={version}&allowWatchBookmarks=true"
        async for event in client.watch(MAPS, query):
            seen.append(event)

    task = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        while not seen:
            await asyncio.sleep(0.01)
    assert seen[0]["type"] == "BOOKMARK"
    assert server.cut_watches() == 1
    with pytest.raises(aiohttp.ClientError):
        await task
    await client.ask("POST", MAPS, BODY)
    async with asyncio.timeout(10):
        async for event in client.watch(MAPS, f"resourceVersion={version}"):
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
            break


async def test_a_watch_ends_when_its_client_leaves(server: KubeServer, client: Api) -> None:
    stream = client.watch(MAPS, "allowWatchBookmarks=true")
    async with asyncio.timeout(10):
        await anext(stream)
        assert server.open_watches == 1
        await stream.aclose()
        while server.open_watches:
            await asyncio.sleep(0.01)


async def test_a_restart_keeps_port_and_objects(server: KubeServer, client: Api) -> None:
    await client.ask("POST", MAPS, BODY)
    url = server.url
    await server.stop()
    with pytest.raises(aiohttp.ClientError):
        await client.ask("GET", f"{MAPS}/a")
    await server.start()
    assert server.url == url
    assert (await client.ask("GET", f"{MAPS}/a")).code == 200


async def test_a_page_of_a_forgotten_list_is_refused(server: KubeServer, client: Api) -> None:
    for name in ("a", "b"):
        await client.ask("POST", MAPS, {"metadata": {"name": name}})
    first = await client.ask("GET", f"{MAPS}?limit=1")
    server.expire_history()
    second = await client.ask(
        "GET", f"{MAPS}?limit=1&continue={first.body['metadata']['continue']}"
    )
    assert (second.code, second.body["reason"]) == (410, "Expired")


async def test_the_kubeconfig_is_its_owners_alone(server: KubeServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["kubeconfig"]


async def test_a_token_is_asked_for_where_one_is_set() -> None:
    async with KubeServer(complete(KubeStore()), token="secret") as guarded:
        async with aiohttp.ClientSession() as session:
            assert (await Api(session, guarded.url).ask("GET", MAPS)).code == 401
        headers = {"Authorization": "Bearer secret"}
        async with aiohttp.ClientSession(headers=headers) as session:
            assert (await Api(session, guarded.url).ask("GET", MAPS)).code == 200


def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        KubeServer(KubeStore(), "0.0.0.0")
