"""Every row of ReplaceSystemDisk's error table, answered after the stop: what is told and done.

A row comes either from the state of the world, changed while the machine was stopping, or is put
into the mouth of the cloud; the operator cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from sysdisk.ecs.catalog import Entry, ErrorClass, catalog
from sysdisk.sandbox.ecs_state import RequestRecord
from tests.support.world import World, run

ROWS: Final = catalog().rows
GIVE_BACK: Final = 600.0
LONG: Final = 3 * 3600.0
ALWAYS: Final = 10_000
REPLACE: Final = "ReplaceSystemDisk"
ORDER: Final = ("StopInstance", REPLACE, "StartInstance")

Json = Mapping[str, Any]


def of_class(name: ErrorClass) -> list[Any]:
    return [
        pytest.param(entry, id=f"row{number}-{entry.code}-{entry.http}")
        for number, entry in ROWS.items()
        if entry.error_class is name
    ]


def faulty(param: Any) -> bool:
    """Whether the fault is the server's own, so that its outcome is unknown."""
    return bool(param.values[0].http >= 500)


def said(entry: Entry) -> str:
    """Return the message as ECS fills it in."""
    return entry.message.replace("%s", "zone h")


def answer(world: World, entry: Entry, times: int) -> None:
    """Let the cloud answer the next replacements with `entry`."""
    world.cloud.faults.error(REPLACE, entry.code, http=entry.http, message=said(entry), times=times)


def asked(world: World) -> list[RequestRecord]:
    """Return the requests for a replacement, in order."""
    return world.cloud.requests_of(REPLACE)


class Diary:
    """Every Ready condition that was seen, in order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: list[Json] = []

    def when(self, condition: Callable[[], bool]) -> Callable[[], bool]:
        """Return `condition`, noting what Ready says each time it is looked at."""

        def looked() -> bool:
            ready = self._world.ready()
            if ready and (not self.seen or self.seen[-1] != ready):
                self.seen.append(ready)
            return condition()

        return looked

    def told(self, entry: Entry, request_id: str) -> Json:
        """Return the first condition that tells of this answer: code, text, ID and advice."""
        wanted = (entry.code, said(entry).rstrip("."), request_id, entry.advice.rstrip("."))
        for ready in self.seen:
            if all(part in ready["message"] for part in wanted):
                return ready
        raise AssertionError(f"none tells {wanted}: {[r['message'] for r in self.seen]}")


async def begin(world: World, **spec: Any) -> Diary:
    world.apply(instanceId=world.vm().id, imageId=world.image(), **spec)
    return Diary(world)


def reason_is(world: World, reason: str) -> Callable[[], bool]:
    return lambda: world.rests() and world.ready().get("reason") == reason


async def rest(world: World, seconds: float) -> None:
    deadline = world.now + seconds
    await world.until("time passes", lambda: world.now >= deadline, seconds + 60)


def given_back(world: World) -> None:
    """Hold a story that ended without a replacement to its end."""
    assert world.replaced() == 0
    assert world.vm().status == "Running"
    assert world.vm().image_id == world.image("ubuntu-22")
    assert world.ecs_writes().count("StopInstance") == world.ecs_writes().count("StartInstance")


@pytest.mark.parametrize("entry", of_class(ErrorClass.USER))
def test_what_a_person_must_mend_is_told_and_not_tried_again(entry: Entry) -> None:
    async def story(world: World) -> None:
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("the plan is spent", diary.when(reason_is(world, "PlanSpent")), LONG)
        request_id = asked(world)[0].request_id
        assert diary.told(entry, request_id)["reason"] == "GivingBack"
        ready, plan = world.ready(), world.status()["plan"]
        assert ready["status"] == "False"
        for part in (entry.code, request_id, entry.advice):
            assert part in ready["message"]
        assert (plan["spent"], plan["lastError"]["class"]) == (True, "user")
        assert plan["lastError"]["httpStatus"] == entry.http
        assert world.status()["history"][-1]["result"] == "Refused"
        await rest(world, 3600.0)
        assert len(asked(world)) == 1
        assert world.ecs_writes() == ["StopInstance", REPLACE, "StartInstance"]
        assert world.ready() == ready
        given_back(world)

    run(story)


@pytest.mark.parametrize("entry", of_class(ErrorClass.RETRY))
def test_what_is_a_hiccup_is_asked_again_with_the_same_token(entry: Entry) -> None:
    async def story(world: World) -> None:
        answer(world, entry, times=3)
        diary = await begin(world)
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        requests = asked(world)
        assert [r.code for r in requests] == [entry.code] * 3 + ["OK"]
        assert len({r.token for r in requests}) == 1
        unknown = entry.http >= 500
        told = diary.told(entry, requests[0].request_id)
        assert told["reason"] == ("OutcomeUnknown" if unknown else "Replacing")
        assert world.replaced() == 1
        assert world.vm().status == "Running"
        assert world.ecs_writes().count("StopInstance") == 1

    run(story)


@pytest.mark.parametrize("entry", [p for p in of_class(ErrorClass.RETRY) if not faulty(p)])
def test_a_hiccup_that_lasts_gives_the_machine_back_at_the_deadline(entry: Entry) -> None:
    given_back_after_refusals(entry)


@pytest.mark.parametrize("entry", of_class(ErrorClass.WAIT))
def test_what_does_not_pass_in_time_gives_the_machine_back_at_the_deadline(entry: Entry) -> None:
    given_back_after_refusals(entry)


def given_back_after_refusals(entry: Entry) -> None:
    """Tell the story in which ECS refuses with `entry` as long as it is asked."""

    async def story(world: World) -> None:
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("it rests", diary.when(reason_is(world, "Resting")), LONG)
        requests = asked(world)
        assert diary.told(entry, requests[0].request_id)["reason"] == "Replacing"
        assert 1 < len(requests) < 20
        assert requests[-1].at - requests[0].at <= GIVE_BACK
        started = world.cloud.requests_of("StartInstance")[0].at
        assert started - requests[0].at <= GIVE_BACK + 10
        ready, plan = world.ready(), world.status()["plan"]
        for part in (entry.code, requests[-1].request_id, plan["restUntil"]):
            assert part in ready["message"]
        assert (plan["spent"], plan["rounds"]) == (False, 1)
        given_back(world)

    run(story)


@pytest.mark.parametrize("entry", of_class(ErrorClass.WAIT))
def test_what_passes_is_asked_again_with_the_next_token(entry: Entry) -> None:
    async def story(world: World) -> None:
        answer(world, entry, times=2)
        diary = await begin(world)
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        requests = asked(world)
        assert [r.code for r in requests] == [entry.code] * 2 + ["OK"]
        assert len({r.token for r in requests}) == 3
        assert diary.told(entry, requests[0].request_id)["reason"] == "Replacing"
        assert world.replaced() == 1
        assert world.vm().status == "Running"

    run(story)


@pytest.mark.parametrize("entry", [p for p in of_class(ErrorClass.RETRY) if faulty(p)])
def test_a_server_fault_that_lasts_ends_with_one_disk_or_the_old_one(entry: Entry) -> None:
    """Its outcome is unknown each time: the machine is given back only when it is known."""

    async def story(world: World) -> None:
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("it rests", diary.when(reason_is(world, "Resting")), 24 * 3600.0)
        assert any(ready["reason"] == "OutcomeUnknown" for ready in diary.seen)
        assert all(r.code == entry.code for r in asked(world))
        given_back(world)

    run(story)


@pytest.mark.parametrize("action", ["StopInstance", REPLACE, "StartInstance"])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("Rejected.Throttling", "Request was denied due to request throttling."),
        ("Throttling.Api", "Request was denied due to api flow control."),
        ("InternalError", "The request processing has failed due to some unknown error."),
    ],
)
def test_what_is_the_clouds_own_trouble_spends_no_plan(code: str, text: str, action: str) -> None:
    """All with HTTP 400, and the last in words that are not those of its row."""

    async def story(world: World) -> None:
        world.cloud.faults.error(action, code, http=400, message=text)
        await begin(world)
        await world.until("it is replaced", world.is_ready, LONG)
        assert world.replaced() == 1
        assert world.ecs_writes() == sorted([*ORDER, action], key=ORDER.index)

    run(story)


# -- the same from the state of the world, which changes while the machine is stopping ------------


def _transfer(world: World, busy: bool) -> None:
    world.cloud.outside.transfer(world.vm().system_disk_id, busy)


def _sold_out(world: World, busy: bool) -> None:
    gone = ((world.vm().zone, "cloud_essd"),) if busy else ()
    world.cloud.outside.set_region(world.vm().region, sold_out=gone)


def _snapshot(world: World, busy: bool) -> None:
    if busy:
        params = {"DiskId": world.vm().system_disk_id, "SnapshotName": "mine"}
        world.cloud.call("CreateSnapshot", params, region=world.vm().region)


BUSY: Final[Mapping[int, Callable[[World, bool], None]]] = {
    37: _transfer,
    45: _snapshot,
    74: _sold_out,
}


@pytest.mark.parametrize("row", BUSY)
def test_a_disk_that_gets_busy_after_the_stop_is_replaced_when_it_is_free(row: int) -> None:
    entry = ROWS[row]

    async def story(world: World) -> None:
        diary = await begin(world)
        await world.until("it is stopping", lambda: "StopInstance" in world.ecs_writes(), LONG)
        BUSY[row](world, True)
        await world.until("it is refused", diary.when(lambda: bool(asked(world))), LONG)
        assert asked(world)[0].code == entry.code
        world.later(60.0, lambda: BUSY[row](world, False))
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        assert diary.told(entry, asked(world)[0].request_id)["reason"] == "Replacing"
        assert world.replaced() == 1
        assert world.vm().status == "Running"
        assert world.ecs_writes().count("StopInstance") == 1

    run(story)


USER_STATES: Final[Mapping[int, Callable[[World], None]]] = {
    49: lambda w: w.cloud.outside.set_instance(w.vm().id, unpaid_order="order"),
    54: lambda w: w.cloud.outside.set_instance(w.vm().id, unpaid_order="operation"),
    25: lambda w: w.cloud.outside.set_disk(w.vm().system_disk_id, replication="paired"),
    73: lambda w: w.cloud.outside.set_image(w.image(), status="Deprecated"),
    78: lambda w: w.cloud.outside.set_region(w.vm().region, default_encryption=True),
}


@pytest.mark.parametrize("row", USER_STATES)
def test_a_world_that_turns_bad_after_the_stop_spends_the_plan(row: int) -> None:
    entry = ROWS[row]

    async def story(world: World) -> None:
        diary = await begin(world)
        await world.until("it is stopping", lambda: "StopInstance" in world.ecs_writes(), LONG)
        USER_STATES[row](world)
        await world.until("the plan is spent", diary.when(reason_is(world, "PlanSpent")), LONG)
        assert diary.told(entry, asked(world)[0].request_id)["reason"] == "GivingBack"
        assert len(asked(world)) == 1
        given_back(world)

    run(story)


def test_every_row_of_the_table_is_in_one_of_the_classes_above() -> None:
    numbers = [len(of_class(name)) for name in ErrorClass]
    assert sum(numbers) == len(ROWS) == 85
    assert dict(zip(ErrorClass, numbers, strict=True)) == {
        ErrorClass.RETRY: 5,
        ErrorClass.WAIT: 6,
        ErrorClass.USER: 74,
    }
