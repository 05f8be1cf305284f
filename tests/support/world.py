"""A whole world in one event loop with virtual time: cloud, cluster, operators, users, and a judge.

    async def story(world): ...
    run(story, operators=2)

Everything but the two ends of the wires is the shipped code. Every event is judged as it happens:
`world.judge.violations` stays empty, or the story fails with what happened so far.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar

from sysdisk.api import meta
from sysdisk.api.crd import crds
from sysdisk.kube.port import Object
from sysdisk.kube.resources import ACCOUNTS, EVENTS, NAMESPACES, SECRETS, SPECS, Resource
from sysdisk.sandbox.ecs_fleet import HOME, Seeded, seed_fleet
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.ecs_state import Instance, Timings
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_log import WatchEvent
from sysdisk.sandbox.kube_resources import Resource as Served
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.sim_calls import Blow, Call, Meddler, Side, Traffic, peace
from sysdisk.sandbox.sim_loop import simulate
from tests.support.judge import Judge
from tests.support.process import Operator

T = TypeVar("T")
Json = Mapping[str, Any]

EPOCH: Final = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
TEAM: Final = "shop"
SYSTEM: Final = "sysdisk-system"
PASSWORD: Final = "Pa55%wo&rd+9!"
ROTATED: Final = "An0ther%wo&rd+8!"
RESTART_SECONDS: Final = 2.0
BRISK: Final = Timings(stop=2.0, force_stop=1.0, start=2.0, replace=3.0, lock_lag=0.3, snapshot=5.0)
"""A quick cloud: fewer looks while nothing changes, and the same order of events."""
HASTY: Final = Timings(stop=0.5, force_stop=0.3, start=0.5, replace=0.7, lock_lag=0.2, snapshot=0.6)
"""A quicker one, for very many stories."""


@cache
def _cloud() -> tuple[Cloud, Seeded]:
    cloud = Cloud(now=lambda: EPOCH)
    return cloud, seed_fleet(cloud, 5, team=TEAM)


@cache
def _store(checked: bool) -> KubeStore:
    """Return a store with our kinds and namespaces; not `checked`: what is written is believed."""
    store = complete(KubeStore(lambda: datetime.fromtimestamp(EPOCH, UTC)))
    definitions = store.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    for crd in crds():
        store.create(definitions, None, crd)
    if not checked:
        for resource in (SPECS, ACCOUNTS, EVENTS):
            served = _served(store, resource)
            store.register(replace(served, strategy=None))
    for name in (SYSTEM, TEAM):
        store.create(_served(store, NAMESPACES), None, {"metadata": {"name": name}})
    return store


def _served(store: KubeStore, resource: Resource) -> Served:
    return store.resource(resource.group, resource.version, resource.plural)


class World:
    """Made inside a running simulation; see `run`."""

    def __init__(
        self,
        *,
        seed: int = 0,
        operators: int = 1,
        checked: bool = True,
        meddler: Meddler = peace,
        timings: Timings = BRISK,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.chance = random.Random(seed)
        prototype, self.seeded = _cloud()
        self.cloud = prototype.clone(self.wall)
        self.cloud.timings = timings
        self.store = _store(checked).copy()
        self.store.now = lambda: datetime.fromtimestamp(self.wall(), UTC)
        self.store.new_uid = self._new_uid
        self._uids = 0
        self.traffic = Traffic(meddler)
        self.judge = Judge(self)
        self.changed = asyncio.Event()
        self.operators: list[Operator] = []
        self.deaths = 0
        self._retiring: set[str] = set()
        self.storms: list[Meddler] = []
        self.skew = 0.0
        self.stopped_by_others = False
        self.happened: Counter[str] = Counter()
        self.classes: Counter[tuple[str, str]] = Counter()
        self._target = 1
        for resource in (SPECS, ACCOUNTS, EVENTS):
            served = _served(self.store, resource)
            self.store.after_commit[served.key] = self._hook(resource)
        key = self.seeded.key
        self.put_secret(SYSTEM, "ecs-credentials", accessKeyId=key.id, accessKeySecret=key.secret)
        self.create(ACCOUNTS, None, account_manifest())
        for number in range(operators):
            self.start(f"op{number + 1}")

    # -- time, and the processes ---------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self._loop.time()

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        return EPOCH + self._loop.time()

    def start(self, name: str) -> Operator:
        """Start an operator process with empty memory."""
        operator = Operator(
            name,
            self.cloud,
            self.store,
            self.traffic,
            wall=lambda: self.wall() + self.skew,
            chance=self.chance,
            on_write=self.judge.write_left,
            on_status=self.judge.status_known,
            on_death=self._died,
        )
        self.operators.append(operator)
        return operator

    def _died(self, operator: Operator) -> None:
        """Another one is started in its place, as a Deployment does."""
        self.operators.remove(operator)
        self.deaths += 1
        if operator.name in self._retiring:
            return
        name = f"{operator.name.partition('.')[0]}.{self.deaths}"
        self._loop.call_later(RESTART_SECONDS, self.start, name)

    def retire(self, operator: Operator) -> None:
        """End a process for good."""
        if operator in self.operators:
            self._retiring.add(operator.name)
            operator.kill()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        self._loop.call_later(seconds, action)

    def weather(self, call: Call, side: Side) -> Blow | None:
        """Return what befalls a call, as long as a storm lasts."""
        for storm in self.storms:
            if (blow := storm(call, side)) is not None:
                return blow
        return None

    def _new_uid(self) -> str:
        self._uids += 1
        return f"00000000-0000-4000-8000-{self._uids:012d}"

    def _hook(self, resource: Resource) -> Callable[[KubeStore, WatchEvent], None]:
        def committed(_store: KubeStore, event: WatchEvent) -> None:
            self.judge.committed(resource, event)
            if resource is not EVENTS:
                for operator in self.operators:
                    operator.watch.tell(resource.plural, event)
            self.changed.set()

        return committed

    async def until(self, what: str, condition: Callable[[], bool], within: float = 3600.0) -> None:
        """Return when `condition` holds; fails after `within` seconds, or at a violation."""
        deadline = self.now + within
        while not condition():
            self.judge.look()
            if self.judge.violations or self.now >= deadline:
                raise AssertionError(self.judge.told(f"{what}: not within {within:.0f} s"))
            self.changed.clear()
            pause = min(15.0, deadline - self.now)
            handle = self._loop.call_later(pause, self.changed.set)
            await self.changed.wait()
            handle.cancel()
        self.judge.look()
        if self.judge.violations:
            raise AssertionError(self.judge.told(what))

    # -- users ---------------------------------------------------------------------------------

    def create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        """Create an object at once."""
        return self.store.create(_served(self.store, resource), namespace, deepcopy(dict(body)))

    def put_secret(self, namespace: str, name: str, **values: str) -> None:
        """Create a Secret, or give it these values."""
        data = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
        served = _served(self.store, SECRETS)
        if self.store.find(served, namespace, name) is None:
            self.create(SECRETS, namespace, {"metadata": {"name": name}, "data": data})
        else:
            self.store.patch(served, namespace, name, {"data": data})

    def apply(self, name: str = "web-1", **spec: Any) -> None:
        """Create a SystemDiskSpec; keywords are its fields in the API's spelling."""
        body = {
            "apiVersion": meta.API_VERSION,
            "kind": meta.KIND,
            "metadata": {"name": name, "namespace": TEAM},
            "spec": spec,
        }
        self.create(SPECS, TEAM, body)

    def apply_again(self, spec: Json, name: str = "web-1") -> None:
        """Create a spec of that name anew, as soon as the deleted one is gone."""
        if self.object(name) is None:
            self.apply(name, **spec)
        elif "deletionTimestamp" in self.object_of(name)["metadata"]:
            self.later(1.0, lambda: self.apply_again(spec, name))

    def account_again(self) -> None:
        """Create the account anew, as soon as the deleted one is gone."""
        served = _served(self.store, ACCOUNTS)
        found = self.store.find(served, None, meta.DEFAULT_ACCOUNT)
        if found is None:
            self.create(ACCOUNTS, None, account_manifest())
        elif "deletionTimestamp" in found["metadata"]:
            self.later(1.0, self.account_again)

    def edit(self, patch: Json, name: str = "web-1") -> None:
        """Merge-patch a SystemDiskSpec, if it is still there."""
        self._merge(SPECS, TEAM, name, patch)

    def annotate(self, name: str = "web-1", **annotations: str | None) -> None:
        """Set annotations of ours by their short names."""
        texts = {f"{meta.GROUP}/{short}": text for short, text in annotations.items()}
        self.edit({"metadata": {"annotations": texts}}, name)

    def edit_account(self, patch: Json) -> None:
        """Merge-patch the EcsAccount, if it is still there."""
        self._merge(ACCOUNTS, None, meta.DEFAULT_ACCOUNT, patch)

    def _merge(self, resource: Resource, namespace: str | None, name: str, patch: Json) -> None:
        served = _served(self.store, resource)
        if self.store.find(served, namespace, name) is not None:
            self.store.patch(served, namespace, name, dict(patch))

    def delete(self, name: str = "web-1", resource: Resource = SPECS) -> None:
        """Delete an object, if it is still there."""
        namespace = TEAM if resource.namespaced else None
        served = _served(self.store, resource)
        if self.store.find(served, namespace, name) is not None:
            self.store.delete(served, namespace, name)

    # -- looking -------------------------------------------------------------------------------

    def object(self, name: str = "web-1") -> Object | None:
        """Return a SystemDiskSpec as it is stored, None if there is none."""
        found = self.store.find(_served(self.store, SPECS), TEAM, name)
        return None if found is None else dict(found)

    def account_if_there(self) -> Object | None:
        """Return the EcsAccount as it is stored, None if there is none."""
        found = self.store.find(_served(self.store, ACCOUNTS), None, meta.DEFAULT_ACCOUNT)
        return None if found is None else dict(found)

    def object_of(self, name: str = "web-1") -> Object:
        """Return a SystemDiskSpec that is there."""
        found = self.object(name)
        assert found is not None, self.judge.told(f"{name} is gone")
        return found

    def account(self) -> Object:
        """Return the EcsAccount as it is now."""
        return dict(self.store.get(_served(self.store, ACCOUNTS), None, "default"))

    def aim(self, number: int) -> None:
        """Let the story be about this instance."""
        self._target = number

    def target(self) -> Instance:
        """Return the instance that the story is about."""
        return self.vm(self._target)

    def status(self, name: str = "web-1") -> Json:
        """Return its status, empty if there is none."""
        return (self.object(name) or {}).get("status") or {}

    def ready(self, name: str = "web-1") -> Json:
        """Return its Ready condition, empty if there is none."""
        conditions = self.status(name).get("conditions", ())
        return next((c for c in conditions if c["type"] == "Ready"), {})

    def rests(self, name: str = "web-1") -> bool:
        """Whether the object was looked at in its present form, and nothing is under way."""
        found = self.object(name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return False
        status = found.get("status") or {}
        return (
            "operation" not in status
            and meta.FINALIZER not in found["metadata"].get("finalizers", ())
            and status.get("observedGeneration") == found["metadata"]["generation"]
        )

    def is_ready(self, name: str = "web-1") -> bool:
        """Whether it is Ready in its present generation, and at rest."""
        return self.rests(name) and self.ready(name).get("status") == "True"

    def vm(self, number: int = 1) -> Instance:
        """Return one of the five instances as it is now."""
        return self.cloud.look(self.seeded.instances[number].id)

    def image(self, name: str = "ubuntu-24") -> str:
        """Return the ID of an image by its plain name."""
        return self.seeded.images[name].id

    def replaced(self, number: int = 1) -> int:
        """Return how many disks of the instance the operators had replaced."""
        done = self.cloud.effects_of("disk_replaced", self.seeded.instances[number].id)
        return sum(effect.details.get("by") != "outside" for effect in done)

    def spec_writes(self, name: str = "web-1") -> int:
        """Return how many writes on a SystemDiskSpec were sent."""
        return sum(
            call.write and call.verb.endswith(" systemdiskspecs") and call.subject.endswith(name)
            for call in self.traffic.log
        )

    def ecs_writes(self) -> list[str]:
        """Return the ECS writes that were sent, in order."""
        return [call.verb for call in self.traffic.log if call.write and call.api == "ecs"]


def account_manifest() -> dict[str, Any]:
    """Return EcsAccount `default` over the simulated cloud; it backs nothing up by default."""
    return {
        "apiVersion": meta.API_VERSION,
        "kind": meta.ACCOUNT_KIND,
        "metadata": {"name": meta.DEFAULT_ACCOUNT},
        "spec": {
            "regionId": HOME,
            "credentials": {"secretRef": {"namespace": SYSTEM, "name": "ecs-credentials"}},
            "allowedNamespaces": {"names": [TEAM]},
            "allowedInstances": {"tags": {"team": TEAM}, "regions": [HOME]},
            "defaults": {"backup": {"enabled": False}},
        },
    }


def run(story: Callable[[World], Awaitable[T]], **settings: Any) -> T:
    """Return what `story` returns, told in a fresh world; `settings` are those of `World`."""

    async def told() -> T:
        return await story(World(**settings))

    return simulate(told())
