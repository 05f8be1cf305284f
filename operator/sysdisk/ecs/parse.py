"""Answers of ECS, read into `core.world`: strict about what a decision needs, lenient otherwise.

A missing InstanceId, Status, DiskId or the like is never replaced by a default: it is `NoAnswer`
with the code `Unreadable`, and nothing destructive follows from it. Where many share an answer, one
odd record has that error in its own place and spoils no other.
Source of the shapes: ECS 2014-05-26, Describe calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sysdisk.core.world import Disk, Family, Image, Instance, Lock, Slot, Snapshot, Supply
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.failures import unreadable
from sysdisk.ecs.port import Body

_TIMES = ("%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ")
_FAR_AWAY = 2099
"""ECS gives pay-as-you-go instances an ExpiredTime in this year: it means never."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary keys. Source: STS AssumeRole, Credentials."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Records(Generic[V]):
    """The records of one page by their ID, a record that cannot be read as its error.

    `nameless` is the error of a record that does not even tell its ID: it may be anybody's, so what
    is not among `found` is not known to be absent.
    """

    found: Mapping[str, V | EcsError]
    nameless: EcsError | None = None


def by_id(pages: Iterable[Records[V]], ids: Iterable[str]) -> dict[str, V | EcsError]:
    """Return what all `pages` hold of `ids`; one that is left out is known not to be there."""
    listed = list(pages)
    found = {key: record for page in listed for key, record in page.found.items()}
    nameless = next((page.nameless for page in listed if page.nameless), None)
    if nameless is not None:
        found = {**dict.fromkeys(ids, nameless), **found}
    return found


def request_id(body: Body) -> str:
    """Return the RequestId, empty if there is none."""
    return _text(body, "RequestId")


def next_token(body: Body) -> str:
    """Return the token of the next page, empty at the end."""
    return _text(body, "NextToken")


def instances(body: Body) -> Records[Instance]:
    """Return the instances of one page. Source: DescribeInstances."""
    return _records(_list(body, "Instances", "Instance"), "InstanceId", _instance)


def disks(body: Body) -> Records[Disk]:
    """Return the disks of one page. Source: DescribeDisks."""
    return _records(_list(body, "Disks", "Disk"), "DiskId", _disk)


def owners(body: Body) -> tuple[tuple[str, Disk | EcsError], ...]:
    """Return each disk of one page with the ID of its instance, "" for none or not told.

    Source: DescribeDisks, InstanceId.
    """
    found = _list(body, "Disks", "Disk")
    return tuple((_id(raw, "InstanceId"), _tried(_disk, raw)) for raw in found)


def images(body: Body) -> tuple[Image, ...]:
    """Return the images of one page, without `instance_types`. Source: DescribeImages."""
    return tuple(_image(raw) for raw in _listed(body, "Images", "Image"))


def instance_types(body: Body) -> frozenset[str] | None:
    """Return the types that can take an image. Source: DescribeImageSupportInstanceTypes.

    None for an empty list: an image that fits nothing at all is one that ECS tells nothing about.
    """
    found = _listed(body, "InstanceTypes", "InstanceType")
    return frozenset(_need(raw, "InstanceTypeId", "instance type") for raw in found) or None


def family(name: str, body: Body) -> Family:
    """Return what a family stands for. Source: DescribeImageFromFamily (empty Image: nothing)."""
    if "Image" not in body or not isinstance(body["Image"], Mapping | None):
        raise unreadable("DescribeImageFromFamily has no Image")
    return Family(name, _text(body["Image"] or {}, "ImageId"))


def key_pair_names(body: Body) -> tuple[str, ...]:
    """Return the names of one page of key pairs. Source: DescribeKeyPairs."""
    return tuple(
        _need(raw, "KeyPairName", "key pair") for raw in _listed(body, "KeyPairs", "KeyPair")
    )


def snapshot_sources(body: Body) -> tuple[tuple[str, str], ...]:
    """Return (snapshot ID, disk ID) of the snapshots of one page. Source: DescribeSnapshots."""
    return tuple(
        (_need(raw, "SnapshotId", "snapshot"), _need(raw, "SourceDiskId", "snapshot"))
        for raw in _listed(body, "Snapshots", "Snapshot")
    )


def snapshots(body: Body) -> Records[Snapshot]:
    """Return the snapshots of one page. Source: DescribeSnapshots."""
    return _records(_list(body, "Snapshots", "Snapshot"), "SnapshotId", _snapshot)


def default_encryption(body: Body) -> bool:
    """Return whether new disks are encrypted. Source: DescribeDiskEncryptionByDefaultStatus."""
    encrypted = _flag(body, "Encrypted")
    if encrypted is None:
        raise unreadable("DescribeDiskEncryptionByDefaultStatus has no Encrypted")
    return encrypted


def task_resources(body: Body) -> tuple[str, ...]:
    """Return the resources of one page of tasks, "" for one without. Source: DescribeTasks."""
    return tuple(_text(raw, "ResourceId") for raw in _listed(body, "TaskSet", "Task"))


def cpu_architecture(type_id: str, body: Body) -> str:
    """Return a type's CpuArchitecture, "" if it is not listed. Source: DescribeInstanceTypes."""
    for raw in _listed(body, "InstanceTypes", "InstanceType"):
        if _text(raw, "InstanceTypeId") == type_id:
            return _text(raw, "CpuArchitecture")
    return ""


def region_ids(body: Body) -> frozenset[str]:
    """Return the regions that there are. Source: DescribeRegions."""
    return frozenset(_need(raw, "RegionId", "region") for raw in _listed(body, "Regions", "Region"))


def supply(slot: Slot, body: Body) -> Supply:
    """Return the system disks that ECS offers for a slot. Source: DescribeAvailableResource."""
    offered: dict[str, bool] = {}
    for zone in _listed(body, "AvailableZones", "AvailableZone"):
        for part in _listed_or_none(zone, "AvailableResources", "AvailableResource"):
            if _text(zone, "ZoneId") == slot.zone_id and _text(part, "Type") == "SystemDisk":
                for raw in _listed_or_none(part, "SupportedResources", "SupportedResource"):
                    offered[_need(raw, "Value", "resource")] = _in_stock(raw)
    gone = frozenset(category for category, there in offered.items() if not there)
    return Supply(slot, frozenset(offered), gone)


def _in_stock(raw: Mapping[str, Any]) -> bool:
    """Whether a resource can be had now; what is about to be withdrawn can (ClosedWithStock)."""
    category = _text(raw, "StatusCategory")
    if category:
        return category not in ("WithoutStock", "ClosedWithoutStock")
    return _text(raw, "Status") != "SoldOut"


def disk_id(body: Body) -> str:
    """Return the DiskId of a ReplaceSystemDisk that was accepted."""
    return _need(body, "DiskId", "answer to ReplaceSystemDisk")


def snapshot_id(body: Body) -> str:
    """Return the SnapshotId of a CreateSnapshot that was accepted."""
    return _need(body, "SnapshotId", "answer to CreateSnapshot")


def caller_identity(body: Body) -> tuple[str, str, str]:
    """Return account ID, ARN and identity type. Source: STS GetCallerIdentity."""
    what = "answer to GetCallerIdentity"
    account, arn = _need(body, "AccountId", what), _need(body, "Arn", what)
    return account, arn, _text(body, "IdentityType")


def session(body: Body) -> Session:
    """Return the keys of an assumed role. Source: STS AssumeRole."""
    raw, what = _part(body, "Credentials"), "answer to AssumeRole"
    expires_at = _time(_need(raw, "Expiration", what))
    if expires_at is None:
        raise unreadable(f"the {what} has an Expiration that is no time")
    return Session(
        _need(raw, "AccessKeyId", what),
        _need(raw, "AccessKeySecret", what),
        _need(raw, "SecurityToken", what),
        expires_at,
    )


def total_count(body: Body) -> int:
    """Return the number of entries over all pages. Source: TotalCount (page-numbered calls)."""
    total = _number(body, "TotalCount")
    if total is None:
        raise unreadable("the list has no TotalCount")
    return total


def _instance(raw: Mapping[str, Any]) -> Instance:
    hibernation, options = _part(raw, "HibernationOptions"), _part(raw, "ImageOptions")
    io_optimized = _flag(raw, "IoOptimized")
    return Instance(
        instance_id=_need(raw, "InstanceId", "instance"),
        status=_need(raw, "Status", "instance"),
        region_id=_text(raw, "RegionId"),
        zone_id=_text(raw, "ZoneId"),
        image_id=_need(raw, "ImageId", "instance"),
        os_type=_text(raw, "OSType").lower(),
        instance_type=_text(raw, "InstanceType"),
        key_pair_name=_text(raw, "KeyPairName"),
        host_name=_text(raw, "HostName"),
        io_optimized=True if io_optimized is None else io_optimized,
        charge_type=_text(raw, "InstanceChargeType"),
        spot_strategy=_text(raw, "SpotStrategy"),
        expired_time=_time(_text(raw, "ExpiredTime")),
        stopped_mode=_text(raw, "StoppedMode"),
        hibernation=bool(_flag(hibernation, "Configured")),
        login_as_non_root=_flag(options, "LoginAsNonRoot"),
        locks=_locks(raw, "LockReason"),
        tags=_tags(raw),
        addresses=_addresses(raw),
    )


def _disk(raw: Mapping[str, Any]) -> Disk:
    size, owner = _number(raw, "Size"), raw.get("InstanceId")
    if size is None:
        raise unreadable("a disk has no Size")
    if not isinstance(owner, str | None):
        raise unreadable("the InstanceId of a disk is no text")
    return Disk(
        disk_id=_need(raw, "DiskId", "disk"),
        type=_need(raw, "Type", "disk"),
        status=_need(raw, "Status", "disk"),
        size=size,
        instance_id=owner or "",
        zone_id=_text(raw, "ZoneId"),
        charge_type=_text(raw, "DiskChargeType"),
        category=_text(raw, "Category"),
        performance_level=_text(raw, "PerformanceLevel"),
        image_id=_text(raw, "ImageId"),
        encrypted=bool(_flag(raw, "Encrypted")),
        kms_key_id=_text(raw, "KMSKeyId"),
        multi_attach=_text(raw, "MultiAttach"),
        storage_cluster_id=_text(raw, "StorageClusterId"),
        auto_snapshot_policy_id=_text(raw, "AutoSnapshotPolicyId"),
        delete_auto_snapshot=bool(_flag(raw, "DeleteAutoSnapshot")),
        device=_text(raw, "Device"),
        locks=_locks(raw, "OperationLock"),
    )


def _snapshot(raw: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        _need(raw, "SnapshotId", "snapshot"),
        _need(raw, "Status", "snapshot"),
        _text(raw, "Progress"),
    )


def _image(raw: Mapping[str, Any]) -> Image:
    size = _number(raw, "Size")
    if size is None:
        raise unreadable("an image has no Size")
    mappings = _listed_or_none(raw, "DiskDeviceMappings", "DiskDeviceMapping")
    io_optimized = _flag(raw, "IsSupportIoOptimized")
    product_code = _text(raw, "ProductCode")
    return Image(
        image_id=_need(raw, "ImageId", "image"),
        name=_text(raw, "ImageName"),
        size=size,
        status=_need(raw, "Status", "image"),
        architecture=_text(raw, "Architecture"),
        os_type=_text(raw, "OSType").lower(),
        platform=_text(raw, "Platform"),
        family=_text(raw, "ImageFamily"),
        product_code=product_code,
        is_subscribed=not product_code or bool(_flag(raw, "IsSubscribed")),
        usable=_flag(raw, "Usable"),
        io_optimized=True if io_optimized is None else io_optimized,
        login_as_non_root=_flag(raw, "LoginAsNonRootSupported"),
        has_data_snapshots=any(_text(m, "Type").lower() == "data" for m in mappings),
        encrypted=any(
            bool(_flag(m, "Encrypted")) for m in mappings if _text(m, "Type").lower() != "data"
        ),
    )


def _locks(raw: Mapping[str, Any], entry: str) -> tuple[Lock, ...]:
    """Return the locks, sorted. Instances call an entry LockReason, disks OperationLock.

    Only an empty list says that there is none. A lock without a reason is kept, as `unknown`: it is
    still a lock.
    """
    found = _listed(raw, "OperationLocks", entry)
    return tuple(
        sorted(Lock(_text(r, "LockReason") or "unknown", _text(r, "LockMsg")) for r in found)
    )


def _tags(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = _listed_or_none(raw, "Tags", "Tag")
    pairs = (
        (_text(t, "TagKey") or _text(t, "Key"), _text(t, "TagValue") or _text(t, "Value"))
        for t in found
    )
    return tuple(sorted(pairs))


def _addresses(raw: Mapping[str, Any]) -> tuple[str, ...]:
    vpc = _part(_part(raw, "VpcAttributes"), "PrivateIpAddress")
    parts = (vpc, _part(raw, "InnerIpAddress"), _part(raw, "PublicIpAddress"))
    lists = [part.get("IpAddress") for part in parts]
    found = [a for listed in lists if isinstance(listed, list) for a in listed]
    found.append(_part(raw, "EipAddress").get("IpAddress"))
    return tuple(a for a in found if isinstance(a, str) and a)


def _records(
    found: Sequence[object], name: str, read: Callable[[Mapping[str, Any]], V]
) -> Records[V]:
    """Return what `read` makes of each record, by its field `name`."""
    records: dict[str, V | EcsError] = {}
    nameless: EcsError | None = None
    for raw in found:
        record, key = _tried(read, raw), _id(raw, name)
        if key:
            records[key] = record
        elif isinstance(record, EcsError):
            nameless = record
    return Records(records, nameless)


def _tried(read: Callable[[Mapping[str, Any]], V], raw: object) -> V | EcsError:
    try:
        return read(raw) if isinstance(raw, Mapping) else unreadable("a record is not an object")
    except EcsError as error:
        return error


def _id(raw: object, name: str) -> str:
    return _text(raw, name) if isinstance(raw, Mapping) else ""


def _list(body: Mapping[str, Any], outer: str, inner: str) -> Sequence[object]:
    """Return a list that must be there. Null and absence are not an empty list."""
    part = body.get(outer)
    found = part.get(inner) if isinstance(part, Mapping) else None
    if not isinstance(found, list):
        raise unreadable(f"there is no list {outer}.{inner}")
    return found


def _listed(body: Mapping[str, Any], outer: str, inner: str) -> Sequence[Mapping[str, Any]]:
    """Return a list of objects that must be there."""
    found = _list(body, outer, inner)
    objects = [raw for raw in found if isinstance(raw, Mapping)]
    if len(objects) < len(found):
        raise unreadable(f"{outer}.{inner} is not a list of objects")
    return objects


def _listed_or_none(body: Mapping[str, Any], outer: str, inner: str) -> Sequence[Mapping[str, Any]]:
    """Return a list of objects, empty where there is no `outer` or nothing in it."""
    return _listed(body, outer, inner) if _part(body, outer) else ()


def _part(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = raw.get(name)
    if part is None or part == "":
        return {}
    if not isinstance(part, Mapping):
        raise unreadable(f"{name} is not an object")
    return part


def _need(raw: Mapping[str, Any], name: str, what: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise unreadable(f"the {what} has no {name}")
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def _number(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _flag(raw: Mapping[str, Any], name: str) -> bool | None:
    value = raw.get(name)
    if isinstance(value, bool):
        return value
    words = {"true": True, "optimized": True, "false": False, "none": False}
    return words.get(value.lower()) if isinstance(value, str) else None


@lru_cache(maxsize=4096)
def _time(text: str) -> datetime | None:
    """Return an aware time, None for none, for never and for what is not understood."""
    for pattern in _TIMES:
        try:
            time = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        return None if time.year >= _FAR_AWAY else time
    return None
