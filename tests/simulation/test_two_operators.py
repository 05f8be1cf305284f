"""Two operators that see different worlds: neither answers each write of the other with its own."""

from __future__ import annotations

from collections import Counter

import pytest

from sysdisk.sandbox.sim_calls import Blow, Kind
from tests.simulation.schedule import Schedule, played
from tests.simulation.troubles import Cut, Trouble, Turn
from tests.support.world import World

WRITES_AT_MOST = 120
"""On one kind, in all of a story: what two calm operators need, and far from what a fight takes."""


HASTY_SEED = 8630
"""Of a story in which the cloud is quicker than in the others."""

TOLD_AT_MOST = 40
"""Writes on one kind, with an outage in it; its counts of specs are written every five minutes."""


def _written(world: World) -> Counter[str]:
    return Counter(call.verb for call in world.traffic.log if call.write and call.api == "kube")


@pytest.mark.parametrize(
    ("seed", "operators", "troubles"),
    [
        pytest.param(
            48,
            1,
            (
                Turn(2.16, "a second operator", 77.37),
                Cut(
                    "patch_status systemdiskspecs",
                    4,
                    "before",
                    Blow(Kind.REFUSED, 0.0, "Conflict", 409),
                ),
                Cut("patch_status ecsaccounts", 1, "before", Blow(Kind.LATE, 30.0)),
                Cut("DescribeInstances", 9, "before", Blow(Kind.LATE, 14.0)),
                Turn(32.17, "the instances are revoked", 5.66),
                Turn(5.62, "the access key is wrong", 75.88),
                Cut("create events", 1, "after", Blow(Kind.FROZEN, 3.0)),
            ),
            id="one has checked the access key before it was wrong, the other after",
        ),
        pytest.param(
            0,
            2,
            (Cut("GetCallerIdentity", 2, "after", Blow(Kind.LOST)),),
            id="one of them got no answer to its first question",
        ),
        pytest.param(
            HASTY_SEED,
            2,
            (
                Cut("read secrets", 2, "before", Blow(Kind.REFUSED, 0.0, "InternalError", 500)),
                Cut(
                    "ReplaceSystemDisk",
                    1,
                    "before",
                    Blow(Kind.REFUSED, 0.0, "IdempotentParameterMismatch", 400),
                ),
                Turn(2.24, "the clock is behind", 3.64),
            ),
            id="one of them cannot read the keys while an outcome is not known",
        ),
    ],
)
def test_two_operators_that_disagree_do_not_write_by_turns(
    seed: int, operators: int, troubles: tuple[Trouble, ...]
) -> None:
    story = Schedule(seed, 0, False, operators, 90.0, troubles, hasty=seed == HASTY_SEED)
    world = played(story, checked=True)
    for verb, times in _written(world).items():
        assert times <= WRITES_AT_MOST, world.judge.told(f"{times} writes: {verb}")
    assert world.is_ready()


@pytest.mark.parametrize("operators", [1, 2])
def test_an_hour_without_ecs_is_told_once_and_not_with_each_request_id(operators: int) -> None:
    outage = (Turn(0.4, "ECS fails", 3600.0),)
    world = played(Schedule(0, 1, False, operators, 3700.0, outage), checked=True)
    written = _written(world)
    assert written["patch_status ecsaccounts"] <= TOLD_AT_MOST, world.judge.told(str(written))
    assert written["patch_status systemdiskspecs"] <= TOLD_AT_MOST, world.judge.told(str(written))
    assert world.is_ready()
