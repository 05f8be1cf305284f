"""Questions that arrive one by one and are asked together: the base of the inventory.

An answer says when its request was begun, so that a caller can demand one that was begun after a
moment of its own, and still share it with everybody who came in time.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.failures import closed

LATELY = 10.0
LONGEST_PAUSE = 2.0
CROWD = 100
"""Seconds, and the number of those who ask from which on it is that long; see `spacing`."""

BRIEFLY = 4.0
"""Seconds to keep an answer that holds somebody's work up; see `Shared`."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def spacing(lately: int) -> float:
    """Return the seconds from one request to the next where so many asked lately.

    It grows by the square of their number (20 ms for ten, 2 s for a hundred): a hundred who ask at
    odd moments then share requests, and a few never wait.
    """
    return LONGEST_PAUSE * min(1.0, lately / CROWD) ** 2


async def together(asks: Iterable[Awaitable[V]]) -> Sequence[V]:
    """Return what `asks` return, waited for side by side; the first error is raised.

    One alone, as in most looks at one machine, is waited for in place and needs no task.
    """
    listed = list(asks)
    if len(listed) > 1:
        return await asyncio.gather(*listed)
    return [await ask for ask in listed]


@dataclass(frozen=True, slots=True)
class Seen(Generic[V]):
    """What was answered. `begun_at` (monotonic) is not after the moment the request left."""

    value: V
    begun_at: float
    seen_at: datetime


def answered(answer: Seen[V] | EcsError) -> Seen[V]:
    """Return an answer that is one. Raises EcsError, each time a new one."""
    if isinstance(answer, EcsError):
        raise answer.again()
    return answer


Fetch = Callable[[Sequence[K]], Awaitable[Mapping[K, V | EcsError]]]
"""Asks for some keys; one that is not there is left out, one that ECS refuses has its error."""
_Waiting = dict[K, list["asyncio.Future[Seen[V | None] | EcsError]"]]


class Batcher(Generic[K, V]):
    """Collects keys for `gather` seconds, then asks for all of them, `size` a request.

    One round is asked at a time; who comes meanwhile shares the next one. The more keys are asked
    for lately, the longer the next round waits after the last (`spacing`). A key that the answer
    does not hold is answered None. An error reaches exactly those whose request failed.
    """

    def __init__(self, fetch: Fetch[K, V], clock: Clock, *, size: int, gather: float) -> None:
        self._fetch = fetch
        self._clock = clock
        self._size = size
        self._gather = gather
        self._waiting: _Waiting[K, V] = {}
        self._round: asyncio.Task[None] | None = None
        self._began = -math.inf
        self._lately: dict[K, float] = {}

    def ask(self, key: K) -> asyncio.Future[Seen[V | None] | EcsError]:
        """Ask for `key` in the next request; return its answer to come, for `answered`."""
        future: asyncio.Future[Seen[V | None] | EcsError]
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._round is None:
            self._round = asyncio.create_task(self._run())
        return future

    async def get(self, key: K) -> Seen[V | None]:
        """Return the answer for `key`, of a request begun after this call. Raises EcsError."""
        return answered(await self.ask(key))

    async def close(self) -> None:
        """Stop asking; who still waits gets `NoAnswer`."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
        waiting, self._waiting = self._waiting, {}
        _give_up(waiting)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._clock.sleep(self._pause())
                waiting, self._waiting = self._waiting, {}
                try:
                    await self._ask_all(waiting)
                finally:
                    _give_up(waiting)  # nobody, unless this was cancelled
        finally:
            self._round = None

    def _pause(self) -> float:
        now = self._clock.monotonic()
        self._lately = {k: at for k, at in self._lately.items() if at > now - LATELY}
        return max(self._gather, self._began + spacing(len(self._lately)) - now)

    async def _ask_all(self, waiting: _Waiting[K, V]) -> None:
        keys = [k for k, futures in waiting.items() if not all(f.done() for f in futures)]
        self._began = self._clock.monotonic()
        self._lately |= dict.fromkeys(keys, self._began)
        chunks = [keys[i : i + self._size] for i in range(0, len(keys), self._size)]
        await together(self._ask(chunk, waiting) for chunk in chunks)

    async def _ask(self, keys: Sequence[K], waiting: _Waiting[K, V]) -> None:
        begun_at = self._clock.monotonic()
        try:
            found = await self._fetch(keys)
        except EcsError as error:
            answers: Mapping[K, Seen[V | None] | EcsError] = dict.fromkeys(keys, error)
        except Exception as fault:  # handed over to those who asked: nobody may wait for ever
            self._fail(keys, waiting, fault)
            return
        else:
            now = self._clock.now()
            answers = {key: _seen(found.get(key), begun_at, now) for key in keys}
        for key in keys:
            for future in waiting[key]:
                if not future.done():
                    future.set_result(answers[key])

    @staticmethod
    def _fail(keys: Sequence[K], waiting: _Waiting[K, V], fault: Exception) -> None:
        for future in (future for key in keys for future in waiting[key]):
            if not future.done():
                future.set_exception(fault)


def _give_up(waiting: _Waiting[K, V]) -> None:
    for future in (future for futures in waiting.values() for future in futures):
        if not future.done():
            future.set_result(closed())


def _seen(value: V | EcsError | None, begun_at: float, now: datetime) -> Seen[V | None] | EcsError:
    return value if isinstance(value, EcsError) else Seen(value, begun_at, now)


class Shared(Generic[K, V]):
    """Answers by key that live for `ttl` seconds; callers at the same time share one request.

    An answer of which `holds_up` is true lives `BRIEFLY` only: somebody is about to put it right.
    Who is about to act wants an answer of its own moment (`begun_after`), and still shares it with
    everybody who comes in time: the more of them came lately, the longer the next request waits
    after the last, as in `Batcher`.
    """

    def __init__(
        self,
        fetch: Callable[[K], Awaitable[V]],
        clock: Clock,
        *,
        ttl: float,
        gather: float,
        holds_up: Callable[[V], bool] = lambda _value: False,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._ttl = ttl
        self._gather = gather
        self._holds_up = holds_up
        self._known: dict[K, Seen[V]] = {}
        self._flights: dict[K, _Flight[V]] = {}
        self._lately: deque[float] = deque()

    async def get(self, key: K, *, begun_after: float | None = None) -> V:
        """Return the answer for `key`, not older than the time to live, and of a request begun
        after that moment (monotonic), if one is given. Raises EcsError; errors are not kept."""
        known = self._known.get(key)
        if known is not None and self._serves(known, begun_after):
            return known.value
        if begun_after is not None:
            self._lately.append(self._clock.monotonic())
        while True:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = self._take_off(key)
            answer = await asyncio.shield(flight.task)
            if begun_after is None or flight.begun_at > begun_after:
                return answered(answer).value

    async def close(self) -> None:
        """Stop asking; who still waits gets `NoAnswer`."""
        flights = [flight.task for flight in self._flights.values()]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _serves(self, known: Seen[V], begun_after: float | None) -> bool:
        if begun_after is not None:
            return known.begun_at > begun_after
        ttl = min(self._ttl, BRIEFLY) if self._holds_up(known.value) else self._ttl
        return self._clock.monotonic() - known.begun_at < ttl

    def _take_off(self, key: K) -> _Flight[V]:
        known = self._known.get(key)
        last = known.begun_at if known is not None else -math.inf
        pause = max(self._gather, last + self._spacing() - self._clock.monotonic())
        flight: _Flight[V] = _Flight()
        flight.task = asyncio.create_task(self._fly(key, flight, pause))
        return flight

    def _spacing(self) -> float:
        now = self._clock.monotonic()
        while self._lately and self._lately[0] < now - LATELY:
            self._lately.popleft()
        return spacing(len(self._lately))

    async def _fly(self, key: K, flight: _Flight[V], pause: float) -> Seen[V] | EcsError:
        try:
            await self._clock.sleep(pause)
            flight.begun_at = self._clock.monotonic()
            seen = Seen(await self._fetch(key), flight.begun_at, self._clock.now())
        except EcsError as error:
            return error
        except asyncio.CancelledError:
            flight.begun_at = math.inf
            return closed()
        else:
            self._forget_old()
            self._known[key] = seen
            return seen
        finally:
            self._flights.pop(key, None)

    def _forget_old(self) -> None:
        oldest = self._clock.monotonic() - self._ttl
        self._known = {k: seen for k, seen in self._known.items() if seen.begun_at > oldest}


class _Flight(Generic[V]):
    """One request under way; `begun_at` (monotonic) is in the past only once it has left."""

    def __init__(self) -> None:
        self.begun_at = -math.inf
        self.task: asyncio.Task[Seen[V] | EcsError]
