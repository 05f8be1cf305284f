"""`python -m tests.simulation SEED` replays one schedule; `--seeds N` plays N on all cores."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.schedule import WRITES, failure, played, schedule, shrunk

CHUNK = 100
SHOWN = 5


@dataclass(slots=True)
class Tally:
    """What many schedules met. `cells` counts (write, what befell it)."""

    schedules: int = 0
    replaced: int = 0
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another process counted."""
        self.schedules += other.schedules
        self.replaced += other.replaced
        self.cells.update(other.cells)
        self.turns.update(other.turns)
        self.broken += other.broken


def play_some(first: int, last: int) -> Tally:
    """Return what the schedules of the seeds from `first` up to `last`, without it, met."""
    logging.disable(logging.CRITICAL)
    tally = Tally()
    for seed in range(first, last):
        tally.schedules += 1
        try:
            world = played(schedule(seed))
        except Exception:
            tally.broken.append(seed)
            continue
        tally.replaced += bool(world.cloud.effects_of("replacement_accepted"))
        tally.turns.update(world.happened)
        for call, side, blow in world.traffic.struck:
            if call.verb in WRITES:
                tally.cells[call.verb, f"{blow.kind} {side}"] += 1
    return tally


def play_many(first: int, count: int, processes: int | None = None) -> Tally:
    """Return what `count` schedules met, played in as many processes as there are cores."""
    starts = range(first, first + count, CHUNK)
    ends = [min(start + CHUNK, first + count) for start in starts]
    total = Tally()
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for part in pool.map(play_some, starts, ends):
            total.add(part)
    return total


def table(tally: Tally) -> str:
    """Return the table of what befell each write, and how often."""
    kinds = sorted({kind for _, kind in tally.cells})
    wide = max(map(len, WRITES))
    lines = [" " * wide + " ".join(f"{kind:>14}" for kind in kinds)]
    for verb in WRITES:
        cells = " ".join(f"{tally.cells[verb, kind]:>14}" for kind in kinds)
        lines.append(f"{verb:<{wide}}{cells}")
    lines += ["", *(f"{times:>8}  {name}" for name, times in sorted(tally.turns.items()))]
    return "\n".join(lines)


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
    tally = play_many(given.first, given.seeds)
    seconds = time.perf_counter() - began
    print(table(tally))
    print(
        f"\n{tally.schedules} schedules in {seconds:.0f} s; in {tally.replaced} a disk was replaced"
    )
    if not tally.broken:
        return 0
    print(f"broken: {len(tally.broken)}; replay with: python -m tests.simulation SEED")
    for seed in tally.broken[:SHOWN]:
        print(f"  {seed}: {(failure(schedule(seed)) or '').partition(chr(10))[0]}")
    print(f"  seeds: {tally.broken[:50]}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
