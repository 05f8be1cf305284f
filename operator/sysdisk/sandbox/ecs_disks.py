"""Snapshots, snapshot policies, key pairs, tags and sizes: the writes around a replacement."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sysdisk.sandbox.ecs_faults import EcsFault, common_fault
from sysdisk.sandbox.ecs_params import flag, invalid, json_ids, listed, need, number, tags
from sysdisk.sandbox.ecs_power import locked_for
from sysdisk.sandbox.ecs_rules import size_range
from sysdisk.sandbox.ecs_state import Disk, Image, Instance, Snapshot, Work
from sysdisk.sandbox.ecs_world import Answer, Call, Handler, World

__all__ = ["DISKS", "FINISH_DISKS", "begin_snapshot"]

MANUAL_SNAPSHOTS_PER_DISK = 256
INCORRECT_STATUS = "The current status of the resource does not support this operation."


def create_snapshot(world: World, call: Call) -> Answer:
    disk = world.disk(call, need(call.params, "DiskId"))
    name, days = call.get("SnapshotName"), number(call.params, "RetentionDays", 0)
    if name and (not 2 <= len(name) <= 128 or re.match(r"auto|https?://", name)):
        raise invalid("SnapshotName", "InvalidSnapshotName.Malformed")
    if call.get("Description") and not 2 <= len(call.get("Description")) <= 256:
        raise invalid("Description", "InvalidDescription.Malformed")
    if call.get("RetentionDays") and not 1 <= days <= 65536:
        raise invalid("RetentionDays", "InvalidRetentionDays.Malformed")
    _check_snapshot(world, disk)
    snap = begin_snapshot(world, disk, name=name)
    snap.description, snap.retention_days = call.get("Description"), days
    snap.tags = {k: v or "" for k, v in tags(call.params).items()}
    return {"SnapshotId": snap.id}


def _check_snapshot(world: World, disk: Disk) -> None:
    account = world.state.accounts[disk.account]
    if not account.snapshot_service:
        raise common_fault("InvalidAccountStatus.SnapshotServiceUnavailable")
    if not account.balance_ok:
        raise common_fault("InvalidAccountStatus.NotEnoughBalance")
    vm = world.state.instances.get(disk.instance_id)
    if vm is not None and locked_for(vm, "security"):
        raise common_fault("InstanceLockedForSecurity")
    if disk.locks:
        raise common_fault("DiskInArrears")
    if vm is not None and vm.status not in ("Running", "Stopped"):
        raise EcsFault(400, "IncorrectInstanceStatus", INCORRECT_STATUS)
    if vm is not None and not vm.ever_started:
        raise common_fault("IncorrectDiskStatus.NeverUsed")
    if disk.status not in ("In_use", "Available"):
        raise common_fault("IncorrectDiskStatus.Invalid")
    if any(t.resource_id == disk.id for t in world.state.tasks.values()):
        raise common_fault("IncorrectDiskStatus.Transferring")
    if world.snapshot_running(disk.id):
        raise common_fault("IncorrectDiskStatus.CreatingSnapshot")
    mine = [s for s in world.state.snapshots.values() if s.disk_id == disk.id]
    if sum(not s.automatic for s in mine) >= MANUAL_SNAPSHOTS_PER_DISK:
        raise common_fault("QuotaExceed.Snapshot")


def begin_snapshot(
    world: World, disk: Disk, *, name: str = "", automatic: bool = False
) -> Snapshot:
    """Begin a snapshot of a disk and return it."""
    snap = Snapshot(
        id=world.new_id("s", disk.region),
        region=disk.region,
        account=disk.account,
        disk_id=disk.id,
        disk_type=disk.type,
        instance_id=disk.instance_id,
        size_gib=disk.size_gib,
        name=name,
        automatic=automatic,
        encrypted=disk.encrypted,
        created_at=world.moment,
    )
    world.state.snapshots[snap.id] = snap
    snap.due = world.begin("snapshot", snap.id, world.timings.snapshot)
    world.effect("snapshot_begun", disk.instance_id, snapshot_id=snap.id, disk_id=disk.id)
    return snap


def _snapshot_done(world: World, work: Work) -> None:
    snap = world.state.snapshots.get(work.ref)
    if snap is None:
        return
    there = snap.disk_id in world.state.disks
    snap.status = "accomplished" if there else "failed"
    kind = "snapshot_created" if there else "snapshot_failed"
    world.effect(kind, snap.instance_id, snapshot_id=snap.id, disk_id=snap.disk_id)


def delete_snapshot(world: World, call: Call) -> Answer:
    snap = world.state.snapshots.get(need(call.params, "SnapshotId"))
    if snap is None or (snap.region, snap.account) != (call.region, call.account):
        raise EcsFault(404, "InvalidSnapshotId.NotFound", "The specified SnapshotId is not found.")
    used = any(m.snapshot_id == snap.id for i in world.state.images.values() for m in i.mappings)
    if used and not flag(call.params, "Force"):
        raise EcsFault(403, "SnapshotCreatedImage", "The snapshot has been used to create images.")
    del world.state.snapshots[snap.id]
    world.effect("snapshot_deleted", snap.instance_id, snapshot_id=snap.id)
    return {}


def apply_policy(world: World, call: Call) -> Answer:
    """Put an automatic snapshot policy on disks. The API spells these parameters in lower case."""
    policy = need(call.params, "autoSnapshotPolicyId")
    need(call.params, "regionId")
    ids = _disk_ids(call)
    if world.state.policies.get(policy) != call.region:
        raise EcsFault(
            404,
            "InvalidAutoSnapshotPolicyId.NotFound",
            "The specified automatic snapshot policy does not exist.",
        )
    for disk in [world.disk(call, i) for i in ids]:
        disk.auto_snapshot_policy = policy
        world.effect("policy_applied", disk.instance_id, disk_id=disk.id, policy_id=policy)
    return {}


def cancel_policy(world: World, call: Call) -> Answer:
    need(call.params, "regionId")
    for disk in [world.disk(call, i) for i in _disk_ids(call)]:
        disk.auto_snapshot_policy = ""
        world.effect("policy_cancelled", disk.instance_id, disk_id=disk.id)
    return {}


def _disk_ids(call: Call) -> tuple[str, ...]:
    need(call.params, "diskIds")
    return json_ids(call.params, "diskIds") or ()


def attach_key_pair(world: World, call: Call) -> Answer:
    """Bind a key pair to instances. Some may fail: the status is 200 and FailCount tells."""
    world.region(need(call.params, "RegionId"))
    name = need(call.params, "KeyPairName")
    need(call.params, "InstanceIds")
    ids = json_ids(call.params, "InstanceIds", 50) or ()
    if (call.account, call.region, name) not in world.state.key_pairs:
        raise EcsFault(
            404, "InvalidKeyPairName.NotFound", "The specified KeyPairName does not exist."
        )
    rows = [_attach(world, call, name, instance_id) for instance_id in ids]
    return {
        "KeyPairName": name,
        "TotalCount": len(rows),
        "FailCount": sum(row["Success"] == "false" for row in rows),
        "Results": {"Result": rows},
    }


def _attach(world: World, call: Call, name: str, instance_id: str) -> Answer:
    code, message = "200", "successful"
    try:
        vm = world.instance(call, instance_id)
        if vm.os_type == "windows":
            raise EcsFault(403, "InvalidInstance.WindowsInstance", "Key pairs need Linux.")
        if not vm.io_optimized:
            raise EcsFault(403, "DependencyViolation.IoOptimize", "The instance is not optimized.")
        vm.key_pair, vm.password_sha256 = name, ""
        world.effect("key_pair_attached", vm.id, key_pair=name)
    except EcsFault as fault:
        code, message = fault.code, fault.message
    return {
        "InstanceId": instance_id,
        "Success": "true" if code == "200" else "false",
        "Code": code,
        "Message": message,
    }


def tag_resources(world: World, call: Call) -> Answer:
    wanted = {k: v or "" for k, v in tags(call.params).items()}
    for record in _tagged(world, call):
        record.tags = {**record.tags, **wanted}
    world.effect("tagged", tags=wanted, resources=listed(call.params, "ResourceId", 50))
    return {}


def untag_resources(world: World, call: Call) -> Answer:
    gone = set(listed(call.params, "TagKey", 20))
    everything = flag(call.params, "All")
    for record in _tagged(world, call):
        kept = {} if everything else {k: v for k, v in record.tags.items() if k not in gone}
        record.tags = kept
    world.effect("untagged", keys=sorted(gone), resources=listed(call.params, "ResourceId", 50))
    return {}


def _tagged(world: World, call: Call) -> list[Instance | Disk | Image | Snapshot]:
    need(call.params, "RegionId")
    kind = need(call.params, "ResourceType")
    state = world.state
    maps: dict[str, Mapping[str, Instance | Disk | Image | Snapshot]] = {
        "instance": state.instances,
        "disk": state.disks,
        "image": state.images,
        "snapshot": state.snapshots,
    }
    if kind not in maps:
        raise invalid("ResourceType", "InvalidResourceType.NotFound")
    found = [maps[kind].get(i) for i in listed(call.params, "ResourceId", 50)]
    for record in found:
        if record is None or (record.region, record.account) != (call.region, call.account):
            raise EcsFault(
                404, "InvalidResourceId.NotFound", "The specified resource is not found."
            )
    return [record for record in found if record is not None]


def resize_disk(world: World, call: Call) -> Answer:
    disk = world.disk(call, need(call.params, "DiskId"))
    need(call.params, "NewSize")
    size = number(call.params, "NewSize", 0)
    _, most = size_range(disk.category, disk.performance_level, 0)
    if size <= disk.size_gib:
        raise EcsFault(
            403, "InvalidDiskSize.TooSmall", "Specified new disk size is less than the original."
        )
    if size > most:
        raise invalid("NewSize", "InvalidDiskSize.ValueNotSupported")
    if disk.status not in ("In_use", "Available"):
        raise common_fault("IncorrectDiskStatus.Invalid")
    if world.snapshot_running(disk.id):
        raise common_fault("IncorrectDiskStatus.CreatingSnapshot")
    disk.size_gib = size
    world.effect("disk_resized", disk.instance_id, disk_id=disk.id, size_gib=size)
    return {}


@dataclass(frozen=True, slots=True)
class _Change:
    param: str
    field: str
    pattern: str


_CHANGES = (
    _Change("InstanceName", "name", r".{2,128}"),
    _Change("HostName", "host_name", r"[A-Za-z0-9](?:[-.]?[A-Za-z0-9])+"),
)


def modify_instance_attribute(world: World, call: Call) -> Answer:
    vm = world.instance(call, need(call.params, "InstanceId"))
    if locked_for(vm, "security"):
        raise common_fault("InstanceLockedForSecurity")
    changed = []
    for change in _CHANGES:
        if value := call.get(change.param):
            if not re.fullmatch(change.pattern, value):
                raise invalid(change.param, f"Invalid{change.param}.Malformed")
            setattr(vm, change.field, value)
            changed.append(change.param)
    if call.get("DeletionProtection"):
        vm.deletion_protection = flag(call.params, "DeletionProtection")
        changed.append("DeletionProtection")
    world.effect("instance_modified", vm.id, parameters=changed)
    return {}


DISKS: dict[str, Handler] = {
    "CreateSnapshot": create_snapshot,
    "DeleteSnapshot": delete_snapshot,
    "ApplyAutoSnapshotPolicy": apply_policy,
    "CancelAutoSnapshotPolicy": cancel_policy,
    "AttachKeyPair": attach_key_pair,
    "TagResources": tag_resources,
    "UntagResources": untag_resources,
    "ResizeDisk": resize_disk,
    "ModifyInstanceAttribute": modify_instance_attribute,
}
FINISH_DISKS: dict[str, Callable[[World, Work], None]] = {"snapshot": _snapshot_done}
