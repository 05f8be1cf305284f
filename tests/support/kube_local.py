"""The Kubernetes port over the embedded store, in one process and in whatever time the loop has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sysdisk.kube.resources import Resource
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Life, Line, Traffic
from sysdisk.sandbox.sim_kube import StoreKube

Side = Literal["before", "after"]
Cut = Callable[[str, str], Side | None]
"""Says for a call (verb, plural) on which side of its effect it is cut, if at all."""


def never(verb: str, plural: str) -> Side | None:
    """Return None: no call is cut."""
    return None


class LocalKube(StoreKube):
    """One process's way to `store`. `takes_seconds` is how long a call is under way.

    `cut` makes calls fail: before their effect, or after it with the answer lost.
    """

    def __init__(self, store: KubeStore | None = None) -> None:
        self.store = store or complete(KubeStore())
        self.cut: Cut = never
        self.takes_seconds = 0.0
        self._side: Side | None = None
        self._traffic = Traffic(self._meddle, lambda _api: self.takes_seconds / 2)
        super().__init__(Line(Life("local", lambda: None), self._traffic), self.store)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Return verb and plural of all calls, in order."""
        return [_named(call) for call in self._traffic.log]

    def lose(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object out of band."""
        self.store.delete(self._served(resource), namespace, name)

    def _meddle(self, call: Call, side: Side) -> Blow | None:
        # Asked once a call, before its effect, so that `cut` may count.
        if side == "before":
            self._side = self.cut(*_named(call))
        return Blow(Kind.LOST) if self._side == side else None


def _named(call: Call) -> tuple[str, str]:
    verb, plural = call.verb.split()
    return verb, plural
