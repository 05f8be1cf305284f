"""How soon a step is looked at again."""

from __future__ import annotations

from datetime import timedelta

from sysdisk.controllers.pace import Pace

POLL = timedelta(seconds=3)


def test_a_backup_that_takes_long_is_looked_at_seldom_and_other_steps_often() -> None:
    pace = Pace(POLL, lambda: 0.0)
    assert pace.pause("Verify", 1200, 1) <= POLL
    assert 9 * POLL <= pace.pause("Backup", 1200, 1) <= 10 * POLL


def test_a_backup_whose_time_is_known_is_looked_at_when_it_is_nearly_due() -> None:
    pace = Pace(POLL, lambda: 0.0)
    pace.learn("Backup", 1000)
    assert pace.pause("Backup", 100, 1) == 10 * POLL
    assert pace.pause("Backup", 790, 1) == timedelta(seconds=9.9)
    assert pace.pause("Backup", 801, 1) < timedelta(seconds=1)
