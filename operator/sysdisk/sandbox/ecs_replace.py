"""ReplaceSystemDisk and ReInitDisk in the simulated cloud: acceptance, work, side effects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sysdisk.ecs.catalog import catalog
from sysdisk.sandbox.ecs_faults import row_fault
from sysdisk.sandbox.ecs_params import flag, invalid, need
from sysdisk.sandbox.ecs_power import locked_for, overdue, start
from sysdisk.sandbox.ecs_rules import Request, malformed_password, refusals
from sysdisk.sandbox.ecs_state import Disk, Image, Instance, Replacement, Work
from sysdisk.sandbox.ecs_world import Answer, Call, Handler, World

__all__ = ["FINISH_REPLACE", "REPLACE", "recorded", "swap"]


def recorded(params: Mapping[str, str]) -> dict[str, str]:
    """Return parameters as they may be written down: the password only as a sha256."""
    return {
        name: f"sha256:{sha256(value)}" if name == "Password" and value else value
        for name, value in params.items()
    }


def sha256(text: str) -> str:
    """Return the hexadecimal sha256 of a text, "" for an empty one."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def replace_system_disk(world: World, call: Call) -> Answer:
    """Accept a replacement. The work goes on afterwards; the new disk's id is known at once."""
    if call.region not in world.state.regions:
        raise row_fault(59)
    vm = world.instance(call, need(call.params, "InstanceId"))
    _check_words(call)
    ask = Request(
        world,
        call,
        vm,
        world.system_disk(vm),
        world.image(call, call.get("ImageId")),
        world.state.disks.get(call.get("DiskId")),
    )
    row = next(refusals(ask), None)
    if row is not None:
        raise row_fault(row, _filled(row, vm))
    assert ask.disk is not None
    new = ask.source or _fresh_disk(world, ask, ask.disk)
    image_id = ask.image.id if ask.image else f"disk:{new.id}"
    accept(world, vm, ask.disk, new, image_id, call.params)
    return {"DiskId": new.id}


def _check_words(call: Call) -> None:
    flag(call.params, "UseAdditionalService")
    flag(call.params, "PasswordInherit")
    flag(call.params, "Encrypted")
    if call.get("SecurityEnhancementStrategy") not in ("", "Active", "Deactive"):
        raise invalid("SecurityEnhancementStrategy")


def _filled(row: int, vm: Instance) -> str:
    return catalog().rows[row].message.replace("%s", f"zone {vm.zone}")


def _fresh_disk(world: World, ask: Request, old: Disk) -> Disk:
    """Make the new disk, not attached yet. It takes category and zone of the old one, but neither
    its tags nor its snapshot policy.
    """
    call = ask.call
    disk = Disk(
        id=world.new_id("d", old.region),
        region=old.region,
        zone=old.zone,
        account=old.account,
        type="system",
        category=old.category,
        performance_level=old.performance_level,
        size_gib=ask.size,
        status="Creating",
        image_id=ask.image.id if ask.image else "",
        encrypted=flag(call.params, "Encrypted"),
        kms_key_id=call.get("KMSKeyId"),
        charge_type=old.charge_type,
        device=old.device,
        storage_cluster=old.storage_cluster,
        encryptable=old.encryptable,
        created_at=world.moment,
    )
    world.state.disks[disk.id] = disk
    return disk


def accept(
    world: World, vm: Instance, old: Disk, new: Disk, image_id: str, params: Mapping[str, str]
) -> None:
    """Begin a replacement, whoever asked for it."""
    vm.replacement = Replacement(
        new_disk_id=new.id,
        old_disk_id=old.id,
        image_id=image_id,
        size_gib=new.size_gib,
        key_pair=params.get("KeyPairName", ""),
        lock_at=world.moment + world.timings.lock_lag,
        params=recorded(params),
    )
    vm.password_sha256 = sha256(params.get("Password", ""))
    world.effect(
        "replacement_accepted",
        vm.id,
        old_disk_id=old.id,
        new_disk_id=new.id,
        image_id=image_id,
        token=params.get("ClientToken", ""),
    )
    world.begin_for(vm, "replaced", world.timings.replace)


def _replaced(world: World, work: Work) -> None:
    vm = world.state.instances[work.ref]
    job = vm.replacement
    if job is not None:
        swap(world, vm, job)


def swap(world: World, vm: Instance, job: Replacement) -> None:
    """Finish a replacement: the new disk is in use, the old one gone with its auto snapshots."""
    old, new = world.state.disks.get(job.old_disk_id), world.state.disks[job.new_disk_id]
    image = world.state.images.get(job.image_id)
    if old is not None:
        world.drop_disk(old)
    new.status, new.instance_id, new.type = "In_use", vm.id, "system"
    from_image, vm.image_id = vm.image_id, job.image_id
    vm.os_type = image.os_type if image else _os_of(job, vm)
    vm.system_disk_id, vm.key_pair, vm.replacement = new.id, job.key_pair, None
    world.effect(
        "disk_replaced",
        vm.id,
        old_disk_id=job.old_disk_id,
        new_disk_id=new.id,
        from_image_id=from_image,
        image_id=job.image_id,
        size_gib=new.size_gib,
        params=dict(job.params),
    )


def _os_of(job: Replacement, vm: Instance) -> str:
    platform = job.params.get("Platform", "")
    if not platform:
        return vm.os_type
    return "windows" if platform.startswith("Windows") else "linux"


def reinit_disk(world: World, call: Call) -> Answer:
    """Set a disk back to the image it was made from; its id stays."""
    disk = world.disk(call, need(call.params, "DiskId"))
    vm = world.state.instances.get(disk.instance_id)
    if vm is None or disk.status != "In_use":
        raise row_fault(38)
    if locked_for(vm, "security"):
        raise row_fault(40)
    if overdue(world, vm):
        raise row_fault(43)
    if vm.status != "Stopped" or vm.locks or vm.replacement is not None:
        raise row_fault(39)
    if world.snapshot_running(disk.id):
        raise row_fault(45)
    image = world.state.images.get(disk.image_id)
    _check_reinit_login(world, call, vm, image)
    disk.status = "ReIniting"
    vm.work += 1
    again = ":start" if flag(call.params, "AutoStartInstance") else ""
    world.effect("disk_reiniting", vm.id, disk_id=disk.id, params=recorded(call.params))
    if disk.type == "system":
        vm.key_pair = call.get("KeyPairName")
        vm.password_sha256 = sha256(call.get("Password"))
    world.begin(f"reinited{again}", disk.id, world.timings.reinit)
    return {}


def _check_reinit_login(world: World, call: Call, vm: Instance, image: Image | None) -> None:
    windows = (image.os_type if image else vm.os_type) == "windows"
    password, pair = call.get("Password"), call.get("KeyPairName")
    if password and malformed_password(password, windows):
        raise row_fault(6)
    if pair and windows:
        raise row_fault(51)
    if pair and (call.account, call.region, pair) not in world.state.key_pairs:
        raise row_fault(10)
    if call.get("SecurityEnhancementStrategy") not in ("", "Active", "Deactive"):
        raise invalid("SecurityEnhancementStrategy")


def _reinited(world: World, work: Work) -> None:
    disk = world.state.disks.get(work.ref)
    vm = world.state.instances.get(disk.instance_id) if disk else None
    if disk is None or vm is None:
        return
    disk.status = "In_use"
    world.effect("disk_reinited", vm.id, disk_id=disk.id)
    if work.kind.endswith(":start") and vm.status == "Stopped":
        start(world, vm)


REPLACE: dict[str, Handler] = {
    "ReplaceSystemDisk": replace_system_disk,
    "ReInitDisk": reinit_disk,
}
FINISH_REPLACE: dict[str, Callable[[World, Work], Any]] = {
    "replaced": _replaced,
    "reinited": _reinited,
}
