"""The plan: what a replacement would change, destroy and cost, as people read it.

Source of the side effects: ECS ReplaceSystemDisk (the old disk is released, its automatic
snapshots go with it where DeleteAutoSnapshot says so, key pair and snapshot policy are not kept).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sysdisk.api.spec import StartAfter
from sysdisk.api.status import OperationInputs, Plan, Step, SystemDiskSpecStatus
from sysdisk.core.model import Subject
from sysdisk.core.policy import backup_lines, effective
from sysdisk.core.preflight import unseen
from sysdisk.core.wanted import Difference, os_after, plan_id_of
from sysdisk.core.world import Disk, Image, Instance, Power, Supply

DEFAULT_DOWNTIME: Final = 120
MINUTE: Final = 60
"""Seconds; until a replacement of this instance was seen."""

_DOWN: Final = frozenset({Step.STOP, Step.REPLACE, Step.VERIFY, Step.START})


def make_plan(
    subject: Subject,
    inputs: OperationInputs,
    found: Sequence[Difference],
    image: Image | None,
    instance: Instance,
    disk: Disk,
    data_disk_ids: Sequence[str],
    supply: Supply | None,
    now: datetime,
) -> Plan:
    """Return the plan for `found` (or a trigger); what is recorded of the same plan is kept.

    `supply` is what the zone offers, as far as it was looked at.
    """
    made = Plan(
        id=plan_id_of(
            inputs,
            instance_id=instance.instance_id,
            disk_id=disk.disk_id,
            image_id=instance.image_id,
            size=disk.size,
            data_disk_ids=data_disk_ids,
        ),
        made_at=now,
        generation=subject.generation,
        inputs_hash=inputs.hash,
        image_id=inputs.image_id,
        size=inputs.size,
        changes=tuple(_changes(subject, inputs, found, instance, disk)),
        destroys=tuple(_destroys(disk)),
        warnings=tuple(_warnings(subject, inputs, found, image, instance, disk, supply)),
        downtime_seconds=_downtime(subject.status) if instance.power is Power.RUNNING else 0,
        policy=effective(subject),
    )
    return _kept(subject, made)


def _kept(subject: Subject, made: Plan) -> Plan:
    """Return `made` with the past of the same plan: a new generation may try it once more."""
    was = subject.status.plan
    if was is None or was.id != made.id:
        return made
    if was.generation != made.generation:
        return made.replace(made_at=was.made_at)
    return made.replace(
        made_at=was.made_at,
        rounds=was.rounds,
        rest_until=was.rest_until,
        spent=was.spent,
        spent_reason=was.spent_reason,
        last_error=was.last_error,
        downtime_seconds=was.downtime_seconds,
    )


def _changes(
    subject: Subject,
    inputs: OperationInputs,
    found: Sequence[Difference],
    instance: Instance,
    disk: Disk,
) -> list[str]:
    lines = [difference.line() for difference in found]
    if inputs.trigger is not None:
        lines.append(f"~ a fresh disk is asked for: {', '.join(inputs.trigger.splitlines())}")
    lines.append(f"- disk {disk.disk_id} and its data are destroyed")
    size = inputs.size or disk.size
    growth = f", {size - disk.size} GiB more than now" if size > disk.size else ""
    lines.append(f"+ new disk of {size} GiB{growth}")
    lines.extend(_login_lines(inputs))
    lines.extend(backup_lines(effective(subject), disk.disk_id))
    if disk.auto_snapshot_policy_id:
        lines.append(f"= automatic snapshot policy {disk.auto_snapshot_policy_id} put back")
    if instance.power is Power.RUNNING:
        lines.append(f"! restart, about {_about(_downtime(subject.status))}")
    return lines


def _about(seconds: int) -> str:
    return f"{max(1, seconds)} s" if seconds < MINUTE else f"{round(seconds / MINUTE)} min"


def _login_lines(inputs: OperationInputs) -> list[str]:
    if inputs.key_pair_kept:
        return [f"= key pair kept: {inputs.key_pair_name}"]
    if inputs.key_pair_name:
        return [f"+ key pair {inputs.key_pair_name}"]
    if inputs.password_secret_ref:
        return [f"+ password from Secret {inputs.password_secret_ref.name}"]
    return ["+ password of the image"] if inputs.password_inherit else []


def _destroys(disk: Disk) -> list[str]:
    lines = [f"disk {disk.disk_id} ({disk.size} GiB) and all data on it"]
    if disk.delete_auto_snapshot:
        lines.append(f"the automatic snapshots of disk {disk.disk_id}")
    return lines


def _warnings(
    subject: Subject,
    inputs: OperationInputs,
    found: Sequence[Difference],
    image: Image | None,
    instance: Instance,
    disk: Disk,
    supply: Supply | None,
) -> list[str]:
    lines = []
    if inputs.trigger is None and {difference.field for difference in found} == {"size"}:
        lines.append(
            "ONLY THE SIZE CHANGES, AND ALL DATA ON THE DISK GOES WITH IT. "
            "A ResizeDisk by hand keeps the data, and is adopted."
        )
    if instance.power is Power.STOPPED and instance.stopped_mode == "StopCharging":
        lines.append("stopped in economical mode: a later start may find no stock")
    if not _login_lines(inputs):
        lines.append(
            "no login is declared, and no key pair is kept: unless the image carries a login, "
            "nobody can log in to the new system"
        )
    if inputs.password_inherit:
        lines.append("passwordInherit: no read shows whether the image has a preset password")
    if inputs.use_additional_service and disk.device and disk.device != "/dev/xvda":
        lines.append(f"useAdditionalService has no effect on a disk at {disk.device}")
    new_os = os_after(image, inputs.advanced)
    if instance.os_type and new_os not in ("", instance.os_type):
        lines.append(
            f"from {instance.os_type} to {new_os}: data disks will be unreadable there, "
            "and some regions refuse the change"
        )
    lines.extend(unseen(inputs, image, instance, disk, supply))
    if subject.spec.power.start_after is StartAfter.NEVER and instance.power is Power.RUNNING:
        lines.append("startAfter: Never leaves the machine stopped at the end")
    if subject.spec.advanced is not None:
        lines.append(
            "advanced: deprecated or not public parameters are sent as given; whether ECS takes "
            "their values no read shows, and if not, it refuses after the stop"
        )
    return lines


def _downtime(status: SystemDiskSpecStatus) -> int:
    """Return the seconds without the machine: the median of earlier ones, else the default."""
    earlier = [
        sum(taken.seconds for taken in entry.steps if taken.step in _DOWN)
        for entry in status.history
        if entry.new_disk_id
    ]
    return round(statistics.median(earlier)) if earlier else DEFAULT_DOWNTIME
