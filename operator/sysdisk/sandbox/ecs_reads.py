"""The Describe calls of the simulated cloud: they change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sysdisk.sandbox.ecs_faults import EcsFault, common_fault
from sysdisk.sandbox.ecs_params import (
    flag,
    has_tags,
    invalid,
    json_ids,
    listed,
    need,
    numbered_page,
    optional_flag,
    tags,
    token_page,
)
from sysdisk.sandbox.ecs_state import Disk, Image, Instance, Region, Snapshot
from sysdisk.sandbox.ecs_views import (
    attribute_view,
    disk_view,
    image_view,
    instance_view,
    key_pair_view,
    locks_of,
    snapshot_view,
    task_view,
    type_view,
)
from sysdisk.sandbox.ecs_world import Answer, Call, Handler, World

__all__ = ["READS", "dry_run", "fits_type", "kind_of", "offers"]

T = TypeVar("T")
_ARCHITECTURES = {"X86": ("i386", "x86_64"), "ARM": ("arm64",)}
_CATEGORIES = (
    *("cloud", "cloud_efficiency", "cloud_ssd"),
    *("cloud_essd", "cloud_auto", "cloud_essd_entry"),
)
_KIND = {  # what DescribeAvailableResource takes for a kind of instance, its default first
    "InstanceChargeType": ("PostPaid", "PrePaid"),
    "SpotStrategy": ("NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"),
    "IoOptimized": ("optimized", "none"),
}


def dry_run(call: Call) -> None:
    """Answer a dry run that passed the checks so far: with an error, as the API does."""
    if flag(call.params, "DryRun"):
        raise common_fault("DryRunOperation")


def describe_instances(world: World, call: Call) -> Answer:
    region = _region(world, call)
    ids = json_ids(call.params, "InstanceIds")
    wanted = tags(call.params)
    reason = call.get("LockReason").lower()
    plain = {
        name: call.get(name)
        for name in ("Status", "ZoneId", "ImageId", "InstanceType", "KeyPairName", "InstanceName")
        if call.get(name)
    }
    if plain.get("Status", "Running") not in _STATUSES:
        raise invalid("Status")
    dry_run(call)
    found = [
        vm
        for vm in _pick(world.state.instances, ids)
        if (vm.region, vm.account) == (region.id, call.account)
        and has_tags(vm.tags, wanted)
        and _plain_match(vm, plain)
        and (not reason or any(k.reason.lower() == reason for k in locks_of(world, vm)))
    ]
    more = listed(call.params, "AdditionalAttributes")
    return _paged(
        call, found, "Instances", "Instance", lambda vm: instance_view(world, vm, more), 100
    )


_STATUSES = ("Pending", "Running", "Starting", "Stopping", "Stopped")
_PLAIN = {
    "Status": "status",
    "ZoneId": "zone",
    "ImageId": "image_id",
    "InstanceType": "type",
    "KeyPairName": "key_pair",
}


def _plain_match(vm: Instance, plain: dict[str, str]) -> bool:
    for name, value in plain.items():
        if name == "InstanceName":
            if not _wild(value).fullmatch(vm.name):
                return False
        elif getattr(vm, _PLAIN[name]) != value:
            return False
    return True


def describe_instance_attribute(world: World, call: Call) -> Answer:
    return attribute_view(world, world.instance(call, need(call.params, "InstanceId")))


def describe_instance_status(world: World, call: Call) -> Answer:
    region = _region(world, call)
    ids = listed(call.params, "InstanceId") or None
    found = [
        vm
        for vm in _pick(world.state.instances, ids)
        if (vm.region, vm.account) == (region.id, call.account)
        and call.get("ZoneId") in ("", vm.zone)
    ]
    page, at, size = numbered_page(call.params, found, 50)
    rows = [{"InstanceId": vm.id, "Status": vm.status} for vm in page]
    return {
        "InstanceStatuses": {"InstanceStatus": rows},
        "TotalCount": len(found),
        "PageNumber": at,
        "PageSize": size,
    }


def describe_disks(world: World, call: Call) -> Answer:
    region = _region(world, call)
    ids = json_ids(call.params, "DiskIds")
    owner = call.get("InstanceId")
    vm = world.state.instances.get(owner) if owner else None
    if owner:
        mine = (vm.system_disk_id, *vm.data_disk_ids) if vm else ()
        ids = tuple(i for i in mine if ids is None or i in ids)
    kind = call.get("DiskType") or "all"
    if kind not in ("all", "system", "data"):
        raise invalid("DiskType")
    wanted, encrypted = tags(call.params), optional_flag(call.params, "Encrypted")
    dry_run(call)

    def fits(disk: Disk) -> bool:
        return (
            (disk.region, disk.account) == (region.id, call.account)
            and kind in ("all", disk.type)
            and call.get("Status") in ("", "All", disk.status)
            and call.get("Category") in ("", "all", disk.category)
            and call.get("ZoneId") in ("", disk.zone)
            and call.get("AutoSnapshotPolicyId") in ("", disk.auto_snapshot_policy)
            and encrypted in (None, disk.encrypted)
            and has_tags(disk.tags, wanted)
        )

    found = [d for d in _pick(world.state.disks, ids) if fits(d)]
    return _paged(call, found, "Disks", "Disk", disk_view, 500)


def describe_images(world: World, call: Call) -> Answer:
    """Filters as the API has them: only Available ones, and none of the marketplace, by default."""
    region = _region(world, call)
    ids = tuple(call.get("ImageId").split(",")) if call.get("ImageId") else None
    statuses = tuple((call.get("Status") or "Available").split(","))
    if "ALL" in statuses and len(statuses) > 1:
        raise invalid("Status")
    wanted, public = tags(call.params), flag(call.params, "IsPublic")
    name = _wild(call.get("ImageName")) if call.get("ImageName") else None
    dry_run(call)

    def fits(image: Image) -> bool:
        return (
            image.region == region.id
            and _owned(world, image, call, public)
            and (statuses == ("ALL",) or image.status in statuses)
            and call.get("ImageFamily") in ("", image.family)
            and call.get("OSType") in ("", image.os_type)
            and call.get("Architecture") in ("", image.architecture)
            and (name is None or name.fullmatch(image.name) is not None)
            and (not call.get("InstanceType") or fits_type(world, image, call.get("InstanceType")))
            and has_tags(image.tags, wanted)
        )

    found = [i for i in _pick(world.state.images, ids) if fits(i)]
    page, at, size = numbered_page(call.params, found)
    return {
        "Images": {"Image": [image_view(i, world.alias(i, call.account)) for i in page]},
        "RegionId": region.id,
        "TotalCount": len(found),
        "PageNumber": at,
        "PageSize": size,
    }


def _owned(world: World, image: Image, call: Call, public: bool) -> bool:
    alias, asked = world.alias(image, call.account), call.get("ImageOwnerAlias")
    community = alias == "others" and call.account not in image.shared_with
    if community:  # shown only to those who ask for others' public images
        return asked == "others" and public
    if public and alias == "others":
        return False
    return alias == asked if asked else alias in ("system", "self", "others")


def describe_image_from_family(world: World, call: Call) -> Answer:
    region, family = _region(world, call), need(call.params, "ImageFamily")
    members = [
        i
        for i in world.state.images.values()
        if (i.region, i.family, i.status) == (region.id, family, "Available")
        and world.alias(i, call.account) in ("self", "system", "others")
    ]
    if not members:
        return {"Image": {}}
    newest = max(members, key=lambda i: (i.created_at, i.id))
    return {"Image": image_view(newest, world.alias(newest, call.account))}


def describe_image_support_instance_types(world: World, call: Call) -> Answer:
    region, image_id = _region(world, call), need(call.params, "ImageId")
    image = world.image(_in(call, region), image_id)
    kinds = world.state.types.values() if image else ()
    rows = [type_view(k) for k in kinds if image and fits_type(world, image, k.id)]
    keep = ("InstanceTypeId", "InstanceTypeFamily", "CpuCoreCount", "MemorySize")
    return {
        "RegionId": region.id,
        "ImageId": image_id,
        "InstanceTypes": {"InstanceType": [{k: row[k] for k in keep} for row in rows]},
    }


def fits_type(world: World, image: Image, type_id: str) -> bool:
    """Whether an image can run on an instance type, by architecture and by its own lists."""
    kind = world.state.types.get(type_id)
    architecture = kind.architecture if kind else "X86"
    return (
        image.architecture in _ARCHITECTURES.get(architecture, ())
        and (not image.only_types or type_id in image.only_types)
        and type_id not in image.not_types
    )


def describe_instance_types(world: World, call: Call) -> Answer:
    ids = listed(call.params, "InstanceTypes", 10) or None
    found = [
        k
        for k in _pick(world.state.types, ids)
        if call.get("InstanceTypeFamily") in ("", k.family)
        and call.get("CpuArchitecture") in ("", k.architecture)
    ]
    return {"InstanceTypes": {"InstanceType": [type_view(k) for k in found]}, "NextToken": ""}


def describe_snapshots(world: World, call: Call) -> Answer:
    region = _region(world, call)
    ids = json_ids(call.params, "SnapshotIds")
    status, kind = call.get("Status") or "all", call.get("SnapshotType") or "all"
    wanted = tags(call.params)
    if status not in ("progressing", "accomplished", "failed", "all"):
        raise invalid("Status")
    dry_run(call)

    def fits(snap: Snapshot) -> bool:
        return (
            (snap.region, snap.account) == (region.id, call.account)
            and status in ("all", snap.status)
            and kind in ("all", "auto" if snap.automatic else "user")
            and call.get("DiskId") in ("", snap.disk_id)
            and call.get("InstanceId") in ("", snap.instance_id)
            and has_tags(snap.tags, wanted)
        )

    found = [s for s in _pick(world.state.snapshots, ids) if fits(s)]
    return _paged(call, found, "Snapshots", "Snapshot", lambda s: snapshot_view(world, s), 100)


def describe_key_pairs(world: World, call: Call) -> Answer:
    region = _region(world, call)
    name = _wild(call.get("KeyPairName")) if call.get("KeyPairName") else None
    found = [
        p
        for p in world.state.key_pairs.values()
        if (p.region, p.account) == (region.id, call.account)
        and (name is None or name.fullmatch(p.name))
        and has_tags(p.tags, tags(call.params))
    ]
    page, at, size = numbered_page(call.params, found, 50)
    return {
        "KeyPairs": {"KeyPair": [key_pair_view(p) for p in page]},
        "TotalCount": len(found),
        "PageNumber": at,
        "PageSize": size,
    }


def describe_disk_encryption_by_default_status(world: World, call: Call) -> Answer:
    return {"Encrypted": _region(world, call).default_encryption}


def describe_available_resource(world: World, call: Call) -> Answer:
    region, target = _region(world, call), need(call.params, "DestinationResource")
    if target not in ("SystemDisk", "DataDisk", "InstanceType", "Zone"):
        raise invalid("DestinationResource")
    kind = [call.get(name) or words[0] for name, words in _KIND.items()]
    for word, (name, words) in zip(kind, _KIND.items(), strict=True):
        if word not in words:
            raise invalid(name)
    zones = [z for z in region.zones if call.get("ZoneId") in ("", z)]
    rows = [_zone_row(world, region, zone, target, call, kind) for zone in zones]
    return {"AvailableZones": {"AvailableZone": rows}}


def offers(region: Region, kind: Iterable[str], category: str) -> bool:
    """Whether disks of a category go with instances of a kind: type, payment, spot, I/O."""
    return not any((word, category) in region.unsupported for word in kind)


def kind_of(vm: Instance) -> tuple[str, ...]:
    """Return the kind of an instance, for `offers`."""
    io = "optimized" if vm.io_optimized else "none"
    return vm.type, vm.charge_type, vm.spot_strategy, io


def _zone_row(
    world: World, region: Region, zone: str, target: str, call: Call, kind: list[str]
) -> Answer:
    values: Iterable[str] = (zone,)
    if target in ("SystemDisk", "DataDisk"):
        words = (call.get("InstanceType"), *kind)
        values = [c for c in _CATEGORIES if offers(region, words, c)]
    elif target == "InstanceType":
        values = [t for t in world.state.types if call.get("InstanceType") in ("", t)]
    withdrawn = (zone, call.get("InstanceType")) in region.sold_out
    resources = [_stock(region, zone, value, target, withdrawn) for value in values]
    some = any(r["Status"] == "Available" for r in resources)
    return {
        "RegionId": region.id,
        "ZoneId": zone,
        "Status": "Available" if some else "SoldOut",
        "StatusCategory": "WithStock" if some else "WithoutStock",
        "AvailableResources": {
            "AvailableResource": [
                {"Type": target, "SupportedResources": {"SupportedResource": resources}}
            ]
        },
    }


def _stock(region: Region, zone: str, value: str, target: str, withdrawn: bool) -> Answer:
    gone = withdrawn or (zone, value) in region.sold_out
    row: Answer = {
        "Value": value,
        "Status": "SoldOut" if gone else "Available",
        "StatusCategory": "WithoutStock" if gone else "WithStock",
    }
    if target in ("SystemDisk", "DataDisk"):
        row |= {"Min": 20, "Max": 2048, "Unit": "GiB"}
    return row


def describe_tasks(world: World, call: Call) -> Answer:
    region, ids = _region(world, call), listed(call.params, "ResourceIds")
    found = [
        t
        for t in world.state.tasks.values()
        if (t.region, t.account) == (region.id, call.account)
        and call.get("TaskAction") in ("", t.action)
        and call.get("TaskStatus") in ("", t.status)
        and (not ids or t.resource_id in ids)
    ]
    page, at, size = numbered_page(call.params, found)
    return {
        "RegionId": region.id,
        "TaskSet": {"Task": [task_view(t) for t in page]},
        "TotalCount": len(found),
        "PageNumber": at,
        "PageSize": size,
    }


def describe_regions(world: World, call: Call) -> Answer:
    rows = [
        {"RegionId": r, "LocalName": r, "RegionEndpoint": f"ecs.{r}.aliyuncs.com"}
        for r in world.state.regions
    ]
    return {"Regions": {"Region": rows}}


def _region(world: World, call: Call) -> Region:
    return world.region(need(call.params, "RegionId"))


def _in(call: Call, region: Region) -> Call:
    return Call(call.action, call.params, region.id, call.account, call.arn)


def _pick(records: dict[str, T], ids: tuple[str, ...] | None) -> Iterable[T]:
    """Return all records, or those of the given ids; unknown ids are left out, as the API does."""
    if ids is None:
        return records.values()
    return [records[i] for i in dict.fromkeys(ids) if i in records]


def _paged(
    call: Call, found: list[T], outer: str, inner: str, view: Callable[[T], Any], at_most: int
) -> Answer:
    old_style = "PageNumber" in call.params or "PageSize" in call.params
    if old_style and not call.get("MaxResults") and not call.get("NextToken"):
        page, at, size = numbered_page(call.params, found)
        extra = {"TotalCount": len(found), "PageNumber": at, "PageSize": size, "NextToken": ""}
    else:
        by_token = bool(call.get("MaxResults") or call.get("NextToken"))
        page, more = token_page(call.params, found, at_most)
        total = 0 if by_token else len(found)  # with tokens the real number means nothing
        extra = {"TotalCount": total, "PageNumber": 1, "PageSize": 10, "NextToken": more}
    return {outer: {inner: [view(item) for item in page]}, **extra}


def _wild(text: str) -> re.Pattern[str]:
    """Return a pattern in which `*` stands for anything."""
    if len(text) > 128:
        raise EcsFault(400, "InvalidParameter", "The specified name is too long.")
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


READS: dict[str, Handler] = {
    "DescribeInstances": describe_instances,
    "DescribeInstanceAttribute": describe_instance_attribute,
    "DescribeInstanceStatus": describe_instance_status,
    "DescribeDisks": describe_disks,
    "DescribeImages": describe_images,
    "DescribeImageFromFamily": describe_image_from_family,
    "DescribeImageSupportInstanceTypes": describe_image_support_instance_types,
    "DescribeInstanceTypes": describe_instance_types,
    "DescribeSnapshots": describe_snapshots,
    "DescribeKeyPairs": describe_key_pairs,
    "DescribeDiskEncryptionByDefaultStatus": describe_disk_encryption_by_default_status,
    "DescribeAvailableResource": describe_available_resource,
    "DescribeTasks": describe_tasks,
    "DescribeRegions": describe_regions,
}
