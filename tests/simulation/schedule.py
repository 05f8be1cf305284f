"""Seeded schedules: any number of troubles of every kind at any time, and what must hold after."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Final

from sysdisk.sandbox.sim_calls import Blow, Kind, Side
from tests.simulation.classes import STALE, UNOBSERVED
from tests.simulation.troubles import (
    CHANGES,
    PASSWORDS,
    TURNS,
    Cut,
    Meanwhile,
    Trouble,
    Troubles,
    Turn,
)
from tests.support.world import BRISK, HASTY, TEAM, World, run

BEGINNING: Final = 5.0
"""Seconds in which a story without trouble is over: most troubles fall there."""
AT_WORK: Final = (0.4, 2.3)
"""When the machine is worked on in such a story, in seconds."""
QUIET: Final = 400.0
"""Seconds at rest in which nothing may be written: a look, a listing."""
LOOKED: Final = 340.0
"""Seconds in which everything at rest is looked at once more: the interval and its jitter."""
CONVERGES: Final = 6 * 3600.0
"""Seconds from the end of all trouble to rest: a token's life, the watch after it, three rounds of
giving back and the rests between them."""

RESTS: Final = frozenset(
    {
        *("UpToDate", "LoginPending", "Drifted", "PlanSpent", "BackupFailed"),
        *("BrakePulled", "FirstSightLimited"),
    }
)
WRITES: Final[dict[str, int]] = {
    "CreateSnapshot": 1,
    "StopInstance": 2,
    "ReplaceSystemDisk": 3,
    "StartInstance": 2,
    "ApplyAutoSnapshotPolicy": 1,
    "patch_status systemdiskspecs": 9,
    "patch_metadata systemdiskspecs": 2,
    "patch_status ecsaccounts": 3,
    "patch_metadata ecsaccounts": 2,
    "create events": 4,
}
"""The verbs that are cut, and how many calls of each a short story has."""
READS: Final[dict[str, int]] = {
    "DescribeInstances": 30,
    "DescribeDisks": 15,
    "DescribeImages": 1,
    "read secrets": 3,
    "GetCallerIdentity": 2,
}
SAFE_TO_CUT: Final[dict[str, int]] = {
    "StopInstance": 1,
    "ReplaceSystemDisk": 1,
    "StartInstance": 1,
    "patch_status systemdiskspecs": 4,
}
"""Calls between the intent to stop and `Finish`, and how many of each there are at least."""
REFUSALS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "CreateSnapshot": (("Throttling.User", 400), ("InternalError", 500)),
    "StopInstance": (("Throttling.User", 400), ("InternalError", 500)),
    "ReplaceSystemDisk": (
        ("Throttling.User", 400),
        ("InternalError", 500),
        ("LastTokenProcessing", 403),
        ("IdempotentParameterMismatch", 400),
        ("IncorrectInstanceStatus", 403),
        ("InvalidOperation.UnpaidOrder", 403),
        ("ServiceUnavailable", 503),
    ),
    "StartInstance": (
        ("Throttling.User", 400),
        ("InternalError", 500),
        ("OperationDenied.NoStock", 403),
    ),
    "ApplyAutoSnapshotPolicy": (("Throttling.User", 400), ("InternalError", 500)),
}
SIDES: Final[tuple[Side, ...]] = ("before", "after")
CHANGES_OF: Final = {
    UNOBSERVED: [name for name in CHANGES if "and resumed" in name],
    STALE: [name for name in CHANGES if "and resumed" not in name],
}
CELLS: Final = [
    (verb, befalls)
    for verb in (*WRITES, "CreateSnapshot", "ApplyAutoSnapshotPolicy")
    for befalls in (
        *(f"{kind} {side}" for kind in Kind for side in SIDES),
        *2 * (STALE, UNOBSERVED),
    )
]
"""What can befall each write: a kind of blow on one side of its effect, or a class of `classes`.

What few stories have stands in it twice: two of the writes, and two of the classes.
"""
KUBE_REFUSALS: Final = (("Conflict", 409), ("InternalError", 500), ("TooManyRequests", 429))


@dataclass(frozen=True, slots=True)
class Schedule:
    """One story: the machine and the login, the second operator, and the troubles.

    `backup`: one is asked for. `hasty`: the cloud is quicker than in other stories.
    """

    seed: int
    vm: int
    password: bool
    operators: int
    until: float
    troubles: tuple[Trouble, ...]
    backup: bool = False
    hasty: bool = False

    def __str__(self) -> str:
        login = "a password from a Secret" if self.password else "no login"
        saved = ", a backup" if self.backup else ""
        head = f"seed {self.seed}: instance {self.vm}, {login}{saved}, {self.operators} operators"
        return "\n  ".join([head, *map(str, self.troubles)])


def schedule(seed: int) -> Schedule:
    """Return the schedule of `seed`: the same one every time, on every machine.

    Seeds that follow each other go through all cells of the table of what can befall a write: the
    first trouble is of that cell, one or two fall while the machine is worked on, the others are
    drawn.
    """
    chance = random.Random(seed)
    verb, befalls = CELLS[seed % len(CELLS)]
    number = chance.choice((0, 0, 0, 0, 1, 1, 2, 3, 4, 7))
    long = chance.random() < 0.06
    until = chance.uniform(600.0, 7200.0) if long else chance.uniform(BEGINNING, 90.0)
    return Schedule(
        seed=seed,
        vm=0 if verb == "ApplyAutoSnapshotPolicy" else chance.choice((0, 1, 1, 1)),
        password=chance.random() < 0.25,
        operators=2 if chance.random() < 0.15 else 1,
        until=until,
        troubles=(
            _of_cell(chance, verb, befalls),
            *(_at_work(chance) for _ in range(chance.choice((1, 2)))),
            *(_trouble(chance, until) for _ in range(number)),
        ),
        backup=verb == "CreateSnapshot" or chance.random() < 0.15,
        hasty=chance.random() < 0.9,
    )


def _of_cell(chance: random.Random, verb: str, befalls: str) -> Trouble:
    nth = (
        1
        if befalls in (STALE, UNOBSERVED) or chance.random() < 0.7
        else chance.randint(1, WRITES[verb])
    )
    if befalls in (STALE, UNOBSERVED):
        whose = "the account" if verb.endswith(" ecsaccounts") else "the spec"
        changes = [change for change in CHANGES_OF[befalls] if change.startswith(whose)]
        if befalls == STALE and whose == "the spec":
            changes.append("another image is wanted, unheard")
        change = chance.choice(changes)
        return Meanwhile(verb, nth, change, chance.choice((0.5, 1.0, 5.0)))
    kind, _, where = befalls.partition(" ")
    side: Side = "before" if where == "before" else "after"
    return Cut(verb, nth, side, _blow(chance, verb, Kind(kind)))


def _at_work(chance: random.Random) -> Trouble:
    """Return a trouble that falls between the intent to stop and `Finish`."""
    if chance.random() < 0.2:
        at = chance.uniform(*AT_WORK)
        lasting = chance.choice((0.5, 2.0, 5.0, 15.0)) * chance.uniform(0.5, 1.5)
        return Turn(round(at, 2), chance.choice(sorted(TURNS)), round(lasting, 2))
    verb = chance.choice(sorted(SAFE_TO_CUT))
    side: Side = chance.choice(SIDES)
    nth = chance.randint(1, SAFE_TO_CUT[verb])
    if verb.startswith("patch_status"):
        nth += 1  # the first one is the intent itself
    return Cut(verb, nth, side, _blow(chance, verb, chance.choice(tuple(Kind))))


def _trouble(chance: random.Random, until: float) -> Trouble:
    if chance.random() < 0.55:
        return _cut(chance)
    at = chance.uniform(0.0, BEGINNING if chance.random() < 0.8 else until)
    lasting = chance.choice((0.5, 2.0, 5.0, 15.0, 60.0, 700.0, until)) * chance.uniform(0.5, 1.5)
    return Turn(round(at, 2), chance.choice(sorted(TURNS)), round(lasting, 2))


def _cut(chance: random.Random) -> Cut:
    verbs = WRITES if chance.random() < 0.85 else READS
    verb = chance.choice(sorted(verbs))
    side: Side = chance.choice(SIDES)
    kind = chance.choice(tuple(Kind))
    return Cut(verb, chance.randint(1, verbs[verb]), side, _blow(chance, verb, kind))


def _blow(chance: random.Random, verb: str, kind: Kind) -> Blow:
    match kind:
        case Kind.REFUSED:
            code, http = chance.choice(REFUSALS.get(verb, KUBE_REFUSALS))
            return Blow(kind, 0.0, code, http)
        case Kind.LOST:
            return Blow(kind, chance.choice((0.0, 10.0)))
        case Kind.LATE:
            return Blow(kind, chance.choice((1.0, 14.0, 30.0)))
        case Kind.HELD:
            return Blow(kind, chance.choice((0.5, 4.0, 9.0)))
        case Kind.FROZEN:
            return Blow(kind, chance.choice((3.0, 8.0, 60.0, 300.0)))
        case Kind.KILLED:
            return Blow(kind)


async def play(schedule: Schedule, world: World) -> World:
    """Play `schedule` to its end and on to rest; return the world. AssertionError: it broke."""
    world.aim(schedule.vm)
    world.judge.keep_secret(world.seeded.key.secret)
    spec: dict[str, Any] = {}
    if schedule.password:
        for password in PASSWORDS:
            world.judge.keep_secret(password)
        spec = {"login": {"passwordSecretRef": {"name": "login", "key": "password"}}}
    if schedule.backup:
        spec["backup"] = {"enabled": True, "retentionDays": 3}
    world.put_secret(TEAM, "login", password=PASSWORDS[0])
    troubles = Troubles(world, schedule.troubles)
    troubles.begin()
    world.apply(instanceId=world.target().id, imageId=world.image(), **spec)
    deadline = schedule.until
    await world.until("the troubles are over", lambda: world.now >= deadline, deadline + 60.0)
    troubles.over()
    looked = world.now + LOOKED
    await world.until("a look at everything", lambda: world.now >= looked, LOOKED + 60.0)
    await world.until("it comes to rest", lambda: at_rest(world), CONVERGES)
    _judge_the_end(world)
    await _judge_the_quiet(world)
    world.happened, world.classes = troubles.happened, troubles.classes.counted
    return world


def at_rest(world: World) -> bool:
    """Whether nothing is under way any more, and nothing is waited for.

    An account that is deleted is made again when the last operation has let it go: not before.
    """
    account = world.account_if_there()
    if account is None or "deletionTimestamp" in account["metadata"]:
        return False
    return world.rests() and world.ready().get("reason") in RESTS


def _judge_the_end(world: World) -> None:
    vm = world.target()
    told = world.judge.told
    if not world.stopped_by_others:
        assert vm.status == "Running", told("I3: a machine is left stopped")
    reason = world.ready()["reason"]
    wanted = world.object_of()["spec"]["imageId"]
    if reason in ("UpToDate", "LoginPending"):
        assert vm.image_id == wanted, told("I8: Ready, and it runs another image")
        assert world.status()["diskId"] == vm.system_disk_id, told("I8: Ready with another disk")
    elif reason == "Drifted":
        lost = world.status()["settled"].get("lost")
        assert lost or vm.image_id != wanted, told("I8: Drifted, and it runs what is wanted")


async def _judge_the_quiet(world: World) -> None:
    writes, deadline = len(world.ecs_writes()), world.now + QUIET
    on_spec = world.spec_writes()
    await world.until("a quiet time", lambda: world.now >= deadline, QUIET + 60.0)
    assert len(world.ecs_writes()) == writes, world.judge.told("I8: ECS is written at rest")
    assert world.spec_writes() <= on_spec + 1, world.judge.told("I8: the spec is written at rest")


def played(schedule: Schedule, *, checked: bool = False) -> World:
    """Return the world after `schedule`. Raises AssertionError with its story where it broke."""
    return run(
        lambda world: play(schedule, world),
        seed=schedule.seed,
        operators=schedule.operators,
        checked=checked,
        timings=HASTY if schedule.hasty else BRISK,
    )


def failure(schedule: Schedule) -> str | None:
    """Return the story of how `schedule` breaks, None if it does not."""
    try:
        played(schedule)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return None


def shrunk(schedule: Schedule) -> Schedule:
    """Return a schedule that still breaks, and of whose troubles none can be left out."""
    smaller = True
    while smaller:
        smaller = False
        for number in range(len(schedule.troubles)):
            left = schedule.troubles[:number] + schedule.troubles[number + 1 :]
            candidate = replace(schedule, troubles=left)
            if failure(candidate) is not None:
                schedule, smaller = candidate, True
                break
        if not smaller and schedule.operators > 1:
            candidate = replace(schedule, operators=1)
            if failure(candidate) is not None:
                schedule, smaller = candidate, True
    return schedule
