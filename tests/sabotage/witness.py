"""A pytest plugin for the copy under test: that it is really the one, and which tests failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = "SABOTAGE_ROOT"
FAILED: Final = "SABOTAGE_FAILED"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    """Refuse to run where the package comes from elsewhere: it is installed from the repository."""
    import sysdisk

    package = Path(sysdisk.__file__ or "").resolve()
    if not package.is_relative_to(Path(os.environ[ROOT]).resolve()):
        raise pytest.UsageError(f"sysdisk comes from {package}, not from the copy")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Write down the name of each test that fails, and why, in one line."""
    report = yield
    assert isinstance(report, pytest.TestReport)
    if report.failed and call.excinfo is not None:
        _write_down(item.nodeid, call.excinfo.value)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a claim that fails while tests are made: some play a story to find their cases.

    Any other error there is none of theirs, and proves nothing.
    """
    report = yield
    assert isinstance(report, pytest.CollectReport)
    call: pytest.CallInfo[None] | None = getattr(report, "call", None)
    excinfo = call.excinfo if call else None
    if report.failed and excinfo is not None and isinstance(excinfo.value, AssertionError):
        _write_down(collector.nodeid, excinfo.value)
    return report


def _write_down(name: str, error: BaseException) -> None:
    why = str(error).strip().splitlines()
    with Path(os.environ[FAILED]).open("a", encoding="utf-8") as failed:
        failed.write(f"{name}\t{why[0] if why else ''}\n")
