"""Time as the adapter sees it, injected so that tests and simulations can run on a virtual one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` in seconds (by default the running event loop's), `now` aware UTC.

    `jitter` returns a number in [0, 1): a share of the spread that the caller allows.
    """

    monotonic: Callable[[], float] = _monotonic
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = field(default=random.random)
