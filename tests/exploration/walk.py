"""The walk over every state: what was reached, what broke, and how it came to that.

States are the same whatever faults and edits it took to get there. What is left of the budget only
says what may still happen in them, so a state is opened again only where it was reached with a
budget that no earlier one covers. The paths without faults are judged once everything is known.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.exploration.cloud import Broken
from tests.exploration.model import Model, Next, Operator, State

NOBODY = -1


class Bounds(NamedTuple):
    """How far to walk."""

    operators: int = 1
    specs: int = 1
    faults: int = 1
    edits: int = 0
    late: int = 20
    most_states: int = 0
    """Stop there, unfinished; 0: no limit."""
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
    complete: bool = True
    findings: list[Finding] = field(default_factory=list)
    broken: int = 0
    """How many states broke something, all findings of the same kind counted."""


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
        self._numbers: dict[State, int] = {}
        self._states: list[State] = []
        self._parents = array("q")
        self._depths = array("l")
        self._covered = array("q")
        self._paths: dict[int, tuple[int, ...]] = {}
        self._dead: set[int] = set()
        self._report = Report(bounds)
        self._kinds: dict[str, Finding] = {}

    def run(self, beginnings: list[State]) -> Report:
        """Return what there is to see from `beginnings`."""
        begun = time.monotonic()
        edits, faults = self._bounds.edits, self._bounds.faults
        seeds: dict[tuple[int, int], list[tuple[State, int]]] = {
            (f, e): [] for f in range(faults + 1) for e in range(edits + 1)
        }
        seeds[0, 0] = [(state, NOBODY) for state in beginnings]
        for used in sorted(seeds, key=lambda u: (sum(u), u)):
            self._layer(used, seeds)
            self._tell(
                f"{used[0]} faults, {used[1]} edits: {len(self._states)} states, "
                f"{self._report.transitions} transitions, {time.monotonic() - begun:.0f} s"
            )
            if not self._report.complete:
                break
        if self._report.complete:
            self._judge_paths()
        self._report.states = len(self._states)
        self._report.depth = max(self._depths, default=0)
        self._report.statuses = len(self._model.book)
        self._report.findings = list(self._kinds.values())
        self._report.seconds = time.monotonic() - begun
        return self._report

    # -- reaching ------------------------------------------------------------------------------

    def _layer(
        self, used: tuple[int, int], seeds: dict[tuple[int, int], list[tuple[State, int]]]
    ) -> None:
        """Open every state that is reached with so many faults and edits used, and no fewer."""
        faults, edits = used
        queue = [self._enter(state, parent) for state, parent in seeds.pop(used)]
        more_faults, more_edits = (faults + 1, edits) in seeds, (faults, edits + 1) in seeds
        mark = 1 << (faults * 8 + edits)
        covers = sum(1 << (f * 8 + e) for f in range(faults + 1) for e in range(edits + 1))
        at = 0
        while at < len(queue):
            number = queue[at]
            at += 1
            if self._covered[number] & covers:
                continue
            self._covered[number] |= mark
            state = self._states[number]
            following = self._open(number)
            queue.extend(self._paths[number])
            if more_faults:
                further = self._price(number, self._troubles(state, following))
                seeds[faults + 1, edits].extend((s, number) for s in further)
            if more_edits:
                further = self._price(number, self._model.edits(state))
                seeds[faults, edits + 1].extend((s, number) for s in further)
            if more_faults and more_edits:
                further = self._price(number, self._missed_edits(state))
                seeds[faults + 1, edits + 1].extend((s, number) for s in further)
            most = self._bounds.most_states
            if (most and len(self._states) > most) or (self._bounds.first and self._kinds):
                self._report.complete = False
                return

    def _enter(self, state: State, parent: int) -> int:
        """Return the number of `state`, as everybody calls it; judge it where it is new."""
        plain = _plain(state)
        number = self._numbers.setdefault(plain, len(self._states))
        if number == len(self._states):
            self._states.append(plain)
            self._parents.append(parent)
            self._depths.append(self._depths[parent] + 1 if parent >= 0 else 0)
            self._covered.append(0)
            broken = self._model.check(plain)
            if broken:
                self._find(broken, number, [])
        return number

    def _open(self, number: int) -> list[Next]:
        """Return what follows where nothing goes wrong; where that is new, enter it."""
        try:
            following = self._model.steps(self._states[number])
        except Broken as broken:
            self._find(str(broken), number, ["and then it breaks"])
            self._dead.add(number)
            following = []
        if number not in self._paths:
            self._report.transitions += len(following)
            self._paths[number] = tuple(self._enter(state, number) for _, state in following)
        return following

    def _troubles(self, state: State, following: list[Next]) -> Iterator[Next]:
        yield from self._model.faults(state)
        yield from self._missed(state, following)

    def _missed_edits(self, state: State) -> Iterator[Next]:
        return self._missed(state, self._model.edits(state))

    def _missed(self, state: State, happened: Iterable[Next]) -> Iterator[Next]:
        for label, after in happened:
            for deaf, missed in self._model.missed_events(state, after):
                yield f"{label}; {deaf}", missed

    def _price(self, number: int, following: Iterator[Next]) -> Iterator[State]:
        try:
            for _, state in following:
                self._report.transitions += 1
                yield state
        except Broken as broken:
            self._find(str(broken), number, ["and then it breaks"])

    # -- paths without faults ------------------------------------------------------------------

    def _judge_paths(self) -> None:
        """Find the states at rest that are not right, and rounds that never come to rest."""
        colours = bytearray(len(self._states))
        for root in range(len(self._states)):
            if colours[root] == 0:
                self._descend(root, colours)

    def _descend(self, root: int, colours: bytearray) -> None:
        stack = [(root, 0)]
        colours[root] = 1
        while stack:
            number, at = stack.pop()
            following = self._paths.get(number, ())
            if not following:
                self._at_rest(number)
            if at >= len(following):
                colours[number] = 2
                continue
            stack.append((number, at + 1))
            after = following[at]
            if colours[after] == 1:
                self._find("I8: it goes round and round", after, [])
            elif colours[after] == 0:
                colours[after] = 1
                stack.append((after, 0))

    def _at_rest(self, number: int) -> None:
        if number in self._dead:
            return
        self._report.resting += 1
        wrong = self._model.judge_rest(self._states[number])
        if wrong:
            self._find(wrong, number, [])

    # -- stories -------------------------------------------------------------------------------

    def _find(self, what: str, number: int, more: list[str]) -> None:
        self._report.broken += 1
        kind = what.split(":")[0] + what[-24:]
        if kind not in self._kinds:
            self._kinds[kind] = Finding(what, [*self._story(number), *more])

    def _story(self, number: int) -> list[str]:
        """Return the way to a state in words, with the operators' names kept from line to line."""
        way = [number]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        way.reverse()
        state, lines = self._states[way[0]], []
        for target in way[1:]:
            label, state = self._towards(state, self._states[target])
            lines.append(label)
        return lines

    def _towards(self, state: State, target: State) -> Next:
        for label, after in self._everything(state):
            if _plain(after) == target:
                return label, after
        raise AssertionError("a step that cannot be taken again")

    def _everything(self, state: State) -> Iterator[Next]:
        try:
            following = self._model.steps(state)
        except Broken:
            following = []
        yield from following
        yield from self._model.edits(state)
        with suppress(Broken):
            yield from self._troubles(state, following)
            yield from self._missed_edits(state)


def _plain(state: State) -> State:
    """Return `state` with its operators in one order: two processes are the same but for names."""
    if len(state.operators) == 1:
        return state
    first, second = state.operators
    if first == second or _rank(first) <= _rank(second):
        return state
    return state._replace(operators=(second, first))


def _rank(operator: Operator) -> tuple[int, str]:
    return operator.frozen, repr(operator.agents)
