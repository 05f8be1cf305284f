"""The hands of others: changes to the simulated cloud that no request of ours makes.

A colleague in the console, another tool, the provider itself. Everything here happens at once
unless it says otherwise, and is written into the effects with `by="outside"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sysdisk.sandbox.ecs_state import Instance, Lock, Replacement, State, Task
from sysdisk.sandbox.ecs_world import World

__all__ = ["Outside"]


class Outside:
    """Out-of-band changes. Each raises KeyError for something that does not exist."""

    def __init__(self, world: World, settle: Callable[[], None]) -> None:
        self._world = world
        self._settle = settle

    def _state(self) -> State:
        """Return the state with everything ended that is due: others act now, not before."""
        self._settle()
        return self._world.state

    def _vm(self, instance_id: str) -> Instance:
        return self._state().instances[instance_id]

    def _did(self, kind: str, instance_id: str, **details: Any) -> None:
        self._world.effect(kind, instance_id, by="outside", **details)

    def freeze(self, instance_id: str) -> None:
        """Let work on the instance never end: it stays Stopping, Starting or being replaced."""
        self._vm(instance_id).frozen = True

    def thaw(self, instance_id: str) -> None:
        """Let it go on; what is overdue ends at the next look."""
        self._vm(instance_id).frozen = False
        self._world.release_held(instance_id)

    def lock(self, instance_id: str, reason: str, message: str = "") -> None:
        """Put a lock on an instance: security, financial, Recycling, refunded, ..."""
        vm = self._vm(instance_id)
        vm.locks = (*(k for k in vm.locks if k.reason != reason), Lock(reason, message))
        self._did("locked", instance_id, reason=reason)

    def unlock(self, instance_id: str, reason: str = "") -> None:
        """Take one lock, or all, off an instance."""
        vm = self._vm(instance_id)
        vm.locks = tuple(k for k in vm.locks if reason and k.reason != reason)
        self._did("unlocked", instance_id, reason=reason)

    def lock_disk(self, disk_id: str, reason: str) -> None:
        """Put a lock on a disk: financial or security; "" takes all off."""
        disk = self._state().disks[disk_id]
        disk.locks = (Lock(reason),) if reason else ()

    def start(self, instance_id: str) -> None:
        """Someone starts it: Running at once."""
        vm = self._vm(instance_id)
        vm.work += 1
        vm.status, vm.stopped_mode, vm.ever_started = "Running", "Not-applicable", True
        self._did("instance_started", instance_id)

    def stop(self, instance_id: str, mode: str = "KeepCharging") -> None:
        """Someone stops it, or it is shut down from inside: Stopped at once."""
        vm = self._vm(instance_id)
        vm.work += 1
        vm.status, vm.stopped_mode = "Stopped", mode
        self._did("instance_stopped", instance_id)

    def replace_disk(self, instance_id: str, image_id: str, size_gib: int | None = None) -> str:
        """Someone replaces the system disk, done at once; return the new disk's id."""
        world, vm = self._world, self._vm(instance_id)
        old = world.state.disks[vm.system_disk_id]
        new = replace(
            old,
            id=world.new_id("d", old.region),
            size_gib=size_gib or old.size_gib,
            status="In_use",
            image_id=image_id,
            auto_snapshot_policy="",
            created_at=world.moment,
        )
        world.state.disks[new.id] = new
        world.drop_disk(old)
        self._supersede(vm)
        vm.system_disk_id, vm.image_id = new.id, image_id
        image = world.state.images.get(image_id)
        vm.os_type = image.os_type if image else vm.os_type
        vm.key_pair = ""
        self._did(
            "disk_replaced",
            instance_id,
            old_disk_id=old.id,
            new_disk_id=new.id,
            image_id=image_id,
            size_gib=new.size_gib,
        )
        return new.id

    def _supersede(self, vm: Instance) -> None:
        """Drop a replacement that was at work: this one came in between."""
        job: Replacement | None = vm.replacement
        if job is not None:
            self._world.state.disks.pop(job.new_disk_id, None)
            vm.replacement = None
            vm.work += 1

    def fail_replacement(self, instance_id: str) -> None:
        """End the replacement at work without a new disk: the old one stays."""
        self._supersede(self._vm(instance_id))
        self._did("replacement_failed", instance_id)

    def resize_disk(self, disk_id: str, size_gib: int) -> None:
        """Someone resizes a disk, by hand."""
        disk = self._state().disks[disk_id]
        disk.size_gib = size_gib
        self._did("disk_resized", disk.instance_id, disk_id=disk_id, size_gib=size_gib)

    def release(self, instance_id: str) -> None:
        """The instance is released, with all disks that go with it."""
        world, vm = self._world, self._vm(instance_id)
        self._supersede(vm)
        del world.state.instances[instance_id]
        for disk_id in (vm.system_disk_id, *vm.data_disk_ids):
            disk = world.state.disks.get(disk_id)
            if disk is not None and disk.delete_with_instance:
                world.drop_disk(disk)
            elif disk is not None:
                disk.status, disk.instance_id = "Available", ""
        self._did("instance_released", instance_id)

    def set_tags(self, instance_id: str, tags: Mapping[str, str]) -> None:
        """The tags of the instance become these, all others go."""
        self._vm(instance_id).tags = dict(tags)
        self._did("tagged", instance_id, tags=dict(tags))

    def set_image(self, image_id: str, **fields: Any) -> None:
        """Change fields of an image: `status="Deprecated"`, `withdrawn=True`, ..."""
        self._set(self._state().images[image_id], fields)

    def set_instance(self, instance_id: str, **fields: Any) -> None:
        """Change fields of an instance: `unpaid_order="order"`, `hibernation=True`, ..."""
        self._set(self._vm(instance_id), fields)

    def set_disk(self, disk_id: str, **fields: Any) -> None:
        """Change fields of a disk: `category="cloud"`, `multi_attach="Enabled"`, ..."""
        self._set(self._state().disks[disk_id], fields)

    def set_region(self, region_id: str, **fields: Any) -> None:
        """Change fields of a region: `default_encryption=True`, `sold_out=(("zone", "type"),)`."""
        self._set(self._state().regions[region_id], fields)

    def set_account(self, account_id: str, **fields: Any) -> None:
        """Change fields of an account: `kms_enabled=False`, ..."""
        self._set(self._state().accounts[account_id], fields)

    def set_kms_key(self, key_id: str, **fields: Any) -> None:
        """Change a key of KMS: `enabled=False`, `makes_data_keys=False`, ..."""
        self._set(self._state().kms_keys[key_id], fields)

    def delete_kms_key(self, key_id: str) -> None:
        """Someone deletes a key of KMS."""
        del self._state().kms_keys[key_id]

    def delete_key_pair(self, name: str) -> None:
        """Someone deletes the key pairs of that name, in every region and account."""
        pairs = self._state().key_pairs
        for key in [key for key in pairs if key[2] == name]:
            del pairs[key]

    def delete_image(self, image_id: str) -> None:
        """Someone deletes an image."""
        del self._state().images[image_id]

    def delete_disk(self, disk_id: str) -> None:
        """Someone releases a disk that is attached to nothing."""
        self._world.drop_disk(self._state().disks[disk_id])

    def set_key(self, key_id: str, **fields: Any) -> None:
        """Change an access key: `enabled=False`, `denied=("StopInstance",)`, `secret=...`."""
        self._set(self._state().keys[key_id], fields)

    def set_role(self, arn: str, **fields: Any) -> None:
        """Change a role: `denied=("*",)`, `trusted=(...)`, ..."""
        self._set(self._state().roles[arn], fields)

    def set_options(self, **fields: Any) -> None:
        """Change the switches of `Options`."""
        state = self._state()
        state.options = replace(state.options, **fields)

    def transfer(self, disk_id: str, busy: bool = True) -> None:
        """Begin, or end, a change of the disk's kind (a ModifyDiskSpec task)."""
        state = self._state()
        disk, tasks = state.disks[disk_id], state.tasks
        if busy:
            task = Task(
                id=self._world.new_id("t", disk.region),
                region=disk.region,
                account=disk.account,
                resource_id=disk_id,
                created_at=self._world.now(),
            )
            tasks[task.id] = task
        else:
            for task_id in [t.id for t in tasks.values() if t.resource_id == disk_id]:
                del tasks[task_id]

    @staticmethod
    def _set(record: object, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if not hasattr(record, name):
                raise AttributeError(f"{type(record).__name__} has no field {name}")
            setattr(record, name, tuple(map(_frozen, value)) if isinstance(value, list) else value)


def _frozen(value: Any) -> Any:
    """Return lists (as JSON brings them) as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
