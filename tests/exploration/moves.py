"""What happens next, for many states at once: each rule is asked once for the parts that it reads.

A step reads and writes a few parts of a state. So the model is asked about the first state in which
such parts meet, and every other state with the same parts gets the same answer. What a move says
that it writes is checked at each answer; what it reads, by the walk of plain states
(test_bounded.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np

from tests.exploration import cloud as toy
from tests.exploration import trouble
from tests.exploration.cloud import Broken, Cloud
from tests.exploration.codec import Codec
from tests.exploration.columns import Ints, Memo, Numbered, Places, Trait
from tests.exploration.model import LONG_FROZEN, Model
from tests.exploration.state import AT_REST, Agent, Next, Part, Phase, Record, State, overtaken

IDLE: Final = 0
SETTLES: Final = 1
"""Its next step reads and writes itself and the record."""
INTENDS: Final = 2
"""It writes the record, and is judged by the cloud."""
SENDS: Final = 3

_PROBE: Final = Agent(Phase("write"))
"""A pass that a write to its record overtakes."""

Following = tuple[Places, Ints]
"""Many states: the place of the state from which each comes, and their rows."""


@dataclass(slots=True)
class Move:
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


class Acts(NamedTuple):
    """The steps of one operator for one spec, by what it is about to do."""

    idle: Move
    gone: Move
    settles: Move
    intends: Move
    sends: Move


class Moves:
    """The model, for columns of states."""

    def __init__(self, model: Model, codec: Codec) -> None:
        self._model, self._codec = model, codec
        self.broken: list[tuple[int, str]] = []
        """The places of the states last asked about from which something breaks, and what."""
        trait = partial(Trait, codec.parts)
        self._stage = trait(_stage)
        self._sight = trait(Numbered(_sight))
        self._rivalry = trait(self._rival)
        self._rests = trait(lambda p: p == AT_REST)
        self._acts_at_all = trait(lambda p: isinstance(p, Agent) and p.phase is not None)
        self._may_be_deaf = trait(lambda p: isinstance(p, Agent) and trouble.may_be_deaf(p))
        self._has_cached = trait(lambda p: isinstance(p, Agent) and p.cached is not None)
        self._flights = trait(lambda p: len(p.flights) if isinstance(p, Cloud) else 0)
        self._works = trait(lambda p: isinstance(p, Cloud) and bool(toy.works(p)))
        self._spans, self._older, self._alone = Memo(1, 1), Memo(2, 1), Memo(1, 1)
        self._work, self._worked, self._deaf = Memo(1, 2), Memo(2, 1), Memo(2, 1)
        every = [(o, k) for o in codec.operators for k in codec.specs]
        self._acts = {(o, k): self._acts_of(o, k) for o, k in every}
        cloud, secret, window = 0, codec.secret, codec.window
        self._arrive = Move([(cloud, None)], [cloud], model.arrivals)
        outside = [cloud, secret, window]
        self._outside = Move([(c, None) for c in outside], outside, partial(trouble.interfere, model))
        self._troubles = list(chain.from_iterable(map(self._troubles_of, codec.operators)))
        self._hits = {(o, k): self._hits_of(o, k) for o, k in every}
        self._edits = [
            Move([(r, None)], [r], partial(trouble.edit, model, k=k), k)
            for k, r in enumerate(codec.records)
        ]

    # -- the kinds -----------------------------------------------------------------------------

    def _acts_of(self, o: int, k: int) -> Acts:
        codec = self._codec
        agent, record, ask = codec.agents[o][k], codec.records[k], partial(self._model.act, o=o, k=k)
        rivals = [(r, self._rivalry) for r in codec.records if r != record]
        me: list[tuple[int, Trait | None]] = [(agent, None), (record, None)]
        seen = [(0, self._sight), (codec.secret, None), (codec.window, None), *rivals]
        return Acts(
            idle=Move([*me, *seen], [agent], ask),
            gone=Move([*me, (0, None), *rivals], [agent, 0], ask),
            settles=Move(me, [agent, record], ask, k),
            intends=Move([*me, (0, None)], [agent, record], ask, k),
            sends=Move([(agent, None), (0, None)], [agent, 0], ask),
        )

    def _troubles_of(self, o: int) -> Iterator[Move]:
        """Yield what may befall an operator as a whole."""
        codec = self._codec
        agents, frozen = codec.agents[o], codec.frozen[o]
        crash, freeze = partial(trouble.crash, o=o), partial(trouble.freeze, o=o)
        yield Move([(agent, self._rests) for agent in agents], [*agents, frozen], crash)
        yield Move([(frozen, None)], [frozen], freeze)

    def _hits_of(self, o: int, k: int) -> tuple[Move, Move]:
        """Return what may come between the steps of a pass."""
        agent = self._codec.agents[o][k]
        lose = partial(trouble.lose, self._model, o=o, k=k)
        label = partial(trouble.label, self._model, o=o, k=k)
        return (
            Move([(agent, None), (0, None)], [agent, 0], lose),
            Move([(agent, None)], [agent], label, k),
        )

    def _rival(self, part: Part) -> int:
        if not isinstance(part, Record):
            return 0
        return 1 + 2 * (self._model.book.under(part.status) != 0) + part.deleting

    # -- one kind of step ------------------------------------------------------------------------

    def _look(self, move: Move, rows: Ints, at: Places) -> Ints:
        """Return the numbers, in the memo of `move`, of what it reads of the states `at`."""
        return move.memo.look(move.keys(rows, at), lambda place: self._ask(move, rows[:, at[place]]))

    def _move(self, move: Move, rows: Ints, at: Places) -> Following:
        """Return what follows from the states `at` by this kind of step."""
        numbers = self._look(move, rows, at)
        self.broken += [(int(at[place]), what) for place, what in move.memo.broken(numbers)]
        source, outcomes = move.memo.spread(numbers)
        source = at[source]
        after = rows[:, source]
        after[move.writes] = outcomes[:-1]
        if move.spec is not None:
            overtakes = np.flatnonzero(outcomes[-1])
            for agent in self._others(move):
                after[agent, overtakes] = self._overtaken(after[agent, overtakes])
        return source, after

    def _others(self, move: Move) -> list[int]:
        if move.spec is None:
            return []
        agents = [of[move.spec] for of in self._codec.agents]
        return [agent for agent in agents if agent not in move.writes]

    def _ask(self, move: Move, before: Ints) -> tuple[list[list[int]], str]:
        codec, row, others = self._codec, before.tolist(), self._others(move)
        probe = codec.number(_PROBE)
        for other in others:
            row[other] = probe
        untouched = [c for c in range(codec.width) if c not in move.writes and c not in others]
        found: list[list[int]] = []
        try:
            for _, state in move.ask(codec.state(row)):
                after = codec.row(state)
                assert all(after[c] == row[c] for c in untouched), "it writes more than it says"
                overtakes = bool(others) and after[others[0]] != probe
                found.append([*(after[c] for c in move.writes), overtakes])
        except Broken as broken:
            return found, str(broken)
        return found, ""

    def _overtaken(self, agents: Ints) -> Ints:
        parts, number = self._codec.parts, self._codec.number
        return self._alone.map(lambda agent: number(overtaken(parts[agent])), agents)

    # -- steps ---------------------------------------------------------------------------------

    def steps(self, rows: Ints) -> Following:
        """Return what happens next in each state where nothing goes wrong.

        Where something breaks, nothing follows.
        """
        self.broken = []
        everybody = np.arange(rows.shape[1])
        found = [self._move(*move) for move in self._due(rows, everybody)]
        is_busy = np.zeros(rows.shape[1], bool)
        for source, _ in found:
            is_busy[source] = True
        is_busy[[place for place, _ in self.broken]] = True
        found.append(self._move(self._arrive, rows, np.flatnonzero(self._flights(rows[0]))))
        for frozen in self._codec.frozen:
            at = np.flatnonzero(rows[frozen])
            thawed = rows[:, at]
            thawed[frozen] = 0
            found.append((at, thawed))
        works = self._works(rows[0]) != 0
        found += self._working(rows, np.flatnonzero(~is_busy & works))
        found += self._tick(rows, np.flatnonzero(~is_busy & ~works))
        following = _joined(found, rows)
        if not self.broken:
            return following
        source, after = following
        alive = ~np.isin(source, [place for place, _ in self.broken])
        return source[alive], after[:, alive]

    def _due(self, rows: Ints, among: Places) -> Iterator[tuple[Move, Ints, Places]]:
        """Yield each kind of step that operators may take, with the states in which they are to."""
        codec = self._codec
        for (o, k), acts in self._acts.items():
            at = among[rows[codec.frozen[o], among] == 0]
            agents, records = rows[codec.agents[o][k], at], rows[codec.records[k], at]
            stage = self._stage(agents)
            is_gone = (records == 0) & (self._has_cached(agents) == 0)
            yield acts.idle, rows, at[(stage == IDLE) & ~is_gone]
            yield acts.gone, rows, at[(stage == IDLE) & is_gone]
            yield acts.settles, rows, at[stage == SETTLES]
            yield acts.intends, rows, at[stage == INTENDS]
            yield acts.sends, rows, at[stage == SENDS]

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
        codec = self._codec
        source, seconds = self._ends(rows, at)
        while len(source):
            is_next = np.diff(source, prepend=-1) != 0
            places, spans = at[source[is_next]], seconds[is_next]
            after = self._later(rows[:, places], spans)
            is_over = self._flights(after[0]) != self._flights(rows[0, places])
            is_over[self._awake(after)] = True
            yield places[is_over], after[:, is_over]
            is_left = ~is_next & ~np.isin(source, source[is_next][is_over])
            source, seconds = source[is_left], seconds[is_left]
        sleeps = np.zeros(len(at), bool)
        for agents, frozen in zip(codec.agents, codec.frozen, strict=True):
            does = np.any([self._acts_at_all(rows[agent, at]) != 0 for agent in agents], axis=0)
            sleeps |= (rows[frozen, at] == 1) & does
        places = at[sleeps]
        after = self._later(rows[:, places], np.full(len(places), LONG_FROZEN, np.int32))
        for frozen in codec.frozen:
            after[frozen] = np.where(after[frozen] != 0, 2, 0)
        yield places, after

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

    def _awake(self, rows: Ints) -> Places:
        """Return the places of the states in which an operator has something to do."""
        found = [np.empty(0, np.int64)]
        for move, _, at in self._due(rows, np.arange(rows.shape[1])):
            numbers = self._look(move, rows, at)
            found.append(at[move.memo.counts(numbers) > 0])
            found.append(at[[place for place, _ in move.memo.broken(numbers)]])
        return np.concatenate(found)

    # -- troubles ------------------------------------------------------------------------------

    def faults(self, rows: Ints) -> Following:
        """Return what may go wrong in each state."""
        self.broken, codec = [], self._codec
        everybody = np.arange(rows.shape[1])
        found = [self._move(move, rows, everybody) for move in self._troubles]
        for (o, k), (lose, label) in self._hits.items():
            runs = rows[codec.frozen[o]] == 0
            stage = self._stage(rows[codec.agents[o][k]])
            found.append(self._move(lose, rows, np.flatnonzero(runs & (stage == SENDS))))
            others = runs & (stage != IDLE) & (stage != SENDS)
            found.append(self._move(label, rows, np.flatnonzero(others)))
        found.append(self._move(self._outside, rows, everybody))
        found += self._tick(rows, np.flatnonzero(self._works(rows[0])))
        return _joined(found, rows)

    def edits(self, rows: Ints) -> Following:
        """Return what people may do in each state."""
        self.broken = []
        return _joined([self._move(move, rows, np.arange(rows.shape[1])) for move in self._edits], rows)

    def missed(self, rows: Ints, following: Following) -> Following:
        """Return where what follows from `rows` changes a record, and a process does not hear."""
        codec, (source, after) = self._codec, following
        found = []
        for k, record in enumerate(codec.records):
            was = rows[record, source]
            wrote = np.flatnonzero((was != 0) & (was != after[record]))
            for agents in codec.agents:
                agent = agents[k]
                is_deaf = self._acts_at_all(rows[agent, source[wrote]]) == 0
                is_deaf &= self._may_be_deaf(after[agent, wrote]) != 0
                at = wrote[is_deaf]
                deaf = after[:, at]
                deaf[agent] = self._deaf.map(self._tell_deaf, deaf[agent], was[at])
                found.append((source[at], deaf))
        return _joined(found, rows)

    def _tell_deaf(self, agent: int, cached: int) -> int:
        codec = self._codec
        return codec.number(codec.parts[agent]._replace(cached=codec.parts[cached]))


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


def _joined(found: Iterable[Following], rows: Ints) -> Following:
    some = [(source, after) for source, after in found if len(source)]
    if not some:
        return np.empty(0, np.int64), rows[:, :0]
    return np.concatenate([s for s, _ in some]), np.concatenate([a for _, a in some], axis=1)

