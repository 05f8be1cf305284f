"""Every public name is explained, and the page is current."""

import re
from pathlib import Path

from sysdisk.api import meta
from sysdisk.api.name_docs import ANNOTATIONS, FINALIZERS, LABELS, TAGS, render

ROOT = Path(__file__).parents[2]


def names(prefix: str) -> set[str]:
    return {value for name, value in vars(meta).items() if re.fullmatch(prefix, name)}


def test_every_name_says_where_it_is_and_what_it_means() -> None:
    assert set(ANNOTATIONS) == names(r"ANNOTATION_\w+")
    assert set(LABELS) == names(r"LABEL_\w+")
    assert set(FINALIZERS) == names(r"(\w+_)?FINALIZER")


def test_every_tag_of_a_snapshot_is_told() -> None:
    source = (ROOT / "operator" / "sysdisk" / "core" / "backup.py").read_text()
    assert set(re.findall(r'"(sysdisk\.dev/\w+)"', source)) == set(TAGS)


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "annotations.md").read_text() == render(), "run `make generate`"
