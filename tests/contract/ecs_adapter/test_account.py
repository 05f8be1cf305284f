"""One account over the cloud's model: writes and their answers, limits, counts."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from sysdisk.api.account import Limits
from sysdisk.api.base import FrozenMap
from sysdisk.core.answers import Accepted, Answer, NotSent, Refused, Unknown
from sysdisk.ecs.account import PATIENCE, EcsAccountClient, RegionClient
from sysdisk.ecs.errors import EcsError, NoAnswer, NotYet, Throttled
from sysdisk.ecs.inventory import Disks, Sight
from sysdisk.sandbox.ecs_faults import Side
from sysdisk.sandbox.ecs_fleet import HOME
from tests.contract.ecs_adapter.clouds import UNLIMITED, Lab
from tests.contract.ecs_adapter.test_requests_on_the_wire import BARE

pytestmark = pytest.mark.looptime
KNOCK = "DescribeDiskEncryptionByDefaultStatus"


def stopped(lab: Lab) -> str:
    return lab.fleet.instance(lab.image, status="Stopped").id


async def replace(region: RegionClient, lab: Lab, instance_id: str, token: str = "t") -> Answer:
    return await region.replace_system_disk(
        BARE.replace(image_id=lab.newer.id, size=40), instance_id=instance_id, client_token=token
    )


async def test_a_replacement_tells_the_new_disk_and_a_repeat_the_same_one() -> None:
    lab = Lab()
    instance_id = stopped(lab)
    region = lab.account().region(HOME)
    first = await replace(region, lab, instance_id)
    again = await replace(region, lab, instance_id)
    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert first.request_id
    assert first.disk_id == again.disk_id
    await asyncio.sleep(60)
    sight = await region.inventory.look(instance_id, expect=[first.disk_id])
    assert [d.disk_id for d in sight.system_disks or ()] == [first.disk_id]
    await region.inventory.close()


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_lost_answer_is_unknown(side: Side) -> None:
    lab = Lab()
    lab.cloud.faults.drop("ReplaceSystemDisk", side)
    region = lab.account().region(HOME)
    assert isinstance(await replace(region, lab, stopped(lab)), Unknown)
    await region.inventory.close()


@pytest.mark.parametrize("kind", ["html-502", "empty-200", "half-json", "wrong-json"])
async def test_a_broken_answer_is_unknown(kind: str) -> None:
    lab = Lab()
    lab.cloud.faults.garble("ReplaceSystemDisk", kind)
    region = lab.account().region(HOME)
    assert isinstance(await replace(region, lab, stopped(lab)), Unknown)
    await region.inventory.close()


async def test_a_5xx_is_unknown_and_a_4xx_refused() -> None:
    lab = Lab()
    region = lab.account().region(HOME)
    lab.cloud.faults.error("StopInstance", "InternalError", http=500)
    answer = await region.stop_instance(lab.ids[0])
    assert isinstance(answer, Unknown)
    assert answer.failure.code == "InternalError"
    answer = await region.stop_instance("i-nobody")
    assert isinstance(answer, Refused)
    assert answer.failure.code == "InvalidInstanceId.NotFound"
    await region.inventory.close()


async def test_a_throttled_write_is_refused_and_the_next_is_not_sent_before_the_minute() -> None:
    lab = Lab(2)
    lab.cloud.faults.throttle("StopInstance", 0)
    region = lab.account().region(HOME)
    first = await region.stop_instance(lab.ids[0])
    assert isinstance(first, Refused)
    assert first.failure.throttled
    fence = asyncio.get_running_loop().time() + 0.1
    second = await region.stop_instance(lab.ids[1], not_after=fence)
    assert isinstance(second, NotSent)
    assert "throttled" in second.why
    assert region.requests["StopInstance"] == 1
    assert 0 < region.ready_in("StopInstance") <= 62
    assert region.ready_in("StartInstance") == 0
    await region.inventory.close()


async def test_a_throttled_minute_outlives_a_new_endpoint() -> None:
    lab = Lab()
    lab.cloud.faults.throttle("StopInstance", 0)
    account = lab.account()
    await account.region(HOME).stop_instance(lab.ids[0])
    rest = account.region(HOME).ready_in("StopInstance")
    assert rest > 0
    await account.close()
    assert account.region(HOME).ready_in("StopInstance") == rest
    await account.close()


async def test_a_knock_is_a_request_each_time() -> None:
    lab = Lab()
    account = lab.account()
    region = account.region(HOME)
    await region.inventory.lookups.default_encryption()
    lab.cloud.faults.drop("DescribeDiskEncryptionByDefaultStatus", "before")
    with pytest.raises(NoAnswer):
        await region.knock()
    await account.close()


async def test_a_write_beyond_the_rate_and_its_fence_is_not_sent() -> None:
    lab = Lab(3)
    limits = Limits(requests_per_second=FrozenMap({"StopInstance": 1.0}))
    region = lab.account(limits).region(HOME)
    fence = asyncio.get_running_loop().time() + 0.5
    answers = [await region.stop_instance(i, not_after=fence) for i in lab.ids]
    assert [type(a) for a in answers] == [Accepted, NotSent, NotSent]
    assert len(lab.cloud.effects_of("stop-asked") or lab.cloud.requests_of("StopInstance")) == 1
    await region.inventory.close()


async def test_requests_are_counted_and_told_with_their_code() -> None:
    lab = Lab()
    told: Counter[tuple[str, str]] = Counter()
    account = EcsAccountClient(
        lambda _: lab.transport,
        UNLIMITED,
        on_request=lambda action, code: told.update([(action, code)]),
    )
    region = account.region(HOME)
    await region.stop_instance(lab.ids[0])
    await region.start_instance("i-nobody")
    assert told == {("StopInstance", "OK"): 1, ("StartInstance", "InvalidInstanceId.NotFound"): 1}
    assert account.request_count == 2
    await account.close()


async def test_a_snapshot_and_a_policy_are_accepted() -> None:
    lab = Lab()
    region = lab.account().region(HOME)
    disk_id = lab.cloud.look(lab.ids[0]).system_disk_id
    snapshot = await region.create_snapshot(disk_id, client_token="t", retention_days=7)
    assert isinstance(snapshot, Accepted)
    assert snapshot.snapshot_id in lab.cloud.state.snapshots
    policy = lab.fleet.policy()
    assert isinstance(await region.apply_auto_snapshot_policy(policy, disk_id), Accepted)
    assert lab.cloud.disk_of(lab.ids[0]).auto_snapshot_policy == policy
    await region.inventory.close()


async def test_in_a_throttled_minute_a_look_says_when_to_come_back_and_a_sweep_waits() -> None:
    lab = Lab(5)
    lab.cloud.faults.throttle("DescribeInstances", 0)
    account = lab.account()
    region = account.region(HOME)
    for instance_id in lab.ids:
        region.inventory.register(instance_id)
    first = await look_at_all(region, lab)
    assert all(isinstance(a, Throttled) for a in first)
    lab.cloud.faults.throttle("DescribeInstances", -1)
    began = asyncio.get_running_loop().time()
    held = await look_at_all(region, lab)
    waits = [a.seconds for a in held if isinstance(a, NotYet)]
    assert len(waits) == 5
    assert asyncio.get_running_loop().time() - began < PATIENCE
    assert 0 < min(waits) <= max(waits) <= 62
    await region.inventory.sweep()
    assert min(waits) <= asyncio.get_running_loop().time() - began <= 65
    assert not [a for a in await look_at_all(region, lab) if isinstance(a, EcsError)]
    assert region.requests["DescribeInstances"] == 3
    await account.close()


async def look_at_all(region: RegionClient, lab: Lab) -> list[Sight | BaseException]:
    after = asyncio.get_running_loop().time()
    looks = (region.inventory.look(i, begun_after=after, disks=Disks.NONE) for i in lab.ids)
    return await asyncio.gather(*looks, return_exceptions=True)


async def test_a_read_within_the_rate_waits_its_short_turn() -> None:
    lab = Lab()
    region = lab.account(Limits(requests_per_second=FrozenMap({KNOCK: 2.0}))).region(HOME)
    knocks = await asyncio.gather(*(region.knock() for _ in range(6)), return_exceptions=True)
    assert [type(k) for k in knocks] == [type(None)] * 4 + [NotYet] * 2
    await region.inventory.close()
