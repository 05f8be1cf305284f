"""The clock of a running simulator: real time, or faster."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """Seconds since the epoch that pass `scale` times as fast as real ones, from `start` on.

    With scale 100, a stop that takes 8 s is over after 80 ms.
    """

    def __init__(
        self,
        scale: float = 1.0,
        start: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if scale <= 0:
            raise ValueError("scale must be above 0")
        self.scale = scale
        self._monotonic = monotonic
        self._began = monotonic()
        self._start = time.time() if start is None else start

    def now(self) -> float:
        """Return the time now."""
        return self._start + (self._monotonic() - self._began) * self.scale

    def real(self, seconds: float) -> float:
        """Return how many real seconds that many seconds of this clock are."""
        return seconds / self.scale
