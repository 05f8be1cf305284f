"""Events: told beside the pass, counted instead of repeated, never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sysdisk.api.reasons import AccountReason
from sysdisk.controllers.account_health import Health
from sysdisk.controllers.metrics import Metrics
from sysdisk.controllers.services import Teller
from sysdisk.kube.events import MESSAGE_CHARACTERS, EventRecorder, Involved
from sysdisk.kube.port import Object
from sysdisk.kube.resources import ACCOUNTS, EVENTS, SPECS
from tests.support.kube_local import LocalKube
from tests.support.virtual_time import virtual_time

WEB = Involved(SPECS, "default", "web-1", "u-1")


@asynccontextmanager
async def posting(kube: LocalKube, **kwargs: int) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(kube, instance="here", **kwargs)  # type: ignore[arg-type]
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def events(kube: LocalKube, namespace: str = "default") -> list[Object]:
    return [event async for event in kube.list(EVENTS, namespace)]


@virtual_time
async def test_an_event_names_its_object_so_that_describe_finds_it() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        recorder.tell(WEB, "Warning", "PreflightFailed", "the image does not fit")
        assert await recorder.flushed(timedelta(seconds=5))
    [event] = await events(kube)
    assert event["involvedObject"] == {
        "apiVersion": "sysdisk.dev/v1alpha1",
        "kind": "SystemDiskSpec",
        "namespace": "default",
        "name": "web-1",
        "uid": "u-1",
    }
    assert (event["type"], event["reason"]) == ("Warning", "PreflightFailed")
    assert (event["message"], event["count"]) == ("the image does not fit", 1)
    assert event["source"]["component"] == event["reportingComponent"] == "sysdisk"


@virtual_time
async def test_a_repeat_raises_the_count_and_another_message_is_another_event() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        for _ in range(3):
            recorder.tell(WEB, "Normal", "Stopping", "stopping i-1")
            assert await recorder.flushed(timedelta(seconds=5))
        recorder.tell(WEB, "Normal", "Stopping", "stopping i-2")
        assert await recorder.flushed(timedelta(seconds=5))
    assert sorted((e["message"], e["count"]) for e in await events(kube)) == [
        ("stopping i-1", 3),
        ("stopping i-2", 1),
    ]


@virtual_time
async def test_repeats_that_wait_together_cost_one_call() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        for _ in range(50):
            recorder.tell(WEB, "Normal", "Stopping", "stopping i-1")
        assert await recorder.flushed(timedelta(seconds=5))
    assert kube.calls == [("create", "events")]
    [event] = await events(kube)
    assert event["count"] == 50


@virtual_time
async def test_an_event_that_the_server_forgot_is_made_again() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        for _ in range(2):
            recorder.tell(WEB, "Normal", "Stopping", "stopping")
            assert await recorder.flushed(timedelta(seconds=5))
            for event in await events(kube):
                kube.lose(EVENTS, "default", event["metadata"]["name"])
        recorder.tell(WEB, "Normal", "Stopping", "stopping")
        assert await recorder.flushed(timedelta(seconds=5))
    [event] = await events(kube)
    assert event["count"] == 1


@virtual_time
async def test_an_event_of_a_cluster_scoped_object_lies_in_the_default_namespace() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        recorder.tell(
            Involved(ACCOUNTS, None, "prod", "u-9"), "Warning", "Unreachable", "no answer"
        )
        assert await recorder.flushed(timedelta(seconds=5))
    [event] = await events(kube)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


@virtual_time
async def test_a_long_message_is_cut_to_what_the_server_takes() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        recorder.tell(WEB, "Normal", "Stopping", "x" * 5000)
        assert await recorder.flushed(timedelta(seconds=5))
    [event] = await events(kube)
    assert len(event["message"]) == MESSAGE_CHARACTERS


@virtual_time
async def test_what_does_not_fit_is_dropped_and_counted_and_telling_never_waits() -> None:
    kube = LocalKube()
    kube.cut = lambda verb, plural: "before"
    async with posting(kube, capacity=10) as recorder:
        for number in range(25):
            recorder.tell(WEB, "Normal", "Stopping", f"message {number}")
        assert recorder.dropped == 15
        assert not await recorder.flushed(timedelta(seconds=1))


@virtual_time
async def test_an_outage_delays_events_and_loses_none_of_them() -> None:
    kube = LocalKube()
    outage = iter(["before", "before"])
    kube.cut = lambda verb, plural: next(outage, None)  # type: ignore[arg-type]
    async with posting(kube) as recorder:
        recorder.tell(WEB, "Normal", "Stopping", "one")
        recorder.tell(WEB, "Normal", "Starting", "two")
        assert await recorder.flushed(timedelta(seconds=60))
    assert sorted(e["reason"] for e in await events(kube)) == ["Starting", "Stopping"]
    assert recorder.dropped == 0


@virtual_time
async def test_a_refusal_drops_the_event_and_the_next_one_is_posted() -> None:
    kube = LocalKube()
    async with posting(kube) as recorder:
        recorder.tell(Involved(SPECS, "gone", "web-1", "u-1"), "Normal", "Stopping", "one")
        recorder.tell(WEB, "Normal", "Starting", "two")
        assert await recorder.flushed(timedelta(seconds=60))
    assert recorder.dropped == 1
    assert [e["reason"] for e in await events(kube)] == ["Starting"]


@virtual_time
async def test_an_account_that_comes_and_goes_raises_counts() -> None:
    kube = LocalKube()
    account = Involved(ACCOUNTS, None, "prod", "u-9")
    async with posting(kube) as recorder:
        teller = Teller(recorder, Metrics())
        for number in range(3):
            why = f"no answer (request ID {number}). Check the network."
            teller.account(account, Health(AccountReason.UNREACHABLE, why))
            teller.account(account, Health(AccountReason.VERIFIED, "Acting as me."))
            assert await recorder.flushed(timedelta(seconds=5))
    found = [(e["type"], e["reason"], e["message"], e["count"]) for e in await events(kube)]
    assert sorted(found) == [
        ("Normal", "Verified", "Acting as me.", 3),
        ("Warning", "Unreachable", "no answer. Check the network.", 3),
    ]
