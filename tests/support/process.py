"""One operator process of a simulation: the shipped parts, wired as in `controllers.run`."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

from sysdisk.controllers import ecs_account, system_disk
from sysdisk.controllers.account_health import Health
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.pruning import Pruner
from sysdisk.controllers.queue import WorkQueue
from sysdisk.controllers.reconcile import Reconciler
from sysdisk.controllers.store import AccountKey, AnyKey, account_store, slim, spec_store
from sysdisk.controllers.worker import work
from sysdisk.core.model import Event, Key, Subject
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.scrub import Scrubber
from sysdisk.kube.errors import KubeError
from sysdisk.kube.events import EventRecorder, Involved, Severity
from sysdisk.kube.port import Object
from sysdisk.kube.resources import ACCOUNTS, SPECS, Resource
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.kube_log import WatchEvent
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.sim_calls import Life, Line, Traffic
from sysdisk.sandbox.sim_ecs import CloudConnection, OnWrite
from sysdisk.sandbox.sim_kube import StoreKube
from sysdisk.sandbox.sim_loop import owned
from sysdisk.settings import RunSettings

Json = Mapping[str, Any]

WORKERS = 4
SETTINGS = RunSettings()


class Watch:
    """What one process is told of changes: late, out of order between objects, or not at all.

    `lag` gives the seconds for each event; while `deaf`, events are lost.
    """

    def __init__(self, take: Callable[[str, bool, Json], None], lag: Callable[[], float]) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._last: dict[tuple[str, str, str], float] = {}
        self.lag = lag
        self.deaf = False

    def tell(self, plural: str, event: WatchEvent) -> None:
        """Deliver an event after the lag, never before an earlier one of the same object."""
        if self.deaf:
            return
        metadata = event.object["metadata"]
        key = (plural, metadata.get("namespace", ""), metadata["name"])
        due = max(self._loop.time() + self.lag(), self._last.get(key, 0.0) + 1e-6)
        self._last[key] = due
        self._loop.call_at(due, self._take, plural, event.type == "DELETED", event.object)


class Witness:
    """Posts events; ends are counted nowhere."""

    def __init__(self, events: EventRecorder) -> None:
        self._events = events

    def event(self, subject: Subject, event: Event) -> None:
        involved = Involved(SPECS, subject.key.namespace, subject.key.name, subject.uid)
        self._events.tell(
            involved, "Warning" if event.warning else "Normal", event.reason, event.message
        )

    def account(self, involved: Involved, health: Health) -> None:
        severity: Severity = "Normal" if health.ready else "Warning"
        self._events.tell(involved, severity, health.reason, health.message)

    def ended(self, result: str, steps: Mapping[str, int]) -> None:
        return


class Operator:
    """A process from its start to its end; everything that it remembers ends with it."""

    def __init__(
        self,
        name: str,
        cloud: Cloud,
        store: KubeStore,
        traffic: Traffic,
        *,
        wall: Callable[[], float],
        chance: random.Random,
        on_write: OnWrite,
        on_status: Callable[[str, Resource, Object], None],
        on_death: Callable[[Operator], None],
        settings: RunSettings = SETTINGS,
    ) -> None:
        self.name = name
        self.settings = settings
        self.life = Life(name, self._die)
        self.leads = True
        self._store = store
        self._on_death = on_death
        self._tasks: set[asyncio.Task[Any]] = set()
        self._context = contextvars.copy_context()
        line = Line(self.life, traffic)
        self.kube = StoreKube(line, store, lambda *written: on_status(name, *written))
        self._connect = lambda: CloudConnection(line, cloud, on_write)
        self._clock = Clock(
            monotonic=asyncio.get_running_loop().time,
            now=lambda: datetime.fromtimestamp(wall(), UTC),
            jitter=chance.random,
        )
        self._chance = chance
        self._context.run(owned.set, self._tasks)
        self._context.run(self._begin)

    def kill(self) -> None:
        """End it at this moment, without a word."""
        self.life.kill()

    def _begin(self) -> None:
        settings, clock = self.settings, self._clock
        self.specs, self.accounts = spec_store(), account_store()
        self.queue: WorkQueue[AnyKey] = WorkQueue(chance=self._chance.random)
        self.events = EventRecorder(self.kube, instance=self.name, now=clock.now)
        witness = Witness(self.events)
        self.ecs = Accounts(
            self.kube,
            self.accounts,
            self.specs,
            self._connect,
            clock=clock,
            resync_interval=settings.resync_interval,
            on_change=lambda _account, instance_id: self._wake_claims(instance_id),
            on_health=witness.account,
            wake=self.queue.add,
            wake_specs=self._wake_account,
        )
        self.passes = Reconciler(
            self.kube,
            self.specs,
            self.ecs,
            witness,
            clock=clock,
            scrubber=Scrubber(),
            poll_interval=settings.poll_interval,
            resync_interval=settings.resync_interval,
            may_act=lambda: self.life.alive and self.leads,
            wake=self.queue.add,
        )
        self.watch = Watch(self._take, lambda: 0.001)
        self.errors: list[str] = []
        self.relist()
        for _ in range(WORKERS):
            self._spawn(work(self.queue, self.passes, on_error=self.errors.append))
        self._spawn(self.events.run())
        self._spawn(self._prune_for_ever())

    def relist(self) -> None:
        """Take in everything that there is, as a watch does when it begins."""
        for plural, resource in (("ecsaccounts", ACCOUNTS), ("systemdiskspecs", SPECS)):
            served = self._store.resource(resource.group, resource.version, resource.plural)
            for body in self._store.list(served).items:
                self._take(plural, False, body)

    def _spawn(self, life: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().create_task(life)

    def _die(self) -> None:
        self.watch.deaf = True
        for task in list(self._tasks):
            task.cancel()
        self._on_death(self)

    def _take(self, plural: str, deleted: bool, body: Json) -> None:
        if not self.life.alive:
            return
        if plural == SPECS.plural:
            system_disk.take(deleted, slim(body), self.specs, self.queue)
        else:
            ecs_account.take(deleted, slim(body), self.accounts, self.specs, self.queue)

    def _wake_claims(self, instance_id: str) -> None:
        for key in sorted(self.specs.claims(instance_id)):
            self.queue.add(key)

    def _wake_account(self, name: str) -> None:
        ecs_account.wake_specs(name, self.specs, self.queue)

    def _account_changed(self, key: AccountKey) -> None:
        self.queue.add(key)
        self._wake_account(key.name)

    async def _prune_for_ever(self) -> None:
        accounts = Pruner(self.kube, ACCOUNTS, self.accounts, on_change=self._account_changed)
        specs: Pruner[Key] = Pruner(self.kube, SPECS, self.specs, on_change=self.queue.add)
        while True:
            await asyncio.sleep(self.settings.prune_interval.total_seconds())
            try:
                missed = await accounts.prune() + await specs.prune()
            except KubeError:
                continue
            if missed.stale:
                self.relist()
