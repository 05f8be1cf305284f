"""The tool itself: what is right passes, what is wrong is caught, what nobody sees is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sabotage import __main__ as tool
from tests.sabotage import mutate
from tests.sabotage.change import Change, Rule
from tests.sabotage.mutants import Mutant, mutants_of
from tests.sabotage.trial import Ground, Trial, Verdict

BACKOFF = "operator/sysdisk/core/backoff.py"
HARMLESS = Change(
    "say-it-in-other-words",
    (Rule.I8,),
    BACKOFF,
    '"""How long to wait before the n-th try of the same thing."""',
    '"""How long to wait before a try of the same thing."""',
    ("tests/core/test_api_durations.py",),
)
WRONG = replace(
    HARMLESS,
    file="operator/sysdisk/api/durations.py",
    old='(seconds // 3600, "h")',
    new='(seconds // 360, "h")',
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("sabotage"))


def test_a_copy_in_which_nothing_is_wrong_passes_and_that_is_reported(ground: Ground) -> None:
    trial = ground.tried(HARMLESS)
    assert (trial.verdict, trial.by) == (Verdict.SURVIVED, "")
    told = tool.told(trial)
    assert HARMLESS.name in told
    assert str(Rule.I8) in told


def test_a_wrong_change_is_caught_in_the_copy_which_is_as_before_afterwards(ground: Ground) -> None:
    before = (ground.root / WRONG.file).read_text(encoding="utf-8")
    trial = ground.tried(WRONG)
    assert trial.verdict is Verdict.CAUGHT, trial.told
    assert trial.by.startswith("tests/core/test_api_durations.py::")
    assert (ground.root / WRONG.file).read_text(encoding="utf-8") == before


def test_a_change_that_has_lost_its_place_fails(ground: Ground) -> None:
    trial = ground.tried(replace(HARMLESS, old="nowhere to be found"))
    assert trial.verdict is Verdict.OUT_OF_DATE
    assert "0 times" in trial.told


def test_tests_that_do_not_run_prove_nothing(ground: Ground) -> None:
    unreadable = replace(HARMLESS, new="(")
    assert ground.tried(replace(unreadable, tests=("tests/core/operation",))).verdict is (
        Verdict.BROKEN
    )


def test_the_package_under_test_is_the_one_of_the_copy(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sabotage.trial.os.pathsep", ":/nowhere:")
    other = replace(HARMLESS, tests=("tests/core/test_api_durations.py",))
    moved = ground.root / "pyproject.toml"
    text = moved.read_text(encoding="utf-8")
    try:
        moved.write_text(text.replace('pythonpath = ["operator", "."]', ""), encoding="utf-8")
        (ground.root / "operator").rename(ground.root / "elsewhere")
        trial = ground.tried(replace(other, file=BACKOFF.replace("operator", "elsewhere")))
    finally:
        (ground.root / "elsewhere").rename(ground.root / "operator")
        moved.write_text(text, encoding="utf-8")
    assert trial.verdict is Verdict.BROKEN
    assert "not from the copy" in trial.told


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.CAUGHT, 0), (Verdict.SURVIVED, 1)])
def test_the_run_fails_where_a_change_survives(
    verdict: Verdict, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trials(changes: list[Change], _jobs: int) -> Iterator[Trial]:
        yield from (Trial(change, verdict, "tests/core/test_a.py::test_b") for change in changes)

    monkeypatch.setattr(tool, "trials", trials)
    monkeypatch.setattr("sys.argv", ["sabotage", "log-the-password"])
    assert tool.main() == code


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(SystemExit, match="no change is named"):
        tool.chosen(["nothing-like-it"])


def test_nothing_of_a_trial_is_left_in_the_repository(ground: Ground) -> None:
    assert not ground.root.is_relative_to(Path(__file__).resolve().parents[2])


def test_each_known_survivor_is_a_mutant_and_has_its_reason() -> None:
    every = {m.name for name, path in mutate.paths(()).items() for m in mutants_of(path, name)}
    assert set(mutate.explained()) <= every


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        (
            "def f(a):\n    return a < 1",
            ["return a < 1 => return None", "a < 1 => a <= 1", "1 => 2"],
        ),
        (
            "def f(a):\n    a.replace(b=a)",
            ["a.replace(b=a) => nothing", "a.replace(b=a) => without b"],
        ),
        ("LIMIT = 3", ["3 => 4"]),
        ('"""A text."""\ndef f(a):\n    raise ValueError(f"{a} < {1}")', []),
    ],
)
def test_what_a_slip_would_change_is_changed_and_texts_are_not(
    source: str, changes: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "some.py"
    path.write_text(source, encoding="utf-8")
    found = mutants_of(path, "some")
    assert [mutant.change for mutant in found] == changes
    assert len({mutant.code().co_code + repr(_constants(mutant)).encode() for mutant in found}) == (
        len(found)
    )


def _constants(mutant: Mutant) -> list[object]:
    inner = [c for c in mutant.code().co_consts if hasattr(c, "co_code")]
    return [(c.co_code, c.co_consts, c.co_names) for c in inner] or [*mutant.code().co_consts]
