"""Every reason is explained, and the page is current."""

from pathlib import Path

from sysdisk.api.reason_docs import EXPLAINED, render
from sysdisk.api.reasons import Reason

PAGE = Path(__file__).parents[2] / "docs" / "conditions.md"


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert set(EXPLAINED) == set(Reason)
    assert all(means and do for means, do in EXPLAINED.values())


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(), "run `make generate`"
