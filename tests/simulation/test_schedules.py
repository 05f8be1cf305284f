"""Seeded schedules of many troubles: the invariants hold at every moment, and rest is reached."""

from __future__ import annotations

import os

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


def test_a_schedule_is_played_the_same_way_every_time() -> None:
    first, second = played(schedule(12)), played(schedule(12))
    assert first.judge.chronicle == second.judge.chronicle
    assert [str(call) for call in first.traffic.log] != []
