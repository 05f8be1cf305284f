"""The history of changes that watches read: bounded, per resource type, with notification."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sysdisk.sandbox.kube_errors import gone

Json = Mapping[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change: its version, ADDED, MODIFIED or DELETED, the object, and what it was before."""

    version: int
    type: str
    object: Json
    old: Json | None


class EventLog:
    """Events by resource type, the last `history` of each.

    Listeners are called with the type's key after each event, and with None when history was
    forgotten. They must not raise and must not write.
    """

    def __init__(self, history: int) -> None:
        self._history = history
        self._events: dict[Key, deque[WatchEvent]] = {}
        self._forgotten: dict[Key, int] = {}
        self._forgotten_everywhere = 0
        self._listeners: list[Callable[[Key | None], None]] = []

    def append(self, key: Key, event: WatchEvent) -> None:
        """Add the newest event."""
        events = self._events.setdefault(key, deque())
        events.append(event)
        if len(events) > self._history:
            self._forgotten[key] = events.popleft().version
        for listener in tuple(self._listeners):
            listener(key)

    def since(self, key: Key, version: int) -> Iterator[WatchEvent]:
        """Yield the events after `version`, oldest first. Raises ApiError 410 if some are gone."""
        oldest = max(self._forgotten.get(key, 0), self._forgotten_everywhere)
        if version < oldest:
            raise gone(f"too old resource version: {version} ({oldest})")
        events = self._events.get(key, ())
        newer: list[WatchEvent] = []
        for event in reversed(events):
            if event.version <= version:
                break
            newer.append(event)
        return reversed(newer)

    def compact(self, version: int) -> None:
        """Forget everything up to `version`."""
        self._events.clear()
        self._forgotten.clear()
        self._forgotten_everywhere = version
        for listener in tuple(self._listeners):
            listener(None)

    def listen(self, listener: Callable[[Key | None], None]) -> Callable[[], None]:
        """Call `listener` after each event; return the function that ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
