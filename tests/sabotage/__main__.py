"""`python -m tests.sabotage`: apply each wrong change alone, and tell which test caught it."""

from __future__ import annotations

import argparse
import sys

from tests.sabotage.change import Change
from tests.sabotage.table import CHANGES
from tests.sabotage.trial import Trial, Verdict, trials


def chosen(names: list[str]) -> list[Change]:
    """Return the changes whose name holds one of `names`; all where there is none."""
    found = [c for c in CHANGES if not names or any(name in c.name for name in names)]
    if not found:
        raise SystemExit(f"no change is named like {', '.join(names)}; see --list")
    return found


def told(trial: Trial) -> str:
    """Return one line, or for what failed a few, about a trial."""
    head = f"{trial.verdict:11} {trial.change.name} ({trial.seconds:.0f} s)"
    if trial.verdict is Verdict.CAUGHT:
        return f"{head}: {trial.by}"
    if trial.verdict is Verdict.SURVIVED:
        return f"{head}\n    attacks {'; '.join(trial.change.attacks)}\n    in {trial.change.file}"
    return f"{head}\n    {trial.told}"


def summary(ended: list[Trial]) -> str:
    """Return how many were caught, and by which tests."""
    caught = [trial for trial in ended if trial.verdict is Verdict.CAUGHT]
    by: dict[str, int] = {}
    for trial in caught:
        folder = "/".join(trial.by.split("::")[0].split("/")[:-1])
        by[folder] = by.get(folder, 0) + 1
    rows = [f"  {count:3} by {folder}" for folder, count in sorted(by.items())]
    return "\n".join([f"{len(caught)} of {len(ended)} caught", *rows])


def main() -> int:
    """Try what the command line chooses. Return 0 where every change is caught."""
    words = argparse.ArgumentParser(prog="sabotage", description=__doc__)
    words.add_argument("names", nargs="*", help="parts of the names of changes; none: all")
    words.add_argument("--jobs", type=int, default=2, choices=(1, 2), help="trials at once")
    words.add_argument("--list", action="store_true", help="list the changes and end")
    asked = words.parse_args()
    changes = chosen(asked.names)
    if asked.list:
        for change in changes:
            print(f"{change.name:36} {change.file:44} {'; '.join(change.attacks)}")
        return 0
    ended: list[Trial] = []
    for trial in trials(changes, asked.jobs):
        print(told(trial), flush=True)
        ended.append(trial)
    print(summary(ended))
    return 0 if all(trial.verdict is Verdict.CAUGHT for trial in ended) else 1


if __name__ == "__main__":
    sys.exit(main())
