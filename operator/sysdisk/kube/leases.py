"""Leader election on a coordination.k8s.io/v1 Lease, where the work stops before the Lease is lost.

Times of other clocks are never compared with ours: a Lease is free when *we* have seen it unchanged
for as long as it says it lasts, and ours is good until `renew_deadline` after the last renewal
*began*, both on our monotonic clock. Every write is fenced by the resourceVersion that was read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sysdisk.kube.errors import Conflict, KubeError, NotThere
from sysdisk.kube.port import Kube, Object
from sysdisk.kube.resources import LEASES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Where the Lease is, and its times in seconds: duration > renew_deadline > retry_period."""

    namespace: str
    name: str = "sysdisk-operator"
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def _nothing() -> None:
    return None


class Elector:
    """Holds the Lease, or waits for it. One `run` at a time; `identity` must be unique.

    `on_gain` is awaited once the Lease is ours, `on_loss` once it no longer is: after the local
    deadline, or when another holder is seen. Nothing is tried again before `on_loss` has returned,
    so that the work has stopped by then.
    """

    def __init__(
        self,
        kube: Kube,
        terms: Terms,
        identity: str,
        *,
        on_gain: Callable[[], Awaitable[None]] = _nothing,
        on_loss: Callable[[], Awaitable[None]] = _nothing,
        monotonic: Callable[[], float] | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._kube = kube
        self._terms = terms
        self._identity = identity
        self._on_gain = on_gain
        self._on_loss = on_loss
        self._monotonic = monotonic or asyncio.get_running_loop().time
        self._now = now
        self._lease: Object | None = None
        self._seen: tuple[object, float] | None = None
        self._held_until: float | None = None

    @property
    def leads(self) -> bool:
        """Whether the Lease is ours at this moment: asked again before every ECS write."""
        return self._held_until is not None and self._monotonic() < self._held_until

    async def run(self) -> None:
        """Acquire, renew, and begin again after a loss, until cancelled.

        When cancelled the Lease is still held: `release` gives it up, and only then may a
        successor begin before it has run out.
        """
        while True:
            await self._acquire()
            log.info("lease acquired", extra={"identity": self._identity})
            await self._on_gain()
            await self._renew_until_lost()
            log.warning("lease lost", extra={"identity": self._identity})
            await self._on_loss()

    async def release(self) -> None:
        """Give the Lease up for another to take at once. To be called when no ECS write is in
        flight. Never raises: what is not released runs out."""
        if self._held_until is None or self._lease is None:
            return
        self._held_until = None
        body = self._body(self._lease, holder="", seconds=1)
        try:
            self._lease = await self._write(body)
        except KubeError as exc:
            log.warning("lease not released", extra={"error": str(exc)})
        else:
            log.info("lease released", extra={"identity": self._identity})

    async def _acquire(self) -> None:
        while True:
            try:
                if await self._try_to_take():
                    return
            except KubeError as exc:
                log.warning("lease not reachable", extra={"error": str(exc)})
            await asyncio.sleep(self._terms.retry_period)

    async def _try_to_take(self) -> bool:
        began = self._monotonic()
        lease = await self._kube.read(LEASES, self._terms.namespace, self._terms.name)
        if lease is not None and not self._is_free(lease):
            return False
        try:
            self._lease = await self._write(self._body(lease, holder=self._identity))
        except (Conflict, NotThere):
            return False
        self._held_until = began + self._terms.renew_deadline
        return True

    def _is_free(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        record = (lease["metadata"].get("uid"), lease["metadata"].get("resourceVersion"))
        at = self._monotonic()
        if self._seen is None or self._seen[0] != record:
            self._seen = (record, at)
        lasts = float(spec.get("leaseDurationSeconds") or self._terms.duration)
        return at - self._seen[1] >= lasts

    async def _renew_until_lost(self) -> None:
        while self._held_until is not None:
            await asyncio.sleep(
                min(self._terms.retry_period, max(0.0, self._held_until - self._monotonic()))
            )
            if not self.leads:
                self._held_until = None
                return
            try:
                async with asyncio.timeout(max(0.001, self._held_until - self._monotonic())):
                    await self._renew()
            except (KubeError, TimeoutError) as exc:
                log.warning("lease not renewed", extra={"error": str(exc) or "timeout"})

    async def _renew(self) -> None:
        began = self._monotonic()
        try:
            self._lease = await self._write(self._body(self._lease, holder=self._identity))
        except (Conflict, NotThere):
            # Our own last write may have had its effect although its answer was lost.
            lease = await self._kube.read(LEASES, self._terms.namespace, self._terms.name)
            holder = ((lease or {}).get("spec") or {}).get("holderIdentity")
            if lease is not None and holder != self._identity:
                self._held_until = None
                return
            self._lease = await self._write(self._body(lease, holder=self._identity))
        self._held_until = began + self._terms.renew_deadline

    async def _write(self, body: Object) -> Object:
        if "resourceVersion" in body["metadata"]:
            return await self._kube.replace(LEASES, self._terms.namespace, self._terms.name, body)
        return await self._kube.create(LEASES, self._terms.namespace, body)

    def _body(self, lease: Object | None, *, holder: str, seconds: int | None = None) -> Object:
        old: dict[str, Any] = (lease or {}).get("spec") or {}
        stamp = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changes = holder != old.get("holderIdentity")
        transitions = int(old.get("leaseTransitions") or 0)
        metadata = (lease or {}).get("metadata") or {
            "name": self._terms.name,
            "namespace": self._terms.namespace,
        }
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": old
            | {
                "holderIdentity": holder,
                "leaseDurationSeconds": seconds or max(1, round(self._terms.duration)),
                "acquireTime": stamp if changes else old.get("acquireTime", stamp),
                "renewTime": stamp,
                "leaseTransitions": transitions + (1 if changes and lease and holder else 0),
            },
        }
