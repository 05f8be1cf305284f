"""How fast ECS is asked: rates, order, and rest after throttling. Time is virtual."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from sysdisk.ecs.clock import Clock
from sysdisk.ecs.limits import Held, RateLimiter

pytestmark = pytest.mark.looptime
NOON = datetime(2026, 11, 23, 12, 0, 20, tzinfo=UTC)


def limiter(headroom: int = 0, **rates: float) -> RateLimiter:
    loop = asyncio.get_running_loop()
    began = loop.time()
    clock = Clock(now=lambda: NOON + timedelta(seconds=loop.time() - began), jitter=lambda: 0.5)
    return RateLimiter(rates, headroom, clock)


async def turns(limits: RateLimiter, action: str, count: int) -> list[float]:
    began = asyncio.get_running_loop().time()

    async def one() -> float:
        await limits.turn(action)
        return asyncio.get_running_loop().time() - began

    return await asyncio.gather(*(one() for _ in range(count)))


@pytest.mark.parametrize("rate", [1, 3, 5, 10, 2.5, 0.5])
async def test_no_second_sees_more_than_the_rate(rate: float) -> None:
    times = await turns(limiter(StopInstance=rate), "StopInstance", 40)
    assert times == sorted(times)
    span = max(1.0, 1 / rate)
    for begin in times:
        within = [t for t in times if begin <= t < begin + span - 1e-9]
        assert len(within) <= math.ceil(rate)
    assert times[-1] <= 40 / rate


async def test_those_who_wait_are_served_in_the_order_they_came() -> None:
    limits, order = limiter(A=2), []

    async def one(n: int) -> None:
        await limits.turn("A")
        order.append(n)

    await asyncio.gather(*(one(n) for n in range(20)))
    assert [n // 2 for n in order] == [n // 2 for n in range(20)]  # two at a time


async def test_actions_do_not_wait_for_each_other() -> None:
    limits = limiter(A=0.01, B=100)
    await limits.turn("A")
    before = asyncio.get_running_loop().time()
    await limits.turn("B")
    assert asyncio.get_running_loop().time() == before


async def test_a_write_that_would_come_too_late_is_told_at_once_and_takes_no_turn() -> None:
    limits = limiter(A=1)
    now = asyncio.get_running_loop().time()
    await limits.turn("A")
    with pytest.raises(Held, match="request rate"):
        await limits.turn("A", not_after=now + 0.5)
    assert asyncio.get_running_loop().time() == now
    assert limits.ready_in("A") == pytest.approx(1.0)
    await limits.turn("A", not_after=now + 1.5)


async def test_a_throttled_action_rests_until_the_next_minute() -> None:
    limits = limiter()
    until = limits.rest("StopInstance")
    assert until == NOON + timedelta(seconds=41)  # 12:01:00 and half of two seconds
    assert limits.resting_until("StopInstance") == until
    assert limits.resting_until("StartInstance") is None
    now = asyncio.get_running_loop().time()
    with pytest.raises(Held, match="throttled") as told:
        await limits.turn("StopInstance", not_after=now + 5)
    assert told.value.until == until
    await limits.turn("StopInstance")
    assert asyncio.get_running_loop().time() - now == pytest.approx(41)
    assert limits.resting_until("StopInstance") is None


async def test_a_rest_also_holds_those_who_already_wait() -> None:
    limits = limiter(A=1)
    waiting = asyncio.create_task(turns(limits, "A", 3))
    await asyncio.sleep(0.5)
    limits.rest("A")
    times = await waiting
    assert [t > 0.4 for t in times] == [False, True, True]
    assert min(times[1:]) == pytest.approx(41, abs=0.6)


async def test_a_time_that_ecs_names_goes_before_the_minute() -> None:
    limits = limiter()
    assert limits.rest("A", retry_after=5.0) == NOON + timedelta(seconds=6)
    assert limits.rest("B", retry_after=1e9) <= NOON + timedelta(seconds=601)


async def test_the_headroom_lowers_the_defaults_and_not_what_an_admin_gave() -> None:
    limits = limiter(40, StopInstance=7)
    assert limits.rate("StopInstance") == 7
    assert limits.rate("DescribeInstances") == pytest.approx(6.0)
    assert limits.rate("Other") == pytest.approx(3.0)


async def test_new_rates_hold_at_once() -> None:
    limits = limiter(A=1)
    await limits.turn("A")
    limits.configure({"A": 100}, 0)
    assert limits.ready_in("A") == 0


async def test_who_is_cancelled_lets_the_next_one_go_on() -> None:
    limits = limiter(A=1)
    await limits.turn("A")
    first = asyncio.create_task(limits.turn("A"))
    second = asyncio.create_task(limits.turn("A"))
    await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.wait_for(second, 5)
