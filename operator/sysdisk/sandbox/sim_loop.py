"""An event loop in which time is a number: nothing waits, and equal histories take equal turns.

A simulated hour costs what happens in it. There is no I/O, and so no selector: a coroutine that
waits for something which only the outside could bring ends the run with `NothingLeft`.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

TURNS_AT_ONCE: Final = 20_000
"""So many turns of the loop at one moment: somebody goes round in circles."""


class NothingLeft(RuntimeError):
    """Everybody waits, and no timer is set: this would last for ever."""


class TimeStandsStill(RuntimeError):
    """Somebody is busy for ever, and never waits."""


class _Due:
    """One callback that is due, now or at a time: what asyncio asks of a handle, and no more."""

    __slots__ = ("_args", "_callback", "_context", "_gone", "_when")

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._gone = False

    def run(self) -> None:
        if not self._gone:
            self._context.run(self._callback, *self._args)

    def cancel(self) -> None:
        self._gone = True
        self._args = ()

    def cancelled(self) -> bool:
        return self._gone

    def when(self) -> float:
        return self._when


class SimLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in order of their times; `time()` begins at 0 and jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[_Due] = deque()
        self._timers: list[tuple[float, int, _Due]] = []
        self._order = 0
        self._running = False
        self._closed = False

    # -- time ----------------------------------------------------------------------------------

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._now

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Due:
        """Run `callback` in the next turn."""
        due = _Due(self._now, callback, args, context or contextvars.copy_context())
        self._ready.append(due)
        return due

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Due:
        """Run `callback` in `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Due:
        """Run `callback` at `when`; those of one time come in the order in which they were set."""
        due = _Due(when, callback, args, context or contextvars.copy_context())
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, due))
        return due

    # -- what asyncio asks of a loop -----------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Return a task, which ends with the simulated process whose code makes it."""
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, context=context)
        mine = owned.get()
        if mine is not None:
            mine.add(task)
            task.add_done_callback(mine.discard)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Log what nobody awaited, as asyncio does."""
        log.error("%s", context.get("message"), exc_info=context.get("exception"))

    # -- running -------------------------------------------------------------------------------

    def run_until_complete(self, future: Coroutine[Any, Any, T]) -> T:  # type: ignore[override]
        """Return what `future` returns. Raises NothingLeft, TimeStandsStill, and what it raises."""
        task: asyncio.Task[T] = asyncio.Task(future, loop=self)
        self._running = True
        asyncio._set_running_loop(self)
        try:
            self._run_until(task)
        finally:
            asyncio._set_running_loop(None)
            self._running = False
        return task.result()

    def _run_until(self, task: asyncio.Task[Any]) -> None:
        turns = 0
        while not task.done():
            if self._ready:
                turns += 1
                if turns > TURNS_AT_ONCE:
                    raise TimeStandsStill(f"for ever at {self._now:.3f} s")
            else:
                turns = 0
                self._jump()
            for _ in range(len(self._ready)):
                self._ready.popleft().run()

    def _jump(self) -> None:
        """Go on to the time of the next timer; all that are due then are ready."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise NothingLeft("every task waits, and no timer is set")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            due = heapq.heappop(timers)[2]
            if not due.cancelled():
                self._ready.append(due)

    def close(self) -> None:
        self._closed = True
        self._ready.clear()
        self._timers.clear()


owned: contextvars.ContextVar[set[asyncio.Task[Any]] | None] = contextvars.ContextVar(
    "owned", default=None
)
"""The tasks of the simulated process whose code runs now: what dies with it."""


def simulate(story: Coroutine[Any, Any, T]) -> T:
    """Run `story` in a loop of its own to its end; return its result. What it left is cancelled."""
    loop = SimLoop()  # type: ignore[abstract] # what is missing is for I/O
    try:
        return loop.run_until_complete(story)
    finally:
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: SimLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()

    async def ended() -> None:
        await asyncio.gather(*left, return_exceptions=True)

    if left:
        loop.run_until_complete(ended())
