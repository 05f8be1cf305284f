"""The work queue: which key is due when, one pass per key at a time, keys side by side.

Level-triggered: a key says *look at this*, never what happened. However often a key is added, it
comes once; added while its pass runs, it comes once more afterwards. Keys that are due come in the
order in which they became due, so none starves. Times are those of the running event loop.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failing key rests: doubling from `first` to `longest` seconds, less up to half."""

    first: float = 0.5
    longest: float = 60.0
    conflicts_at_once: int = 5
    """So many conflicts in a row are read again at once; further ones rest like failures."""

    def seconds(self, failures: int, chance: float) -> float:
        """Return the rest after the n-th failure in a row (from 1); `chance` is in [0, 1)."""
        full = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        return full * (1.0 - chance / 2.0)


class WorkQueue(Generic[K]):
    """Hands out keys to workers by `get`; each must come back by one of done, failed, conflicted.

    After `drain` nothing more is handed out: `get` answers None and `add` has no effect. While
    paused, keys are kept and nothing is handed out.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
        on_wait: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._backoff = backoff or Backoff()
        self._chance = chance
        self._on_wait = on_wait
        self._heap: list[tuple[float, int, K]] = []
        self._due: dict[K, tuple[float, int]] = {}
        self._running: dict[K, float] = {}
        self._again: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._conflicts: dict[K, int] = {}
        self._getters: deque[asyncio.Future[K | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._order = 0
        self._paused = False
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """How many keys are due now or later, those in a pass not counted."""
        return len(self._due)

    @property
    def running(self) -> int:
        """How many keys are in a pass."""
        return len(self._running)

    def ready(self) -> int:
        """Return how many keys are due now and wait for a worker."""
        now = self._loop.time()
        return sum(due <= now for due, _ in self._due.values())

    def longest_pass(self) -> float:
        """Return for how many seconds the longest of the present passes has been running."""
        now = self._loop.time()
        return max((now - since for since in self._running.values()), default=0.0)

    def add(self, key: K, *, after: timedelta | None = None) -> None:
        """Make `key` due, now or `after`; an earlier time that it already has is kept."""
        if self._draining:
            return
        due = self._loop.time() + (after.total_seconds() if after else 0.0)
        if key in self._running:
            self._again[key] = min(due, self._again.get(key, due))
        else:
            self._schedule(key, due)

    async def get(self) -> K | None:
        """Wait for the next key that is due and take it; None once the queue is drained."""
        if self._draining:
            return None
        getter: asyncio.Future[K | None] = self._loop.create_future()
        self._getters.append(getter)
        self._pump()
        try:
            return await getter
        except asyncio.CancelledError:
            self._give_back(getter)
            raise

    def done(self, key: K, *, again_in: timedelta | None) -> None:
        """End a pass that succeeded. None: not again, until somebody adds the key."""
        self._failures.pop(key, None)
        self._conflicts.pop(key, None)
        self._end(key, again_in.total_seconds() if again_in is not None else None)

    def failed(self, key: K, *, at_least: float | None = None) -> float:
        """End a pass that failed; return the seconds until the next one.

        `at_least` is the rest that the other side asked for, in seconds.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        rest = max(self._backoff.seconds(failures, self._chance()), at_least or 0.0)
        self._end(key, rest)
        return rest

    def conflicted(self, key: K) -> float:
        """End a pass in which somebody else wrote first; return the seconds until the next one."""
        conflicts = self._conflicts[key] = self._conflicts.get(key, 0) + 1
        if conflicts <= self._backoff.conflicts_at_once:
            self._end(key, 0.0)
            return 0.0
        return self.failed(key)

    def forget(self, key: K) -> None:
        """Drop what is kept of a key that is gone: its time, its failures. A pass goes on."""
        self._due.pop(key, None)
        self._again.pop(key, None)
        self._failures.pop(key, None)
        self._conflicts.pop(key, None)

    def pause(self) -> None:
        """Hand nothing out until `resume`."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._pump()

    def drain(self) -> None:
        """Hand nothing out any more, for good: every `get`, waiting or later, answers None."""
        self._draining = True
        if self._timer is not None:
            self._timer.cancel()
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)

    async def idle(self) -> None:
        """Wait until no key is in a pass."""
        await self._idle.wait()

    def _schedule(self, key: K, due: float) -> None:
        present = self._due.get(key)
        if present is not None and present[0] <= due:
            return
        self._order += 1
        self._due[key] = (due, self._order)
        heapq.heappush(self._heap, (due, self._order, key))
        self._pump()

    def _end(self, key: K, rest: float | None) -> None:
        del self._running[key]
        if not self._running:
            self._idle.set()
        times = [self._again.pop(key)] if key in self._again else []
        if rest is not None:
            times.append(self._loop.time() + rest)
        if times and not self._draining:
            self._schedule(key, min(times))

    def _pump(self) -> None:
        """Give due keys to waiting workers, and come back when the next one is due."""
        if self._paused or self._draining:
            return
        now = self._loop.time()
        while self._heap:
            due, order, key = self._heap[0]
            if self._due.get(key) != (due, order):
                heapq.heappop(self._heap)  # scheduled anew, or forgotten
                continue
            if due > now:
                break
            getter = self._next_getter()
            if getter is None:
                return
            heapq.heappop(self._heap)
            self._take(key, now)
            self._on_wait(now - due)
            getter.set_result(key)
        self._set_timer()

    def _take(self, key: K, now: float) -> None:
        del self._due[key]
        self._running[key] = now
        self._idle.clear()

    def _next_getter(self) -> asyncio.Future[K | None] | None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                return getter
        return None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._getters:
            self._timer = self._loop.call_at(self._heap[0][0], self._pump)

    def _give_back(self, getter: asyncio.Future[K | None]) -> None:
        """A worker was cancelled while waiting: what it was just given is due again."""
        if getter.done() and not getter.cancelled():
            key = getter.result()
            if key is not None:
                self._end(key, 0.0)
