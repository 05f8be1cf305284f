"""The judge of many states at once, who is asked once for the parts that a verdict is about."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from tests.exploration import cloud as toy
from tests.exploration import judge
from tests.exploration.book import Book
from tests.exploration.cloud import Cloud
from tests.exploration.codec import Codec
from tests.exploration.columns import Ints, Memo, Trait
from tests.exploration.state import Agent, Operator, Part, Record, State

_STOPPED: Final = Cloud(toy.STOPPED, ours=True)


class Jury:
    """Holds states to the invariants."""

    def __init__(self, book: Book, codec: Codec) -> None:
        self._book, self._codec = book, codec
        trait = partial(Trait, codec.parts)
        self._needs, self._owes = trait(self._is_needy), trait(self._is_debtor)
        self._resting = Memo(2 + len(codec.records), 1)

    def check(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield the place of each state that breaks an invariant, and which."""
        codec = self._codec
        owed = self._needs(rows[0]) == 0
        for column in (*codec.records, *(a for agents in codec.agents for a in agents)):
            owed |= self._owes(rows[column]) != 0
        for place in np.flatnonzero(~owed).tolist():
            broken = judge.check(self._book, codec.state(rows[:, place].tolist()))
            assert broken, "one debtor is enough"
            yield place, broken

    def _is_needy(self, part: Part) -> bool:
        return isinstance(part, Cloud) and judge.check(self._book, State(part, (), ())) is not None

    def _is_debtor(self, part: Part) -> bool:
        """Whether `part` alone settles what a machine that we stopped needs."""
        match part:
            case Record():
                state = State(_STOPPED, (part,), ())
            case Agent():
                state = State(_STOPPED, (), (Operator((part,)),))
            case _:
                return False
        return judge.check(self._book, state) is None

    def at_rest(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield the place of each state that rests and is not right, and why."""
        codec = self._codec

        def ask(place: int) -> tuple[list[list[int]], str]:
            state = codec.state(rows[:, place].tolist())
            return [], judge.at_rest(self._book, state) or ""

        read = rows[[0, *codec.records, codec.window]]
        yield from self._resting.broken(self._resting.look(read, ask))
