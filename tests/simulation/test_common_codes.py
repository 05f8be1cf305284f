"""Every code that the calls around a replacement share, answered to each of its three writes.

Whatever is answered, in every class: at most one disk is replaced, the code is told with its
request ID and advice, and the machine runs at the end.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from sysdisk.core.outcome import TOKEN_IN_FLIGHT, TOKEN_MISMATCH
from sysdisk.ecs.catalog import Entry, ErrorClass, catalog, classify
from tests.simulation.test_error_rows import Diary, begin
from tests.support.world import World, run

DAY: Final = 24 * 3600.0
TOKEN_CODES: Final = TOKEN_IN_FLIGHT | TOKEN_MISMATCH


def common(*, without: frozenset[str] = frozenset()) -> list[Any]:
    return [
        pytest.param(entry, id=f"{entry.code}-{entry.http}")
        for entry in catalog().common
        if entry.is_error and entry.code not in without
    ]


def of_call(call: str) -> list[Any]:
    """Return the codes that this call, or every call, may be answered with."""
    found = [p for p in common() if {"all"} & {p.values[0].calls} or call in p.values[0].calls]
    return [p for p in found if p.values[0].code not in TOKEN_CODES]


def told(diary: Diary, entry: Entry) -> None:
    """Hold the diary to have told of `entry`, with what to do: the table's advice goes first."""
    advice = classify(entry.code, entry.http, entry.message).advice
    wanted = (entry.code, entry.message.rstrip("."), advice.rstrip("."), "request ID")
    messages = [ready["message"] for ready in diary.seen]
    assert any(all(part in message for part in wanted) for message in messages), messages


def ended(world: World) -> bool:
    ready = world.ready()
    return bool(world.rests() and ready.get("reason") in ("UpToDate", "PlanSpent", "Resting"))


@pytest.mark.parametrize("entry", common(without=TOKEN_CODES))
def test_whatever_a_replacement_is_answered_one_disk_or_none(entry: Entry) -> None:
    async def story(world: World) -> None:
        world.cloud.faults.error("ReplaceSystemDisk", entry.code, http=entry.http, times=2)
        diary = await begin(world)
        await world.until("it ends", diary.when(lambda: ended(world)), DAY)
        told(diary, entry)
        user = entry.error_class is ErrorClass.USER
        assert world.ready()["reason"] == ("PlanSpent" if user else "UpToDate")
        assert world.replaced() == (0 if user else 1)
        assert world.vm().status == "Running"
        assert world.ecs_writes().count("StopInstance") == 1

    run(story)


@pytest.mark.parametrize("code", sorted(TOKEN_CODES))
def test_a_token_that_ecs_knows_otherwise_is_found_out_about_first(code: str) -> None:
    entry = catalog().default(code)

    async def story(world: World) -> None:
        world.cloud.faults.error("ReplaceSystemDisk", entry.code, http=entry.http, times=1)
        diary = await begin(world)
        await world.until("it ends", diary.when(lambda: ended(world)), DAY)
        told(diary, entry)
        assert any(ready["reason"] == "OutcomeUnknown" for ready in diary.seen)
        tokens = [r.token for r in world.cloud.requests_of("ReplaceSystemDisk")]
        if code in TOKEN_IN_FLIGHT:
            assert len(set(tokens)) == 1
            assert world.replaced() == 1
        assert world.replaced() <= 1
        assert world.vm().status == "Running"

    run(story)


@pytest.mark.parametrize("entry", of_call("StopInstance"))
def test_whatever_a_stop_is_answered_the_machine_runs_at_the_end(entry: Entry) -> None:
    async def story(world: World) -> None:
        world.cloud.faults.error("StopInstance", entry.code, http=entry.http, times=2)
        diary = await begin(world)
        await world.until("it ends", diary.when(lambda: ended(world)), DAY)
        told(diary, entry)
        user = entry.error_class is ErrorClass.USER
        assert world.ready()["reason"] == ("PlanSpent" if user else "UpToDate")
        assert world.replaced() == (0 if user else 1)
        assert world.vm().status == "Running"

    run(story)


@pytest.mark.parametrize("entry", of_call("StartInstance"))
def test_whatever_a_start_is_answered_it_is_tried_until_the_machine_runs(entry: Entry) -> None:
    async def story(world: World) -> None:
        world.cloud.faults.error("StartInstance", entry.code, http=entry.http, times=3)
        diary = await begin(world)
        await world.until("it ends", diary.when(lambda: ended(world)), DAY)
        told(diary, entry)
        shouted = any(ready["reason"] == "MachineLeftStopped" for ready in diary.seen)
        assert shouted or entry.error_class is ErrorClass.RETRY or entry.http >= 500
        assert world.ready()["reason"] == "UpToDate"
        assert world.replaced() == 1
        assert world.vm().status == "Running"
        assert len(world.cloud.requests_of("StartInstance")) == 4

    run(story)
