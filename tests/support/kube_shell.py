"""A served Kubernetes API with our kinds, and `serve` around passes that tests write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import aiohttp

from sysdisk.api import crd
from sysdisk.controllers.run import Shell, serve, unchanged
from sysdisk.core.model import Key
from sysdisk.kube.client import KubeClient
from sysdisk.kube.connection import load
from sysdisk.kube.port import Object
from sysdisk.kube.resources import ACCOUNTS, SPECS
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.settings import Address, RunSettings


@dataclass(frozen=True, slots=True)
class Api:
    """A running API server and a client of it."""

    server: KubeServer
    kubeconfig: Path
    client: KubeClient

    async def spec(self, name: str, *, namespace: str = "default", image: str = "m-1") -> Object:
        """Create a SystemDiskSpec for an instance of its own."""
        body = {
            "apiVersion": SPECS.api_version,
            "kind": SPECS.kind,
            "metadata": {"name": name},
            "spec": {"instanceId": f"i-{name}", "imageId": image},
        }
        return await self.client.create(SPECS, namespace, body)

    async def account(self, name: str) -> Object:
        body = {
            "apiVersion": ACCOUNTS.api_version,
            "kind": ACCOUNTS.kind,
            "metadata": {"name": name},
            "spec": {"regionId": "cn-hangzhou", "credentials": {"chain": True}},
        }
        return await self.client.create(ACCOUNTS, None, body)

    async def delete(self, name: str) -> None:
        resource = self.server.store.resource(SPECS.group, SPECS.version, SPECS.plural)
        self.server.store.delete(resource, "default", name)


def install_crds(store: KubeStore) -> None:
    resource = store.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    for definition in crd.crds():
        store.create(resource, None, definition)


@asynccontextmanager
async def serving_api(folder: Path, *, crds: bool = True, **kwargs: Any) -> AsyncIterator[Api]:
    async with KubeServer(complete(KubeStore()), **kwargs) as server:
        if crds:
            install_crds(server.store)
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig")
        async with KubeClient(await load(str(kubeconfig)), total_seconds=5) as client:
            yield Api(server, kubeconfig, client)


@dataclass(slots=True)
class Seen:
    """Passes that only write down what they were asked for; `during` may do more."""

    during: Callable[[Key], Awaitable[timedelta | None]] | None = None
    specs: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def reconcile(self, key: Key) -> timedelta | None:
        self.specs.append(key.name)
        rest = await self.during(key) if self.during else None
        self.ended.append(key.name)
        return rest

    async def account_pass(self, name: str) -> timedelta | None:
        self.accounts.append(name)
        return None


class HardExit(Exception):
    """Raised in the place of leaving the process."""


@dataclass(slots=True)
class Running:
    """A `serve` under way. `exits` holds the codes of hard exits."""

    address: Address
    shell: Shell
    task: asyncio.Task[int]
    stop: asyncio.Event
    exits: list[int]

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page of the health server."""
        url = f"http://{self.address}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await eventually(is_ready)


@asynccontextmanager
async def operating(api: Api, passes: Seen, **changes: Any) -> AsyncIterator[Running]:
    """Run the operator's shell around `passes`; it is stopped at the end, if it is not yet."""
    settings = RunSettings(kubeconfig=str(api.kubeconfig), listen=Address("127.0.0.1", 0))
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    built: list[Shell] = []
    exits: list[int] = []

    def build(shell: Shell) -> Any:
        built.append(shell)
        return unchanged(passes)

    def hard_exit(code: int) -> NoReturn:
        exits.append(code)
        raise HardExit

    task = asyncio.create_task(
        serve(
            replace(settings, **changes),
            build,
            stop=stop,
            on_listening=listening.set_result,
            hard_exit=hard_exit,
        )
    )
    address = await asyncio.wait_for(listening, 10)
    await eventually(lambda: bool(built))
    try:
        yield Running(address, built[0], task, stop, exits)
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=30)


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, within: float = 20.0
) -> None:
    """Return when the condition holds; AssertionError if it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        assert loop.time() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)
