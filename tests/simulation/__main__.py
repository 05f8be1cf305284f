"""`python -m tests.simulation SEED` replays one schedule; `--seeds N` plays N on all cores."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.simulation.schedule import failure, played, schedule, shrunk
from tests.simulation.tally import Progress, play_many, table

SHOWN = 5


def replay(seed: int) -> int:
    """Play one schedule and print its story; if it breaks, as short as it still breaks."""
    logging.disable(logging.CRITICAL)
    told = schedule(seed)
    story = failure(told)
    print(told)
    if story is None:
        print("\n  ".join(["it holds; what happened:", *played(told).judge.chronicle]))
        return 0
    print(story, replay_text(seed), sep="\n\n")
    return 1


def replay_text(seed: int) -> str:
    """Return how the schedule of `seed` breaks, as short as it still does."""
    small = shrunk(schedule(seed))
    return f"shrunk: {small}\n{failure(small)}"


def main(arguments: list[str]) -> int:
    """Return 0 if every schedule held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="replay this one, and shrink it")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return replay(given.seed)
    began = time.perf_counter()
    tally = play_many(given.first, given.seeds, on_part=Progress(given.seeds))
    seconds = time.perf_counter() - began
    print(table(tally))
    least, verb, kind = tally.least()
    print(
        f"\n{tally.schedules} schedules in {seconds:.0f} s; in {tally.replaced} a disk was "
        f"replaced, {tally.effective} of them with a fault in the midst of it\n"
        f"smallest cell: {least} ({verb}, {kind})"
    )
    if not tally.failures:
        return 0
    logging.disable(logging.CRITICAL)
    print(f"broken: {tally.failures}; replay with: python -m tests.simulation SEED")
    for seed in tally.broken[:SHOWN]:
        print(f"  {seed}: {(failure(schedule(seed)) or '').partition(chr(10))[0]}")
    print(f"  seeds: {tally.broken[:50]}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
