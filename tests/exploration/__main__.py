"""`python -m tests.exploration`: walk every state within bounds, and tell what was found."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.exploration.explore import explore
from tests.exploration.walk import Bounds, Report, told

TABLE: Final = (
    Bounds(2, 2, faults=2, edits=1),
    Bounds(1, 1, faults=2, edits=2),
    Bounds(2, 1, faults=2, edits=1),
    Bounds(2, 2, faults=3, edits=0),
    Bounds(2, 1, faults=3, edits=0),
    Bounds(1, 2, faults=2, edits=1),
    Bounds(1, 1, faults=2, edits=1),
    Bounds(1, 1, faults=2, edits=1, variant="backup"),
    Bounds(1, 1, faults=2, edits=1, variant="approval"),
    Bounds(1, 1, faults=2, edits=1, variant="window"),
    Bounds(2, 2, faults=1, edits=1),
    Bounds(1, 1, faults=3, edits=0),
    Bounds(1, 2, faults=3, edits=0),
    Bounds(2, 2, faults=2, edits=0),
)
"""The walks of docs/reliability.md, longest first."""


def main() -> int:
    """Explore as the command line says. Return 0 where every invariant holds in every state."""
    words = argparse.ArgumentParser(prog="explore", description=__doc__)
    words.add_argument("--table", action="store_true", help="all walks of docs/reliability.md")
    for name, value in Bounds()._asdict().items():
        words.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(words.parse_args())
    if given.pop("table"):
        return _table()
    report = explore(Bounds(**given), loud=True)
    print(told(report))
    whole = "all of them" if report.complete else f"NOT all of them: left at {report.reached}"
    print(
        f"\n{report.states} states ({whole}), {report.transitions} transitions, depth "
        f"{report.depth}, {report.resting} at rest, {report.statuses} different records, "
        f"{report.broken} broken, {report.seconds:.0f} s"
    )
    return _code(report)


def _table() -> int:
    """Print a row for each walk of the table, two at a time."""
    worst = 0
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as processes:
        for report in processes.map(explore, TABLE):
            print(row(report), flush=True)
            print(told(report), file=sys.stderr)
            worst = max(worst, _code(report))
    return worst


def row(report: Report) -> str:
    """Return the walk as a row of the table in docs/reliability.md."""
    bounds = report.bounds
    cells = [bounds.variant, bounds.operators, bounds.specs, bounds.faults, bounds.edits]
    counts = [report.states, report.transitions]
    told_counts = [f"{count:,}".replace(",", " ") for count in counts]
    found = [*cells, *told_counts, report.depth, round(report.seconds)]
    return f"| {' | '.join(map(str, found))} |"


def _code(report: Report) -> int:
    return 0 if report.complete and not report.findings else 1


if __name__ == "__main__":
    sys.exit(main())
