"""The page of errors is current, and the table of what is foreseen is complete and honest."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from sysdisk.core.world import Slot
from sysdisk.ecs import calls
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


A_CALL = re.compile(r"(Describe\w+)(?:\(([^)]*)\))?")
SLOT = Slot("r-h", "ecs.g7.large", "PostPaid", "NoSpot")
MADE: Final[Mapping[str, tuple[calls.Wire, ...]]] = {
    "DescribeAvailableResource": (calls.describe_supply("r", SLOT),),
    "DescribeDiskEncryptionByDefaultStatus": (calls.describe_default_encryption("r"),),
    "DescribeDisks": (calls.describe_disks("r", ["d"]), calls.describe_disks_of("r", "i")),
    "DescribeImages": (
        calls.describe_image("r", "m"),
        calls.describe_image("r", "m", owner="marketplace"),
        calls.describe_image("r", "m", owner="others", public=True),
    ),
    "DescribeImageSupportInstanceTypes": (calls.describe_image_support("r", "m"),),
    "DescribeInstances": (calls.describe_instances("r", ["i"]),),
    "DescribeInstanceTypes": (calls.describe_instance_type("t"),),
    "DescribeKeyPairs": (calls.describe_key_pairs("r", "k"),),
    "DescribeRegions": (calls.describe_regions(),),
    "DescribeSnapshots": (calls.describe_running_snapshots("r"),),
    "DescribeTasks": (calls.describe_running_tasks("r"),),
}
"""What a preflight asks ECS."""


def test_the_page_names_only_calls_that_are_made_in_this_way() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.count(" | ") == 5]
    named = [call for row in rows for call in A_CALL.findall(row[4])]
    assert {action for action, _ in named} == set(MADE)
    for action, params in named:
        wanted = dict(part.partition("=")[::2] for part in params.split(", ") if part)
        assert any(_asks(sent, wanted) for sent in MADE[action]), f"{action}({params}) is not made"


def _asks(sent: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a request has these parameters; a value in brackets stands for any."""
    given = {name.removesuffix(".1"): value for name, value in sent.items()}
    return all(
        name in given and (not value or value.startswith("[") or given[name] == value)
        for name, value in wanted.items()
    )


def test_what_passes_by_itself_is_waited_for_and_nothing_else() -> None:
    waited = {number for number, how in FORESIGHT.items() if how is Foresight.WAITED}
    assert waited == {number for number, e in catalog().rows.items() if e.error_class == "wait"}
