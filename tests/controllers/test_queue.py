"""The work queue, in virtual time."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from sysdisk.controllers.queue import Backoff, WorkQueue
from tests.support.virtual_time import virtual_time


def a_queue(**kwargs: object) -> WorkQueue[str]:
    return WorkQueue(chance=lambda: 0.0, **kwargs)  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def nothing_comes(queue: WorkQueue[str], within: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), within)


@virtual_time
async def test_keys_come_in_the_order_in_which_they_became_due() -> None:
    queue = a_queue()
    queue.add("late", after=seconds(2))
    queue.add("first")
    queue.add("second")
    assert [await queue.get() for _ in range(3)] == ["first", "second", "late"]


@virtual_time
async def test_a_key_added_many_times_comes_once() -> None:
    queue = a_queue()
    for _ in range(5):
        queue.add("a")
    assert await queue.get() == "a"
    await nothing_comes(queue, 60)


@virtual_time
async def test_a_key_added_during_its_pass_comes_once_more_and_not_before_its_end() -> None:
    queue = a_queue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    await nothing_comes(queue, 60)
    queue.done("a", again_in=None)
    assert await queue.get() == "a"
    queue.done("a", again_in=None)
    await nothing_comes(queue, 60)


@virtual_time
async def test_the_earlier_of_two_times_holds_whichever_was_said_last() -> None:
    queue = a_queue()
    queue.add("a", after=seconds(300))
    queue.add("a", after=seconds(2))
    queue.add("a", after=seconds(40))
    begun = now()
    assert await queue.get() == "a"
    assert now() - begun == pytest.approx(2)
    await nothing_comes(queue, 600)


@virtual_time
async def test_a_change_seen_during_a_pass_comes_before_the_time_that_the_pass_asked_for() -> None:
    queue = a_queue()
    queue.add("a")
    await queue.get()
    queue.add("a", after=seconds(1))
    queue.done("a", again_in=seconds(300))
    begun = now()
    assert await queue.get() == "a"
    assert now() - begun == pytest.approx(1)


@virtual_time
async def test_failures_rest_twice_as_long_each_time_up_to_a_limit_and_success_forgets_them() -> (
    None
):
    queue = a_queue(backoff=Backoff(first=0.5, longest=300))
    rests = []
    queue.add("a")
    for _ in range(12):
        await queue.get()
        rests.append(queue.failed("a"))
    assert rests == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    await queue.get()
    queue.done("a", again_in=seconds(1))
    await queue.get()
    assert queue.failed("a") == 0.5


@virtual_time
async def test_jitter_shortens_a_rest_by_half_at_most() -> None:
    backoff = Backoff(first=1)
    assert backoff.seconds(3, 0.0) == 4
    assert backoff.seconds(3, 0.999) >= 2
    assert backoff.seconds(10_000, 0.5) <= backoff.longest


@virtual_time
async def test_a_rest_that_the_other_side_asked_for_is_kept() -> None:
    queue = a_queue()
    queue.add("a")
    await queue.get()
    assert queue.failed("a", at_least=30) == 30


@virtual_time
async def test_conflicts_are_read_again_at_once_but_not_for_ever() -> None:
    queue = a_queue(backoff=Backoff(first=0.5, conflicts_at_once=3))
    queue.add("a")
    rests = []
    for _ in range(5):
        await queue.get()
        rests.append(queue.conflicted("a"))
    assert rests == [0, 0, 0, 0.5, 1]


@virtual_time
async def test_a_failing_key_holds_no_other_key_up() -> None:
    queue = a_queue()
    queue.add("bad")
    await queue.get()
    for _ in range(8):
        queue.failed("bad")
        await queue.get()
    queue.failed("bad")
    queue.add("good")
    begun = now()
    assert await queue.get() == "good"
    assert now() == begun


@virtual_time
async def test_a_drained_queue_hands_nothing_out_to_waiting_or_later_workers() -> None:
    queue = a_queue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.drain()
    queue.add("a")
    assert await waiting is None
    assert await queue.get() is None


@virtual_time
async def test_idle_returns_when_the_passes_in_flight_have_ended() -> None:
    queue = a_queue()
    queue.add("a")
    await queue.get()
    queue.drain()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.idle(), 60)
    queue.done("a", again_in=seconds(1))
    await asyncio.wait_for(queue.idle(), 1)
    assert len(queue) == 0


@virtual_time
async def test_a_paused_queue_keeps_its_keys_until_it_is_resumed() -> None:
    queue = a_queue()
    queue.pause()
    queue.add("a")
    await nothing_comes(queue, 60)
    queue.resume()
    assert await queue.get() == "a"


@virtual_time
async def test_a_resumed_queue_serves_workers_that_were_waiting_already() -> None:
    queue = a_queue()
    queue.pause()
    waiting = asyncio.create_task(queue.get())
    queue.add("a", after=seconds(1))
    await asyncio.sleep(5)
    assert not waiting.done()
    queue.resume()
    assert await waiting == "a"


@virtual_time
async def test_what_a_cancelled_worker_was_just_given_goes_to_another() -> None:
    queue = a_queue()
    cancelled = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await queue.get() == "a"


@virtual_time
async def test_a_forgotten_key_does_not_come_at_its_time() -> None:
    queue = a_queue()
    queue.add("a", after=seconds(5))
    queue.forget("a")
    await nothing_comes(queue, 60)
    assert len(queue) == 0


@virtual_time
async def test_it_knows_how_much_waits_and_how_long_the_longest_pass_takes() -> None:
    queue = a_queue()
    for name in "abc":
        queue.add(name)
    queue.add("later", after=seconds(100))
    await queue.get()
    await asyncio.sleep(7)
    assert (queue.ready(), len(queue), queue.running) == (2, 3, 1)
    assert queue.longest_pass() == pytest.approx(7)


@pytest.mark.parametrize("seed", range(5))
@virtual_time
async def test_no_key_is_ever_in_two_passes_and_none_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    queue = a_queue(backoff=Backoff(longest=20))
    keys = [f"k{number}" for number in range(30)]
    running: set[str] = set()
    passes = dict.fromkeys(keys, 0)
    most = 0

    async def worker() -> None:
        nonlocal most
        while (key := await queue.get()) is not None:
            assert key not in running
            running.add(key)
            most = max(most, len(running))
            await asyncio.sleep(chance.choice([0, 0, 0.1, 3]))
            if chance.random() < 0.3:
                queue.add(chance.choice(keys))
            running.discard(key)
            passes[key] += 1
            match chance.randrange(4):
                case 0:
                    queue.failed(key)
                case 1:
                    queue.conflicted(key)
                case _:
                    queue.done(key, again_in=seconds(chance.choice([0.3, 5, 60])))

    workers = [asyncio.create_task(worker()) for _ in range(8)]
    for key in keys:
        queue.add(key)
    await asyncio.sleep(600)
    queue.drain()
    await asyncio.gather(*workers)
    assert most == 8
    assert min(passes.values()) >= 3
