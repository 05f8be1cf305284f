"""`/healthz`, `/readyz`, `/metrics`: answered from memory, in the loop that does the work.

That a probe is answered at all shows that the loop is alive; kubelet's time-out is the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from sysdisk.controllers.metrics import Metrics
from sysdisk.settings import Address

Check = Callable[[], str | None]
"""What is wrong, in words for people; None if nothing is."""

Fact = Callable[[], str]
"""What is told of a check that finds nothing wrong."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Source: Prometheus, text-based exposition format."""


class HealthServer:
    """Answers 200 while every check of its kind says None, else 503 with what is wrong."""

    def __init__(
        self,
        address: Address,
        metrics: Metrics,
        *,
        alive: Mapping[str, Check],
        ready: Mapping[str, Check],
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        self._address = address
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._facts = facts or {}
        self._runner: web.AppRunner | None = None

    async def start(self) -> Address:
        """Listen, and return where: the port that was chosen in the place of port 0.

        Raises OSError where the address cannot be used.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/livez", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._render)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._address.host, self._address.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        return Address(self._address.host, runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return _report(self._alive, self._facts)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _report({**self._alive, **self._ready}, self._facts)

    async def _render(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _report(checks: Mapping[str, Check], facts: Mapping[str, Fact]) -> web.Response:
    wrong = {name: text for name, check in checks.items() if (text := check()) is not None}
    lines = []
    for name in sorted(checks):
        if name in wrong:
            lines.append(f"[-]{name}: {wrong[name]}")
        else:
            lines.append(f"[+]{name} ok" + (f": {facts[name]()}" if name in facts else ""))
    return web.Response(status=503 if wrong else 200, text="\n".join(lines) + "\n")


class Freshness:
    """How long ago the picture of the cluster was last confirmed.

    `last_event` is when the watch last told something, in the loop's time, None before. kopf keeps
    bookmarks to itself, so a quiet cluster shows an old event: what is checked is the listing.
    """

    def __init__(
        self, limit_seconds: float, last_event: Callable[[], float | None] = lambda: None
    ) -> None:
        self._limit = limit_seconds
        self._last_event = last_event
        self._loop = asyncio.get_running_loop()
        self._confirmed: float | None = None
        self.synced = False
        """Whether everything that was listed at the start is known."""

    def confirm(self) -> None:
        """Say that a listing of the API server was just compared."""
        self._confirmed = self._loop.time()

    def ages(self) -> str:
        """Return how old the last word of the watch and the last listing are."""
        return f"last event {self._age(self._last_event())}, listed {self._age(self._confirmed)}"

    def _age(self, since: float | None) -> str:
        return "never" if since is None else f"{self._loop.time() - since:.0f} s ago"

    def check_synced(self) -> str | None:
        return None if self.synced else "the first listing is not done"

    def check_fresh(self) -> str | None:
        """Return what is wrong when no listing was compared for longer than the limit."""
        if self._confirmed is None:
            return None if not self.synced else "nothing was listed yet"
        age = self._loop.time() - self._confirmed
        return f"the cluster was last listed {age:.0f} s ago" if age > self._limit else None
