"""How soon to look again while something is under way: seldom at first, often when nearly due.

Each step's time is learned from the ones before it. Looks of many machines are put on one grid, so
that they share their batches, and the grid widens with the number of machines: the cost in ECS
calls grows far slower than the fleet.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sysdisk.api.status import Step

SOONEST: Final = 0.3
NEARLY: Final = 0.8
"""Share of the learned time after which looks become frequent."""

PER_MACHINE: Final = 0.05
"""Seconds by which the grid widens with each machine under way."""

UNLEARNED: Final = 0.1
"""Share of the time that a step has taken so far, until one like it was seen."""

SAMPLES: Final = 9

PATIENCE: Final = {Step.BACKUP.value: 10}
"""How many times the longest time between looks may be in a step that keeps nobody waiting."""


class Pace:
    """Learned step times of one process. `monotonic` in seconds."""

    def __init__(self, longest: timedelta, monotonic: Callable[[], float]) -> None:
        self.longest = longest
        self._longest = longest.total_seconds()
        self._monotonic = monotonic
        self._learned: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=SAMPLES))

    def learn(self, step: str, seconds: float) -> None:
        """Remember how long `step` took."""
        self._learned[step].append(seconds)

    def pause(self, step: str, elapsed: float, under_way: int) -> timedelta:
        """Return the time until the next look at a step that began `elapsed` seconds ago."""
        longest = self._longest * PATIENCE.get(step, 1)
        grid = min(max(SOONEST, PER_MACHINE * under_way), self._longest)
        earlier = self._learned[step]
        if earlier:
            due = NEARLY * statistics.median(earlier) - elapsed
            wait = due if due > grid else max(SOONEST, 0.1 * -due)
        else:
            wait = max(SOONEST, UNLEARNED * elapsed)
        now = self._monotonic()
        cells = max(1, round(min(wait, longest) / grid))
        at = (math.floor(now / grid) + cells) * grid
        return timedelta(seconds=min(max(at - now, SOONEST / 3), longest))
