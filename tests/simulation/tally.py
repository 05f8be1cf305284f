"""What many schedules met, counted; and the processes that play them."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from sysdisk.sandbox.sim_calls import Kind
from tests.simulation.classes import CLASSES
from tests.simulation.schedule import SIDES, WRITES, played, schedule

CHUNK: Final = 100
KEPT: Final = 1000
"""So many broken seeds are kept by name."""
COLUMNS: Final = (*(f"{kind} {side}" for kind in Kind for side in SIDES), *CLASSES)


@dataclass(slots=True)
class Tally:
    """What many schedules met. `cells` counts (write, what befell it).

    `effective`: in how many a replacement was accepted, and a fault fell between an intent to stop
    and its Finish.
    """

    schedules: int = 0
    replaced: int = 0
    effective: int = 0
    failures: int = 0
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another process counted."""
        self.schedules += other.schedules
        self.replaced += other.replaced
        self.effective += other.effective
        self.failures += other.failures
        self.cells.update(other.cells)
        self.turns.update(other.turns)
        self.broken = sorted([*self.broken, *other.broken])[:KEPT]

    def least(self) -> tuple[int, str, str]:
        """Return the smallest cell: its count, the write, and what befell it."""
        return min((self.cells[verb, kind], verb, kind) for verb in WRITES for kind in COLUMNS)


def play_some(first: int, last: int) -> Tally:
    """Return what the schedules of the seeds from `first` up to `last`, without it, met."""
    tally = Tally()
    for seed in range(first, last):
        tally.schedules += 1
        try:
            world = played(schedule(seed))
        except Exception:
            tally.failures += 1
            tally.broken.append(seed)
            continue
        accepted = bool(world.cloud.effects_of("replacement_accepted"))
        tally.replaced += accepted
        tally.effective += accepted and world.judge.struck_at_work > 0
        tally.turns.update(world.happened)
        tally.cells.update(world.classes)
        for call, side, blow in world.traffic.struck:
            if call.verb in WRITES:
                tally.cells[call.verb, f"{blow.kind} {side}"] += 1
    return tally


def settle() -> None:
    """Make this process ready to play many: quiet, warm, and seldom collecting what is garbage."""
    logging.disable(logging.CRITICAL)
    played(schedule(0))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def play_many(
    first: int,
    count: int,
    processes: int | None = None,
    on_part: Callable[[Tally], None] = lambda _so_far: None,
) -> Tally:
    """Return what `count` schedules met, played in as many processes as there are cores.

    `on_part` is told what was counted so far. A process is replaced after 10 000 schedules.
    """
    total = Tally()
    with ProcessPoolExecutor(
        processes or os.cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=settle,
        max_tasks_per_child=100,
    ) as pool:
        for part in _in_turn(pool, first, first + count, 4 * (processes or os.cpu_count() or 1)):
            total.add(part)
            on_part(total)
    return total


def _in_turn(pool: ProcessPoolExecutor, first: int, end: int, ahead: int) -> Iterator[Tally]:
    """Yield the parts in order, with no more than `ahead` of them asked for at a time."""
    waiting: list[Future[Tally]] = []
    for start in range(first, end, CHUNK):
        waiting.append(pool.submit(play_some, start, min(start + CHUNK, end)))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for part in waiting:
        yield part.result()


class Progress:
    """Says on stderr how far it is, every half minute."""

    def __init__(self, count: int, every: float = 30.0) -> None:
        self._count = count
        self._every = every
        self._began = self._said = time.monotonic()

    def __call__(self, so_far: Tally) -> None:
        now = time.monotonic()
        if now - self._said < self._every:
            return
        self._said = now
        left = (now - self._began) * (self._count / so_far.schedules - 1)
        print(
            f"{so_far.schedules} of {self._count} schedules, {so_far.failures} broken, "
            f"about {left / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )


def table(tally: Tally) -> str:
    """Return, as Markdown, the table of what befell each write and how often; then the turns."""
    lines = [
        "| write | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " ---: |" * len(COLUMNS),
        *(
            f"| {verb} | " + " | ".join(str(tally.cells[verb, kind]) for kind in COLUMNS) + " |"
            for verb in WRITES
        ),
        "",
        *(f"{times:>8}  {name}" for name, times in sorted(tally.turns.items())),
    ]
    return "\n".join(lines)
