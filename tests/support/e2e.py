"""The world of an end-to-end story: a cloud, a Kubernetes API, the operator's process, kubectl.

Everything is the real thing but the cloud, which is the simulator behind the vendor's protocol.
One world serves all stories of a session on one backend; each story makes machines of its own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from sysdisk.kube.resources import ACCOUNTS, EVENTS, SECRETS, SPECS
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_state import Effect, Instance
from sysdisk.sandbox.envtest import find_assets
from sysdisk.sandbox.stage import ENVTEST, TEAM, Stage, secret, spec_manifest
from tests.support.kube_fixture import BACKENDS as BACKENDS
from tests.support.kube_fixture import NO_ASSETS
from tests.support.kubectl_process import Kubectl
from tests.support.operator_process import GLANCE, OperatorProcess

TIME_SCALE: Final = 30.0
"""A machine takes 1.3 s of ours to stop, be replaced and start."""

PATIENCE: Final = 120.0
RESYNC: Final = "2s"
"""How often the shared operator looks at machines at rest: changes out of band are seen by that."""

LIMITS: Final = {
    "concurrentReplacements": 100,
    "firstSightPerHour": 10_000,
    "stopAfterFailures": 10_000,
}

NO_BACKUP: Final = {"backup": {"enabled": False}}
"""The default of the stories' account: a story that is about backups says so in its spec."""

Object = dict[str, Any]


@dataclass
class World:
    """What a story has at hand."""

    stage: Stage
    kubectl: Kubectl
    operator: OperatorProcess
    directory: Path
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    # -- making things ----------------------------------------------------------------------

    def name(self, stem: str = "web") -> str:
        """Return a name that nothing has yet."""
        return f"{stem}-{next(self._numbers)}"

    def machine(self, image: str = "ubuntu-22", **more: Any) -> Instance:
        """Add a running instance of the team's to the cloud; see `Fleet.instance`."""
        given = {"tags": {"team": TEAM}, "host_name": self.name("host"), **more}
        return Fleet(self.stage.cloud).instance(self.stage.seeded.images[image], **given)

    def image(self, name: str) -> str:
        """Return the ID of a seeded image, such as ubuntu-24."""
        return self.stage.seeded.images[name].id

    def spec(self, machine: Instance | str, image: str = "ubuntu-24", **more: Any) -> Object:
        """Return a manifest for `machine`; `image` is a seeded image's name, or "" for none.

        `more` are fields of the spec; None leaves one out.
        """
        instance_id = machine if isinstance(machine, str) else machine.id
        image_id = self.image(image) if image else None
        fields = {"instanceId": instance_id, "imageId": image_id, **more}
        given = {k: v for k, v in fields.items() if v is not None}
        return spec_manifest(self.name(), **given)

    async def apply(self, *manifests: Object) -> str:
        """Apply manifests with kubectl; return the name of the first."""
        await self.kubectl("apply", "--filename=-", given=manifests)
        return str(manifests[0]["metadata"]["name"])

    async def declare(self, machine: Instance | str, image: str = "ubuntu-24", **more: Any) -> str:
        """Create a spec for `machine` without kubectl; return its name."""
        manifest = self.spec(machine, image, **more)
        await self.stage.client.create(SPECS, TEAM, manifest)
        return str(manifest["metadata"]["name"])

    async def change(self, name: str, **fields: Any) -> None:
        """Merge fields into the spec."""
        await self.stage.client.merge(SPECS, TEAM, name, {"spec": fields})

    async def annotate(self, name: str, **annotations: str | None) -> None:
        """Set annotations of ours; None removes one."""
        ours = {f"sysdisk.dev/{k}": v for k, v in annotations.items()}
        await self.stage.client.merge(SPECS, TEAM, name, {"metadata": {"annotations": ours}})

    async def store_secret(self, name: str, **values: str) -> None:
        """Create a Secret of the team's."""
        await self.stage.client.create(SECRETS, TEAM, secret(TEAM, name, **values))

    async def add_account(self, name: str, **spec: Any) -> None:
        """Create an EcsAccount like the default one but for `spec`."""
        manifest = self.stage.account_manifest()
        manifest["metadata"] = {"name": name}
        manifest["spec"] |= spec
        await self.stage.client.create(ACCOUNTS, None, manifest)

    # -- looking ----------------------------------------------------------------------------

    async def look(self, name: str) -> Object:
        """Return the spec as it is now."""
        found = await self.stage.client.read(SPECS, TEAM, name)
        assert found is not None, f"{name} is gone"
        return found

    async def until(
        self, name: str, holds: Callable[[Object], object], patience: float = PATIENCE
    ) -> Object:
        """Return the spec as soon as `holds` is true of it."""
        end = asyncio.get_running_loop().time() + patience
        while not holds(found := await self.look(name)):
            if asyncio.get_running_loop().time() > end:
                says = f"{name} does not get there: {found.get('status')}"
                raise TimeoutError(f"{says}\n{self.operator.story()}")
            await asyncio.sleep(GLANCE)
        return found

    async def until_ready(self, name: str, reason: str = "UpToDate") -> Object:
        """Return the spec when it is Ready at its present generation, for this reason."""
        return await self.until(name, lambda o: stands(o, "Ready", "True", reason))

    async def until_not_ready(self, name: str, reason: str) -> Object:
        """Return the spec when it is not Ready at its present generation, for this reason."""
        return await self.until(name, lambda o: stands(o, "Ready", "False", reason))

    async def until_account(self, name: str, status: str, reason: str) -> Object:
        """Return the EcsAccount when its Ready says so."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            found = await self.stage.client.read(ACCOUNTS, None, name)
            if found is not None and stands(found, "Ready", status, reason):
                return found
            assert asyncio.get_running_loop().time() < end, found
            await asyncio.sleep(GLANCE)

    async def until_true(
        self,
        holds: Callable[[], bool | Awaitable[bool]],
        what: str,
        patience: float = PATIENCE,
    ) -> None:
        """Return as soon as `holds` is true."""
        end = asyncio.get_running_loop().time() + patience
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"it never came to pass: {what}\n{self.operator.story()}")
            await asyncio.sleep(GLANCE)

    async def events(self, name: str) -> list[Object]:
        """Return the events about the spec of this name."""
        return [
            event
            async for event in self.stage.client.list(EVENTS, TEAM)
            if _regarding(event).get("name") == name
        ]

    # -- the cloud --------------------------------------------------------------------------

    def effects(self, machine: Instance, kind: str) -> list[Effect]:
        """Return what became true of `machine`, of one kind, by our own hand."""
        found = self.stage.cloud.effects_of(kind, machine.id)
        return [effect for effect in found if effect.details.get("by") != "outside"]

    def replacements(self, machine: Instance) -> int:
        """Return how many system disks of `machine` the operator has had replaced."""
        accepted = self.effects(machine, "replacement_accepted")
        done = self.effects(machine, "disk_replaced")
        assert len(accepted) >= len(done)
        return len(accepted)

    def stops(self, machine: Instance) -> int:
        """Return how many stops of `machine` took effect."""
        return len(self.effects(machine, "instance_stopping"))

    def calls(self, machine: Instance, action: str) -> int:
        """Return how many requests for `action` named `machine`, refused and lost ones too."""
        return len([r for r in self.stage.cloud.requests_of(action) if r.instance_id == machine.id])

    def sent(self, machine: Instance) -> Mapping[str, str]:
        """Return the parameters with which the disk of `machine` was last replaced."""
        last = self.effects(machine, "disk_replaced")[-1]
        parameters: Mapping[str, str] = last.details["params"]
        return parameters

    def untouched(self, machine: Instance) -> None:
        """Fail unless nothing was ever written to `machine`."""
        writes = ("StopInstance", "ReplaceSystemDisk", "StartInstance", "RebootInstance")
        assert {action: self.calls(machine, action) for action in writes} == dict.fromkeys(
            writes, 0
        )

    def running(self, machine: Instance) -> bool:
        """Whether `machine` runs now."""
        return self.stage.cloud.look(machine.id).status == "Running"

    # -- the operator -----------------------------------------------------------------------

    @asynccontextmanager
    async def without_operator(self) -> AsyncIterator[None]:
        """Have no operator inside, and the shared one again afterwards."""
        if self.operator.running:
            assert await self.operator.terminate() == 0
        try:
            yield
        finally:
            self.stage.cloud.faults.clear()
            await self.operator.start()

    def another(
        self, *arguments: str, name: str = "", environment: Mapping[str, str] | None = None
    ) -> OperatorProcess:
        """Return a further operator for the same cluster, not started yet."""
        return OperatorProcess(
            self.stage.kubeconfig,
            self.directory,
            *arguments,
            name=name or self.name("another"),
            environment=environment,
        )


def condition(found: Object, kind: str) -> Object:
    """Return a condition, empty if it is not there."""
    listed = found.get("status", {}).get("conditions", [])
    return next((c for c in listed if c["type"] == kind), {})


def stands(found: Object, kind: str, status: str, reason: str) -> bool:
    """Whether a condition says so of the present generation."""
    has = condition(found, kind)
    current: bool = has.get("observedGeneration") == found["metadata"].get("generation")
    return current and (has["status"], has["reason"]) == (status, reason)


def message(found: Object) -> str:
    """Return what Ready says."""
    return str(condition(found, "Ready").get("message", ""))


def step(found: Object) -> str:
    """Return the step of the operation under way, empty without one."""
    return str(found.get("status", {}).get("operation", {}).get("step", ""))


def _regarding(event: Object) -> Object:
    found: Object = event.get("regarding") or event.get("involvedObject") or {}
    return found


@asynccontextmanager
async def open_world(backend: str, directory: Path, **stage: Any) -> AsyncIterator[World]:
    """Start a world without its operator; skips the test where the backend's programs are not."""
    if backend == ENVTEST and find_assets() is None:
        pytest.skip(NO_ASSETS)
    account = {"limits": LIMITS, "defaults": NO_BACKUP}
    given: dict[str, Any] = {"time_scale": TIME_SCALE, "account": account, **stage}
    async with Stage(kube=backend, **given) as found:
        kubectl = Kubectl(found.kubeconfig, directory, TEAM)
        operator = OperatorProcess(found.kubeconfig, directory, f"--resync-interval={RESYNC}")
        try:
            yield World(found, kubectl, operator, directory)
        finally:
            if operator.running:
                await operator.kill()
