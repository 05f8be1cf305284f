"""Every call of a story is cut, one at a time, before and after its effect (I1, I2, I3, I8)."""

from __future__ import annotations

from collections import Counter

import pytest

from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.simulation.stories import (
    POLICY,
    REPLACEMENT,
    SECRET,
    STORIES,
    UNPAID,
    Story,
    calls_of,
    tell,
    telling_calls,
)

CUTS = {
    "no-answer": lambda side: Blow(Kind.LOST, 0.0 if side == "before" else 10.0),
    "killed": lambda side: Blow(Kind.KILLED),
}


class Cut:
    """Strikes one call, by its number."""

    def __init__(self, number: int, side: Side, how: str) -> None:
        self._number, self._side, self._how = number, side, how

    def __call__(self, call: Call, side: Side) -> Blow | None:
        if (call.number, side) != (self._number, self._side):
            return None
        return CUTS[self._how](side)


def _every_call() -> list[object]:
    return [
        pytest.param(story, call.number, id=f"{story}-{call.number}-{call.verb.replace(' ', '-')}")
        for story in STORIES
        for call in (calls_of if story in (REPLACEMENT, UNPAID) else telling_calls)(story)
    ]


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(("story", "number"), _every_call())
def test_a_story_ends_as_it_must_whichever_call_is_cut(
    story: Story, number: int, side: Side, how: str
) -> None:
    world = tell(story, Cut(number, side, how))
    assert [blow.kind for _, _, blow in world.traffic.struck] == [CUTS[how](side).kind]


@pytest.mark.parametrize(
    ("story", "writes"),
    [
        (REPLACEMENT, ["StopInstance", "ReplaceSystemDisk", "StartInstance"]),
        (SECRET, ["StopInstance", "ReplaceSystemDisk", "StartInstance"]),
        (UNPAID, ["StopInstance", "ReplaceSystemDisk", "StartInstance"]),
        (
            POLICY,
            ["StopInstance", "ReplaceSystemDisk", "StartInstance", "ApplyAutoSnapshotPolicy"],
        ),
    ],
    ids=str,
)
def test_without_faults_each_write_to_ecs_is_sent_once(story: Story, writes: list[str]) -> None:
    assert tell(story).ecs_writes() == writes


def test_without_faults_a_replacement_takes_eight_writes_on_the_spec() -> None:
    world = tell(REPLACEMENT)
    writes = Counter(
        call.verb for call in world.traffic.log if call.write and call.subject == "shop/web-1"
    )
    assert writes == {"patch_status systemdiskspecs": 6, "patch_metadata systemdiskspecs": 2}


def test_what_is_cut_is_every_call_that_an_operator_makes() -> None:
    verbs = {call.verb for story in STORIES for call in calls_of(story)}
    assert verbs >= {
        *("StopInstance", "ReplaceSystemDisk", "StartInstance", "ApplyAutoSnapshotPolicy"),
        *("patch_status systemdiskspecs", "patch_metadata systemdiskspecs", "create events"),
        *("patch_status ecsaccounts", "patch_metadata ecsaccounts", "read secrets"),
    }
