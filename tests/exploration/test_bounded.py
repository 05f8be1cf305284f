"""The walk within small bounds: it holds everywhere, it saw what it should, and it can fail."""

from __future__ import annotations

import pytest

from sysdisk.controllers import reconcile
from sysdisk.core import backup, gates, operate, second_look
from sysdisk.core import outcome as learned
from sysdisk.core.backoff import backoff
from tests.exploration import judge
from tests.exploration import model as rules
from tests.exploration.book import Book
from tests.exploration.codec import Codec
from tests.exploration.explore import explore
from tests.exploration.model import Model
from tests.exploration.state import (
    DECISION_HOLDS,
    FENCE,
    Record,
    State,
    Variant,
    beginning,
    with_record,
)
from tests.exploration.walk import Bounds, Report, Walk, told


@pytest.mark.parametrize(
    ("bounds", "at_least"),
    [
        pytest.param(Bounds(faults=1, edits=1), 8_000, id="one-operator"),
        pytest.param(Bounds(operators=2, faults=1), 2_000, id="two-operators"),
        pytest.param(Bounds(specs=2, faults=1), 800, id="two-specs"),
        pytest.param(Bounds(variant="backup", faults=1, edits=1), 10_000, id="backup"),
        pytest.param(Bounds(variant="approval", faults=1, edits=1), 8_000, id="approval"),
        pytest.param(Bounds(variant="window", faults=1, edits=1), 8_000, id="window"),
        pytest.param(Bounds(variant="backup+approval+window", faults=1), 1_000, id="everything"),
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
    monkeypatch.setattr(Model, "commit", _commit_for_all)
    assert _walk(Bounds(operators=2, first=1)).findings


def test_a_plan_that_begins_without_its_approval_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_approval", lambda _due: None)
    assert "nobody has approved it" in told(_walk(Bounds(variant="approval", first=1)))


def test_a_window_that_is_not_minded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_window", lambda _due: None)
    assert "the window is closed" in told(_walk(Bounds(variant="window", first=1)))


def test_a_window_that_closes_during_the_backup_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_look, "_time_left", lambda _pass: True)
    assert "the window is closed" in told(_walk(Bounds(variant="backup+window", first=1)))


def test_a_backup_that_is_not_waited_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_wait", lambda _pass, _seen: backup.GoOn())
    assert "before its disk is saved" in told(_walk(Bounds(variant="backup", first=1)))


def test_the_fence_of_the_model_is_that_of_the_controllers() -> None:
    assert (FENCE, DECISION_HOLDS) == (reconcile.FENCE_SECONDS, reconcile.DECISION_HOLDS)


def _commit_for_all(
    _model: Model, state: State, _writer: int, k: int, record: Record | None
) -> State:
    """Store a record as if nobody who read an earlier one could notice."""
    return with_record(state, k, record)


def test_what_is_left_out_of_a_state_hides_nothing_that_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operate, "_stop_pause", lambda op: backoff(op.tries))
    monkeypatch.setattr(learned, "ON_ITS_WAY", operate.STOP_AGAIN * 0)
    reduced = _walk(Bounds(faults=2))
    monkeypatch.setattr(Codec, "plain", lambda _codec, state: state)
    whole = _walk(Bounds(faults=2))
    assert whole.states > reduced.states
    assert {f.what for f in whole.findings} == {f.what for f in reduced.findings} != set()


def test_a_story_is_told_in_numbered_lines_and_can_be_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judge, "at_rest", lambda _book, _state: "I8: it rests")
    report = _walk(Bounds(faults=0))
    lines = told(report).splitlines()
    assert lines[1] == "BROKEN: I8: it rests"
    assert lines[2].startswith("   1. A:1 reads, looks, decides")
    assert "machine Stopping" in told(report)


def _walk(bounds: Bounds) -> Report:
    variant = Variant.named(bounds.variant)
    model = Model(Book(secret=False, variant=variant), late=bounds.late)
    begin = [
        beginning(
            operators=bounds.operators,
            specs=bounds.specs,
            running=True,
            variant=variant,
            window=window,
        )
        for window in {True, not variant.window}
    ]
    return Walk(model, bounds).run(begin)
