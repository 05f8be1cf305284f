"""The page of errors is current, and the table of what is foreseen is complete and honest."""

from pathlib import Path

import pytest

from sysdisk.ecs.catalog import catalog
from sysdisk.ecs.error_docs import main, page
from sysdisk.ecs.foresight import FORESIGHT, LOOKED_AT, Foresight

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(catalog()), "run `make generate`"


def test_the_page_is_written_to_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["error_docs", str(tmp_path / "errors.md")])
    assert main() == 0
    assert (tmp_path / "errors.md").read_text() == page(catalog())
    monkeypatch.setattr("sys.argv", ["error_docs"])
    assert main() == 2
    assert "FILE" in capsys.readouterr().err


def test_every_code_has_its_advice_on_the_page() -> None:
    found, text = catalog(), PAGE.read_text()
    entries = [*found.rows.values(), *found.common, found.throttled]
    missing = [e.code for e in entries if f"| `{e.code}` | {e.http} |" not in text or not e.advice]
    assert missing == []


def test_every_row_says_whether_it_is_foreseen_and_the_catalogue_agrees() -> None:
    rows = catalog().rows
    assert set(FORESIGHT) == set(rows) == set(range(1, 86))
    assert set(LOOKED_AT) <= set(rows)
    shown = {number for number, entry in rows.items() if entry.preflight}
    unseen = {number for number, how in FORESIGHT.items() if how is Foresight.UNSEEN}
    assert shown & unseen == set(), "the catalogue says that reading shows these"
    by_reading = {Foresight.REFUSED, Foresight.WAITED, Foresight.APPLY, Foresight.NOT_SENT}
    assert {n for n, how in FORESIGHT.items() if how in by_reading} <= shown


def test_what_passes_by_itself_is_waited_for_and_nothing_else() -> None:
    waited = {number for number, how in FORESIGHT.items() if how is Foresight.WAITED}
    assert waited == {number for number, e in catalog().rows.items() if e.error_class == "wait"}
