"""Everything a sandbox stands on: a simulated cloud, a Kubernetes API, our kinds, an account.

`Stage` holds no operator: the `sysdisk sandbox` command, the demo and the tests run one beside it,
as the real process. It leaves nothing behind: `stop` removes its temporary folder, and what it made
in a cluster that a kubeconfig names.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sysdisk.api import meta
from sysdisk.api.crd import crds
from sysdisk.kube.client import KubeClient
from sysdisk.kube.connection import load
from sysdisk.kube.errors import Conflict, KubeError
from sysdisk.kube.resources import ACCOUNTS, NAMESPACES, SECRETS, SPECS, Resource
from sysdisk.sandbox.borrowed import CRDS, Borrowed, NotFree, is_ours, labelled
from sysdisk.sandbox.ecs_fleet import HOME, Seeded, seed_fleet
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.ecs_server import EcsServer
from sysdisk.sandbox.ecs_state import Timings
from sysdisk.sandbox.envtest import Envtest, find_assets
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.scratch import Scratch

EMBEDDED: Final = "embedded"
ENVTEST: Final = "envtest"
TEAM: Final = "shop"
SYSTEM: Final = "sysdisk-system"
KEYS: Final = "ecs-credentials"
LOGIN: Final = "web-2-login"
"""The Secrets that a sandbox makes: the keys of the account, a password of the guide."""
ACCOUNT: Final = meta.DEFAULT_ACCOUNT
PATIENCE: Final = 60.0
"""Seconds to wait for the API server to take up what was installed."""


def default_backend() -> str:
    """Return `envtest` where the binaries of a real kube-apiserver are found, else `embedded`."""
    return ENVTEST if find_assets() else EMBEDDED


@dataclass(slots=True)
class Stage:
    """A sandbox without an operator. `kube` is `embedded`, `envtest` or a kubeconfig's path.

    `account` is merged into the spec of EcsAccount `default`, top-level keys replacing. After
    `stop`, `left` says what could not be removed from somebody's cluster.
    """

    kube: str = EMBEDDED
    time_scale: float = 10.0
    fleet: int = 5
    timings: Timings | None = None
    account: Mapping[str, Any] = field(default_factory=dict)
    ecs_port: int = 0
    ecs: EcsServer = field(init=False)
    seeded: Seeded = field(init=False)
    left: list[str] = field(init=False, default_factory=list)
    scratch: Scratch | None = field(init=False, default=None)
    borrowed: Borrowed | None = field(init=False, default=None)
    kubeconfig: Path = field(init=False)
    client: KubeClient = field(init=False)
    server: KubeServer | None = field(init=False, default=None)
    envtest: Envtest | None = field(init=False, default=None)

    @property
    def cloud(self) -> Cloud:
        """The cloud behind the simulator."""
        return self.ecs.cloud

    @property
    def directory(self) -> Path:
        """Its temporary folder. Raises RuntimeError before `start`."""
        if self.scratch is None:
            raise RuntimeError("the sandbox is not started")
        return self.scratch.path

    @property
    def own(self) -> bool:
        """Whether the Kubernetes API is the sandbox's own."""
        return self.kube in (EMBEDDED, ENVTEST)

    @property
    def operator_arguments(self) -> tuple[str, ...]:
        """What `sysdisk run` is given here: drift shows soon, and others' namespaces are theirs."""
        return ("--resync-interval", "30s", *(() if self.own else ("--namespace", TEAM)))

    async def start(self) -> None:
        """Start servers; install kinds, namespaces, keys, account. Raises KubeError, OSError."""
        self.scratch = Scratch("sysdisk-sandbox-")
        try:
            self.ecs = EcsServer.at_scale(self.time_scale, timings=self.timings, port=self.ecs_port)
            self.seeded = seed_fleet(self.cloud, self.fleet, team=TEAM)
            await self.ecs.start()
            self.kubeconfig = await self._start_kube()
            access = await load(str(self.kubeconfig))
            self.client = KubeClient(access)
            if not self.own:
                await self._move_in(access.configuration.host)
            await self._install()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the servers and remove what was made. May be called twice."""
        if self.borrowed is not None:
            self.left = await self.borrowed.move_out()
            self.borrowed = None
        for name in ("client", "ecs"):
            part = getattr(self, name, None)
            if part is not None:
                await (part.close() if name == "client" else part.stop())
        if self.server is not None:
            await self.server.stop()
            self.server = None
        if self.envtest is not None:
            await asyncio.to_thread(self.envtest.stop)
            self.envtest = None
        if self.scratch is not None:
            self.scratch.remove()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _start_kube(self) -> Path:
        path = self.directory / "kubeconfig"
        if self.kube == EMBEDDED:
            self.server = KubeServer(complete(KubeStore(lambda: datetime.now(UTC))))
            await self.server.start()
            return self.server.write_kubeconfig(path)
        if self.kube == ENVTEST:
            self.envtest = Envtest()
            await asyncio.to_thread(self.envtest.start)
            return self.envtest.write_kubeconfig(path)
        return _absolute(self.kube)

    async def _move_in(self, server: str) -> None:
        secrets = ((SYSTEM, KEYS), (TEAM, LOGIN))
        place = Borrowed(self.client, server, namespaces=(SYSTEM, TEAM), secrets=secrets)
        await place.move_in()
        self.borrowed = place

    async def _install(self) -> None:
        for crd in crds():
            await self.ensure(CRDS, None, crd)
        await self._served(SPECS)
        await self._served(ACCOUNTS)
        for namespace in (SYSTEM, TEAM):
            await self.ensure(NAMESPACES, None, _named("v1", "Namespace", namespace))
        key = self.seeded.key
        await self.ensure(
            SECRETS,
            SYSTEM,
            secret(SYSTEM, KEYS, accessKeyId=key.id, accessKeySecret=key.secret),
        )
        await self.ensure(ACCOUNTS, None, self.account_manifest())

    def account_manifest(self) -> dict[str, Any]:
        """Return EcsAccount `default` for the simulated cloud."""
        manifest = _named(meta.API_VERSION, meta.ACCOUNT_KIND, ACCOUNT)
        manifest["spec"] = {
            "regionId": HOME,
            "endpoint": self.ecs.url,
            "credentials": {"secretRef": {"namespace": SYSTEM, "name": KEYS}},
            "allowedNamespaces": {"names": [TEAM, "default"] if self.own else [TEAM]},
            "allowedInstances": {"tags": {"team": TEAM}, "regions": [HOME]},
            **self.account,
        }
        return manifest

    async def ensure(
        self, resource: Resource, namespace: str | None, manifest: Mapping[str, Any]
    ) -> None:
        """Create an object, or put it in the place of one that a sandbox made.

        A namespace or a kind that is there stays as it is. Raises NotFree where another object
        has the name that no sandbox made.
        """
        body = labelled(dict(manifest))
        try:
            await self.client.create(resource, namespace, body)
        except Conflict:
            name = body["metadata"]["name"]
            there = await self.client.read(resource, namespace, name)
            if there is None:
                raise
            if resource is NAMESPACES or (resource is CRDS and not is_ours(there)):
                return
            if not is_ours(there):
                raise NotFree(f"{resource.kind} {name} is there, and no sandbox made it") from None
            fence = {k: there["metadata"][k] for k in ("uid", "resourceVersion")}
            body["metadata"] = {**body["metadata"], **fence}
            await self.client.replace(resource, namespace, name, body)

    def spec_writes(self) -> Counter[str]:
        """Return how often each SystemDiskSpec was patched so far, by its name.

        Raises ValueError on a cluster that is not ours: nobody counts there.
        """
        if self.envtest is not None:
            return self.envtest.written(SPECS.plural)
        if self.server is None:
            raise ValueError("only our own API servers count what is written")
        writes: Counter[str] = Counter()
        for entry in self.server.journal:
            parts = entry.path.strip("/").split("/")
            if entry.method == "PATCH" and entry.code < 300 and SPECS.plural in parts:
                writes[parts[parts.index(SPECS.plural) + 1]] += 1
        return writes

    async def _served(self, resource: Resource) -> None:
        """Return when the API server lists `resource`: a new kind takes a moment."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                return await self.client.probe(resource)
            except KubeError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()


def spec_manifest(name: str, *, namespace: str = TEAM, **spec: Any) -> dict[str, Any]:
    """Return a SystemDiskSpec; keywords are its spec fields, in the API's spelling."""
    manifest = _named(meta.API_VERSION, meta.KIND, name, namespace)
    manifest["spec"] = spec
    return manifest


def secret(namespace: str, name: str, **values: str) -> dict[str, Any]:
    """Return a Secret with these values."""
    manifest = _named("v1", "Secret", name, namespace)
    manifest["data"] = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
    return manifest


def _named(api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
