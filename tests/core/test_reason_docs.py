"""Every reason is explained, and the page is current."""

from pathlib import Path

from sysdisk.api.reason_docs import ACCOUNT_EXPLAINED, EXPLAINED, render
from sysdisk.api.reasons import AccountReason, Reason

PAGE = Path(__file__).parents[2] / "docs" / "conditions.md"


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert set(EXPLAINED) == set(Reason)
    assert set(ACCOUNT_EXPLAINED) == set(AccountReason)
    said = (*EXPLAINED.values(), *ACCOUNT_EXPLAINED.values())
    assert all(means and do for means, do in said)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(), "run `make generate`"
