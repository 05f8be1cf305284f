"""The walk over every state: what was reached, what broke, and how it came to that.

States are the same whatever faults and edits it took to get there. What is left of the budget only
says what may still happen in them, so a state is opened again only where it was reached with a
budget that no earlier one covers. The paths without faults are judged once everything is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np

from tests.exploration import trouble
from tests.exploration.cloud import Broken
from tests.exploration.codec import Codec
from tests.exploration.columns import Growing, Ints, first_places
from tests.exploration.jury import Jury
from tests.exploration.kinds import Following
from tests.exploration.model import Model
from tests.exploration.moves import Moves
from tests.exploration.state import Next, State
from tests.exploration.states import AT_ONCE, NOBODY, Paths, States


class Bounds(NamedTuple):
    """How far to walk."""

    operators: int = 1
    specs: int = 1
    faults: int = 1
    edits: int = 0
    late: int = 20
    variant: str = "plain"
    most_states: int = 0
    """Stop there, unfinished; 0: no limit."""
    most_seconds: int = 0
    """Of this process on a CPU; as for `most_states`."""
    first: int = 0
    """1: stop at the first thing that is found."""


@dataclass(slots=True)
class Finding:
    """A state in which something is broken, and the way to it."""

    what: str
    story: list[str]


@dataclass(slots=True)
class Report:
    """What a walk has seen."""

    bounds: Bounds
    states: int = 0
    transitions: int = 0
    depth: int = 0
    resting: int = 0
    statuses: int = 0
    seconds: float = 0.0
    """On a CPU."""
    complete: bool = True
    findings: list[Finding] = field(default_factory=list)
    broken: int = 0
    """How many states broke something, all findings of the same kind counted."""
    reached: str = ""
    """How far it came, by the troubles used."""


def told(report: Report) -> str:
    """Return what was found, each as a story in numbered lines; empty: nothing was."""
    lines: list[str] = []
    for finding in report.findings:
        lines += ["", f"BROKEN: {finding.what}"]
        lines += [f"{number:4}. {line}" for number, line in enumerate(finding.story, start=1)]
    return "\n".join(lines)


class Walk:
    """One walk, breadth first; `tell` hears of its progress now and then."""

    def __init__(
        self, model: Model, bounds: Bounds, tell: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._model = model
        self._bounds = bounds
        self._tell = tell
        self._codec = Codec(model.book, operators=bounds.operators, specs=bounds.specs)
        self._moves = Moves(model, self._codec)
        self._states = States(self._codec)
        self._jury = Jury(model.book, self._codec)
        self._ways = Growing(2)
        """From which state each was first reached, and after how many steps."""
        self._layers = Growing(2)
        """With which troubles used each was opened and is to be opened, as bits."""
        self._paths = Paths()
        self._dead: set[int] = set()
        self._report = Report(bounds)
        self._kinds: dict[str, Finding] = {}

    def run(self, beginnings: list[State]) -> Report:
        """Return what there is to see from `beginnings`."""
        begun, report = time.process_time(), self._report
        most = self._bounds.faults, self._bounds.edits
        rows = np.array([self._codec.row(state) for state in beginnings], np.int32).T
        begin = self._enter(rows, np.full(len(beginnings), NOBODY, np.int32))
        self._layers.all[1][begin] |= self._bit(0, 0)
        for used in sorted(_up_to(*most), key=lambda u: (sum(u), u)):
            report.reached = f"{used[0]} faults, {used[1]} edits"
            self._layer(*used)
            self._tell(
                f"{report.reached}: {len(self._states)} states, "
                f"{report.transitions} transitions, {time.process_time() - begun:.0f} s, "
                f"{len(self._codec.parts)} parts, {len(self._model.book)} records"
            )
            if not report.complete:
                break
        self._judge_paths()
        report.states = len(self._states)
        report.depth = int(self._ways.all[1].max(initial=0))
        report.statuses = len(self._model.book)
        report.findings = list(self._kinds.values())
        report.seconds = time.process_time() - begun
        return report

    # -- reaching ------------------------------------------------------------------------------

    def _layer(self, faults: int, edits: int) -> None:
        """Open every state that is reached with so many faults and edits used, and no fewer."""
        covers = sum(self._bit(*used) for used in _up_to(faults, edits))
        is_due = (self._layers.all[1] & self._bit(faults, edits)) != 0
        numbers = np.flatnonzero(is_due & (self._layers.all[0] & covers == 0)).astype(np.int32)
        while len(numbers):
            following = []
            for begin in range(0, len(numbers), AT_ONCE):
                reached = self._open(numbers[begin : begin + AT_ONCE], faults, edits)
                following.append(np.unique(reached[self._layers.all[0][reached] & covers == 0]))
                if self._is_enough():
                    self._report.complete = False
                    done = min(begin + AT_ONCE, len(numbers))
                    self._report.reached += f" (in it {done} of {len(numbers)} known)"
                    return
            reached = np.concatenate(following)
            numbers = np.unique(reached[self._layers.all[0][reached] & covers == 0])

    def _open(self, numbers: Ints, faults: int, edits: int) -> Ints:
        """Return what follows where nothing goes wrong. What troubles lead to is opened later."""
        rows = self._states.rows(numbers)
        happened = self._alive(numbers, self._moves.steps(rows))
        if faults < self._bounds.faults:
            self._price(numbers, self._moves.faults(rows), faults + 1, edits)
            self._price(numbers, self._moves.missed(rows, happened), faults + 1, edits)
        if edits < self._bounds.edits:
            edited = self._moves.edits(rows)
            if faults < self._bounds.faults:
                missed = self._moves.missed(rows, edited)
                self._price(numbers, missed, faults + 1, edits + 1)
            self._price(numbers, edited, faults, edits + 1)
        following = self._follow(numbers, happened)
        self._layers.all[0][numbers] |= self._bit(faults, edits)
        return following

    def _alive(self, numbers: Ints, happened: Following) -> Following:
        """Return what follows, but for the states in which something breaks: nothing does."""
        dead = self._hear(numbers)
        if not dead:
            return happened
        self._dead |= set(numbers[dead].tolist())
        source, rows = happened
        goes_on = ~np.isin(source, dead)
        return source[goes_on], rows[:, goes_on]

    def _hear(self, numbers: Ints) -> list[int]:
        """Return the places of the states from which something just broke."""
        broke = dict(self._moves.broke())
        for place, what in broke.items():
            self._find(what, int(numbers[place]), ["and then it breaks"])
        return list(broke)

    def _price(self, numbers: Ints, happened: Following, faults: int, edits: int) -> None:
        """Remember where a trouble leads, to open it with what is left."""
        self._hear(numbers)
        source, rows = happened
        self._report.transitions += len(source)
        reached = self._enter(rows, numbers[source])
        self._layers.all[1][reached] |= self._bit(faults, edits)

    def _follow(self, numbers: Ints, happened: Following) -> Ints:
        """Return what follows where nothing goes wrong; of what was never opened, remember it."""
        source, rows = happened
        targets = self._enter(rows, numbers[source])
        is_new = self._layers.all[0][numbers] == 0
        of_new = is_new[source]
        place = np.cumsum(is_new) - 1
        counts = self._paths.add(numbers[is_new], place[source[of_new]], targets[of_new])
        self._report.transitions += int(counts.sum())
        self._rest(numbers[is_new][counts == 0])
        return targets

    def _enter(self, rows: Ints, parents: Ints) -> Ints:
        """Return the numbers of states, as everybody calls them; judge those that are new."""
        known = len(self._states)
        numbers = self._states.number(rows)
        news = first_places(numbers, known)
        parents = parents[news]
        depths = self._ways.all[1][parents] + 1 if known else np.zeros_like(parents)
        self._ways.extend(np.array([parents, depths], np.int32))
        self._layers.extend(np.zeros((2, len(news)), np.int32))
        for place, broken in self._jury.check(rows[:, news]):
            self._find(broken, int(numbers[news[place]]), [])
        return numbers

    def _bit(self, faults: int, edits: int) -> int:
        return 1 << (faults * (self._bounds.edits + 1) + edits)

    def _is_enough(self) -> bool:
        bounds = self._bounds
        if bounds.first and self._kinds:
            return True
        if bounds.most_states and len(self._states) > bounds.most_states:
            return True
        return bool(bounds.most_seconds) and time.process_time() > bounds.most_seconds

    # -- paths without faults ------------------------------------------------------------------

    def _rest(self, numbers: Ints) -> None:
        """Judge states that rest for good."""
        alive = np.array([n for n in numbers.tolist() if n not in self._dead], np.int32)
        self._report.resting += len(alive)
        for place, wrong in self._jury.at_rest(self._states.rows(alive)):
            self._find(wrong, int(alive[place]), [])

    def _judge_paths(self) -> None:
        """Find rounds that never come to rest."""
        rounds = self._paths.rounds(len(self._states))
        if len(rounds):
            self._find("I8: it goes round and round", int(rounds[0]), [])

    # -- stories -------------------------------------------------------------------------------

    def _find(self, what: str, number: int, more: list[str]) -> None:
        self._report.broken += 1
        kind = what.split(":")[0] + what[-24:]
        if kind not in self._kinds:
            self._kinds[kind] = Finding(what, [*self._story(number), *more])

    def _story(self, number: int) -> list[str]:
        """Return the way to a state in words, with the operators' names kept from line to line."""
        way = [number]
        while (parent := int(self._ways.all[0][way[-1]])) != NOBODY:
            way.append(parent)
        rows = self._states.rows(np.array(way[::-1]))
        state, lines = self._codec.state(rows[:, 0].tolist()), []
        for target in rows.T[1:]:
            label, state = self._towards(state, self._key(target))
            lines.append(label)
        return lines

    def _key(self, row: Ints) -> tuple[int, ...]:
        return tuple(self._states.keys(row[:, None])[:, 0].tolist())

    def _towards(self, state: State, target: tuple[int, ...]) -> Next:
        for label, after in self._everything(state):
            if self._key(np.array(self._codec.row(after), np.int32)) == target:
                return label, self._codec.plain(after)
        raise AssertionError("a step that cannot be taken again")

    def _everything(self, state: State) -> Iterator[Next]:
        """Yield all that may happen in `state`, troubles too."""
        following: list[Next] = []
        with suppress(Broken):
            following = self._model.steps(state)
        yield from following
        edited = list(trouble.edits(self._model, state))
        yield from edited
        with suppress(Broken):
            yield from trouble.faults(self._model, state)
        for label, after in (*following, *edited):
            for deaf, missed in trouble.missed_events(state, after):
                yield f"{label}; {deaf}", missed


def _up_to(faults: int, edits: int) -> Iterator[tuple[int, int]]:
    yield from product(range(faults + 1), range(edits + 1))
