"""Records of the cloud as the JSON that the API answers with.

The shapes are the API's, traps included: the locks of an instance and of a disk are nested
differently, and IoOptimized is a bool in one call and a word in another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sysdisk.sandbox.ecs_state import (
    Disk,
    Image,
    Instance,
    InstanceType,
    KeyPair,
    Lock,
    Snapshot,
    Task,
)
from sysdisk.sandbox.ecs_world import World, iso, iso_minute

__all__ = [
    "attribute_view",
    "disk_view",
    "image_view",
    "instance_view",
    "key_pair_view",
    "locks_of",
    "snapshot_view",
    "task_view",
    "type_view",
]

View = dict[str, Any]


def locks_of(world: World, vm: Instance) -> tuple[Lock, ...]:
    """Return the locks that are seen on an instance now, that of a replacement included."""
    work, reason = vm.replacement, world.state.options.replacement_lock
    if work is None or not reason or world.moment < work.lock_at:
        return vm.locks
    return (*vm.locks, Lock(reason, "The system disk is being replaced."))


def instance_view(world: World, vm: Instance, attributes: Collection[str] = ()) -> View:
    """Return an instance as DescribeInstances shows it to who asks for these AdditionalAttributes.

    ImageOptions are shown to nobody else.
    """
    kind = world.state.types.get(vm.type)
    image = world.state.images.get(vm.image_id)
    return {
        "InstanceId": vm.id,
        "InstanceName": vm.name,
        "HostName": vm.host_name,
        "Description": "",
        "Status": vm.status,
        "RegionId": vm.region,
        "ZoneId": vm.zone,
        "ImageId": vm.image_id,
        "OSType": vm.os_type,
        "OSName": image.platform if image else vm.os_type,
        "OSNameEn": image.platform if image else vm.os_type,
        "InstanceType": vm.type,
        "InstanceTypeFamily": kind.family if kind else vm.type.rpartition(".")[0],
        "Cpu": kind.cpu if kind else 2,
        "Memory": int((kind.memory_gib if kind else 4) * 1024),
        "IoOptimized": vm.io_optimized,
        "KeyPairName": vm.key_pair,
        "InstanceChargeType": vm.charge_type,
        "ExpiredTime": _expires(vm),
        "CreationTime": iso_minute(vm.created_at),
        "StoppedMode": vm.stopped_mode,
        "SpotStrategy": vm.spot_strategy,
        "InstanceNetworkType": "vpc",
        "DeletionProtection": vm.deletion_protection,
        "HibernationOptions": {"Configured": vm.hibernation},
        "OperationLocks": {
            "LockReason": [
                {"LockReason": k.reason, "LockMsg": k.message} for k in locks_of(world, vm)
            ]
        },
        "Tags": _tags(vm.tags),
        "SecurityGroupIds": {"SecurityGroupId": []},
        **_addresses(vm),
        **_options(vm, attributes),
    }


def attribute_view(world: World, vm: Instance) -> View:
    """Return an instance as DescribeInstanceAttribute shows it: IoOptimized is a word there."""
    kind = world.state.types.get(vm.type)
    return {
        "InstanceId": vm.id,
        "InstanceName": vm.name,
        "HostName": vm.host_name,
        "Description": "",
        "Status": vm.status,
        "RegionId": vm.region,
        "ZoneId": vm.zone,
        "ImageId": vm.image_id,
        "InstanceType": vm.type,
        "Cpu": kind.cpu if kind else 2,
        "Memory": int((kind.memory_gib if kind else 4) * 1024),
        "IoOptimized": "optimized" if vm.io_optimized else "none",
        "InstanceChargeType": vm.charge_type,
        "ExpiredTime": _expires(vm),
        "CreationTime": iso_minute(vm.created_at),
        "StoppedMode": vm.stopped_mode,
        "InstanceNetworkType": "vpc",
        "OperationLocks": {"LockReason": [{"LockReason": k.reason} for k in locks_of(world, vm)]},
        "SecurityGroupIds": {"SecurityGroupId": []},
        **_addresses(vm),
    }


def disk_view(disk: Disk) -> View:
    """Return a disk as DescribeDisks shows it; InstanceId only while it is In_use."""
    policy = disk.auto_snapshot_policy
    return {
        "DiskId": disk.id,
        "DiskName": disk.name,
        "Description": disk.description,
        "RegionId": disk.region,
        "ZoneId": disk.zone,
        "Type": disk.type,
        "Category": disk.category,
        "PerformanceLevel": disk.performance_level,
        "Size": disk.size_gib,
        "Status": disk.status,
        "InstanceId": disk.instance_id if disk.status in ("In_use", "ReIniting") else "",
        "Device": disk.device if disk.instance_id else "",
        "ImageId": disk.image_id,
        "SourceSnapshotId": disk.source_snapshot_id,
        "Encrypted": disk.encrypted,
        "KMSKeyId": disk.kms_key_id,
        "DiskChargeType": disk.charge_type,
        "DeleteWithInstance": disk.delete_with_instance,
        "DeleteAutoSnapshot": disk.delete_auto_snapshot,
        "EnableAutoSnapshot": True,
        "EnableAutomatedSnapshotPolicy": bool(policy),
        "AutoSnapshotPolicyId": policy,
        "MultiAttach": disk.multi_attach,
        "StorageClusterId": disk.storage_cluster,
        "Portable": disk.type == "data",
        "CreationTime": iso(disk.created_at),
        "OperationLocks": {"OperationLock": [{"LockReason": k.reason} for k in disk.locks]},
        "Tags": _tags(disk.tags),
    }


def image_view(image: Image, alias: str) -> View:
    """Return an image as DescribeImages shows it to an account that sees it under `alias`."""
    return {
        "ImageId": image.id,
        "ImageName": image.name,
        "ImageFamily": image.family,
        "ImageOwnerAlias": alias,
        "ImageOwnerId": 0,
        "Description": "",
        "Status": image.status,
        "Progress": "100%" if image.status != "Creating" else "40%",
        "Usable": image.status == "Available",
        "OSType": image.os_type,
        "Platform": image.platform,
        "OSName": image.platform,
        "OSNameEn": image.platform,
        "Architecture": image.architecture,
        "Size": image.size_gib,
        "ProductCode": image.product_code,
        "IsSubscribed": bool(image.product_code) and image.subscribed,
        "IsPublic": image.public,
        "IsSelfShared": str(bool(image.shared_with)),
        "IsCopied": False,
        "IsSupportIoOptimized": image.io_optimized,
        "IsSupportCloudinit": image.cloudinit,
        "LoginAsNonRootSupported": image.login_as_non_root,
        "BootMode": "BIOS" if image.architecture != "arm64" else "UEFI",
        "Features": {"NvmeSupport": "supported"},
        "CreationTime": iso(image.created_at),
        "DiskDeviceMappings": {
            "DiskDeviceMapping": [
                {
                    "Type": m.type,
                    "SnapshotId": m.snapshot_id,
                    "Size": str(m.size_gib),
                    "Encrypted": m.encrypted,
                    "Device": m.device,
                    "Format": "",
                    "ImportOSSBucket": "",
                    "ImportOSSObject": "",
                }
                for m in image.mappings
            ]
        },
        "Tags": _tags(image.tags),
    }


def snapshot_view(world: World, snap: Snapshot) -> View:
    """Return a snapshot as DescribeSnapshots shows it."""
    done = snap.status == "accomplished"
    total = max(snap.due - snap.created_at, 0.001)
    part = min(99, max(0, int(100 * (world.moment - snap.created_at) / total)))
    return {
        "SnapshotId": snap.id,
        "SnapshotName": snap.name,
        "Description": snap.description,
        "RegionId": snap.region,
        "Status": snap.status,
        "Progress": "100%" if done else f"{part}%",
        "RemainTime": 0 if done else max(1, int(snap.due - world.moment)),
        "Available": done,
        "SourceDiskId": snap.disk_id,
        "SourceDiskType": snap.disk_type,
        "SourceDiskSize": str(snap.size_gib),
        "SnapshotType": "auto" if snap.automatic else "user",
        "Encrypted": snap.encrypted,
        "RetentionDays": snap.retention_days,
        "Usage": "none",
        "CreationTime": iso(snap.created_at),
        "LastModifiedTime": iso(snap.due if done else snap.created_at),
        "Tags": _tags(snap.tags),
    }


def key_pair_view(pair: KeyPair) -> View:
    """Return a key pair as DescribeKeyPairs shows it."""
    return {
        "KeyPairName": pair.name,
        "KeyPairFingerPrint": pair.fingerprint,
        "ResourceGroupId": "",
        "CreationTime": iso(pair.created_at),
        "Tags": _tags(pair.tags),
    }


def type_view(kind: InstanceType) -> View:
    """Return an instance type as DescribeInstanceTypes shows it."""
    return {
        "InstanceTypeId": kind.id,
        "InstanceTypeFamily": kind.family,
        "CpuCoreCount": kind.cpu,
        "MemorySize": kind.memory_gib,
        "CpuArchitecture": kind.architecture,
        "LocalStorageCategory": "local_ssd_pro" if kind.local_disks else "",
        "NvmeSupport": "supported",
    }


def task_view(task: Task) -> View:
    """Return a task as DescribeTasks shows it."""
    return {
        "TaskId": task.id,
        "TaskAction": task.action,
        "TaskStatus": task.status,
        "ResourceId": task.resource_id,
        "SupportCancel": "false",
        "CreationTime": iso(task.created_at),
        "FinishedTime": "",
    }


def _options(vm: Instance, attributes: Collection[str]) -> View:
    asked = "LOGIN_AS_NON_ROOT" in attributes
    return {"ImageOptions": {"LoginAsNonRoot": vm.login_as_non_root}} if asked else {}


def _expires(vm: Instance) -> str:
    return "2099-12-31T15:59Z" if vm.expired_time is None else iso_minute(vm.expired_time)


def _addresses(vm: Instance) -> View:
    return {
        "PublicIpAddress": {"IpAddress": [vm.public_ip] if vm.public_ip else []},
        "InnerIpAddress": {"IpAddress": []},
        "EipAddress": {"AllocationId": "", "IpAddress": "", "InternetChargeType": ""},
        "VpcAttributes": {
            "VpcId": "vpc-sandbox",
            "VSwitchId": f"vsw-{vm.zone}",
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [vm.private_ip] if vm.private_ip else []},
        },
    }


def _tags(tags: Mapping[str, str]) -> View:
    return {"Tag": [{"TagKey": k, "TagValue": v} for k, v in tags.items()]}
