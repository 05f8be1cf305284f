"""The walk within small bounds: it holds everywhere, it saw what it should, and it can fail."""

from __future__ import annotations

import pytest

from sysdisk.core import operate
from sysdisk.core import outcome as learned
from sysdisk.core.backoff import backoff
from tests.exploration import model as rules
from tests.exploration.__main__ import explore
from tests.exploration.book import Book, Record
from tests.exploration.model import Model, State, beginning
from tests.exploration.walk import Bounds, Report, Walk, told


@pytest.mark.parametrize(
    ("bounds", "at_least"),
    [
        pytest.param(Bounds(faults=1, edits=1), 15_000, id="one-operator"),
        pytest.param(Bounds(operators=2, faults=1), 5_000, id="two-operators"),
        pytest.param(Bounds(specs=2, faults=1), 1_000, id="two-specs"),
    ],
)
def test_every_state_holds_and_every_path_without_faults_comes_to_rest(
    bounds: Bounds, at_least: int
) -> None:
    report = explore(bounds)
    assert not report.findings, told(report)
    assert report.complete
    assert report.states >= at_least


def test_without_faults_the_walk_ends_in_one_disk_replaced_for_each_beginning() -> None:
    seen: list[State] = []
    model = Model(Book(secret=True), late=20)
    begin = [beginning(operators=1, specs=1, running=running) for running in (True, False)]
    for state in begin:
        while following := model.steps(state):
            [(_, state)] = following
        seen.append(state)
    assert [(s.cloud.power, s.cloud.disk, s.cloud.image) for s in seen] == [
        ("Running", "d-1", "m-2"),
        ("Stopped", "d-1", "m-2"),
    ]


def test_a_stop_sent_again_too_soon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "_stop_pause", lambda op: backoff(op.tries))
    monkeypatch.setattr(rules, "STRAY_FOR", 0)
    assert "I3" in told(_walk(Bounds(edits=1, first=1)))


def test_a_refusal_that_is_believed_too_soon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "ON_ITS_WAY", operate.STOP_AGAIN * 0)
    assert "may still come true" in told(_walk(Bounds(faults=2, first=1)))


def test_a_write_that_is_not_fenced_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "_commit", _commit_for_all)
    assert _walk(Bounds(operators=2, first=1)).findings


def _commit_for_all(
    _model: Model, state: State, _writer: int, k: int, record: Record | None
) -> State:
    """Store a record as if nobody who read an earlier one could notice."""
    records = tuple(record if i == k else r for i, r in enumerate(state.records))
    return state._replace(records=records)


def test_a_story_is_told_in_numbered_lines_and_can_be_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Model, "judge_rest", lambda _model, _state: "I8: it rests")
    report = _walk(Bounds(faults=0))
    lines = told(report).splitlines()
    assert lines[1] == "BROKEN: I8: it rests"
    assert lines[2].startswith("   1. A:1 reads, looks, decides")
    assert "machine Stopping" in told(report)


def _walk(bounds: Bounds) -> Report:
    begin = beginning(operators=bounds.operators, specs=bounds.specs, running=True)
    return Walk(Model(Book(secret=False), late=bounds.late), bounds).run([begin])
