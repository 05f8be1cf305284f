"""An event loop in which time is a number: nothing waits, and equal histories take equal turns.

A simulated hour costs what happens in it. There is no I/O: a coroutine that waits for something
which only the outside could bring ends the run with `NothingLeft`.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")


TURNS_AT_ONCE: Final = 20_000
"""So many turns of the loop at one moment: somebody goes round in circles."""


class NothingLeft(RuntimeError):
    """Everybody waits, and no timer is set: this would last for ever."""


class TimeStandsStill(RuntimeError):
    """Somebody is busy for ever, and never waits."""


class _Skipping(selectors.SelectSelector):
    """Never waits: the time that it was to wait for is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return no event, `timeout` seconds later. Raises NothingLeft, TimeStandsStill."""
        if timeout is None:
            raise NothingLeft("every task waits, and no timer is set")
        self._turns += 1
        if timeout > 0:
            self.now += timeout
            self._turns = 0
        elif self._turns > TURNS_AT_ONCE:
            raise TimeStandsStill(f"for ever at {self.now:.3f} s")
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in order of their times; `time()` begins at 0 and jumps to the next timer."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._skipping.now


owned: contextvars.ContextVar[set[asyncio.Task[Any]] | None] = contextvars.ContextVar(
    "owned", default=None
)
"""The tasks of the simulated process whose code runs now: what dies with it."""


def _task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
    *,
    context: contextvars.Context | None = None,
) -> asyncio.Task[T]:
    task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, context=context)
    mine = owned.get()
    if mine is not None:
        mine.add(task)
        task.add_done_callback(mine.discard)
    return task


def simulate(story: Coroutine[Any, Any, T]) -> T:
    """Run `story` in a loop of its own to its end; return its result. What it left is cancelled."""
    loop = SimLoop()
    loop.set_task_factory(_task)
    try:
        return loop.run_until_complete(story)
    finally:
        _cancel_all(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
