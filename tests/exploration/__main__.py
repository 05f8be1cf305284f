"""`python -m tests.exploration`: walk every state within bounds, and tell what was found."""

from __future__ import annotations

import argparse
import sys

from tests.exploration.book import Book
from tests.exploration.model import Model, beginning
from tests.exploration.walk import Bounds, Report, Walk, told


def explore(bounds: Bounds, *, loud: bool = False, secret: bool = True) -> Report:
    """Return what a walk within `bounds` has seen, from a running and from a stopped machine."""
    model = Model(Book(secret=secret), late=bounds.late)
    begin = [
        beginning(operators=bounds.operators, specs=bounds.specs, running=running)
        for running in (True, False)
    ]
    tell = (lambda line: print(line, file=sys.stderr, flush=True)) if loud else (lambda _: None)
    return Walk(model, bounds, tell).run(begin)


def main() -> int:
    """Explore as the command line says. Return 0 where every invariant holds in every state."""
    words = argparse.ArgumentParser(prog="explore", description=__doc__)
    for name, value in Bounds()._asdict().items():
        words.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    bounds = Bounds(**vars(words.parse_args()))
    report = explore(bounds, loud=True)
    print(told(report))
    whole = "all of them" if report.complete else "NOT all of them: the limit was reached"
    print(
        f"\n{report.states} states ({whole}), {report.transitions} transitions, depth "
        f"{report.depth}, {report.resting} at rest, {report.statuses} different records, "
        f"{report.broken} broken, {report.seconds:.0f} s"
    )
    return 0 if report.complete and not report.findings else 1


if __name__ == "__main__":
    sys.exit(main())
