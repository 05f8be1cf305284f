"""What the account, the instance, its system disk and its zone have against a replacement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from sysdisk.api.reasons import Reason
from sysdisk.core import words
from sysdisk.core.model import Subject
from sysdisk.core.preflight_fault import Fault
from sysdisk.core.world import Disk, Instance, Lock, Observed, Power

MANAGED_TAGS: Final = (
    "ack.aliyun.com",
    "ack.alibabacloud.com/nodepool-id",
    "acs:autoscaling:scalingGroupId",
)
"""Tag keys that ACK node pools and scaling groups put on their instances."""

_LOCK_CODES: Final = {
    "security": "InstanceLockedForSecurity",
    "financial": "InstanceExpiredOrInArrears",
    "dedicatedhostfinancial": "InstanceExpiredOrInArrears",
}
_LOCAL_DISKS: Final = ("ephemeral", "local")


def account_faults(subject: Subject, instance: Instance, observed: Observed) -> Iterator[Fault]:
    """Yield what the guard rails of the account forbid."""
    account = observed.account
    if account is None:
        return
    managed = [key for key, _ in instance.tags if key in MANAGED_TAGS]
    if managed and not account.allow_managed:
        yield Fault(
            "InstanceManaged",
            f"The instance belongs to an ACK node pool or a scaling group (tag {managed[0]}), "
            "which may replace or release it at any time.",
            "Change the image in the node pool or scaling configuration, or ask an admin for "
            f"allowManaged: true in EcsAccount {account.name}.",
            Reason.INSTANCE_MANAGED,
            ours=True,
        )
    if subject.spec.advanced is not None and not account.allow_advanced:
        yield Fault(
            "AdvancedNotAllowed",
            "spec.advanced holds parameters that are deprecated or not public.",
            f"Remove it, or ask an admin for allowAdvanced: true in EcsAccount {account.name}.",
            ours=True,
        )


def instance_faults(instance: Instance, now: datetime) -> Iterator[Fault]:
    """Yield what forbids it from the side of the instance."""
    if instance.locks:
        code = _lock_code(instance.locks)
        yield Fault(
            code or "OperationLocked",
            f"ECS has locked the instance ({words.locks(instance.locks)}); a machine stopped now "
            "might not start again.",
            "Resolve the lock in the ECS console (security event, renewal or payment); "
            "work begins when it is gone.",
            Reason.OPERATION_LOCKED,
            ours=not code,
        )
    if instance.power is Power.UNKNOWN:
        yield Fault(
            "InstanceStatusUnknown",
            f"The instance is in a state that this version does not know ({instance.status}).",
            "Nothing is touched. Look at the instance in the console; a newer sysdisk may know it.",
            Reason.INSTANCE_NOT_UNDERSTOOD,
            ours=True,
        )
    elif instance.power not in (Power.RUNNING, Power.STOPPED):
        pending = instance.power is Power.PENDING
        yield Fault(
            "OperationDenied.InstanceCreating" if pending else "IncorrectInstanceStatus",
            f"The instance is {instance.status}.",
            "Waiting until it is Running or Stopped.",
            Reason.INSTANCE_BUSY,
            passing=True,
        )
    if instance.expired_time is not None and instance.expired_time <= now:
        yield Fault(
            "InstanceExpiredOrInArrears",
            f"The instance expired at {instance.expired_time:%Y-%m-%dT%H:%M:%SZ}.",
            "Renew it, then it is taken up again.",
        )
    if instance.hibernation:
        yield Fault(
            "HibernationConfigured.InstanceOperationForbidden",
            "Hibernation is enabled on the instance, which forbids replacing its disk.",
            "Turn hibernation off, or rebuild the instance.",
        )


def _lock_code(locks: Iterable[Lock]) -> str:
    """Return the code that ECS refuses with for these locks, the gravest; empty: not known."""
    reasons = {lock.reason.lower() for lock in locks}
    return next((code for reason, code in _LOCK_CODES.items() if reason in reasons), "")


def disk_faults(observed: Observed) -> Iterator[Fault]:
    """Yield what forbids it from the side of the present system disk."""
    disk = observed.system_disk
    if disk is None:
        count = len(observed.system_disks or ())
        yield Fault(
            "InvalidInstance.NotFoundSystemDisk",
            f"The instance shows {count} system disks instead of one.",
            "Attach or rebuild its system disk outside the operator.",
            also=("InvalidDiskId.NotFound",),
        )
        return
    if disk.locks:
        yield Fault(
            "IncorrectDiskStatus",
            f"ECS has locked system disk {disk.disk_id} ({words.locks(disk.locks)}).",
            "Resolve the lock in the ECS console; work begins when it is gone.",
            Reason.OPERATION_LOCKED,
        )
    if disk.multi_attach in ("Enabled", "LegacyShared"):
        yield Fault(
            "InvalidOperation.MultiAttachDisk",
            f"System disk {disk.disk_id} has multi-attach enabled.",
            "Disable it first.",
        )
    if disk.storage_cluster_id:
        yield Fault(
            "DISK_IN_DEDICATED_BLOCK_STORAGE_CLUSTER",
            f"System disk {disk.disk_id} lives in a dedicated block storage cluster.",
            "Move the disk, or exclude the instance.",
        )
    yield from _busy_faults(disk, observed)
    yield from _category_faults(disk, observed)


def _busy_faults(disk: Disk, observed: Observed) -> Iterator[Fault]:
    """Yield what keeps the disk busy for a while."""
    if disk.status != "In_use":
        yield _wait(
            "IncorrectDiskStatus",
            f"System disk {disk.disk_id} is {disk.status}.",
            "Waiting until it is In_use.",
        )
    if observed.snapshot_running:
        yield _wait(
            "DiskCreatingSnapshot",
            f"A snapshot of system disk {disk.disk_id} is still being made.",
            "Waiting until it is done.",
        )
    if observed.in_transfer:
        yield _wait(
            "InvalidSystemDiskStatus.IsTransfering",
            f"The category of system disk {disk.disk_id} is being changed (task ModifyDiskSpec).",
            "Waiting until it is done.",
        )


def _category_faults(disk: Disk, observed: Observed) -> Iterator[Fault]:
    """Yield why no new disk of the present category, which stays, could be had.

    That ECS does not list a category among its offers proves nothing: the plan warns of it.
    """
    category, supply = disk.category, observed.supply
    if category.startswith(_LOCAL_DISKS):
        yield Fault(
            "InvalidDiskCategory.ValueNotSupported",
            f"A local disk ({category}) cannot be had anew as system disk.",
            "A replacement keeps the category: change it first (ModifyDiskSpec), or use another "
            "instance.",
        )
    if supply is not None and supply.lacks(category):
        yield _wait(
            "OperationDenied.DiskNoStock",
            f"Disks of category {category} are sold out in zone {supply.slot.zone_id}.",
            "Waiting until there are some; or use another zone or category.",
        )


def _wait(code: str, cause: str, advice: str) -> Fault:
    return Fault(code, cause, advice, Reason.INSTANCE_BUSY, passing=True)
