"""What happens next in many states at once, where nothing goes wrong and where something does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

import numpy as np

from tests.exploration import cloud as toy
from tests.exploration import trouble
from tests.exploration.cloud import Cloud
from tests.exploration.codec import Codec
from tests.exploration.columns import Ints, Memo, Places, Trait
from tests.exploration.kinds import Following, Kind, Kinds
from tests.exploration.model import LONG_FROZEN, Model
from tests.exploration.passes import IDLE, SENDS, Passes
from tests.exploration.state import AT_REST, Agent


class Moves:
    """The model, for columns of states."""

    def __init__(self, model: Model, codec: Codec) -> None:
        self._model, self._codec = model, codec
        self._kinds = Kinds(codec)
        self._passes = Passes(model, codec, self._kinds)
        trait = partial(Trait, codec.parts)
        self._rests = trait(lambda p: p == AT_REST)
        self._is_in_pass = trait(lambda p: isinstance(p, Agent) and p.phase is not None)
        self._may_be_deaf = trait(lambda p: isinstance(p, Agent) and trouble.may_be_deaf(p))
        self._flights = trait(lambda p: len(p.flights) if isinstance(p, Cloud) else 0)
        self._works = trait(lambda p: isinstance(p, Cloud) and bool(toy.works(p)))
        self._spans, self._older, self._deaf = Memo(1, 1), Memo(2, 1), Memo(2, 1)
        self._work, self._worked = Memo(1, 2), Memo(2, 1)
        every = [(o, k) for o in codec.operators for k in codec.specs]
        self._arrive = Kind([(0, None)], [0], model.arrivals)
        outside = [0, codec.secret, codec.window]
        interfere = partial(trouble.interfere, model)
        self._outside = Kind([(column, None) for column in outside], outside, interfere)
        self._troubles = list(chain.from_iterable(map(self._troubles_of, codec.operators)))
        self._hits = {(o, k): self._hits_of(o, k) for o, k in every}
        self._edits = [
            Kind([(r, None)], [r], partial(trouble.edit, model, k=k), k)
            for k, r in enumerate(codec.records)
        ]

    # -- the kinds -----------------------------------------------------------------------------

    def _troubles_of(self, o: int) -> Iterator[Kind]:
        """Yield what may befall an operator as a whole."""
        codec = self._codec
        agents, frozen = codec.agents[o], codec.frozen[o]
        crash, freeze = partial(trouble.crash, o=o), partial(trouble.freeze, o=o)
        yield Kind([(agent, self._rests) for agent in agents], [*agents, frozen], crash)
        yield Kind([(frozen, None)], [frozen], freeze)

    def _hits_of(self, o: int, k: int) -> tuple[Kind, Kind]:
        """Return what may come between the steps of a pass."""
        agent = self._codec.agents[o][k]
        lose = partial(trouble.lose, self._model, o=o, k=k)
        label = partial(trouble.label, self._model, o=o, k=k)
        return (
            Kind([(agent, None), (0, None)], [agent, 0], lose),
            Kind([(agent, None)], [agent], label, k),
        )

    # -- steps ---------------------------------------------------------------------------------

    def broke(self) -> list[tuple[int, str]]:
        """Return the places of the states, of those last asked for, that break, and what breaks."""
        return self._kinds.broke()

    def steps(self, rows: Ints) -> Following:
        """Return what happens next in each state where nothing goes wrong."""
        found = self._passes.steps(rows)
        is_busy = np.zeros(rows.shape[1], bool)
        for source, _ in found:
            is_busy[source] = True
        found.append(self._kinds.take(self._arrive, rows, np.flatnonzero(self._flights(rows[0]))))
        for frozen in self._codec.frozen:
            at = np.flatnonzero(rows[frozen])
            thawed = rows[:, at]
            thawed[frozen] = 0
            found.append((at, thawed))
        works = self._works(rows[0]) != 0
        found += self._working(rows, np.flatnonzero(~is_busy & works))
        found += self._tick(rows, np.flatnonzero(~is_busy & ~works))
        return _joined(found, rows)

    def _working(self, rows: Ints, at: Places) -> Iterator[Following]:
        """Yield what the cloud gets done."""
        codec = self._codec

        def works(cloud: int) -> list[list[int]]:
            found = toy.works(codec.parts[cloud])
            return [[index, seconds] for index, (seconds, _, _) in enumerate(found)]

        def worked(cloud: int, index: int) -> int:
            return codec.number(toy.works(codec.parts[cloud])[index][2])

        source, (index, seconds) = self._work.spread_map(works, rows[0, at])
        source = at[source]
        after = rows[:, source]
        takes = np.flatnonzero(seconds)
        after[:, takes] = self._later(after[:, takes], seconds[takes])
        after[0] = self._worked.map(worked, after[0], index)
        yield source, after

    # -- time ----------------------------------------------------------------------------------

    def _later(self, rows: Ints, seconds: Ints) -> Ints:
        """Return the states so much later."""
        codec, after = self._codec, rows.copy()
        for column in (0, *codec.records, *chain.from_iterable(codec.agents)):
            after[column] = self._older.map(self._tell_older, rows[column], seconds)
        return after

    def _tell_older(self, part: int, seconds: int) -> int:
        return self._codec.number(self._model.older(self._codec.parts[part], seconds))

    def _tell_spans(self, part: int) -> list[list[int]]:
        value = self._codec.parts[part]
        return [[seconds] for seconds in self._model.spans(value)]

    def _tick(self, rows: Ints, at: Places) -> Iterator[Following]:
        """Yield the states `at` when so much time has passed that somebody has something to do."""
        source, seconds = self._ends(rows, at)
        while len(source):
            is_next = np.diff(source, prepend=-1) != 0
            places, spans = at[source[is_next]], seconds[is_next]
            after = self._later(rows[:, places], spans)
            is_over = self._flights(after[0]) != self._flights(rows[0, places])
            is_over[self._passes.awake(after)] = True
            yield places[is_over], after[:, is_over]
            is_left = ~is_next & ~np.isin(source, source[is_next][is_over])
            source, seconds = source[is_left], seconds[is_left]
        yield self._sleep(rows, at)

    def _sleep(self, rows: Ints, at: Places) -> Following:
        """Return the states `at` in which a process is frozen in a pass, a long sleep later."""
        codec, sleeps = self._codec, np.zeros(len(at), bool)
        for agents, frozen in zip(codec.agents, codec.frozen, strict=True):
            is_in_pass = np.any([self._is_in_pass(rows[agent, at]) for agent in agents], axis=0)
            sleeps |= (rows[frozen, at] == 1) & is_in_pass
        places = at[sleeps]
        after = self._later(rows[:, places], np.full(len(places), LONG_FROZEN, np.int32))
        for frozen in codec.frozen:
            after[frozen] = np.where(after[frozen] != 0, 2, 0)
        return places, after

    def _ends(self, rows: Ints, at: Places) -> tuple[Places, Ints]:
        """Return after what times each state may change by itself, ascending, with its place."""
        codec, ends = self._codec, []
        for column in (0, *codec.records):
            ends.append(self._spans.spread_map(self._tell_spans, rows[column, at]))
        for agents, frozen in zip(codec.agents, codec.frozen, strict=True):
            runs = np.flatnonzero(rows[frozen, at] == 0)
            for agent in agents:
                source, spans = self._spans.spread_map(self._tell_spans, rows[agent, at[runs]])
                ends.append((runs[source], spans))
        source = np.concatenate([source for source, _ in ends])
        seconds = np.concatenate([spans[0] for _, spans in ends])
        both = np.unique(source << 32 | seconds)
        return both >> 32, (both & 0xFFFFFFFF).astype(np.int32)

    # -- troubles ------------------------------------------------------------------------------

    def faults(self, rows: Ints) -> Following:
        """Return what may go wrong in each state."""
        everywhere = np.arange(rows.shape[1])
        found = [self._kinds.take(kind, rows, everywhere) for kind in self._troubles]
        found.append(self._kinds.take(self._outside, rows, everywhere))
        for (o, k), (lose, label) in self._hits.items():
            runs = rows[self._codec.frozen[o]] == 0
            stage = self._passes.stage(rows[self._codec.agents[o][k]])
            found.append(self._kinds.take(lose, rows, np.flatnonzero(runs & (stage == SENDS))))
            others = runs & (stage != IDLE) & (stage != SENDS)
            found.append(self._kinds.take(label, rows, np.flatnonzero(others)))
        found += self._tick(rows, np.flatnonzero(self._works(rows[0])))
        return _joined(found, rows)

    def edits(self, rows: Ints) -> Following:
        """Return what people may do in each state."""
        everywhere = np.arange(rows.shape[1])
        return _joined([self._kinds.take(kind, rows, everywhere) for kind in self._edits], rows)

    def missed(self, rows: Ints, following: Following) -> Following:
        """Return where what follows from `rows` changes a record, and a process does not hear."""
        codec, (source, after) = self._codec, following
        found = []
        for k, record in enumerate(codec.records):
            was = rows[record, source]
            wrote = np.flatnonzero((was != 0) & (was != after[record]))
            for agents in codec.agents:
                agent = agents[k]
                is_deaf = self._is_in_pass(rows[agent, source[wrote]]) == 0
                is_deaf &= self._may_be_deaf(after[agent, wrote]) != 0
                at = wrote[is_deaf]
                deaf = after[:, at]
                deaf[agent] = self._deaf.map(self._tell_deaf, deaf[agent], was[at])
                found.append((source[at], deaf))
        return _joined(found, rows)

    def _tell_deaf(self, agent: int, cached: int) -> int:
        codec = self._codec
        return codec.number(codec.parts[agent]._replace(cached=codec.parts[cached]))


def _joined(found: Iterable[Following], rows: Ints) -> Following:
    some = [(source, after) for source, after in found if len(source)]
    if not some:
        return np.empty(0, np.int64), rows[:, :0]
    return np.concatenate([s for s, _ in some]), np.concatenate([a for _, a in some], axis=1)
