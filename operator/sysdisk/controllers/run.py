"""The operator in one process: watch, queue, workers, Lease, health; and how it ends.

It may be ended at any moment, so nothing here saves anything. The orderly end only avoids waste:
nothing new begins, passes in flight end, the Lease is given up once no ECS write can be in flight.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from sysdisk.controllers import ecs_account, system_disk
from sysdisk.controllers.health import Freshness, HealthServer
from sysdisk.controllers.metrics import Metrics
from sysdisk.controllers.pruning import Missed, Pruner
from sysdisk.controllers.queue import WorkQueue
from sysdisk.controllers.store import (
    AccountKey,
    AnyKey,
    Slim,
    Store,
    account_store,
    spec_store,
)
from sysdisk.controllers.watch import Watch
from sysdisk.controllers.worker import Passes, work
from sysdisk.core.model import Key
from sysdisk.ecs.scrub import Scrubber
from sysdisk.kube.client import KubeClient
from sysdisk.kube.connection import Access, load
from sysdisk.kube.errors import KubeError
from sysdisk.kube.events import EventRecorder
from sysdisk.kube.leases import Elector, Terms
from sysdisk.kube.port import Kube
from sysdisk.kube.resources import ACCOUNTS, SPECS
from sysdisk.settings import Address, RunSettings

log = logging.getLogger(__name__)

STUCK_PASS_SECONDS = 900.0
"""Every call has a time-out, so a pass that runs for longer shows a fault of this process."""
HANDOVER_SECONDS = 3.0
"""Between our renewal deadline and the end of the Lease there are five: work is gone by then."""
EVENTS_GRACE = timedelta(seconds=1)
WATCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Shell:
    """What the passes are given by the process around them."""

    settings: RunSettings
    kube: Kube
    own_namespace: str | None
    """The pod's namespace, None outside a cluster."""
    specs: Store[Key]
    accounts: Store[AccountKey]
    queue: WorkQueue[AnyKey]
    events: EventRecorder
    metrics: Metrics
    scrubber: Scrubber
    may_act: Callable[[], bool]
    """Whether this process may write to ECS at this very moment: the Lease is ours."""

    def wake(self, key: AnyKey, *, after: timedelta | None = None) -> None:
        """Make a key due: something that concerns it was seen outside the watch."""
        self.queue.add(key, after=after)

    def wake_account(self, name: str) -> None:
        """Make every spec of an account due: what it may do has changed."""
        ecs_account.wake_specs(name, self.specs, self.queue)


Build = Callable[[Shell], AbstractAsyncContextManager[Passes]]
"""Makes the passes; leaving the context frees what they hold. It is left after the last pass."""


async def serve(
    settings: RunSettings,
    build: Build,
    *,
    scrubber: Scrubber | None = None,
    stop: asyncio.Event | None = None,
    on_listening: Callable[[Address], None] = lambda address: None,
    hard_exit: Callable[[int], NoReturn] = os._exit,
) -> int:
    """Run the operator until `stop` is set (or SIGTERM or SIGINT arrives); return the exit code.

    0 after an orderly end, 1 where it could not begin. A second signal, or a pass that does not
    end within the grace time, leaves by `hard_exit`.
    """
    stop = stop or asyncio.Event()
    with _Signals(stop, hard_exit):
        try:
            access = await load(settings.kubeconfig)
        except KubeError as exc:
            log.error("no access to Kubernetes", extra={"error": str(exc)})  # noqa: TRY400 - no fault of ours
            return 1
        async with KubeClient(access) as kube:
            operator = Operator(settings, access, kube, scrubber or Scrubber())
            try:
                address = await operator.health.start()
            except OSError as exc:
                facts = {"listen": str(settings.listen), "error": str(exc)}
                log.error("cannot listen", extra=facts)  # noqa: TRY400 - no fault of ours
                return 1
            log.info("listening", extra={"listen": str(address)})
            on_listening(address)
            in_order = await operator.run(build, stop)
        if not in_order:
            hard_exit(0)
        return 0


class Operator:
    """The parts of a running operator, wired; `run` is its life."""

    def __init__(
        self, settings: RunSettings, access: Access, kube: KubeClient, scrubber: Scrubber
    ) -> None:
        self.settings = settings
        self.kube = kube
        self.metrics = Metrics()
        self.specs = spec_store()
        self.accounts = account_store()
        self.queue: WorkQueue[AnyKey] = WorkQueue(on_wait=self.metrics.queue_wait_seconds.observe)
        self.identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        self.events = EventRecorder(
            kube, instance=self.identity, on_drop=self.metrics.events_dropped.inc
        )
        self.watch = Watch(
            access,
            kube,
            namespaces=settings.namespaces,
            on_spec=self._take_spec,
            on_account=self._take_account,
            on_restart=self.metrics.watch_restarts.inc,
        )
        self.pruners = (
            Pruner(kube, ACCOUNTS, self.accounts, on_change=self._account_changed),
            Pruner(
                kube,
                SPECS,
                self.specs,
                namespaces=settings.namespaces,
                on_change=self.queue.add,
            ),
        )
        self.elector = (
            Elector(
                kube,
                Terms(namespace=access.own_namespace or "default"),
                self.identity,
                on_gain=self._begin,
                on_loss=self._cease,
            )
            if settings.leader_elect
            else None
        )
        self.freshness = Freshness(
            3 * settings.prune_interval.total_seconds() + 60.0, lambda: self.watch.last_event
        )
        self.workers: set[asyncio.Task[None]] = set()
        self.background: list[asyncio.Task[None]] = []
        self.stopping = False
        self.health = HealthServer(
            settings.listen,
            self.metrics,
            alive={"workers": self._check_workers, "background": self._check_background},
            ready={
                "synced": self.freshness.check_synced,
                "fresh": self.freshness.check_fresh,
                "running": lambda: "stopping" if self.stopping else None,
            },
            facts={"fresh": self.freshness.ages},
        )
        self.shell = Shell(
            settings=settings,
            kube=kube,
            own_namespace=access.own_namespace,
            specs=self.specs,
            accounts=self.accounts,
            queue=self.queue,
            events=self.events,
            metrics=self.metrics,
            scrubber=scrubber,
            may_act=self._may_act,
        )
        self.metrics.watch_queue(self.queue.ready, lambda: self.queue.running)
        self.metrics.leader.set(0 if self.elector else 1)
        self._passes: Passes | None = None

    async def run(self, build: Build, stop: asyncio.Event) -> bool:
        """Work until `stop`, then end; return whether every pass in flight had ended by itself."""
        async with AsyncExitStack() as ending:
            ending.push_async_callback(self.health.stop)
            self._passes = await ending.enter_async_context(build(self.shell))
            self.queue.pause()  # until what is there is known: a spec must not outrun its account
            if self.elector is not None:
                self._spawn("lease", self.elector.run())
            self._hire()
            self._spawn("events", self.events.run())
            self._spawn("watch", self.watch.run())
            self._spawn("pruning", self._check_on_the_watch())
            log.info("started", extra={"identity": self.identity, **self._how()})
            await stop.wait()
            return await self._end()

    async def _end(self) -> bool:
        """Nothing new begins; passes end; then the Lease is given up, if no pass is left."""
        self.stopping = True
        log.info("stopping", extra={"passes": self.queue.running})
        self.queue.drain()
        await self._cancel("pruning", "watch")
        in_order = await _within(self.settings.grace.total_seconds(), self.queue.idle())
        if in_order:
            if self.elector is not None:
                await self._cancel("lease")
                await _within(EVENTS_GRACE.total_seconds(), self.elector.release())
        else:
            log.warning("passes cut off", extra={"passes": self.queue.running})
        await self.events.flushed(EVENTS_GRACE)
        for task in [*self.background, *self.workers]:
            task.cancel()
        await asyncio.gather(*self.background, *self.workers, return_exceptions=True)
        if not await self.watch.closed(WATCH_SECONDS):
            log.debug("the watch did not end in time")
        log.info("stopped", extra={"in_order": in_order})
        return in_order

    def _spawn(self, name: str, life: Coroutine[Any, Any, None]) -> None:
        self.background.append(asyncio.create_task(life, name=name))

    async def _cancel(self, *names: str) -> None:
        tasks = [task for task in self.background if task.get_name() in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _how(self) -> dict[str, object]:
        return {
            "namespaces": ",".join(self.settings.namespaces) or "all",
            "dry_run": self.settings.dry_run or None,
        }

    # Workers

    def _hire(self) -> None:
        assert self._passes is not None
        for _ in range(self.settings.passes_at_once - len(self.workers)):
            task = asyncio.create_task(
                work(self.queue, self._passes, on_error=self._count_error), name="worker"
            )
            self.workers.add(task)

    def _count_error(self, kind: str) -> None:
        self.metrics.reconcile_errors.labels(kind).inc()

    def _check_workers(self) -> str | None:
        if self.stopping:
            return None
        dead = sum(task.done() for task in self.workers)
        if dead:
            return f"{dead} of {len(self.workers)} workers have ended"
        longest = self.queue.longest_pass()
        return f"a pass has run for {longest:.0f} s" if longest > STUCK_PASS_SECONDS else None

    def _check_background(self) -> str | None:
        dead = [task.get_name() for task in self.background if task.done()]
        return f"ended: {', '.join(dead)}" if dead and not self.stopping else None

    # Leadership

    def _may_act(self) -> bool:
        return self.elector.leads if self.elector is not None else True

    async def _begin(self) -> None:
        self.metrics.leader.set(1)
        if self.freshness.synced:
            self.queue.resume()

    async def _cease(self) -> None:
        """The Lease is lost: nothing new begins, and what runs is given little time."""
        self.metrics.leader.set(0)
        self.queue.pause()
        if not await _within(HANDOVER_SECONDS, self.queue.idle()):
            log.warning("passes cut off", extra={"passes": self.queue.running})
            for task in self.workers:
                task.cancel()
            await asyncio.gather(*self.workers, return_exceptions=True)
            self.workers.clear()
            self._hire()

    # What is known of the cluster

    def _take_spec(self, deleted: bool, body: Slim) -> None:
        system_disk.take(deleted, body, self.specs, self.queue)

    def _take_account(self, deleted: bool, body: Slim) -> None:
        ecs_account.take(deleted, body, self.accounts, self.specs, self.queue)

    def _account_changed(self, key: AccountKey) -> None:
        self.queue.add(key)
        self.shell.wake_account(key.name)

    async def _check_on_the_watch(self) -> None:
        """Wait for the first listing, then compare with the API server at every interval."""
        await self._sync()
        while True:
            await asyncio.sleep(self.settings.prune_interval.total_seconds())
            try:
                missed = await self._prune()
            except KubeError as exc:
                log.warning("cluster not listed", extra={"error": str(exc)})
                continue
            self.freshness.confirm()
            self.metrics.watch_missed.inc(missed.gone + missed.stale)
            if missed.stale:
                log.warning("watch is behind, restarting it", extra={"missed": missed.stale})
                self.watch.restart()

    async def _prune(self) -> Missed:
        missed = Missed()
        for pruner in self.pruners:
            missed += await pruner.prune()
        return missed

    async def _sync(self) -> None:
        """Return once the watch has told everything that is listed."""
        rest = 0.1
        while not self.freshness.synced:
            await asyncio.sleep(rest)
            rest = min(1.0, rest * 1.5)
            try:
                unknown = sum([await pruner.unknown() for pruner in self.pruners])
            except KubeError as exc:
                log.debug("not listed yet", extra={"error": str(exc)})
                continue
            self.freshness.synced = unknown == 0
        self.freshness.confirm()
        if self._may_act():
            self.queue.resume()
        log.info("synced", extra={"specs": len(self.specs), "accounts": len(self.accounts)})


async def _within(seconds: float, waiting: Coroutine[Any, Any, None]) -> bool:
    """Await, but no longer than that; return whether it came to its end."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return False
    return True


class _Signals:
    """SIGTERM and SIGINT set `stop`; the second of them leaves at once."""

    def __init__(self, stop: asyncio.Event, hard_exit: Callable[[int], NoReturn]) -> None:
        self._stop = stop
        self._hard_exit = hard_exit
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(each)
            try:
                loop.add_signal_handler(each, self._received)
            except (ValueError, RuntimeError, NotImplementedError):
                return  # not the main thread: whoever called has `stop`
            self._before[each] = before

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, before)

    def _received(self) -> None:
        if self._stop.is_set():
            self._hard_exit(1)
        self._stop.set()


@asynccontextmanager
async def unchanged(passes: Passes) -> AsyncIterator[Passes]:
    """Passes that hold nothing, as the context that `serve` asks for."""
    yield passes
