"""How long to wait before the n-th try of the same thing."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

FIRST: Final = timedelta(seconds=2)
LONGEST: Final = timedelta(minutes=5)


def backoff(tries: int, first: timedelta = FIRST, longest: timedelta = LONGEST) -> timedelta:
    """Return `first` after one try, twice as long after each further one, at most `longest`."""
    return min(first * (1 << min(max(tries - 1, 0), 16)), longest)
