"""Many states at once: that is what one state after the other would be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sysdisk.core import operate
from sysdisk.core.backoff import backoff
from tests.exploration import judge, trouble
from tests.exploration import model as rules
from tests.exploration.book import Book
from tests.exploration.cloud import Broken
from tests.exploration.codec import Codec
from tests.exploration.columns import Memo, Numbers
from tests.exploration.explore import beginnings
from tests.exploration.model import Model
from tests.exploration.state import Next, State, Variant
from tests.exploration.states import Paths
from tests.exploration.walk import Bounds, Report, Walk

Key = tuple[tuple[int, ...], ...]


class Plain:
    """A walk that opens one state after the other, and asks the model about each."""

    def __init__(self, model: Model, bounds: Bounds) -> None:
        self._model, self._bounds = model, bounds
        self._codec = Codec(model.book, operators=bounds.operators, specs=bounds.specs)
        self._opened: dict[Key, list[tuple[int, int]]] = {}
        self.transitions = 0
        self.broken: set[str] = set()

    def run(self, begin: list[State]) -> None:
        """Walk to the end."""
        layers = product(range(self._bounds.faults + 1), range(self._bounds.edits + 1))
        seeds: dict[tuple[int, int], list[Key]] = {used: [] for used in layers}
        seeds[0, 0] += map(self._key, begin)
        for used in sorted(seeds, key=lambda u: (sum(u), u)):
            for key in seeds[used]:
                opened = self._opened.setdefault(key, [])
                if not any(f <= used[0] and e <= used[1] for f, e in opened):
                    opened.append(used)
                    self._open(key, used, seeds)

    @property
    def states(self) -> int:
        """How many there are."""
        return len(self._opened)

    def _open(
        self, key: Key, used: tuple[int, int], seeds: dict[tuple[int, int], list[Key]]
    ) -> None:
        state = self._codec.state([*chain(*key)])
        model, (f, e) = self._model, used
        self.broken |= {judge.check(model.book, state) or ""} - {""}
        following = self._listed(lambda: model.steps(state))
        self.transitions += len(following) if len(self._opened[key]) == 1 else 0
        seeds[used] += [self._key(after) for _, after in following]
        edited = self._listed(lambda: trouble.edits(model, state))
        troubles = {
            (f + 1, e): self._listed(lambda: trouble.faults(model, state))
            + _missed(state, following),
            (f, e + 1): edited,
            (f + 1, e + 1): _missed(state, edited),
        }
        for price, happened in troubles.items():
            if price in seeds:
                self.transitions += len(happened)
                seeds[price] += [self._key(after) for _, after in happened]

    def _listed(self, happens: Callable[[], Iterable[Next]]) -> list[Next]:
        found: list[Next] = []
        try:
            found.extend(happens())
        except Broken as broken:
            self.broken.add(str(broken))
        return found

    def _key(self, state: State) -> Key:
        row = self._codec.row(self._codec.plain(state))
        begin, width = self._codec.agents[0][0], len(self._codec.specs) + 1
        operators = [tuple(row[at : at + width]) for at in range(begin, len(row), width)]
        return (tuple(row[:begin]), *sorted(operators))


def _missed(state: State, happened: list[Next]) -> list[Next]:
    return [deaf for _, after in happened for deaf in trouble.missed_events(state, after)]


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(faults=1, edits=1), id="one-operator"),
        pytest.param(Bounds(operators=2, specs=2, faults=1), id="two-of-each"),
        pytest.param(Bounds(operators=2, faults=0, edits=1), id="an-edit"),
        pytest.param(Bounds(specs=2, faults=1, variant="backup+approval+window"), id="everything"),
    ],
)
def test_many_states_at_once_are_as_many_as_one_after_the_other(bounds: Bounds) -> None:
    plain, report = _both(bounds)
    assert not report.findings
    assert (report.states, report.transitions) == (plain.states, plain.transitions)


def test_what_breaks_one_state_after_the_other_breaks_many_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operate, "_stop_pause", lambda op: backoff(op.tries))
    monkeypatch.setattr(rules, "STRAY_FOR", 0)
    plain, report = _both(Bounds(edits=1))
    assert plain.broken
    assert {_kind(what) for what in plain.broken} <= {_kind(f.what) for f in report.findings}


def _kind(what: str) -> str:
    return what.split(":")[0] + what[-24:]


def _both(bounds: Bounds) -> tuple[Plain, Report]:
    variant = Variant.named(bounds.variant)
    model = Model(Book(secret=True, variant=variant), late=bounds.late)
    begin = beginnings(model, bounds, variant)
    plain = Plain(model, bounds)
    plain.run(begin)
    return plain, Walk(model, bounds).run(begin)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=300))
def test_rows_are_numbered_in_the_order_in_which_they_come(rows: list[tuple[int, int]]) -> None:
    numbers, known = Numbers(2), dict.fromkeys(rows)
    for piece in (rows[:100], rows[100:]):
        table = np.array(piece, np.int32).reshape(-1, 2).T
        given_ = numbers(table).tolist()
        assert [numbers.rows.all[:, n].tolist() for n in given_] == [[*row] for row in piece]
    assert len(numbers) == len(known)


def test_ten_thousand_rows_find_their_numbers_again() -> None:
    numbers, rows = Numbers(2), np.array([*product(range(100), range(100))], np.int32).T
    first = [numbers(rows[:, begin : begin + 1000]) for begin in range(0, 10_000, 1000)]
    assert np.concatenate(first).tolist() == numbers(rows).tolist()
    assert sorted(numbers(rows).tolist()) == list(range(10_000))


def test_a_question_is_asked_once_for_each_row() -> None:
    asked: list[int] = []

    def root(square: int) -> Iterator[int]:
        asked.append(square)
        return (n for n in range(-10, 11) if n * n == square)

    memo = Memo(1, 1)
    for _ in "12":
        squares = np.array([4, 2, 0, 4], np.int32)
        source, roots = memo.spread_map(lambda square: [[n] for n in root(square)], squares)
        assert source.tolist() == [0, 0, 2, 3, 3]
        assert roots[0].tolist() == [-2, 2, 0, -2, 2]
    assert sorted(asked) == [0, 2, 4]


@pytest.mark.parametrize(
    ("steps", "rounds"),
    [
        ({0: [1, 2], 1: [3], 2: [3], 3: []}, []),
        ({3: [], 2: [3], 1: [2, 3], 0: [1]}, []),
        ({0: [1, 4], 1: [2], 2: [1, 3], 3: [], 4: [3]}, [0, 1, 2]),
    ],
)
def test_paths_that_do_not_end_are_found(steps: dict[int, list[int]], rounds: list[int]) -> None:
    paths = Paths()
    for number, targets in steps.items():
        source = np.zeros(len(targets), np.int64)
        paths.add(np.array([number], np.int32), source, np.array(targets, np.int32))
    assert sorted(paths.rounds(len(steps)).tolist()) == rounds
