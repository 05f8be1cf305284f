"""kopf as the watch and nothing else, in a thread with an event loop of its own.

Why a thread: when a kopf operator ends, it cancels every task of its loop that it did not find
there at its start (kopf 1.45, `run_tasks`), which would be our passes; and it takes over the
process's signals when it runs in the main thread. Alone in its loop it can end, and be started
again, without touching anything.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from sysdisk.controllers import ecs_account, system_disk
from sysdisk.controllers.store import Slim
from sysdisk.kube.connection import Access
from sysdisk.kube.errors import KubeError, NotThere
from sysdisk.kube.port import Kube
from sysdisk.kube.resources import ACCOUNTS, SPECS, Resource

log = logging.getLogger(__name__)

Taken = Callable[[bool, Slim], None]
"""Takes (deleted, slim copy) in the main loop."""

NO_CRDS = "the CRDs are not installed: run `sysdisk crd | kubectl apply -f -`"
FIRST_REST = 1.0
LONGEST_REST = 30.0
GOOD_RUN = 60.0
"""A watch that lived for so many seconds is started again without growing rests."""


def kopf_settings() -> kopf.OperatorSettings:
    """Return the settings that design section 3 gives reasons for; each exists in kopf 1.45."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.watching.initial_streaming = False
    settings.watching.server_timeout = 290
    settings.watching.connect_timeout = 10
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 30, 30, 30)
    settings.networking.trust_env = True
    # Else a kopf that ends by itself kills this process ten minutes later with SIGKILL.
    settings.process.ultimate_exiting_timeout = None
    return settings


class Watch:
    """Runs the watch until cancelled, and begins it again whenever it ends.

    `on_spec` and `on_account` are called in the loop that `run` runs in. `namespaces` empty: all.
    """

    def __init__(
        self,
        access: Access,
        kube: Kube,
        *,
        namespaces: Sequence[str],
        on_spec: Taken,
        on_account: Taken,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self._access = access
        self._kube = kube
        self._namespaces = tuple(namespaces)
        self._on_spec = on_spec
        self._on_account = on_account
        self._on_restart = on_restart
        self._loop = asyncio.get_running_loop()
        self._run: _Run | None = None
        self.last_event: float | None = None
        """When something was last heard, in the loop's time; None before the first word."""

    @property
    def alive(self) -> bool:
        return self._run is not None and self._run.alive

    def restart(self) -> None:
        """End the present watch; `run` begins the next one."""
        if self._run is not None:
            self._run.stop()

    async def run(self) -> None:
        """Watch until cancelled; then the thread is told to stop, and not waited for long."""
        rest = FIRST_REST
        while True:
            await self._until_served()
            began = self._loop.time()
            run = self._run = _Run(self._access, self._namespaces, self._spec, self._account)
            try:
                error = await run.ended
            finally:
                run.stop()
            self._on_restart()
            log.warning(
                "watch ended, beginning again",
                extra={"error": repr(error) if error else None, "rest_seconds": rest},
            )
            await asyncio.sleep(rest)
            lived_well = self._loop.time() - began >= GOOD_RUN
            rest = FIRST_REST if lived_well else min(LONGEST_REST, rest * 2)

    async def closed(self, within: float) -> bool:
        """Stop the thread and wait for its end, `within` seconds at most; say whether it ended."""
        if self._run is None:
            return True
        self._run.stop()
        done, _ = await asyncio.wait({self._run.ended}, timeout=within)
        return bool(done)

    async def _until_served(self) -> None:
        """Wait until both kinds can be listed.

        With scanning disabled kopf looks for its resources once: without the CRDs it would watch
        nothing, for ever, with one warning.
        """
        rest = FIRST_REST
        while True:
            try:
                for resource in (ACCOUNTS, SPECS):
                    await self._listable(resource)
            except NotThere:
                log.error(NO_CRDS)  # noqa: TRY400 - no fault of ours
            except KubeError as exc:
                log.error("cannot list our kinds", extra={"error": str(exc)})  # noqa: TRY400
            else:
                return
            await asyncio.sleep(rest)
            rest = min(LONGEST_REST, rest * 2)

    async def _listable(self, resource: Resource) -> None:
        namespaces: Sequence[str | None] = self._namespaces if resource.namespaced else ()
        for namespace in namespaces or (None,):
            await self._kube.probe(resource, namespace)

    def _spec(self, deleted: bool, body: Slim) -> None:
        self._call(self._on_spec, deleted, body)

    def _account(self, deleted: bool, body: Slim) -> None:
        self._call(self._on_account, deleted, body)

    def _call(self, taken: Taken, deleted: bool, body: Slim) -> None:
        """Carry an event from kopf's thread to our loop; one that is closed needs none."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._taken, taken, deleted, body)

    def _taken(self, taken: Taken, deleted: bool, body: Slim) -> None:
        self.last_event = self._loop.time()
        taken(deleted, body)


class _Run:
    """One life of a kopf operator. `ended` gets the exception that ended it, None without one."""

    def __init__(
        self,
        access: Access,
        namespaces: tuple[str, ...],
        on_spec: system_disk.Deliver,
        on_account: system_disk.Deliver,
    ) -> None:
        self._access = access
        self._namespaces = namespaces
        self._deliver = (on_spec, on_account)
        self._outer = asyncio.get_running_loop()
        self._inner: asyncio.AbstractEventLoop | None = None
        self._flag: asyncio.Event | None = None
        self._stopping = threading.Event()
        self.ended: asyncio.Future[BaseException | None] = self._outer.create_future()
        self._thread = threading.Thread(target=self._main, name="sysdisk-watch", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end. Safe to repeat, and at any time."""
        self._stopping.set()
        if self._inner is not None and self._flag is not None and not self._inner.is_closed():
            try:
                self._inner.call_soon_threadsafe(self._flag.set)
            except RuntimeError:
                log.debug("the watch's loop closed first")

    def _main(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except BaseException as exc:  # whatever it was, it ends this life and no more
            error = exc
        if not self._outer.is_closed():
            self._outer.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: BaseException | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    async def _operate(self) -> None:
        self._flag = asyncio.Event()
        self._inner = asyncio.get_running_loop()
        if self._stopping.is_set():
            return
        registry = kopf.OperatorRegistry()
        self._login(registry)
        system_disk.register(registry, self._deliver[0])
        ecs_account.register(registry, self._deliver[1])
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._flag,
        )

    def _login(self, registry: kopf.OperatorRegistry) -> None:
        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            """The same server and identity as our own client; asked for again after a 401."""
            now = await self._access.connection()
            return kopf.ConnectionInfo(
                server=now.server,
                ca_path=now.ca_file,
                ca_data=now.ca_data,
                insecure=now.insecure,
                username=now.username,
                password=now.password,
                token=now.token,
                certificate_path=now.cert_file,
                private_key_path=now.key_file,
                proxy_url=now.proxy,
                trust_env=True,
            )
