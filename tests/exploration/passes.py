"""The next step of each operator that runs, in many states at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from tests.exploration.cloud import Cloud
from tests.exploration.codec import Codec
from tests.exploration.columns import Ints, Numbered, Places, Trait
from tests.exploration.kinds import Following, Kind, Kinds
from tests.exploration.model import Model
from tests.exploration.state import Agent, Part, Record

IDLE: Final = 0
SETTLES: Final = 1
"""Its next step reads and writes itself and the record."""
INTENDS: Final = 2
"""It writes the record, and is judged by the cloud."""
SENDS: Final = 3


class Acts(NamedTuple):
    """The steps of one operator for one spec, by what it is about to do."""

    idle: Kind
    gone: Kind
    settles: Kind
    intends: Kind
    sends: Kind


class Passes:
    """Takes the steps of passes."""

    def __init__(self, model: Model, codec: Codec, kinds: Kinds) -> None:
        self._model, self._codec, self._kinds = model, codec, kinds
        trait = partial(Trait, codec.parts)
        self.stage = trait(_stage)
        self._sight = trait(Numbered(_sight))
        self._rivalry = trait(self._rival)
        self._has_cached = trait(lambda p: isinstance(p, Agent) and p.cached is not None)
        every = [(o, k) for o in codec.operators for k in codec.specs]
        self._acts = {(o, k): self._acts_of(o, k) for o, k in every}

    def _acts_of(self, o: int, k: int) -> Acts:
        codec = self._codec
        agent, record = codec.agents[o][k], codec.records[k]
        ask = partial(self._model.act, o=o, k=k)
        rivals = [(r, self._rivalry) for r in codec.records if r != record]
        me: list[tuple[int, Trait | None]] = [(agent, None), (record, None)]
        seen = [(0, self._sight), (codec.secret, None), (codec.window, None), *rivals]
        return Acts(
            idle=Kind([*me, *seen], [agent], ask),
            gone=Kind([*me, (0, None), *rivals], [agent, 0], ask),
            settles=Kind(me, [agent, record], ask, k),
            intends=Kind([*me, (0, None)], [agent, record], ask, k),
            sends=Kind([(agent, None), (0, None)], [agent, 0], ask),
        )

    def _rival(self, part: Part) -> int:
        if not isinstance(part, Record):
            return 0
        return 1 if self._model.book.under(part.status) else 2 + part.deleting

    def steps(self, rows: Ints) -> list[Following]:
        """Return what follows from each state by a step of a pass."""
        return [self._kinds.take(kind, rows, at) for kind, at in self._due(rows)]

    def awake(self, rows: Ints) -> Places:
        """Return the places of the states in which an operator has something to do."""
        found = [np.empty(0, np.int64)]
        for kind, at in self._due(rows):
            numbers = self._kinds.look(kind, rows, at)
            found.append(at[kind.memo.counts(numbers) > 0])
            found.append(at[[place for place, _ in kind.memo.broken(numbers)]])
        return np.concatenate(found)

    def _due(self, rows: Ints) -> Iterator[tuple[Kind, Places]]:
        """Yield each kind of step that operators may take, with the states in which they are to."""
        codec = self._codec
        for (o, k), acts in self._acts.items():
            at = np.flatnonzero(rows[codec.frozen[o]] == 0)
            agents, records = rows[codec.agents[o][k], at], rows[codec.records[k], at]
            stage = self.stage(agents)
            is_gone = (records == 0) & (self._has_cached(agents) == 0)
            yield acts.idle, at[(stage == IDLE) & ~is_gone]
            yield acts.gone, at[(stage == IDLE) & is_gone]
            yield acts.settles, at[stage == SETTLES]
            yield acts.intends, at[stage == INTENDS]
            yield acts.sends, at[stage == SENDS]


def _stage(part: Part) -> int:
    if not isinstance(part, Agent) or part.phase is None:
        return IDLE
    if part.phase.at == "write" and part.phase.ask is not None:
        return INTENDS
    return SENDS if part.phase.at == "send" else SETTLES


def _sight(part: Part) -> object:
    """Return what a pass can see of the cloud."""
    if not isinstance(part, Cloud):
        return None
    shows = part.work is not None and part.work.shows
    return part.power, shows, part.disk, part.image, part.snaps
