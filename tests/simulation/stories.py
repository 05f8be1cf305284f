"""The stories that are told again and again, each time with something else going wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeVar

from sysdisk.sandbox.sim_calls import Call, Meddler, peace
from tests.support.world import PASSWORD, TEAM, World, run

T = TypeVar("T")

FULL: Final = os.environ.get("SIMULATE_FULL") == "1"
"""Whether to play every case; else some are thinned out, and none of a kind is left out."""
QUIET: Final = 11 * 60.0
"""Seconds after the end in which nothing may be written: two looks at rest and a listing."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is set up and applied, and how it must end. `replaced`: how many disks."""

    name: str
    vm: int = 1
    spec: dict[str, Any] = field(default_factory=dict, hash=False)
    before: Callable[[World], None] = lambda world: None
    replaced: int = 1
    reason: str = "UpToDate"

    def __str__(self) -> str:
        return self.name

    async def begin(self, world: World) -> None:
        """Apply the spec."""
        world.judge.keep_secret(world.seeded.key.secret)
        self.before(world)
        world.apply(instanceId=world.vm(self.vm).id, imageId=world.image(), **self.spec)

    def ended(self, world: World) -> bool:
        """Whether it came to rest as it must."""
        return world.rests() and world.ready().get("reason") == self.reason

    async def tell(self, world: World, within: float = 4 * 3600.0) -> World:
        """Tell it to its end, and hold the end to what must be; return the world."""
        await self.begin(world)
        await world.until(f"{self} ends with {self.reason}", lambda: self.ended(world), within)
        self.check(world)
        await quiet(world)
        return world

    def check(self, world: World) -> None:
        """Hold the effects to what was declared."""
        told = world.judge.told(str(self))
        assert world.replaced(self.vm) == self.replaced, told
        assert world.vm(self.vm).status == "Running", told
        assert set(world.judge.begun.values()) == {1}, told
        wanted = world.image() if self.replaced else world.image("ubuntu-22")
        assert world.vm(self.vm).image_id == wanted, told
        disk = world.cloud.disk_of(world.vm(self.vm).id)
        assert world.status()["diskId"] == disk.id, told


async def quiet(world: World) -> None:
    """Watch a world at rest: nothing is written to ECS or on the spec any more (I8)."""
    writes, on_spec, deadline = len(world.ecs_writes()), world.spec_writes(), world.now + QUIET
    await world.until("a quiet time", lambda: world.now >= deadline, QUIET + 60.0)
    told = world.judge.told("nothing is written at rest")
    assert (len(world.ecs_writes()), world.spec_writes()) == (writes, on_spec), told


def _unpaid(world: World) -> None:
    world.cloud.outside.set_instance(world.vm().id, unpaid_order="order")


def _with_password(world: World) -> None:
    world.judge.keep_secret(PASSWORD)
    world.put_secret(TEAM, "login", password=PASSWORD)


REPLACEMENT: Final = Story("replacement")
UNPAID: Final = Story("refused-after-the-stop", before=_unpaid, replaced=0, reason="PlanSpent")
SECRET: Final = Story(
    "password-from-a-secret",
    spec={"login": {"passwordSecretRef": {"name": "login", "key": "password"}}},
    before=_with_password,
)
POLICY: Final = Story("automatic-snapshot-policy", vm=0)
STORIES: Final = (REPLACEMENT, UNPAID, SECRET, POLICY)


@cache
def calls_of(story: Story) -> tuple[Call, ...]:
    """Return the calls of `story` when nothing goes wrong, from its apply to its end."""
    found: list[Call] = []

    async def told(world: World) -> None:
        await story.begin(world)
        await world.until(str(story), lambda: story.ended(world))
        found.extend(world.traffic.log)

    run(told)
    return tuple(found)


def telling_calls(story: Story) -> tuple[Call, ...]:
    """Return the calls to cut: the first of each verb, all writes, of other reads every fourth."""
    calls = calls_of(story)
    first = {call.verb: call.number for call in reversed(calls)}.values()
    return tuple(c for c in calls if FULL or c.write or c.number in first or c.number % 4 == 0)


def thinned(cases: Sequence[T], turn: int, every: int) -> Sequence[T]:
    """Return every so-manieth case, from another one on in each `turn`; with `FULL` all."""
    return cases if FULL else cases[turn % every :: every]


def tell(story: Story, meddler: Meddler = peace, **settings: Any) -> World:
    """Tell `story` in a world of its own; return that world after its end."""
    return run(story.tell, meddler=meddler, **settings)
