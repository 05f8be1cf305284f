"""Leader election, in virtual time: never two at work, never nobody for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sysdisk.kube.leases import Elector, Terms
from sysdisk.kube.port import Object
from sysdisk.kube.resources import LEASES
from tests.support.kube_local import Cut, LocalKube, Side
from tests.support.virtual_time import virtual_time

TERMS = Terms(namespace="default")


class Candidate:
    """An elector with the log of its work: (time, "gain" or "loss")."""

    def __init__(
        self,
        kube: LocalKube,
        name: str,
        *,
        skew: timedelta = timedelta(0),
        ending_takes: float = 0.0,
    ) -> None:
        self.works = False
        self.log: list[tuple[float, str]] = []
        self._ending_takes = ending_takes
        self.elector = Elector(
            kube,
            TERMS,
            name,
            on_gain=self._gain,
            on_loss=self._loss,
            now=lambda: datetime(2026, 3, 1, tzinfo=UTC) + skew + timedelta(seconds=now()),
        )

    async def _gain(self) -> None:
        self.works = True
        self.log.append((now(), "gain"))

    async def _loss(self) -> None:
        await asyncio.sleep(self._ending_takes)
        self.works = False
        self.log.append((now(), "loss"))


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(*candidates: Candidate) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(candidate.elector.run()) for candidate in candidates]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], within: float = 120) -> float:
    """Wait for a condition; return how long that took, in virtual seconds."""
    begun = now()
    while not condition():
        assert now() - begun < within, "the condition did not come true in time"
        await asyncio.sleep(0.05)
    return now() - begun


def cut_all(side: Side) -> Cut:
    return lambda verb, plural: side


@virtual_time
async def test_the_first_one_leads_and_the_second_waits() -> None:
    kube = LocalKube()
    first, second = Candidate(kube, "a"), Candidate(kube, "b", skew=timedelta(hours=-3))
    async with running(first):
        await until(lambda: first.works)
        async with running(second):
            await asyncio.sleep(600)
            assert (first.works, second.works) == (True, False)
            assert first.elector.leads
            assert not second.elector.leads


@pytest.mark.parametrize("hours", [-5, 0, 5])
@virtual_time
async def test_one_that_vanished_is_followed_after_its_lease_ran_out_whatever_the_clocks_say(
    hours: int,
) -> None:
    kube = LocalKube()
    first, second = Candidate(kube, "a"), Candidate(kube, "b", skew=timedelta(hours=hours))
    async with running(second) as tasks:
        async with running(first):
            await until(lambda: first.works or second.works)
        tasks[0].cancel()
    if second.works:
        first, second = second, first
    follower = Candidate(kube, "c", skew=timedelta(hours=hours))
    async with running(follower):
        took = await until(lambda: follower.works)
    assert TERMS.duration <= took <= TERMS.duration + 2 * TERMS.retry_period


@virtual_time
async def test_a_released_lease_is_taken_at_the_next_try() -> None:
    kube = LocalKube()
    first, second = Candidate(kube, "a"), Candidate(kube, "b")
    async with running(first):
        await until(lambda: first.works)
    async with running(second):
        await first.elector.release()
        assert not first.elector.leads
        assert await until(lambda: second.works) <= TERMS.retry_period + 0.1


@virtual_time
async def test_releasing_what_is_not_held_touches_nothing() -> None:
    kube = LocalKube()
    first, second = Candidate(kube, "a"), Candidate(kube, "b")
    async with running(first):
        await until(lambda: first.works)
        calls = len(kube.calls)
        await second.elector.release()
        assert len(kube.calls) == calls
        await asyncio.sleep(60)
        assert first.elector.leads


@virtual_time
async def test_a_leader_cut_off_stops_its_work_before_another_begins() -> None:
    shared = LocalKube()
    lonely, other = LocalKube(shared.store), LocalKube(shared.store)
    first, second = Candidate(lonely, "a", ending_takes=3.0), Candidate(other, "b")
    async with running(first):
        await until(lambda: first.works)
        async with running(second):
            lonely.cut = cut_all("before")
            await until(lambda: second.works)
            assert not first.works
            assert first.log[-1][1] == "loss"
            assert first.log[-1][0] < second.log[-1][0]


@virtual_time
async def test_a_leader_whose_renewals_hang_no_longer_leads_after_its_deadline() -> None:
    shared = LocalKube()
    slow = LocalKube(shared.store)
    first = Candidate(slow, "a")
    async with running(first):
        await until(lambda: first.works)
        slow.takes_seconds = 3600.0
        await asyncio.sleep(TERMS.renew_deadline + TERMS.retry_period)
        assert not first.elector.leads
        assert not first.works


@virtual_time
async def test_a_renewal_whose_answer_was_lost_does_not_cost_the_lease() -> None:
    kube = LocalKube()
    first = Candidate(kube, "a")
    async with running(first):
        await until(lambda: first.works)
        lost = iter([True, False, False, True])
        kube.cut = lambda verb, plural: "after" if verb == "replace" and next(lost, False) else None
        await asyncio.sleep(120)
        assert first.log == [(first.log[0][0], "gain")]
        assert first.elector.leads


@virtual_time
async def test_a_lease_taken_by_force_ends_the_work_at_the_next_renewal() -> None:
    kube = LocalKube()
    first = Candidate(kube, "a")
    async with running(first):
        await until(lambda: first.works)
        await kube.merge(LEASES, "default", TERMS.name, {"spec": {"holderIdentity": "someone"}})
        assert await until(lambda: not first.works) <= TERMS.retry_period + 0.1


@virtual_time
async def test_a_deleted_lease_is_made_again_by_who_holds_it() -> None:
    kube = LocalKube()
    first = Candidate(kube, "a")
    async with running(first):
        await until(lambda: first.works)
        kube.lose(LEASES, "default", TERMS.name)
        await asyncio.sleep(30)
        assert first.elector.leads
        lease = await kube.read(LEASES, "default", TERMS.name)
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == "a"


@virtual_time
async def test_the_lease_says_who_holds_it_and_how_often_it_changed_hands() -> None:
    kube = LocalKube()
    for name in ("a", "b", "c"):
        candidate = Candidate(kube, name)
        async with running(candidate):
            await until(lambda candidate=candidate: candidate.works)  # type: ignore[misc]
        await candidate.elector.release()
    lease: Object | None = await kube.read(LEASES, "default", TERMS.name)
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 2
    assert lease["spec"]["holderIdentity"] == ""
