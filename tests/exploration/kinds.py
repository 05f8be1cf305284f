"""Kinds of steps, taken from many states at once: the model is asked once for the parts they read.

A step reads and writes a few parts of a state. So the model is asked about the first state in which
such parts meet, and every other state with the same parts gets the same answer. What a kind says
that it writes is checked at each answer; what it reads, by a walk of plain states (test_walk.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tests.exploration.cloud import Broken
from tests.exploration.codec import Codec
from tests.exploration.columns import Ints, Memo, Places, Trait
from tests.exploration.state import Agent, Next, Phase, State, overtaken

_PROBE: Final = Agent(Phase("write"))
"""A pass that a write to its record overtakes."""

Following = tuple[Places, Ints]
"""Many states: the place of the state from which each comes, and their rows."""


@dataclass(slots=True)
class Kind:
    """One kind of step. What it `reads`: columns, as they are or as far as a trait tells them."""

    reads: list[tuple[int, Trait | None]]
    writes: list[int]
    ask: Callable[[State], Iterable[Next]]
    spec: int | None = None
    """It may write the record of this one: passes of others are overtaken then."""
    memo: Memo = field(init=False)

    def __post_init__(self) -> None:
        self.memo = Memo(len(self.reads), len(self.writes) + 1)

    def keys(self, rows: Ints, at: Places) -> Ints:
        """Return what it reads of the states `at`."""
        columns = [
            rows[column, at] if trait is None else trait(rows[column, at])
            for column, trait in self.reads
        ]
        return np.array(columns, np.int32)


class Kinds:
    """Takes steps from many states at once."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._overtaken = Memo(1, 1)
        self._broken: list[tuple[int, str]] = []

    def look(self, kind: Kind, rows: Ints, at: Places) -> Ints:
        """Return the numbers, in the memo of `kind`, of what it reads of the states `at`."""
        keys = kind.keys(rows, at)
        return kind.memo.look(keys, lambda place: self._ask(kind, rows[:, at[place]].tolist()))

    def take(self, kind: Kind, rows: Ints, at: Places) -> Following:
        """Return what follows from the states `at` by this kind of step."""
        numbers = self.look(kind, rows, at)
        self._broken += [(int(at[place]), what) for place, what in kind.memo.broken(numbers)]
        source, outcomes = kind.memo.spread(numbers)
        source = at[source]
        after = rows[:, source]
        after[kind.writes] = outcomes[:-1]
        overtakes = np.flatnonzero(outcomes[-1])
        if len(overtakes):
            for agent in self._others(kind):
                after[agent, overtakes] = self._overtake(after[agent, overtakes])
        return source, after

    def broke(self) -> list[tuple[int, str]]:
        """Return the places of the states from which something broke since this was asked last."""
        broken, self._broken = self._broken, []
        return broken

    def _others(self, kind: Kind) -> list[int]:
        """Return the columns of the passes that a write of this kind overtakes."""
        if kind.spec is None:
            return []
        agents = [of[kind.spec] for of in self._codec.agents]
        return [agent for agent in agents if agent not in kind.writes]

    def _ask(self, kind: Kind, row: list[int]) -> tuple[list[list[int]], str]:
        codec, others = self._codec, self._others(kind)
        for other in others:
            row[other] = codec.number(_PROBE)
        state = codec.state(row)
        was, changing = codec.flat(state), {*kind.writes, *others}
        found: list[list[int]] = []
        try:
            for _, after in kind.ask(state):
                now = codec.flat(after)
                for column, (old, new) in enumerate(zip(was, now, strict=True)):
                    assert column in changing or old is new or old == new, "it writes more"
                overtakes = bool(others) and now[others[0]] != _PROBE
                found.append([*(codec.entry(now[column]) for column in kind.writes), overtakes])
        except Broken as broken:
            return found, str(broken)
        return found, ""

    def _overtake(self, agents: Ints) -> Ints:
        parts, number = self._codec.parts, self._codec.number
        return self._overtaken.map(lambda agent: number(overtaken(parts[agent])), agents)
