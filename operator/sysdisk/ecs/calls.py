"""Requests to ECS as flat wire parameters, in the API's own names. What is not set is not sent.

Booleans are `True` and `False`, nested names are joined by dots, lists are numbered from 1, and ID
lists are JSON text in one parameter. Source: the official SDK on the wire, held to it by a test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sysdisk.api.spec import Arn, StoppedMode
from sysdisk.api.status import OperationInputs
from sysdisk.core.world import Slot

Wire = dict[str, str]

IDS_A_CALL = 100
"""Most IDs that DescribeInstances, DescribeDisks and DescribeSnapshots take in one call."""
DISKS_A_PAGE = 500
KEY_PAIRS_A_PAGE = 50
SNAPSHOTS_A_PAGE = 100
TASKS_A_PAGE = 100


def replace_system_disk(
    inputs: OperationInputs, *, instance_id: str, client_token: str, password: str | None = None
) -> Wire:
    """Return ReplaceSystemDisk with everything that `inputs` declare. There is no RegionId.

    `password` is the value from the login Secret, if the inputs name one.
    """
    advanced = inputs.advanced
    return _wire(
        InstanceId=instance_id,
        ClientToken=client_token,
        ImageId=inputs.image_id,
        SystemDisk__Size=inputs.size,
        Password=password,
        PasswordInherit=inputs.password_inherit,
        KeyPairName=inputs.key_pair_name,
        Encrypted=inputs.encrypted,
        KMSKeyId=inputs.kms_key_id,
        SecurityEnhancementStrategy=inputs.security_enhancement_strategy,
        UseAdditionalService=inputs.use_additional_service,
        DiskId=advanced.disk_id if advanced else None,
        Platform=advanced.platform if advanced else None,
        Architecture=advanced.architecture if advanced else None,
        EncryptAlgorithm=advanced.encrypt_algorithm if advanced else None,
    ) | _arns(advanced.arns if advanced else ())


def stop_instance(instance_id: str, *, force: bool, stopped_mode: StoppedMode) -> Wire:
    """Return StopInstance. There is no RegionId and no client token."""
    return _wire(InstanceId=instance_id, ForceStop=force or None, StoppedMode=stopped_mode)


def start_instance(instance_id: str) -> Wire:
    """Return StartInstance."""
    return _wire(InstanceId=instance_id)


def create_snapshot(
    disk_id: str,
    *,
    client_token: str,
    name: str = "",
    description: str = "",
    retention_days: int | None = None,
    tags: Iterable[tuple[str, str]] = (),
) -> Wire:
    """Return CreateSnapshot; without `retention_days` it is kept for ever."""
    tagged: Wire = {}
    for number, (key, value) in enumerate(tags, 1):
        tagged |= {f"Tag.{number}.Key": key, f"Tag.{number}.Value": value}
    return tagged | _wire(
        DiskId=disk_id,
        ClientToken=client_token,
        SnapshotName=name or None,
        Description=description or None,
        RetentionDays=retention_days,
    )


def apply_auto_snapshot_policy(region_id: str, policy_id: str, disk_ids: Iterable[str]) -> Wire:
    """Return ApplyAutoSnapshotPolicy; this call writes its names in lower camel case."""
    return {
        "regionId": region_id,
        "autoSnapshotPolicyId": policy_id,
        "diskIds": _json(disk_ids),
    }


def describe_instances(region_id: str, ids: Iterable[str], token: str = "") -> Wire:
    """Return DescribeInstances for at most 100 IDs; MaxResults would be 10 by default.

    ImageOptions, which hold LoginAsNonRoot, are only told to who asks for them.
    """
    return _wire(
        RegionId=region_id,
        InstanceIds=_json(ids),
        MaxResults=IDS_A_CALL,
        NextToken=token or None,
        AdditionalAttributes__1="LOGIN_AS_NON_ROOT",
    )


def describe_disks(region_id: str, ids: Iterable[str], token: str = "") -> Wire:
    """Return DescribeDisks for at most 100 disk IDs."""
    return _wire(
        RegionId=region_id, DiskIds=_json(ids), MaxResults=IDS_A_CALL, NextToken=token or None
    )


def describe_disks_of(region_id: str, instance_id: str, token: str = "") -> Wire:
    """Return DescribeDisks for everything that is attached to one instance."""
    return _wire(
        RegionId=region_id,
        InstanceId=instance_id,
        MaxResults=IDS_A_CALL,
        NextToken=token or None,
    )


def describe_all_disks(region_id: str, token: str = "") -> Wire:
    """Return DescribeDisks for one page of all disks of the region."""
    return _wire(RegionId=region_id, MaxResults=DISKS_A_PAGE, NextToken=token or None)


def describe_image(region_id: str, image_id: str, *, owner: str = "", public: bool = False) -> Wire:
    """Return DescribeImages for one image, whatever its status (the default hides most)."""
    return _wire(
        RegionId=region_id,
        ImageId=image_id,
        Status="ALL",
        PageSize=10,
        ImageOwnerAlias=owner or None,
        IsPublic=public or None,
    )


def describe_image_support(region_id: str, image_id: str) -> Wire:
    """Return DescribeImageSupportInstanceTypes for a change of the system."""
    return _wire(RegionId=region_id, ImageId=image_id, ActionType="ChangeOS")


def describe_image_from_family(region_id: str, family: str) -> Wire:
    """Return DescribeImageFromFamily."""
    return _wire(RegionId=region_id, ImageFamily=family)


def describe_key_pairs(region_id: str, name: str, page: int = 1) -> Wire:
    """Return DescribeKeyPairs; `*` in the name is a wildcard, so compare the names it gives."""
    return _wire(RegionId=region_id, KeyPairName=name, PageNumber=page, PageSize=KEY_PAIRS_A_PAGE)


def describe_running_snapshots(region_id: str, token: str = "") -> Wire:
    """Return DescribeSnapshots for one page of those in progress anywhere in the region."""
    return _wire(
        RegionId=region_id,
        Status="progressing",
        MaxResults=SNAPSHOTS_A_PAGE,
        NextToken=token or None,
    )


def describe_running_tasks(region_id: str, page: int = 1) -> Wire:
    """Return DescribeTasks for one page of the disks of the region whose kind is being changed."""
    return _wire(
        RegionId=region_id,
        TaskAction="ModifyDiskSpec",
        TaskStatus="Processing",
        PageNumber=page,
        PageSize=TASKS_A_PAGE,
    )


def describe_instance_type(type_id: str) -> Wire:
    """Return DescribeInstanceTypes for one type; without a filter there are 1600."""
    return _wire(InstanceTypes__1=type_id)


def describe_supply(region_id: str, slot: Slot) -> Wire:
    """Return DescribeAvailableResource for the system disks of a slot, which is told in full: by
    default the answer is about pay-as-you-go, I/O optimized, not spot."""
    return _wire(
        RegionId=region_id,
        DestinationResource="SystemDisk",
        ResourceType="instance",
        ZoneId=slot.zone_id,
        InstanceType=slot.instance_type,
        InstanceChargeType=slot.charge_type or None,
        SpotStrategy=slot.spot_strategy or None,
        IoOptimized="optimized" if slot.io_optimized else "none",
    )


def describe_regions() -> Wire:
    """Return DescribeRegions."""
    return _wire()


def describe_snapshots(region_id: str, ids: Iterable[str], token: str = "") -> Wire:
    """Return DescribeSnapshots for at most 100 snapshot IDs."""
    return _wire(
        RegionId=region_id,
        SnapshotIds=_json(ids),
        MaxResults=SNAPSHOTS_A_PAGE,
        NextToken=token or None,
    )


def describe_default_encryption(region_id: str) -> Wire:
    """Return DescribeDiskEncryptionByDefaultStatus."""
    return _wire(RegionId=region_id)


def _arns(arns: Iterable[Arn]) -> Wire:
    found: Wire = {}
    for number, arn in enumerate(arns, 1):
        values = {
            "Rolearn": arn.role_arn,
            "RoleType": arn.role_type,
            "AssumeRoleFor": arn.assume_role_for,
        }
        found |= {f"Arn.{number}.{name}": str(v) for name, v in values.items() if v is not None}
    return found


def _json(ids: Iterable[str]) -> str:
    return json.dumps(list(ids), separators=(",", ":"))


def _wire(**values: str | bool | int | None) -> Wire:
    """Return the parameters that have a value; `__` in a name stands for a dot."""
    return {name.replace("__", "."): str(v) for name, v in values.items() if v is not None}
