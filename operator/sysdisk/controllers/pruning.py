"""The second opinion on the watch: every few minutes a listing of metadata finds what it missed.

A deletion missed over a 410 is never told by kopf; a watch that is quietly dead tells nothing at
all. What a listing no longer has is forgotten; what it has at another resourceVersion, still so at
the next look, is read afresh, and that the watch had not told it is reported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from sysdisk.controllers.store import K, Store
from sysdisk.kube.port import Kube
from sysdisk.kube.resources import Resource

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Missed:
    """What the watch had not told: deletions, and changes although it had the time to."""

    gone: int = 0
    stale: int = 0

    def __add__(self, other: Missed) -> Missed:
        return Missed(self.gone + other.gone, self.stale + other.stale)


class Pruner(Generic[K]):
    """Holds one kind's store to what the API server lists.

    `namespaces` is empty for all, or for a cluster-scoped kind.
    """

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        store: Store[K],
        *,
        namespaces: Sequence[str] = (),
        on_change: Callable[[K], None],
    ) -> None:
        self._kube = kube
        self._resource = resource
        self._store = store
        self._namespaces: Sequence[str | None] = tuple(namespaces) or (None,)
        self._on_change = on_change
        self._suspects: dict[K, tuple[str, str] | None] = {}

    async def unknown(self) -> int:
        """Return how many listed objects the store does not have yet. Raises KubeError."""
        return sum(key not in self._store for key in await self._listed())

    async def prune(self) -> Missed:
        """Compare once; return what the watch had not told. Raises KubeError.

        A deletion is only believed of what was known before the listing began and has not changed
        since: what was made meanwhile is not in the listing either.
        """
        before = self._store.versions()
        listed = await self._listed()
        return Missed(self._forget_gone(before, listed), await self._read_stale(listed))

    async def _listed(self) -> dict[K, str]:
        listed: dict[K, str] = {}
        for namespace in self._namespaces:
            async for body in self._kube.list_metadata(self._resource, namespace):
                version = (body.get("metadata") or {}).get("resourceVersion", "")
                listed[self._store.key_of(body)] = version
        return listed

    def _forget_gone(self, before: dict[K, tuple[str, str]], listed: dict[K, str]) -> int:
        now = self._store.versions()
        gone = [key for key in before if key not in listed and now.get(key) == before[key]]
        for key in gone:
            self._store.forget(key)
            self._on_change(key)
            log.info("object gone without a word", extra={"key": str(key)})
        return len(gone)

    async def _read_stale(self, listed: dict[K, str]) -> int:
        """A difference is normal for a moment. One that a whole interval did not mend is not."""
        now = self._store.versions()
        differing = {
            key: now.get(key)
            for key, version in listed.items()
            if now.get(key, ("", ""))[1] != version
        }
        stale = [
            key
            for key, had in differing.items()
            if key in self._suspects and self._suspects[key] == had
        ]
        self._suspects = differing
        found = 0
        for key in stale:
            namespace = getattr(key, "namespace", None)
            body = await self._kube.read(self._resource, namespace, key.name)
            if body is not None and self._store.remember(body):
                found += 1
                self._on_change(key)
                log.warning("change missed by the watch", extra={"key": str(key)})
        return found
