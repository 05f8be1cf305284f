"""The table of wrong changes fits the product, and leaves no rule of the design unattacked."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sabotage.change import INVARIANTS, Change, Rule
from tests.sabotage.table import CHANGES
from tests.sabotage.trial import REPOSITORY


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_stands_where_it_says_and_leaves_what_can_be_run(change: Change) -> None:
    text = (REPOSITORY / change.file).read_text(encoding="utf-8")
    after = change.applied(text)
    assert after != text
    if change.file.endswith(".py"):
        compile(after, change.file, "exec")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_the_tests_that_are_to_catch_it_are_there(change: Change) -> None:
    assert change.tests
    for test in change.tests:
        assert (REPOSITORY / test.partition("::")[0]).exists(), test


def test_each_invariant_and_each_paragraph_is_attacked() -> None:
    attacked = {rule for change in CHANGES for rule in change.attacks}
    assert attacked == set(Rule)
    assert len(INVARIANTS) == 12


def test_each_change_has_a_name_of_its_own() -> None:
    assert [name for name, n in Counter(c.name for c in CHANGES).items() if n > 1] == []
