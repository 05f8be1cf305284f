"""The client of the Kubernetes port, over HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from sysdisk.kube.client import PAGE_SIZE, KubeClient
from sysdisk.kube.connection import NotConfigured, load
from sysdisk.kube.errors import (
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    NotThere,
    Unavailable,
)
from sysdisk.kube.resources import ACCOUNTS, SECRETS, SPECS
from sysdisk.sandbox.kube_faults import Fault
from tests.support.kube_shell import Api, serving_api


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving_api(tmp_path) as api:
        yield api


async def test_what_is_not_there_is_none_and_a_kind_that_is_not_there_fails_the_probe(
    api: Api, tmp_path: Path
) -> None:
    assert await api.client.read(SPECS, "default", "nothing") is None
    assert await api.client.read_secret("default", "nothing") is None
    await api.client.probe(SPECS)
    (tmp_path / "bare").mkdir()
    async with serving_api(tmp_path / "bare", crds=False) as bare:
        with pytest.raises(NotThere):
            await bare.client.probe(SPECS)


async def test_a_list_longer_than_a_page_is_read_whole(api: Api) -> None:
    resource = api.server.store.resource("", "v1", "secrets")
    number = 2 * PAGE_SIZE + 7
    for each in range(number):
        api.server.store.create(resource, "default", {"metadata": {"name": f"s-{each}"}})
    names = {each["metadata"]["name"] async for each in api.client.list(SECRETS, "default")}
    assert len(names) == number
    pages = [entry for entry in api.server.journal if entry.path.endswith("/secrets")]
    assert len(pages) == 3


async def test_a_list_that_expires_half_way_says_so(api: Api) -> None:
    resource = api.server.store.resource("", "v1", "secrets")
    for each in range(PAGE_SIZE + 1):
        api.server.store.create(resource, "default", {"metadata": {"name": f"s-{each}"}})
    pages = api.client.list(SECRETS, "default")
    for _ in range(PAGE_SIZE):
        await anext(pages)
    api.server.expire_history()
    with pytest.raises(Expired):
        await anext(pages)


async def test_a_metadata_list_holds_neither_spec_nor_status(api: Api) -> None:
    await api.spec("web-1")
    [item] = [item async for item in api.client.list_metadata(SPECS)]
    assert item["metadata"]["name"] == "web-1"
    assert not {"spec", "status"} & set(item)


async def test_a_status_is_written_only_over_the_version_that_was_read(api: Api) -> None:
    made = await api.spec("web-1")
    read = made["metadata"]
    written = await api.client.patch_status(
        SPECS,
        "default",
        "web-1",
        resource_version=read["resourceVersion"],
        uid=read["uid"],
        status={"phase": "Stopping", "diskId": "d-1"},
    )
    assert written["status"]["phase"] == "Stopping"
    with pytest.raises(Conflict):
        await api.client.patch_status(
            SPECS,
            "default",
            "web-1",
            resource_version=read["resourceVersion"],
            status={"phase": "Ready"},
        )
    again = await api.client.patch_status(
        SPECS,
        "default",
        "web-1",
        resource_version=written["metadata"]["resourceVersion"],
        status={"diskId": None},
    )
    assert again["status"] == {"phase": "Stopping"}


async def test_an_object_made_anew_under_the_name_is_a_conflict_and_stays_untouched(
    api: Api,
) -> None:
    old = await api.spec("web-1")
    await api.delete("web-1")
    await api.spec("web-1")
    with pytest.raises(Conflict):
        await api.client.patch_metadata(
            SPECS,
            "default",
            "web-1",
            uid=old["metadata"]["uid"],
            resource_version=None,
            annotations={"sysdisk.dev/suspend": "true"},
        )
    now = await api.client.read(SPECS, "default", "web-1")
    assert now is not None
    assert "annotations" not in now["metadata"]


async def test_finalizers_are_only_replaced_under_a_version(api: Api) -> None:
    made = (await api.spec("web-1"))["metadata"]
    with pytest.raises(ValueError, match="resourceVersion"):
        await api.client.patch_metadata(
            SPECS, "default", "web-1", uid=made["uid"], resource_version=None, finalizers=["x.y/z"]
        )
    after = await api.client.patch_metadata(
        SPECS,
        "default",
        "web-1",
        uid=made["uid"],
        resource_version=made["resourceVersion"],
        finalizers=["sysdisk.dev/operation"],
    )
    assert after["metadata"]["finalizers"] == ["sysdisk.dev/operation"]


async def test_a_secret_is_decoded_and_its_repr_does_not_show_it(api: Api) -> None:
    value = base64.b64encode(b"S3cret%&+").decode()
    body = {"metadata": {"name": "login", "labels": {"a": "b"}}, "data": {"password": value}}
    await api.client.create(SECRETS, "default", body)
    secret = await api.client.read_secret("default", "login")
    assert secret is not None
    assert (secret.data["password"], dict(secret.labels)) == (b"S3cret%&+", {"a": "b"})
    assert "S3cret" not in repr(secret)
    assert value not in repr(secret)


async def test_a_wrong_object_is_invalid_with_the_servers_words(api: Api) -> None:
    body = {
        "apiVersion": ACCOUNTS.api_version,
        "kind": ACCOUNTS.kind,
        "metadata": {"name": "a"},
        "spec": {"regionId": 5},
    }
    with pytest.raises(Invalid, match="regionId"):
        await api.client.create(ACCOUNTS, None, body)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Forbidden), (403, Forbidden), (409, Conflict), (429, Unavailable), (503, Unavailable)],
)
async def test_each_status_is_the_error_that_says_what_to_do(
    api: Api, status: int, error: type[KubeError]
) -> None:
    api.server.faults.add(Fault(status=status, retry_after=7))
    with pytest.raises(error) as caught:
        await api.client.probe(SPECS)
    assert caught.value.code == status
    if isinstance(caught.value, Unavailable):
        assert caught.value.retry_after == 7


async def test_a_lost_answer_is_an_unknown_outcome_and_is_not_tried_again(api: Api) -> None:
    made = (await api.spec("web-1"))["metadata"]
    api.server.faults.add(Fault(method="PATCH", side="after"))
    before = len(api.server.journal)
    with pytest.raises(Unavailable):
        await api.client.patch_status(
            SPECS,
            "default",
            "web-1",
            resource_version=made["resourceVersion"],
            status={"phase": "Stopping"},
        )
    now = await api.client.read(SPECS, "default", "web-1")
    assert now is not None
    assert now["status"] == {"phase": "Stopping"}
    patches = [entry for entry in list(api.server.journal)[before:] if entry.method == "PATCH"]
    assert len(patches) == 1


async def test_a_server_that_is_away_is_unavailable(api: Api) -> None:
    await api.server.stop()
    with pytest.raises(Unavailable):
        await api.client.probe(SPECS)


@pytest.mark.parametrize("text", ["", "<html>busy</html>", '{"items": [', "[]", '"text"'])
async def test_a_broken_answer_is_an_unknown_outcome(tmp_path: Path, text: str) -> None:
    async with Answering(tmp_path, web.Response(text=text)) as client:
        with pytest.raises(Unavailable):
            await client.read(SPECS, "default", "web-1")


async def test_a_list_without_items_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    async with Answering(tmp_path, web.json_response({"kind": "List"})) as client:
        with pytest.raises(Unavailable):
            [item async for item in client.list(SPECS)]


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async with Answering(tmp_path, None) as client:
        with pytest.raises(Unavailable, match="no answer from http"):
            await client.read(SPECS, "default", "web-1")


async def test_it_says_who_is_asking(tmp_path: Path) -> None:
    agents: list[str] = []
    async with Answering(tmp_path, web.json_response({}), agents) as client:
        await client.read(SPECS, "default", "web-1")
    assert agents[0].startswith("sysdisk/")


async def test_a_token_is_sent_and_a_wrong_one_is_forbidden(tmp_path: Path) -> None:
    async with serving_api(tmp_path, token="right") as api:
        await api.client.probe(SPECS)
        text = api.kubeconfig.read_text().replace("right", "wrong")
        (tmp_path / "other").write_text(text)
        async with KubeClient(await load(str(tmp_path / "other"))) as other:
            with pytest.raises(Forbidden):
                await other.probe(SPECS)
        shown = repr(await (await load(str(api.kubeconfig))).connection())
        assert "right" not in shown


@pytest.mark.parametrize("content", [None, "", "{}", "a: [", "apiVersion: v1\nkind: Config\n"])
async def test_an_unusable_kubeconfig_is_explained(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NotConfigured, match="kubeconfig"):
        await load(str(path))


class Answering:
    """A client of a server that gives one answer to everything; None: it never answers."""

    def __init__(
        self, folder: Path, answer: web.Response | None, agents: list[str] | None = None
    ) -> None:
        self._folder, self._answer = folder, answer
        self._agents = agents if agents is not None else []
        self._release = asyncio.Event()

    async def _serve(self, request: web.Request) -> web.Response:
        self._agents.append(request.headers.get("User-Agent", ""))
        if self._answer is None:
            await self._release.wait()
            return web.Response()
        return self._answer

    async def __aenter__(self) -> KubeClient:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        path = self._folder / "kubeconfig"
        path.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
            "users: [{name: u, user: {}}]\n"
        )
        self._client = KubeClient(await load(str(path)), total_seconds=0.3)
        return self._client

    async def __aexit__(self, *_: object) -> None:
        self._release.set()
        await self._client.close()
        await self._runner.cleanup()
