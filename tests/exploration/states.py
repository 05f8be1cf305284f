"""Every state that was reached, in few bytes, and the paths between them on which nothing fails."""

from __future__ import annotations

from typing import Final

import numpy as np

from tests.exploration.codec import Codec
from tests.exploration.columns import Growing, Ints, Numbers, Places
from tests.exploration.plainly import Plainly

AT_ONCE: Final = 1 << 19
"""So many states are opened together: enough to make a question of numpy cheap."""

NOBODY: Final = -1
_FEW: Final = 1 << 15
"""So many are looked at together where one look shows what the next one has to look at."""


class States:
    """Numbers for states, from 0, in the order in which they come.

    What an operator is and what the world is are numbered first, so that a state is two or three
    numbers. Two operators are the same program: which is which makes no difference.
    """

    def __init__(self, codec: Codec) -> None:
        self._plain = Plainly(codec)
        self._world = Numbers(codec.agents[0][0])
        self._operator = Numbers(len(codec.specs) + 1)
        self._numbers = Numbers(1 + len(codec.operators))

    def __len__(self) -> int:
        return len(self._numbers)

    def keys(self, rows: Ints) -> Ints:
        """Return what tells states apart: those have one key that nothing can tell apart."""
        rows = self._plain(rows.copy())
        world, operator = self._world.rows.width, self._operator.rows.width
        numbers = [self._world(rows[:world])]
        operators = [
            self._operator(rows[begin : begin + operator])
            for begin in range(world, len(rows), operator)
        ]
        return np.array(numbers + list(np.sort(operators, axis=0)), np.int32)

    def number(self, rows: Ints) -> Ints:
        """Return the numbers of states."""
        return self._numbers(self.keys(rows))

    def rows(self, numbers: Ints | Places) -> Ints:
        """Return the states of `numbers`."""
        world, *operators = self._numbers.rows.all[:, numbers]
        found = [self._world.rows.all[:, world]]
        found += [self._operator.rows.all[:, operator] for operator in operators]
        return np.concatenate(found)


class Paths:
    """What follows from each state where nothing goes wrong."""

    def __init__(self) -> None:
        self._opened = Growing(2)
        self._targets = Growing(1)

    def add(self, numbers: Ints, source: Places, targets: Ints) -> Ints:
        """Remember that `targets` follow from the `source` places of `numbers`: return how many."""
        counts = np.bincount(source, minlength=len(numbers)).astype(np.int32)
        self._opened.extend(np.array([numbers, counts]))
        self._targets.extend(targets[np.argsort(source, kind="stable")][None])
        return counts

    def rounds(self, size: int) -> Ints:
        """Return the states, of `size`, from which some path does not end.

        A state is done with when all that follow are. What is reached later mostly comes later in a
        path, so that going backwards needs few turns.
        """
        self._is_open = np.zeros(size, bool)
        numbers, counts = self._opened.all
        self._is_open[numbers[counts > 0]] = True
        self._first = np.cumsum(counts, dtype=np.int64) - counts
        left, before = np.flatnonzero(counts), NOBODY
        while len(left) != before:
            before = len(left)
            pieces = [
                self._unfinished(left[max(end - _FEW, 0) : end])
                for end in range(len(left), 0, -_FEW)
            ]
            left = np.concatenate([left[:0], *reversed(pieces)])
        unended: Ints = numbers[left]
        return unended

    def _unfinished(self, opened: Places) -> Places:
        """Return those of `opened` that are not done with."""
        numbers, counts = self._opened.all
        before = NOBODY
        while len(opened) != before:
            before = len(opened)
            stuck = np.zeros(before, bool)
            for turn in range(int(counts[opened].max(initial=0))):
                more = np.flatnonzero(counts[opened] > turn)
                targets = self._targets.all[0][self._first[opened[more]] + turn]
                stuck[more] |= self._is_open[targets]
            self._is_open[numbers[opened[~stuck]]] = False
            opened = opened[stuck]
        return opened
