"""The inventory over the cloud's model, under virtual time: what it says, and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest

from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import EcsError, NoAnswer, NotYet, Refusal, Throttled
from sysdisk.ecs.failures import not_yet, refusal
from sysdisk.ecs.inventory import Disks, Inventory
from sysdisk.ecs.port import Body, Params
from sysdisk.sandbox.ecs_faults import Faults
from tests.contract.ecs_adapter.clouds import Lab

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def look_at_all(inventory: Inventory, ids: list[str], **options: object) -> None:
    await asyncio.gather(*(inventory.look(i, **options) for i in ids))  # type: ignore[arg-type]


async def test_a_look_shows_the_instance_and_its_disks() -> None:
    lab = Lab()
    vm = lab.cloud.look(lab.ids[0])
    sight = await lab.inventory().look(vm.id, disks=Disks.ALL)
    assert sight.instance is not None
    assert (sight.instance.image_id, sight.instance.status) == (lab.image.id, "Running")
    assert [d.disk_id for d in sight.system_disks or ()] == [vm.system_disk_id]
    assert sight.data_disk_ids == frozenset(vm.data_disk_ids)


async def test_an_unknown_instance_is_absent_and_not_an_error() -> None:
    lab = Lab()
    sight = await lab.inventory().look("i-nobody", disks=Disks.ALL)
    assert (sight.instance, sight.system_disks, sight.data_disk_ids) == (None, (), frozenset())


async def test_a_hundred_looks_at_the_same_time_share_one_request_of_each_kind() -> None:
    lab = Lab(100)
    inventory = lab.inventory()
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    assert lab.transport.counts == {"DescribeInstances": 1, "DescribeDisks": 1}
    lab.forget_requests()
    await look_at_all(inventory, lab.ids, begun_after=now())
    assert lab.transport.counts == {"DescribeInstances": 1, "DescribeDisks": 1}
    lab.forget_requests()
    await look_at_all(inventory, lab.ids, begun_after=now(), disks=Disks.NONE)
    assert lab.transport.counts == {"DescribeInstances": 1}


async def test_a_hundred_ids_give_a_hundred_instances_and_not_the_default_ten() -> None:
    lab = Lab(100)
    inventory = lab.inventory()
    sights = await asyncio.gather(*(inventory.look(i, disks=Disks.NONE) for i in lab.ids))
    assert all(sight.instance is not None for sight in sights)
    assert lab.transport.asked[0][1]["MaxResults"] == "100"


async def test_a_thousand_at_rest_cost_ten_requests_of_each_kind_an_interval() -> None:
    lab = Lab(1000)
    inventory = lab.inventory(resync_interval=300.0, clock=Clock(jitter=lambda: 0.5))
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    lab.forget_requests()
    inventory.start()
    await asyncio.sleep(299)  # one sweep comes after 285
    assert lab.transport.counts == {"DescribeInstances": 10, "DescribeDisks": 10}
    assert all(
        len(json.loads(p.get("InstanceIds", "[]"))) in (0, 100) for _, p in lab.transport.asked
    )
    assert inventory.oldest_age() < 300
    await inventory.close()


async def test_a_sweep_tells_only_of_what_changed() -> None:
    lab = Lab(30)
    told: list[str] = []
    inventory = lab.inventory(on_change=told.append)
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    await inventory.sweep()
    assert told == []
    lab.cloud.outside.lock(lab.ids[3], "security")
    lab.cloud.outside.set_tags(lab.ids[5], {"team": "other"})
    lab.cloud.outside.release(lab.ids[7])
    await inventory.sweep()
    assert sorted(told) == sorted([lab.ids[3], lab.ids[5], lab.ids[7]])
    await inventory.sweep()
    assert len(told) == 3


async def test_a_sweep_finds_a_disk_that_was_replaced_out_of_band() -> None:
    lab = Lab(20)
    told: list[str] = []
    inventory = lab.inventory(on_change=told.append)
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    new_disk = lab.cloud.outside.replace_disk(lab.ids[4], lab.newer.id)
    lab.forget_requests()
    await inventory.sweep()
    sight = await inventory.look(lab.ids[4])
    assert told == [lab.ids[4]]
    assert [d.disk_id for d in sight.system_disks or ()] == [new_disk]
    assert lab.transport.counts == {"DescribeInstances": 1, "DescribeDisks": 2}


async def test_a_look_finds_a_disk_that_was_replaced_out_of_band() -> None:
    lab = Lab(5)
    inventory = lab.inventory()
    inventory.register(lab.ids[0])
    old = (await inventory.look(lab.ids[0])).system_disks or ()
    new_disk = lab.cloud.outside.replace_disk(lab.ids[0], lab.newer.id)
    sight = await inventory.look(lab.ids[0], begun_after=now(), expect=[old[0].disk_id])
    assert [d.disk_id for d in sight.system_disks or ()] == [new_disk]
    assert sight.disk(old[0].disk_id) is None


async def test_a_hundred_machines_watched_at_odd_moments_share_requests() -> None:
    lab = Lab(100)
    inventory = lab.inventory()
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    lab.forget_requests()

    async def watch(n: int) -> None:
        await asyncio.sleep(n * 0.03)
        for _ in range(10):
            await inventory.look(lab.ids[n], begun_after=now())
            await asyncio.sleep(3)

    began = now()
    await asyncio.gather(*(watch(n) for n in range(100)))
    assert lab.transport.counts["DescribeInstances"] <= 0.6 * (now() - began)
    assert lab.transport.counts["DescribeDisks"] <= 1.2 * (now() - began)


async def test_one_machine_alone_waits_for_nobody() -> None:
    lab = Lab()
    inventory = lab.inventory()
    inventory.register(lab.ids[0])
    await inventory.look(lab.ids[0])
    began = now()
    for _ in range(10):
        await inventory.look(lab.ids[0], begun_after=now())
    assert now() - began <= 10 * (0.03 + lab.transport.latency) + 1e-6


async def test_an_expected_disk_is_asked_about_in_the_same_request() -> None:
    lab = Lab(2)
    inventory = lab.inventory()
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    other = lab.cloud.look(lab.ids[1]).system_disk_id
    lab.forget_requests()
    sight = await inventory.look(lab.ids[0], begun_after=now(), expect=[other, "d-none"])
    disk = sight.disk(other)
    assert disk is not None
    assert disk.instance_id == lab.ids[1]
    assert sight.disk("d-none") is None
    assert [d.disk_id for d in sight.system_disks or ()] == [
        lab.cloud.look(lab.ids[0]).system_disk_id
    ]
    assert lab.transport.counts == {"DescribeInstances": 1, "DescribeDisks": 1}


async def test_a_look_is_never_answered_by_a_request_that_was_begun_before() -> None:
    lab = Lab()
    lab.transport.latency = 5.0
    inventory = lab.inventory()
    inventory.register(lab.ids[0])
    first = asyncio.create_task(inventory.look(lab.ids[0], disks=Disks.NONE))
    await asyncio.sleep(2)  # the request is under way
    lab.cloud.outside.lock(lab.ids[0], "security")
    moment = now()
    second = await inventory.look(lab.ids[0], begun_after=moment, disks=Disks.NONE)
    assert (await first).begun_at < moment < second.begun_at
    assert second.instance is not None
    assert second.instance.locks[0].reason == "security"


async def test_without_a_moment_the_last_observation_will_do() -> None:
    lab = Lab()
    inventory = lab.inventory()
    inventory.register(lab.ids[0])
    await inventory.look(lab.ids[0])
    lab.forget_requests()
    await asyncio.sleep(1000)
    await inventory.look(lab.ids[0])
    assert lab.transport.asked == []


async def test_few_instances_are_asked_for_their_disks_one_by_one_and_many_by_listing() -> None:
    lab = Lab(600)
    await look_at_all(lab.inventory(), lab.ids[:2], disks=Disks.ALL)
    assert lab.transport.counts == {"DescribeInstances": 1, "DescribeDisks": 2}
    lab.forget_requests()
    inventory = lab.inventory()
    sights = await asyncio.gather(*(inventory.look(i, disks=Disks.ALL) for i in lab.ids))
    assert all(len(s.system_disks or ()) == len(s.data_disk_ids or ()) == 1 for s in sights)
    assert lab.transport.counts == {"DescribeInstances": 6, "DescribeDisks": 3}  # 1200 disks
    lab.forget_requests()
    await look_at_all(inventory, lab.ids[:4], disks=Disks.ALL)
    assert lab.transport.counts["DescribeDisks"] == 3  # listing again is cheaper


async def test_a_listing_that_costs_more_than_asking_is_given_up() -> None:
    lab = Lab(2600)  # 5200 disks: 11 pages
    inventory = lab.inventory()
    sights = await asyncio.gather(*(inventory.look(i, disks=Disks.ALL) for i in lab.ids[:5]))
    assert all(len(s.data_disk_ids or ()) == 1 for s in sights)
    assert lab.transport.counts["DescribeDisks"] == 5 + 5
    lab.forget_requests()
    await look_at_all(inventory, lab.ids[:5], disks=Disks.ALL)
    assert lab.transport.counts["DescribeDisks"] == 5  # it has learnt


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda faults: faults.drop("DescribeInstances", "before"), NoAnswer),
        (lambda faults: faults.garble("DescribeInstances", "half-json"), NoAnswer),
        (lambda faults: faults.error("DescribeInstances", "InternalError", http=500), NoAnswer),
        (lambda faults: faults.error("DescribeInstances", "Throttling.User"), Throttled),
        (lambda faults: faults.drop("DescribeDisks", "after"), NoAnswer),
    ],
)
async def test_a_failure_reaches_who_waits_and_nobody_is_called_absent(
    fault: Callable[[Faults], object], error: type[Exception]
) -> None:
    lab = Lab(3)
    fault(lab.cloud.faults)
    inventory = lab.inventory()
    answers = await asyncio.gather(
        *(inventory.look(i, disks=Disks.ALL) for i in lab.ids), return_exceptions=True
    )
    assert any(isinstance(answer, error) for answer in answers)
    assert not any(getattr(answer, "instance", answer) is None for answer in answers)
    assert (await inventory.look(lab.ids[0])).instance is not None


async def test_a_list_that_breaks_off_between_pages_is_an_error() -> None:
    lab = Lab(600)
    lab.cloud.faults.drop("DescribeDisks", "before", times=1)
    inventory = lab.inventory()
    answers = await asyncio.gather(
        *(inventory.look(i, disks=Disks.ALL) for i in lab.ids), return_exceptions=True
    )
    assert all(isinstance(answer, EcsError) for answer in answers)


async def test_a_sweep_survives_failures_and_comes_back_sooner() -> None:
    lab = Lab(2)
    told: list[str] = []
    clock = Clock(jitter=lambda: 0.5)
    inventory = lab.inventory(on_change=told.append, resync_interval=300.0, clock=clock)
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    lab.cloud.faults.drop("DescribeInstances", "before", times=2)
    lab.cloud.outside.lock(lab.ids[0], "financial")
    inventory.start()
    await asyncio.sleep(330)  # the sweep after 285 fails, 5 s later again; 10 s later it works
    assert told == [lab.ids[0]]
    await inventory.close()


async def test_a_sweep_that_breaks_is_logged_and_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lab = Lab(1)
    broken = [KeyError("a surprise")]

    async def read(action: str, params: Params) -> Body:
        body = await lab.transport.call(action, params)
        if broken:
            raise broken.pop()
        return body

    told: list[str] = []
    inventory = Inventory(read, "cn-hangzhou", on_change=told.append)
    inventory.register(lab.ids[0])
    inventory.start()
    await asyncio.sleep(330)
    assert told == [lab.ids[0]]
    assert "KeyError" in caplog.text
    await inventory.close()


async def test_a_part_of_a_batch_that_has_no_turn_yet_keeps_no_other_from_its_answer() -> None:
    lab = Lab(10)
    bad, halves = "i-bad", 0

    async def read(action: str, params: Params) -> Body:
        nonlocal halves
        if bad not in params.get("InstanceIds", ""):
            return await lab.transport.call(action, params)
        halves += 1
        raise _malformed() if halves < 3 else not_yet("later", 7.0)

    inventory = Inventory(read, "cn-hangzhou")
    looks = (inventory.look(i, disks=Disks.NONE) for i in [*lab.ids, bad])
    answers = await asyncio.gather(*looks, return_exceptions=True)
    later = [a for a in answers if isinstance(a, NotYet)]
    assert 0 < len(later) <= 3
    assert {a.seconds for a in later} == {7.0}
    assert sum(not isinstance(a, BaseException) for a in answers) == 11 - len(later)


async def test_an_id_that_ecs_refuses_hides_no_other_instance() -> None:
    lab = Lab(40)
    bad = "i-bad"

    async def read(action: str, params: dict[str, str]) -> object:
        if bad in params.get("InstanceIds", ""):
            lab.transport.asked.append((action, params))
            raise _malformed()
        return await lab.transport.call(action, params)

    inventory = Inventory(read, "cn-hangzhou")  # type: ignore[arg-type]
    answers = await asyncio.gather(
        *(inventory.look(i, disks=Disks.NONE) for i in [*lab.ids, bad]), return_exceptions=True
    )
    assert isinstance(answers[-1], Refusal)
    assert all(getattr(answer, "instance", None) for answer in answers[:-1])
    assert lab.transport.counts["DescribeInstances"] <= 13
    lab.forget_requests()
    looks = [inventory.look(i, disks=Disks.NONE) for i in [*lab.ids, bad]]
    await asyncio.gather(*looks, return_exceptions=True)
    assert lab.transport.counts["DescribeInstances"] == 2  # the bad one is asked alone now


Bend = Callable[[list[dict[str, object]]], None]
LISTS = {
    "DescribeInstances": ("Instances", "Instance"),
    "DescribeDisks": ("Disks", "Disk"),
    "DescribeSnapshots": ("Snapshots", "Snapshot"),
}


def bent(lab: Lab, action: str, bend: Bend) -> Inventory:
    """Return an inventory that gets the records of `action` as `bend` leaves them."""

    async def read(asked: str, params: Params) -> Body:
        body = await lab.transport.call(asked, params)
        if asked == action:
            outer, inner = LISTS[action]
            bend(body[outer][inner])
        return body

    return Inventory(read, "cn-hangzhou")


def with_fields(name: str, value: str, **fields: object) -> Bend:
    """Let the record whose `name` is `value` have these fields; None: not at all."""

    def bend(records: list[dict[str, object]]) -> None:
        for record in records:
            if record[name] == value:
                record.update(fields)
                for gone in [k for k, v in fields.items() if v is None]:
                    del record[gone]

    return bend


@pytest.mark.parametrize("disks", Disks)
@pytest.mark.parametrize(
    "odd", [{"ImageId": ""}, {"OperationLocks": {"LockReason": None}}, {"Tags": 7}]
)
async def test_an_odd_instance_fails_for_itself_alone(odd: dict[str, object], disks: Disks) -> None:
    lab = Lab(100)
    bad = lab.ids[7]
    inventory = bent(lab, "DescribeInstances", with_fields("InstanceId", bad, **odd))
    looks = [inventory.look(i, disks=disks) for i in lab.ids]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    assert [i for i, a in zip(lab.ids, answers, strict=True) if isinstance(a, EcsError)] == [bad]
    assert isinstance(answers[7], NoAnswer)
    assert answers[7].failure.code == "Unreadable"


@pytest.mark.parametrize("odd", [{"Size": "big"}, {"OperationLocks": {}}, {"InstanceId": 7}])
@pytest.mark.parametrize("disks", [Disks.KNOWN, Disks.ALL])
async def test_an_odd_disk_fails_for_its_instance_alone(
    odd: dict[str, object], disks: Disks
) -> None:
    lab = Lab(100)
    bad = lab.cloud.look(lab.ids[7]).system_disk_id
    inventory = bent(lab, "DescribeDisks", with_fields("DiskId", bad, **odd))
    looks = [inventory.look(i, disks=disks) for i in lab.ids]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    failed = [i for i, a in zip(lab.ids, answers, strict=True) if isinstance(a, EcsError)]
    assert failed == [lab.ids[7]]


async def test_a_data_disk_that_cannot_be_read_is_missed_and_not_absent() -> None:
    lab = Lab(100)
    (bad,) = lab.cloud.look(lab.ids[7]).data_disk_ids
    bend = with_fields("DiskId", bad, Status=None, InstanceId=None)
    inventory = bent(lab, "DescribeDisks", bend)
    looks = [inventory.look(i, disks=Disks.ALL) for i in lab.ids]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    failed = [i for i, a in zip(lab.ids, answers, strict=True) if isinstance(a, EcsError)]
    assert failed == [lab.ids[7]]


async def test_a_sweep_passes_over_what_is_odd_and_tells_of_the_rest() -> None:
    lab = Lab(30)
    told: list[str] = []
    odd_vm, odd_disk = lab.ids[7], lab.cloud.look(lab.ids[8]).system_disk_id
    strange = False

    async def read(action: str, params: Params) -> Body:
        body = await lab.transport.call(action, params)
        if strange and action == "DescribeInstances":
            with_fields("InstanceId", odd_vm, OperationLocks=None)(body["Instances"]["Instance"])
        if strange and action == "DescribeDisks":
            with_fields("DiskId", odd_disk, Size=None)(body["Disks"]["Disk"])
        return body

    inventory = Inventory(read, "cn-hangzhou", on_change=told.append)
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    strange = True
    for instance_id in lab.ids[7:10]:
        lab.cloud.outside.set_tags(instance_id, {"team": "other"})
    await inventory.sweep()
    assert told == [lab.ids[9]]
    strange = False
    await inventory.sweep()
    assert sorted(told) == sorted(lab.ids[7:10])


async def test_a_record_without_an_id_is_not_taken_for_an_absence() -> None:
    lab = Lab(3)
    bend = with_fields("InstanceId", lab.ids[1], InstanceId=None)
    inventory = bent(lab, "DescribeInstances", bend)
    looks = [inventory.look(i, disks=Disks.NONE) for i in [*lab.ids, "i-nobody"]]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    assert [isinstance(answer, NoAnswer) for answer in answers] == [False, True, False, True]


async def test_an_odd_snapshot_fails_for_who_waits_for_it_alone() -> None:
    lab = Lab(2)
    made = [lab.fleet.snapshot(lab.cloud.look(i).system_disk_id, done=False) for i in lab.ids]
    bend = with_fields("SnapshotId", made[0].id, Status=None)
    lookups = bent(lab, "DescribeSnapshots", bend).lookups
    looks = [lookups.snapshot(s) for s in (made[0].id, made[1].id, "s-none")]
    odd, good, none = await asyncio.gather(*looks, return_exceptions=True)
    assert isinstance(odd, NoAnswer)
    assert [getattr(s, "status", None) for s in (good, none)] == ["progressing", ""]


async def test_a_refusal_that_no_id_is_to_blame_for_is_not_looked_into_for_ever() -> None:
    lab = Lab(100)

    async def read(action: str, params: dict[str, str]) -> object:
        lab.transport.asked.append((action, params))
        raise _malformed()

    inventory = Inventory(read, "cn-hangzhou")  # type: ignore[arg-type]
    looks = [inventory.look(i, disks=Disks.NONE) for i in lab.ids]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    assert all(isinstance(answer, Refusal) for answer in answers)
    assert lab.transport.counts["DescribeInstances"] <= 25


def _malformed() -> EcsError:
    return refusal("InvalidInstanceIds.Malformed", 400, "The InstanceIds are malformed.")


async def test_pages_that_do_not_end_are_an_error() -> None:
    async def read(action: str, params: dict[str, str]) -> dict[str, object]:
        return {"Instances": {"Instance": []}, "NextToken": "again"}

    with pytest.raises(NoAnswer, match="do not end"):
        await Inventory(read, "cn-hangzhou").look("i-1", disks=Disks.NONE)  # type: ignore[arg-type]


async def test_who_stops_waiting_takes_nothing_from_the_others() -> None:
    lab = Lab(3)
    inventory = lab.inventory()
    looks = [asyncio.create_task(inventory.look(i)) for i in lab.ids]
    await asyncio.sleep(0.001)
    looks[0].cancel()
    await asyncio.wait(looks)
    assert looks[0].cancelled()
    assert looks[1].result().instance is not None
    assert looks[2].result().instance is not None


async def test_closing_lets_nobody_wait_for_ever() -> None:
    lab = Lab(3)
    lab.transport.latency = 1000.0
    inventory = lab.inventory()
    looks = [asyncio.create_task(inventory.look(i)) for i in lab.ids]
    image = asyncio.create_task(inventory.lookups.image(lab.image.id))
    await asyncio.sleep(1)
    await inventory.close()
    answers = await asyncio.gather(*looks, image, return_exceptions=True)
    assert all(isinstance(a, EcsError) and a.failure.code == "Closed" for a in answers)
    assert len(answers) == 4


async def test_a_forgotten_instance_is_swept_no_more() -> None:
    lab = Lab(3)
    inventory = lab.inventory()
    for instance_id in lab.ids:
        inventory.register(instance_id)
    await look_at_all(inventory, lab.ids)
    for instance_id in lab.ids:
        inventory.unregister(instance_id)
    lab.forget_requests()
    await inventory.sweep()
    assert (lab.transport.asked, inventory.count) == ([], 0)


async def test_an_image_is_found_whoever_owns_it_and_whatever_its_status() -> None:
    lab = Lab()
    images = [
        lab.image,
        lab.fleet.image(status="Deprecated"),
        lab.fleet.image(owner="marketplace", product_code="cmj1"),
        lab.fleet.image(owner="others", public=True),
        lab.fleet.image(owner="system", image_id="ubuntu_24_04_x64.vhd"),
    ]
    inventory = lab.inventory()
    found = [await inventory.lookups.image(image.id) for image in images]
    assert [(i.image_id, i.status) for i in found] == [(i.id, i.status) for i in images]
    assert all(i.found for i in found)
    assert found[0].instance_types
    assert "ecs.g7.large" in found[0].instance_types
    assert not (await inventory.lookups.image("m-none")).found


async def test_a_fleet_that_asks_about_one_image_asks_once_a_minute() -> None:
    lab = Lab()
    inventory = lab.inventory()
    await asyncio.gather(*(inventory.lookups.image(lab.image.id) for _ in range(100)))
    await asyncio.sleep(59)
    await inventory.lookups.image(lab.image.id)
    assert lab.transport.counts == Counter(
        {"DescribeImages": 1, "DescribeImageSupportInstanceTypes": 1}
    )
    await asyncio.sleep(2)
    await inventory.lookups.image(lab.image.id)
    assert lab.transport.counts["DescribeImages"] == 2


async def test_a_failed_question_about_an_image_is_asked_again() -> None:
    lab = Lab()
    lab.cloud.faults.drop("DescribeImages", "after")
    inventory = lab.inventory()
    with pytest.raises(NoAnswer):
        await inventory.lookups.image(lab.image.id)
    assert (await inventory.lookups.image(lab.image.id)).found


async def test_an_image_without_the_right_to_its_types_is_known_all_the_same() -> None:
    lab = Lab()
    action = "DescribeImageSupportInstanceTypes"
    lab.cloud.faults.error(action, "Forbidden.RAM", http=403, message="no")
    image = await lab.inventory().lookups.image(lab.image.id)
    assert (image.found, image.instance_types) == (True, None)


async def test_a_family_stands_for_its_newest_member_and_an_empty_one_for_none() -> None:
    lab = Lab()
    lab.fleet.image(family="lts", age_days=9)
    newest = lab.fleet.image(family="lts")
    inventory = lab.inventory()
    assert (await inventory.lookups.family("lts")).image_id == newest.id
    assert (await inventory.lookups.family("none")).image_id == ""


async def test_a_key_pair_is_found_by_its_whole_name_only() -> None:
    lab = Lab()
    for n in range(60):
        lab.fleet.key_pair(f"admins-{n:02}")
    inventory = lab.inventory()
    assert await inventory.lookups.key_pair("admins-59")
    assert not await inventory.lookups.key_pair("admins-*")
    assert not await inventory.lookups.key_pair("admins-6")


async def test_snapshots_in_progress_are_asked_for_once_for_all_disks() -> None:
    lab = Lab(200)
    disks = [lab.cloud.look(i).system_disk_id for i in lab.ids]
    for disk_id in disks[:150]:
        lab.fleet.snapshot(disk_id, done=False)
    inventory = lab.inventory()
    answers = await asyncio.gather(*(inventory.lookups.snapshot_running(d) for d in disks))
    assert answers == [True] * 150 + [False] * 50
    assert lab.transport.counts == {"DescribeSnapshots": 2}


async def test_a_snapshot_in_progress_is_told_but_for_ones_own() -> None:
    lab = Lab(2)
    own, other = (lab.cloud.look(i).system_disk_id for i in lab.ids)
    snapshot = lab.fleet.snapshot(own, done=False)
    lookups = lab.inventory().lookups
    assert await lookups.snapshot_running(own)
    assert await lookups.snapshot_running(own, "s-another")
    assert not await lookups.snapshot_running(own, snapshot.id)
    assert not await lookups.snapshot_running(other)


async def test_the_default_encryption_of_the_region_is_told() -> None:
    lab = Lab()
    assert not await lab.inventory().lookups.default_encryption()
    lab.cloud.outside.set_region("cn-hangzhou", default_encryption=True)
    assert await lab.inventory().lookups.default_encryption()
