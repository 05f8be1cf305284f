"""One trouble at a time, at every step and for as long as it takes; and two operators at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.simulation.schedule import Schedule, played
from tests.simulation.stories import REPLACEMENT, SECRET, UNPAID, Story, tell, thinned
from tests.simulation.troubles import TURNS, Cut, Trouble, Turn
from tests.support.world import SYSTEM, World, run

MOMENTS = {
    "before-the-plan": 0.2,
    "at-the-intent": 0.455,
    "stopping": 1.5,
    "replacing": 3.15,
    "verifying": 4.5,
    "starting": 7.0,
    "at-rest": 20.0,
}
AN_HOUR = 4000.0
LASTING = (
    *("the machine is stuck", "there is no stock", "ECS is down", "ECS fails"),
    *("ECS throttles starts", "Kubernetes is down", "writes of status conflict"),
    *("the access key is wrong", "the instances are revoked", "the namespace is revoked"),
    *("the account is deleted and made again", "the spec is deleted and made again"),
    *("a security lock", "a financial lock", "the watch is deaf", "an operator is frozen"),
)

LOOKS = (
    *("DescribeInstances", "DescribeDisks", "DescribeImages", "DescribeTasks"),
    *("DescribeDiskEncryptionByDefaultStatus", "DescribeSnapshots", "DescribeAvailableResource"),
)


def _with(*troubles: Trouble, until: float, operators: int = 1, password: bool = False) -> World:
    return played(Schedule(0, 1, password, operators, until, troubles), checked=True)


def _each(names: Sequence[str], moments: Sequence[str], every: int) -> list[tuple[str, str]]:
    """Return all names, each at some of the moments, and all moments."""
    return [(n, m) for turn, n in enumerate(names) for m in thinned(moments, turn, every)]


@pytest.mark.parametrize(("name", "moment"), _each(sorted(TURNS), [*MOMENTS], every=3))
def test_a_machine_is_given_back_whatever_happens_at_any_step(name: str, moment: str) -> None:
    password = name == "the login Secret is rotated"
    world = _with(Turn(MOMENTS[moment], name, 45.0), until=60.0, password=password)
    assert world.happened[name] == 1


@pytest.mark.parametrize(
    ("name", "moment"),
    _each(LASTING, ["at-the-intent", "stopping", "replacing", "starting"], every=2),
)
def test_what_lasts_for_an_hour_is_waited_out(name: str, moment: str) -> None:
    world = _with(Turn(MOMENTS[moment], name, AN_HOUR), until=AN_HOUR + 10.0)
    assert world.happened[name] == 1


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("story", [REPLACEMENT, SECRET, UNPAID], ids=str)
@pytest.mark.parametrize("verb", ["StopInstance", "ReplaceSystemDisk", "StartInstance"])
@pytest.mark.parametrize("seconds", [3.0, 30.0, 300.0])
def test_one_of_two_operators_is_frozen_at_its_call_and_the_other_finishes(
    seconds: float, verb: str, story: Story, side: Side
) -> None:
    once = _Once(verb, side, Blow(Kind.FROZEN, seconds))
    world = tell_of_two(story, once)
    assert once.struck
    assert world.vm().status == "Running", world.judge.told("a machine is left stopped")
    assert world.replaced() == story.replaced, world.judge.told("not replaced once")


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("after", [0.0, 100.0])
def test_a_stop_that_comes_true_after_its_object_is_gone_is_made_good(
    side: Side, after: float
) -> None:
    """Frozen at its stop for longer than the other one needs, and until the spec is deleted."""

    async def story(world: World) -> None:
        await REPLACEMENT.begin(world)
        await world.until("the other one has finished", lambda: REPLACEMENT.ended(world))
        world.later(after, world.delete)
        deadline = world.now + 700.0
        await world.until("everybody moves again", lambda: world.now >= deadline, 800.0)
        assert world.object() is None
        assert world.vm().status == "Running", world.judge.told("a machine is left stopped")
        assert world.replaced() == 1

    once = _Once("StopInstance", side, Blow(Kind.FROZEN, 300.0))
    run(story, operators=2, meddler=once)
    assert once.struck


class _Once:
    """Strikes the first call of a verb."""

    def __init__(self, verb: str, side: Side, blow: Blow) -> None:
        self._verb, self._side, self._blow = verb, side, blow
        self.struck = False

    def __call__(self, call: Call, side: Side) -> Blow | None:
        if self.struck or (call.verb, side) != (self._verb, self._side):
            return None
        self.struck = True
        return self._blow


def tell_of_two(story: Story, meddler: _Once) -> World:
    """Tell a story to two operators; wait until the frozen one has moved again, and a while."""

    async def told(world: World) -> World:
        await story.begin(world)
        deadline = world.now + 700.0
        await world.until("everybody moves again", lambda: world.now >= deadline, 800.0)
        await world.until(str(story), lambda: story.ended(world))
        return world

    return run(told, operators=2, meddler=meddler)


@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize("story", [REPLACEMENT, UNPAID], ids=str)
def test_a_conflict_on_every_few_writes_delays_and_nothing_more(story: Story, every: int) -> None:
    writes = 0

    def meddler(call: Call, side: Side) -> Blow | None:
        nonlocal writes
        if side == "before" and call.verb == "patch_status systemdiskspecs":
            writes += 1
            if writes % every == 0:
                return Blow(Kind.REFUSED, 0.0, "Conflict", 409)
        return None

    tell(story, meddler)
    assert writes > every


def test_an_intent_that_conflicts_again_and_again_is_one_first_sight() -> None:
    conflicts = 0

    async def story(world: World) -> World:
        def storm(call: Call, side: Side) -> Blow | None:
            nonlocal conflicts
            intent = call.verb == "patch_status systemdiskspecs" and first_sights(world) > 0
            if side == "after" or not intent or conflicts == 15:
                return None
            conflicts += 1
            return Blow(Kind.REFUSED, 0.0, "Conflict", 409)

        world.storms.append(storm)
        world.traffic.meddler = world.weather
        return await REPLACEMENT.tell(world)

    world = run(story)
    assert (conflicts, first_sights(world)) == (15, 1)


def first_sights(world: World) -> int:
    """Return how many the account has counted."""
    status = world.account().get("status", {})
    return int(status.get("firstSight", {}).get("begun", 0))


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("password", [False, True])
def test_an_outcome_that_stays_unknown_for_over_an_hour_is_found_out(
    side: Side, password: bool
) -> None:
    """No answer for two hours, and then the Secret is another one."""
    cuts = [Cut("ReplaceSystemDisk", n, side, Blow(Kind.LOST, 10.0)) for n in range(1, 200)]
    rotated = Turn(1800.0, "the login Secret is rotated")
    world = _with(*cuts, rotated, until=2 * 3600.0, password=password)
    assert world.vm().image_id == world.image()
    assert world.replaced() == 1


@pytest.mark.parametrize(
    "troubles",
    [
        pytest.param(
            (Cut("StopInstance", 1, "before", Blow(Kind.LATE, 30.0)),),
            id="a stop that nobody waits for any more comes true after the end",
        ),
        pytest.param(
            (
                Cut("StopInstance", 1, "before", Blow(Kind.LATE, 55.0)),
                Turn(1.0, "an operator is killed"),
            ),
            id="a stop comes true late, and who sent it is gone",
        ),
        pytest.param(
            (
                Cut("patch_metadata systemdiskspecs", 1, "before", Blow(Kind.FROZEN, 8.0)),
                Turn(1.7, "the namespace is revoked", 16.0),
            ),
            id="a grant goes while a pass stands still",
        ),
        pytest.param(
            (
                Turn(0.1, "the watch is deaf", 6000.0),
                Turn(0.33, "the account is deleted and made again", 18.0),
            ),
            id="an account is made anew and nobody is told",
        ),
    ],
)
def test_what_schedules_once_found_does_not_come_back(troubles: tuple[Trouble, ...]) -> None:
    _with(*troubles, until=60.0)


def test_two_operators_that_fail_alike_do_not_write_over_each_others_words() -> None:
    """Each failed check has its own request ID: they wrote 20 000 times in a minute."""
    frozen = Cut("patch_metadata ecsaccounts", 2, "before", Blow(Kind.FROZEN, 8.0))
    world = _with(frozen, Turn(8.0, "ECS fails", 56.0), until=70.0, operators=2)
    writes = [call for call in world.traffic.log if call.verb == "patch_status ecsaccounts"]
    assert len(writes) < 60


def test_a_grant_that_goes_unheard_is_missed_by_no_write() -> None:
    throttled = Cut("CreateSnapshot", 1, "after", Blow(Kind.REFUSED, 0.0, "Throttling.User", 400))
    deaf, revoked = Turn(0.36, "the watch is deaf", 85.0), Turn(4.0, "the namespace is revoked", 80)
    troubles = (throttled, deaf, revoked)
    world = played(Schedule(0, 0, False, 1, 90.0, troubles, backup=True), checked=True)
    sent = [call.at for call in world.traffic.log if call.verb == "CreateSnapshot"]
    assert not any(4.0 < at < 84.0 for at in sent)


@pytest.mark.parametrize(
    ("secret", "reason", "says"),
    [(None, "Verified", "not known"), ("wrong", "CredentialsInvalid", "SignatureDoesNotMatch")],
)
def test_an_account_is_judged_by_ecs_where_sts_cannot_be_reached(
    secret: str | None, reason: str, says: str
) -> None:
    async def story(world: World) -> None:
        world.cloud.faults.drop("GetCallerIdentity", "before", times=100_000)
        if secret is not None:
            world.put_secret(SYSTEM, "ecs-credentials", accessKeySecret=secret)
        world.apply(instanceId=world.vm().id, imageId=world.image())
        await world.until("judged", lambda: "conditions" in world.account().get("status", {}))
        ready = next(iter(world.account()["status"]["conditions"]))
        assert ready["reason"] == reason
        assert says in ready["message"]
        if secret is None:
            await world.until("ready", world.is_ready)

    run(story)


def test_a_check_of_the_account_is_not_answered_from_memory() -> None:
    async def story(world: World) -> None:
        world.apply(instanceId=world.vm().id, imageId=world.image())
        await world.until("ready", world.is_ready)
        for action in LOOKS:
            world.cloud.faults.drop(action, "before", times=100_000)
        world.edit({"spec": {"size": 80}})
        await world.until("told", lambda: world.ready()["reason"] == "AccountNotReady", 20)
        ready = next(iter(world.account()["status"]["conditions"]))
        assert ready["reason"] == "Unreachable"

    run(story)
