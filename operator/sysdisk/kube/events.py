"""Events on our objects, told beside the pass: they never block it, break it or slow it down.

core/v1 Events with `count`, because `kubectl describe` shows those best ("x3 over 5m"); a repeat
raises the count of the Event that is there. They are for people: nothing is ever decided by them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from sysdisk.kube.errors import KubeError, NotThere, Unavailable
from sysdisk.kube.port import Kube, Object
from sysdisk.kube.resources import EVENTS, Resource

log = logging.getLogger(__name__)

COMPONENT = "sysdisk"
MESSAGE_CHARACTERS = 1024
"""Source: Kubernetes, core/v1 Event validation (`message`, 1024 characters)."""
REASON_CHARACTERS = 128
CLUSTER_SCOPED_NAMESPACE = "default"
"""Where Events of cluster-scoped objects live. Source: Kubernetes, core/v1 Event validation."""

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Involved:
    """The object that an Event is about. `namespace` is None for a cluster-scoped one."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str


class _Told(NamedTuple):
    """What makes two Events the same one."""

    involved: Involved
    severity: Severity
    reason: str
    message: str


@dataclass(slots=True)
class _Posted:
    name: str
    count: int
    last: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EventRecorder:
    """Takes Events at any time and posts them from a task of its own (`run`).

    At most `capacity` different Events wait; a further one is dropped and counted. Identical ones
    that wait together become one with a higher count. Repeats within `window` of an Event that was
    posted raise its count instead of making another.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        instance: str = COMPONENT,
        capacity: int = 1000,
        window: timedelta = timedelta(minutes=30),
        attempts: int = 4,
        now: Callable[[], datetime] = _utc_now,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._kube = kube
        self._instance = instance
        self._capacity = capacity
        self._window = window
        self._attempts = attempts
        self._now = now
        self._on_drop = on_drop
        self._waiting: OrderedDict[_Told, int] = OrderedDict()
        self._posted: OrderedDict[_Told, _Posted] = OrderedDict()
        self._some = asyncio.Event()
        self._posting = False
        self.dropped = 0

    def tell(self, involved: Involved, severity: Severity, reason: str, message: str) -> None:
        """Take an Event for posting. Never waits, never raises; too long a message is cut."""
        told = _Told(
            involved, severity, reason[:REASON_CHARACTERS], _cut(message, MESSAGE_CHARACTERS)
        )
        if told in self._waiting:
            self._waiting[told] += 1
        elif len(self._waiting) >= self._capacity:
            self._drop()
        else:
            self._waiting[told] = 1
            self._some.set()

    async def run(self) -> None:
        """Post what was told, oldest first, until cancelled."""
        while True:
            await self._some.wait()
            while self._waiting:
                told, times = self._waiting.popitem(last=False)
                self._posting = True
                try:
                    await self._deliver(told, times)
                finally:
                    self._posting = False
            self._some.clear()

    async def flushed(self, within: timedelta) -> bool:
        """Wait until everything told is posted, not longer than `within`; say whether it is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within.total_seconds()
        while self._waiting or self._posting:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def _drop(self) -> None:
        self.dropped += 1
        self._on_drop()

    async def _deliver(self, told: _Told, times: int) -> None:
        for attempt in range(1, self._attempts + 1):
            try:
                await self._post(told, times)
            except Unavailable as exc:
                await asyncio.sleep(exc.retry_after or 2.0 ** (attempt - 1))
            except KubeError as exc:
                # A namespace that is being deleted takes no Events; nor does a missing role.
                log.debug("event refused", extra={"reason": told.reason, "error": str(exc)})
                break
            except Exception:
                log.exception("event not posted", extra={"reason": told.reason})
                break
            else:
                return
        self._drop()

    async def _post(self, told: _Told, times: int) -> None:
        now = self._now()
        known = self._posted.get(told)
        if known is not None and now - known.last <= self._window:
            try:
                await self._raise_count(told, known, times, now)
                return
            except NotThere:  # the server forgets Events, after an hour by default
                del self._posted[told]
        body = self._body(told, times, now)
        await self._kube.create(EVENTS, _namespace(told.involved), body)
        self._posted[told] = _Posted(body["metadata"]["name"], times, now)
        self._posted.move_to_end(told)
        while len(self._posted) > self._capacity:
            self._posted.popitem(last=False)

    async def _raise_count(self, told: _Told, known: _Posted, times: int, now: datetime) -> None:
        patch = {"count": known.count + times, "lastTimestamp": _stamp(now)}
        await self._kube.merge(EVENTS, _namespace(told.involved), known.name, patch)
        known.count += times
        known.last = now
        self._posted.move_to_end(told)

    def _body(self, told: _Told, times: int, now: datetime) -> Object:
        involved = told.involved
        reference = {
            "apiVersion": involved.resource.api_version,
            "kind": involved.resource.kind,
            "name": involved.name,
            "uid": involved.uid,
        }
        if involved.namespace:
            reference["namespace"] = involved.namespace
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{involved.name[:200]}.{secrets.token_hex(8)}",
                "namespace": _namespace(involved),
            },
            "involvedObject": reference,
            "type": told.severity,
            "reason": told.reason,
            "message": told.message,
            "count": times,
            "firstTimestamp": _stamp(now),
            "lastTimestamp": _stamp(now),
            "source": {"component": COMPONENT, "host": self._instance},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }


def _namespace(involved: Involved) -> str:
    return involved.namespace or CLUSTER_SCOPED_NAMESPACE


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
