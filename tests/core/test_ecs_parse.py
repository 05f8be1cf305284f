"""Answers of ECS as values: strict about what is needed, lenient about the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from sysdisk.core.world import Disk, Image, Instance, Lock
from sysdisk.ecs import parse
from sysdisk.ecs.errors import EcsError, NoAnswer

V = TypeVar("V")
VM = {
    "InstanceId": "i-1",
    "Status": "Running",
    "ImageId": "m-1",
    "OperationLocks": {"LockReason": []},
}
DISK = {
    "DiskId": "d-1",
    "Type": "system",
    "Status": "In_use",
    "Size": 40,
    "OperationLocks": {"OperationLock": []},
}
IMAGE = {"ImageId": "m-1", "Status": "Available", "Size": 20}


def instances(*raw: object) -> parse.Records[Instance]:
    return parse.instances({"Instances": {"Instance": list(raw)}})


def disks(*raw: object) -> parse.Records[Disk]:
    return parse.disks({"Disks": {"Disk": list(raw)}})


def one(records: parse.Records[V]) -> V:
    """Return the one record that was read. Raises the error of one that could not be."""
    found: list[V | EcsError | None] = [*records.found.values(), records.nameless]
    (record,) = (record for record in found if record is not None)
    if isinstance(record, EcsError):
        raise record
    return record


def one_vm(**more: object) -> Instance:
    return one(instances({**VM, **more}))


def one_disk(**more: object) -> Disk:
    return one(disks({**DISK, **more}))


def one_image(**more: object) -> Image:
    return parse.images({"Images": {"Image": [{**IMAGE, **more}]}})[0]


@pytest.mark.parametrize("missing", ["InstanceId", "Status", "ImageId", "OperationLocks"])
@pytest.mark.parametrize("value", [None, 7, ""])
def test_an_instance_without_what_is_needed_is_unreadable(missing: str, value: Any) -> None:
    if missing == "OperationLocks" and value == "":
        value = []
    with pytest.raises(NoAnswer) as told:
        one(instances({**VM, missing: value}))
    assert told.value.failure.code == "Unreadable"


@pytest.mark.parametrize("missing", ["DiskId", "Type", "Status", "Size", "OperationLocks"])
def test_a_disk_without_what_is_needed_is_unreadable(missing: str) -> None:
    with pytest.raises(NoAnswer):
        one(disks({k: v for k, v in DISK.items() if k != missing}))


@pytest.mark.parametrize("missing", ["ImageId", "Status", "Size"])
def test_an_image_without_what_is_needed_is_unreadable(missing: str) -> None:
    with pytest.raises(NoAnswer):
        parse.images({"Images": {"Image": [{k: v for k, v in IMAGE.items() if k != missing}]}})


LISTS: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
    ("Instances", "Instance", parse.instances),
    ("Disks", "Disk", parse.disks),
    ("Disks", "Disk", parse.owners),
    ("Images", "Image", parse.images),
    ("Snapshots", "Snapshot", parse.snapshots),
    ("Snapshots", "Snapshot", parse.snapshot_sources),
    ("InstanceTypes", "InstanceType", parse.instance_types),
    ("KeyPairs", "KeyPair", parse.key_pair_names),
    ("TaskSet", "Task", parse.task_resources),
    ("Regions", "Region", parse.region_ids),
)


@pytest.mark.parametrize(("outer", "inner", "read"), LISTS)
def test_a_list_that_is_none_is_unreadable_and_not_empty(
    outer: str, inner: str, read: Callable[[Any], object]
) -> None:
    parts: tuple[object, ...] = (
        None,
        [],
        "",
        {},
        {inner: None},
        {inner: {}},
        {inner: ""},
        {"Other": []},
    )
    for body in ({}, {"Code": "x"}, *({outer: part} for part in parts)):
        with pytest.raises(NoAnswer):
            read(body)


def test_an_empty_list_is_empty() -> None:
    assert (instances().found, instances().nameless) == ({}, None)
    assert (disks().found, disks().nameless) == ({}, None)


def test_an_odd_record_has_its_error_and_spoils_no_other() -> None:
    odd = {**VM, "InstanceId": "i-2", "ImageId": ""}
    records = instances(VM, odd, {**VM, "InstanceId": "i-3", "OperationLocks": None})
    assert isinstance(records.found["i-1"], Instance)
    assert isinstance(records.found["i-2"], NoAnswer)
    assert isinstance(records.found["i-3"], NoAnswer)
    assert parse.by_id([records], ["i-1", "i-4"]) == records.found


@pytest.mark.parametrize("raw", [None, "i-2", {}, {**VM, "InstanceId": 7}])
def test_of_a_record_without_an_id_nobody_knows_that_it_is_not_his(raw: Any) -> None:
    found = parse.by_id([instances(VM), instances(raw)], ["i-1", "i-2"])
    assert isinstance(found["i-1"], Instance)
    assert isinstance(found["i-2"], NoAnswer)


def test_a_disk_tells_whose_it_is_even_if_nothing_else_of_it_can_be_read() -> None:
    raw = [{**DISK, "InstanceId": "i-1"}, {"InstanceId": "i-1"}, DISK, {**DISK, "InstanceId": 7}, 5]
    seen = parse.owners({"Disks": {"Disk": raw}})
    assert [(owner, isinstance(disk, Disk)) for owner, disk in seen] == [
        ("i-1", True),
        ("i-1", False),
        ("", True),
        ("", False),
        ("", False),
    ]


def test_an_image_that_fits_no_type_at_all_is_one_that_nothing_is_told_about() -> None:
    assert parse.instance_types({"InstanceTypes": {"InstanceType": []}}) is None
    raw = [{"InstanceTypeId": "ecs.g7.large"}]
    assert parse.instance_types({"InstanceTypes": {"InstanceType": raw}}) == frozenset(
        ["ecs.g7.large"]
    )


def test_locks_are_read_in_both_shapes() -> None:
    raw = {"LockReason": [{"LockReason": "security", "LockMsg": "why"}, {"LockMsg": "?"}]}
    assert one_vm(OperationLocks=raw).locks == (Lock("security", "why"), Lock("unknown", "?"))
    raw = {"OperationLock": [{"LockReason": "financial"}]}
    assert one_disk(OperationLocks=raw).locks == (Lock("financial"),)


def test_locks_of_the_wrong_shape_are_unreadable_and_not_absent() -> None:
    with pytest.raises(NoAnswer):
        one_vm(OperationLocks={"OperationLock": [{"LockReason": "security"}]})
    with pytest.raises(NoAnswer):
        one_disk(OperationLocks={"LockReason": [{"LockReason": "security"}]})


@pytest.mark.parametrize("locks", [None, [], " ", {}, {"LockReason": None}, {"LockReason": "no"}])
def test_only_an_empty_list_says_that_there_is_no_lock(locks: Any) -> None:
    with pytest.raises(NoAnswer):
        one_vm(OperationLocks=locks)
    renamed = {"OperationLock": locks["LockReason"]} if locks and "LockReason" in locks else locks
    with pytest.raises(NoAnswer):
        one_disk(OperationLocks=renamed)


def test_tags_and_mappings_that_are_no_list_are_unreadable_and_not_absent() -> None:
    with pytest.raises(NoAnswer):
        one_vm(Tags={"Tag": None})
    with pytest.raises(NoAnswer):
        one_image(DiskDeviceMappings={"DiskDeviceMapping": None})
    assert not one_image().has_data_snapshots


def test_times_are_aware_and_never_is_none() -> None:
    assert one_vm(ExpiredTime="2026-12-01T08:05Z").expired_time == datetime(
        2026, 12, 1, 8, 5, tzinfo=UTC
    )
    assert one_vm(ExpiredTime="2099-12-31T15:59Z").expired_time is None
    assert one_vm(ExpiredTime="soon").expired_time is None


def test_what_is_not_needed_may_be_missing_or_strange() -> None:
    vm = one_vm(KeyPairName=None, Tags={}, OSType="Linux", IoOptimized="none", HostName=5)
    assert (vm.key_pair_name, vm.tags, vm.os_type, vm.io_optimized) == ("", (), "linux", False)


def test_addresses_that_are_no_list_are_none() -> None:
    vm = one_vm(InnerIpAddress={"IpAddress": 5}, PublicIpAddress={"IpAddress": "1.2.3.4"})
    assert vm.addresses == ()


def test_addresses_and_tags_are_gathered() -> None:
    vm = one_vm(
        Tags={"Tag": [{"TagKey": "b", "TagValue": "2"}, {"TagKey": "a", "TagValue": ""}]},
        VpcAttributes={"PrivateIpAddress": {"IpAddress": ["10.0.0.1"]}},
        PublicIpAddress={"IpAddress": ["1.2.3.4"]},
        EipAddress={"IpAddress": "5.6.7.8"},
    )
    assert vm.tags == (("a", ""), ("b", "2"))
    assert vm.addresses == ("10.0.0.1", "1.2.3.4", "5.6.7.8")
    odd = one_vm(VpcAttributes={"PrivateIpAddress": {"IpAddress": 5}}, PublicIpAddress={})
    assert odd.addresses == ()


def test_an_image_with_data_snapshots_or_encryption_says_so() -> None:
    mappings = [{"Type": "system", "Encrypted": True}, {"Type": "data", "Encrypted": False}]
    image = one_image(DiskDeviceMappings={"DiskDeviceMapping": mappings})
    assert (image.has_data_snapshots, image.encrypted) == (True, True)
    plain = one_image(DiskDeviceMappings={"DiskDeviceMapping": [{"Type": "system"}]})
    assert (plain.has_data_snapshots, plain.encrypted) == (False, False)


def test_only_a_marketplace_image_needs_a_subscription() -> None:
    assert one_image(IsSubscribed=False, ProductCode="").is_subscribed
    assert not one_image(IsSubscribed=False, ProductCode="cmj1").is_subscribed
    assert not one_image(ProductCode="cmj1").is_subscribed


@pytest.mark.parametrize("body", [{}, {"Encrypted": None}, {"Encrypted": "maybe"}])
def test_an_unknown_encryption_default_is_unreadable(body: Any) -> None:
    with pytest.raises(NoAnswer):
        parse.default_encryption(body)


@pytest.mark.parametrize("body", [{}, {"Image": 5}, {"Image": "m-1"}])
def test_a_family_that_cannot_be_read_is_unreadable_and_not_empty(body: Any) -> None:
    with pytest.raises(NoAnswer):
        parse.family("f", body)


def test_an_acceptance_without_its_id_is_unreadable() -> None:
    for read in (parse.disk_id, parse.snapshot_id, parse.session, parse.caller_identity):
        with pytest.raises(NoAnswer):
            read({"RequestId": "r"})


def test_session_keys_are_not_in_a_repr() -> None:
    keys = {
        "AccessKeyId": "STS.1",
        "AccessKeySecret": "key-secret",
        "SecurityToken": "token-secret",
        "Expiration": "2026-11-23T13:00:00Z",
    }
    assert "secret" not in repr(parse.session({"Credentials": keys}))
