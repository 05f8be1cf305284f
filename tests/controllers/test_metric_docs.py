"""The page of the metrics is current, and says something of each."""

from pathlib import Path

from sysdisk.controllers.metric_docs import families, render

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(), "run `make generate`"


def test_every_metric_is_ours_and_explained() -> None:
    for family in families():
        assert family.name.startswith("sysdisk_")
        assert family.documentation.endswith(".")
