"""Seeded schedules of many troubles: the invariants hold at every moment, and rest is reached."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.__main__ import play_some, replay_text
from tests.simulation.schedule import played, schedule

CHUNK = 25
SEEDS = int(os.environ.get("SIMULATE_SEEDS", "600"))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_schedule_holds(first: int) -> None:
    tally = play_some(first, first + CHUNK)
    assert not tally.broken, "\n".join(replay_text(seed) for seed in tally.broken[:2])
    assert tally.replaced >= 0.8 * tally.schedules


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
