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

from tests.exploration import judge
from tests.exploration.cloud import Broken
from tests.exploration.codec import Codec
from tests.exploration.model import Model
from tests.exploration.state import Next, State
from tests.exploration.trouble import edits, faults, missed_events

NOBODY = -1
NOT_OPENED = -1


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
        self._numbers: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._parents = array("i")
        self._depths = array("H")
        self._covered = array("i")
        self._first_path = array("q")
        self._paths = array("I")
        """For each opened state: how many follow, and their numbers."""
        self._dead: set[int] = set()
        self._report = Report(bounds)
        self._kinds: dict[str, Finding] = {}

    def run(self, beginnings: list[State]) -> Report:
        """Return what there is to see from `beginnings`."""
        begun = time.monotonic()
        most_edits, most_faults = self._bounds.edits, self._bounds.faults
        seeds: dict[tuple[int, int], array[int]] = {
            (f, e): array("I") for f in range(most_faults + 1) for e in range(most_edits + 1)
        }
        seeds[0, 0].extend(self._enter(state, NOBODY) for state in beginnings)
        for used in sorted(seeds, key=lambda u: (sum(u), u)):
            self._report.reached = f"{used[0]} faults, {used[1]} edits"
            self._layer(used, seeds)
            self._tell(
                f"{self._report.reached}: {len(self._keys)} states, "
                f"{self._report.transitions} transitions, {time.monotonic() - begun:.0f} s, "
                f"{len(self._codec)} parts, {len(self._model.book)} records"
            )
            if not self._report.complete:
                break
        self._judge_paths()
        self._report.states = len(self._keys)
        self._report.depth = max(self._depths, default=0)
        self._report.statuses = len(self._model.book)
        self._report.findings = list(self._kinds.values())
        self._report.seconds = time.monotonic() - begun
        return self._report

    # -- reaching ------------------------------------------------------------------------------

    def _layer(self, used: tuple[int, int], seeds: dict[tuple[int, int], array[int]]) -> None:
        """Open every state that is reached with so many faults and edits used, and no fewer."""
        used_faults, used_edits = used
        queue = seeds.pop(used)
        by_fault = seeds.get((used_faults + 1, used_edits))
        by_edit = seeds.get((used_faults, used_edits + 1))
        by_both = seeds.get((used_faults + 1, used_edits + 1))
        mark = 1 << (used_faults * 5 + used_edits)
        covers = sum(
            1 << (f * 5 + e) for f in range(used_faults + 1) for e in range(used_edits + 1)
        )
        at = 0
        while at < len(queue):
            number = queue[at]
            at += 1
            if self._covered[number] & covers:
                continue
            self._covered[number] |= mark
            state = self._codec.unpack(self._keys[number])
            following = self._open(number, state, queue)
            if by_fault is not None:
                by_fault.extend(self._price(number, self._troubles(state, following)))
            if by_edit is not None:
                by_edit.extend(self._price(number, edits(self._model, state)))
            if by_both is not None:
                missed = self._missed(state, edits(self._model, state))
                by_both.extend(self._price(number, missed))
            if self._is_enough():
                self._report.complete = False
                self._report.reached += f" (in it {at} of {len(queue)} known)"
                return

    def _is_enough(self) -> bool:
        bounds = self._bounds
        if bounds.first and self._kinds:
            return True
        if bounds.most_states and len(self._keys) > bounds.most_states:
            return True
        return bool(bounds.most_seconds) and time.process_time() > bounds.most_seconds

    def _enter(self, state: State, parent: int) -> int:
        """Return the number of `state`, as everybody calls it; judge it where it is new."""
        key = self._codec.pack(state)
        number = self._numbers.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
            self._parents.append(parent)
            self._depths.append(self._depths[parent] + 1 if parent >= 0 else 0)
            self._covered.append(0)
            self._first_path.append(NOT_OPENED)
            broken = judge.check(self._model.book, state)
            if broken:
                self._find(broken, number, [])
        return number

    def _open(self, number: int, state: State, queue: array[int]) -> list[Next]:
        """Return what follows where nothing goes wrong; where that is new, enter it."""
        first = self._first_path[number]
        try:
            following = self._model.steps(state)
        except Broken as broken:
            self._find(str(broken), number, ["and then it breaks"])
            self._dead.add(number)
            following = []
        if first == NOT_OPENED:
            first = self._first_path[number] = len(self._paths)
            self._report.transitions += len(following)
            self._paths.append(len(following))
            self._paths.extend([self._enter(after, number) for _, after in following])
        queue.extend(self._paths[first + 1 : first + 1 + self._paths[first]])
        return following

    def _troubles(self, state: State, following: list[Next]) -> Iterator[Next]:
        yield from faults(self._model, state)
        yield from self._missed(state, following)

    def _missed(self, state: State, happened: Iterable[Next]) -> Iterator[Next]:
        for label, after in happened:
            for deaf, missed in missed_events(state, after):
                yield f"{label}; {deaf}", missed

    def _price(self, number: int, following: Iterator[Next]) -> Iterator[int]:
        try:
            for _, state in following:
                self._report.transitions += 1
                yield self._enter(state, number)
        except Broken as broken:
            self._find(str(broken), number, ["and then it breaks"])

    # -- paths without faults ------------------------------------------------------------------

    def _after(self, number: int) -> array[int] | None:
        """Return what follows `number` where nothing goes wrong, None: that is not known."""
        first = self._first_path[number]
        if first == NOT_OPENED:
            return None
        return self._paths[first + 1 : first + 1 + self._paths[first]]

    def _judge_paths(self) -> None:
        """Find the states at rest that are not right, and rounds that never come to rest."""
        colours = bytearray(len(self._keys))
        for root in range(len(self._keys)):
            if colours[root] == 0:
                self._descend(root, colours)

    def _descend(self, root: int, colours: bytearray) -> None:
        stack = [(root, 0)]
        colours[root] = 1
        while stack:
            number, at = stack.pop()
            following = self._after(number)
            if following is not None and not following:
                self._at_rest(number)
            if following is None or at >= len(following):
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
        wrong = judge.at_rest(self._model.book, self._codec.unpack(self._keys[number]))
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
        state, lines = self._codec.unpack(self._keys[way[0]]), []
        for target in way[1:]:
            label, state = self._towards(state, self._keys[target])
            lines.append(label)
        return lines

    def _towards(self, state: State, target: bytes) -> Next:
        for label, after in self._everything(state):
            if self._codec.pack(after) == target:
                return label, self._codec.plain(after)
        raise AssertionError("a step that cannot be taken again")

    def _everything(self, state: State) -> Iterator[Next]:
        try:
            following = self._model.steps(state)
        except Broken:
            following = []
        yield from following
        yield from edits(self._model, state)
        with suppress(Broken):
            yield from self._troubles(state, following)
            yield from self._missed(state, edits(self._model, state))
