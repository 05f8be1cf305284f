"""Seeded schedules of many troubles: the invariants hold at every moment, and rest is reached."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.__main__ import replay_text
from tests.simulation.schedule import CELLS, played, schedule
from tests.simulation.tally import Tally, play_many

SEEDS = int(os.environ.get("SIMULATE_SEEDS", "10000"))
CELL_AT_LEAST = 50 * SEEDS // 10_000
EFFECTIVE_AT_LEAST = 0.8


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What all schedules met, played in as many processes as there are cores."""
    return play_many(0, SEEDS)


@pytest.mark.timeout(3600)
def test_every_schedule_holds(tally: Tally) -> None:
    assert tally.schedules == SEEDS
    told = (f"python -m tests.simulation {s}\n{replay_text(s)}" for s in tally.broken[:2])
    assert not tally.failures, "\n".join([f"broken: {tally.broken[:50]}", *told])


@pytest.mark.timeout(3600)
@pytest.mark.skipif(10 * len(CELLS) > SEEDS, reason="too few schedules to say")
def test_every_kind_of_fault_strikes_every_write(tally: Tally) -> None:
    least, verb, befell = tally.least()
    assert least >= CELL_AT_LEAST, f"{verb}, {befell}: {least} times"


@pytest.mark.timeout(3600)
def test_most_schedules_break_into_a_replacement(tally: Tally) -> None:
    assert tally.effective >= EFFECTIVE_AT_LEAST * tally.schedules


def test_a_seed_gives_the_same_schedule_every_time() -> None:
    assert [schedule(seed) for seed in range(50)] == [schedule(seed) for seed in range(50)]


def test_a_schedule_is_played_the_same_way_whatever_the_hashes_of_a_process() -> None:
    ask = (
        "from tests.simulation.schedule import played, schedule;"
        "print(*played(schedule(4)).judge.chronicle, sep='\\n')"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", ask],
            env={
                **os.environ,
                "PYTHONHASHSEED": hashes,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert told[0] == told[1] != ""


def test_a_schedule_is_played_the_same_way_every_time() -> None:
    first, second = played(schedule(12)), played(schedule(12))
    assert first.judge.chronicle == second.judge.chronicle
    assert [str(call) for call in first.traffic.log] != []
