"""A limit to how often one process writes over the same record: where two disagree, neither flaps.

Two operators that see the world differently (one has lost ECS, the other has not) would answer each
write of the other with one of their own, as fast as the network carries them (I8).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

AT_ONCE: Final = 10
EVERY: Final = 10.0
"""Seconds; so many writes may follow each other closely, and from then on one in this time."""


class Calm(Generic[K]):
    """Counts by key; a key that was left alone for long enough takes no memory."""

    def __init__(self, at_once: int = AT_ONCE, every: float = EVERY) -> None:
        self._at_once = at_once
        self._every = every
        self._busy: dict[K, tuple[float, float]] = {}

    def wait(self, key: K, now: float) -> float:
        """Count one write of `key`; return 0, or the seconds until it may be written (uncounted).

        `now` is monotonic, in seconds.
        """
        used, since = self._busy.get(key, (0.0, now))
        used = max(0.0, used - (now - since) / self._every)
        if used > self._at_once - 1:
            self._busy[key] = (used, now)
            return (used - self._at_once + 1) * self._every
        self._busy[key] = (used + 1, now)
        self._forget_the_calm(now)
        return 0.0

    def _forget_the_calm(self, now: float) -> None:
        """Drop one key that is calm again, or pass it by: each write makes room for one."""
        oldest = next(iter(self._busy))
        used, since = self._busy[oldest]
        if used <= (now - since) / self._every:
            del self._busy[oldest]
        else:
            self._busy[oldest] = self._busy.pop(oldest)
