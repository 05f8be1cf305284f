"""Dictionaries that are asked for whole columns of numbers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
"""A column, or a table of them: its first axis tells the columns apart, its second the rows."""

Places = npt.NDArray[np.int64]
EMPTY: Final = -1
_AT_ONCE: Final = 1 << 20


class Growing:
    """A table that grows at its end."""

    def __init__(self, width: int) -> None:
        self._kept: Ints = np.empty((width, 1024), np.int32)
        self._size = 0

        self.width = width

    def __len__(self) -> int:
        return self._size

    @property
    def all(self) -> Ints:
        """What it holds: to be read, or written over."""
        return self._kept[:, : self._size]

    def extend(self, rows: Ints) -> None:
        """Put `rows` at the end."""
        room, end = self._kept.shape[1], self._size + rows.shape[1]
        if end > room:
            grown = np.empty((self.width, max(end, 2 * room)), np.int32)
            grown[:, : self._size] = self.all
            self._kept = grown
        self._kept[:, self._size : end] = rows
        self._size = end


class Numbers:
    """Numbers rows of `width` numbers, from 0, in the order in which they come."""

    def __init__(self, width: int) -> None:
        self.rows = Growing(width)
        self._slots: Ints = np.full(1 << 12, EMPTY, np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, rows: Ints) -> Ints:
        """Return the numbers of `rows`."""
        self._make_room(rows.shape[1])
        found: Ints = np.empty(rows.shape[1], np.int32)
        left, at = np.arange(rows.shape[1], dtype=np.int32), self._places(rows)
        while len(left):
            there = self._slots[at]
            is_new = there == EMPTY
            won = self._claim(left[is_new], at[is_new])
            found[won] = np.arange(len(self), len(self) + len(won))
            self._slots[at[np.searchsorted(left, won)]] = found[won]
            self.rows.extend(rows[:, won])
            is_same = ~is_new
            for mine, kept in zip(rows, self.rows.all, strict=True):
                is_same &= kept[there] == mine[left]
            found[left[is_same]] = there[is_same]
            is_done = is_same.copy()
            is_done[np.searchsorted(left, won)] = True
            at = np.where(is_new, at, at + 1 & len(self._slots) - 1)[~is_done]
            left = left[~is_done]
        return found

    def _claim(self, which: Ints, at: Places) -> Ints:
        """Return who of `which` may have the empty slots `at`: of equals, one."""
        self._slots[at] = which
        won: Ints = which[self._slots[at] == which]
        return won

    def _places(self, rows: Ints) -> Places:
        mixed = np.zeros(rows.shape[1], np.uint64)
        for column in rows:
            mixed ^= column.astype(np.uint64)
            mixed *= np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        return (mixed & np.uint64(len(self._slots) - 1)).astype(np.int64)

    def _make_room(self, more: int) -> None:
        size = len(self._slots)
        while size < 2 * (len(self) + more):
            size *= 2
        if size == len(self._slots):
            return
        self._slots = np.full(size, EMPTY, np.int32)
        for begin in range(0, len(self), _AT_ONCE):
            rows = self.rows.all[:, begin : begin + _AT_ONCE]
            left, at = np.arange(begin, begin + rows.shape[1], dtype=np.int32), self._places(rows)
            while len(left):
                is_free = self._slots[at] == EMPTY
                self._slots[at[is_free]] = left[is_free]
                is_left = self._slots[at] != left
                left, at = left[is_left], at[is_left] + 1 & size - 1


def first_places(numbers: Ints, known: int) -> Places:
    """Return where each number from `known` on is first, when they follow each other."""
    news = np.flatnonzero(numbers >= known)[::-1]
    places = np.empty(numbers.max(initial=known - 1) + 1 - known, np.int64)
    places[numbers[news] - known] = news
    return places


class Memo:
    """What follows from a row of `keys` numbers: any count of outcomes of `width` numbers each."""

    def __init__(self, keys: int, width: int) -> None:
        self._numbers = Numbers(keys)
        self._spans = Growing(2)
        self._outcomes = Growing(width)
        self._broken: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def look(self, keys: Ints, ask: Callable[[int], tuple[Sequence[Sequence[int]], str]]) -> Ints:
        """Return the numbers of `keys`. `ask` hears, once for each, the place of one of its kind.

        It answers with the outcomes, and what is broken (nothing: empty).
        """
        known = len(self)
        numbers = self._numbers(keys)
        places = first_places(numbers, known)
        first = len(self._outcomes)
        spans: list[tuple[int, int]] = []
        outcomes: list[Sequence[int]] = []
        for number, place in enumerate(places.tolist(), start=known):
            found, broken = ask(place)
            if broken:
                self._broken[number] = broken
            spans.append((first + len(outcomes), len(found)))
            outcomes += found
        if spans:
            self._spans.extend(np.array(spans, np.int32).T)
        if outcomes:
            self._outcomes.extend(np.array(outcomes, np.int32).T)
        return numbers

    def counts(self, numbers: Ints) -> Ints:
        """Return how much follows from each."""
        counts: Ints = self._spans.all[1][numbers]
        return counts

    def spread(self, numbers: Ints) -> tuple[Places, Ints]:
        """Return everything that follows: the place in `numbers` that it is from, and it."""
        first, counts = self._spans.all[:, numbers].astype(np.int64)
        source = np.repeat(np.arange(len(numbers)), counts)
        before = np.cumsum(counts) - counts
        at = (first - before)[source] + np.arange(len(source))
        return source, self._outcomes.all[:, at]

    def broken(self, numbers: Ints) -> list[tuple[int, str]]:
        """Return the places in `numbers` where something is broken, and what."""
        if not self._broken:
            return []
        at = np.flatnonzero(np.isin(numbers, list(self._broken))).tolist()
        return [(place, self._broken[int(numbers[place])]) for place in at]

    def map(self, tell: Callable[..., int], *columns: Ints) -> Ints:
        """Return what `tell` says of each row of `columns`: one number."""
        numbers = self._heard(lambda *row: [[tell(*row)]], columns)
        outcomes: Ints = self._outcomes.all[0][numbers]
        return outcomes

    def spread_map(
        self, tell: Callable[..., Sequence[Sequence[int]]], *columns: Ints
    ) -> tuple[Places, Ints]:
        """Return all that `tell` says of each row of `columns`, as `spread` does."""
        return self.spread(self._heard(tell, columns))

    def _heard(
        self, tell: Callable[..., Sequence[Sequence[int]]], columns: tuple[Ints, ...]
    ) -> Ints:
        table = np.array(columns, np.int32)
        return self.look(table, lambda place: (tell(*table[:, place].tolist()), ""))


class Trait:
    """A number that a part alone tells, for columns of numbers of parts."""

    def __init__(self, parts: list[Any], tell: Callable[[Any], int]) -> None:
        self._parts, self._tell = parts, tell
        self._told = Growing(1)

    def __call__(self, column: Ints) -> Ints:
        """Return it for each part."""
        new = self._parts[len(self._told) :]
        if new:
            self._told.extend(np.array([[self._tell(part) for part in new]], np.int32))
        told: Ints = self._told.all[0][column]
        return told


class Numbered:
    """Numbers for what `tell` says of a part; `values` holds what each number stands for."""

    def __init__(self, tell: Callable[[Any], Any]) -> None:
        self._tell = tell
        self._numbers: dict[Any, int] = {}
        self.values: list[Any] = []

    def __call__(self, part: Any) -> int:
        """Return the number of what is told of `part`."""
        value = self._tell(part)
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number
