"""Once more before the stop: what held when the backup began need not hold when it is finished.

The machine is not touched yet, so whatever stands in the way ends the operation with nothing lost;
at rest it is then told like any other reason not to begin.
"""

from __future__ import annotations

from typing import Final

from sysdisk.api.reasons import Reason
from sysdisk.core import approval, backup, windows
from sysdisk.core.backup import GoOn, Leave
from sysdisk.core.model import Decision, DiskLook, Look
from sysdisk.core.policy import calendar, effective, window_faults
from sysdisk.core.preflight import faults, needed_looks, summary
from sysdisk.core.under_way import Pass, ask

ENDING_PREFLIGHT: Final = "PreflightFailed"
ENDING_UNAPPROVED: Final = "ApprovalRequired"
ENDING_BRAKE: Final = "BrakePulled"


def second_look(p: Pass) -> Decision | Leave | GoOn:
    """Return whether the stop may follow: world, brake, approval, window and preflight."""
    if p.observed.data_disk_ids is None:
        return ask(p.subject, Look(fresh=True, disks=DiskLook.ALL))
    if not _same_world(p):
        return Leave(p.op, backup.ENDING_WORLD_CHANGED)
    if p.observed.account is not None and p.observed.account.brake_pulled:
        return Leave(p.op, ENDING_BRAKE)
    if approval.needed(effective(p.subject).approval) and p.op.approved_by is None:
        return Leave(p.op, ENDING_UNAPPROVED)
    if not _time_left(p):
        return Leave(p.op, windows.ENDING_WINDOW)
    return _preflight(p)


def _same_world(p: Pass) -> bool:
    """Whether the plan is still of this machine: image, disk, size and data disks."""
    op, disk = p.op, p.observed.system_disk
    return (
        disk is not None
        and disk.disk_id == op.old_disk_id
        and disk.size == op.from_size
        and p.instance.image_id == (op.from_image_id or "")
        and p.observed.data_disk_ids == frozenset(op.data_disk_ids)
    )


def _time_left(p: Pass) -> bool:
    if window_faults(p.subject):
        return False
    need = windows.time_needed(p.subject.status.history, backup=False)
    return isinstance(windows.fits(calendar(effective(p.subject)), p.now, need), windows.Fits)


def _preflight(p: Pass) -> Decision | Leave | GoOn:
    op, observed = p.op, p.observed
    image_id = op.inputs.image_id
    image = observed.image(image_id) if image_id else None
    if image_id and image is None:
        return ask(p.subject, Look(image=image_id))
    wanted = needed_looks(p.subject, op.inputs, image, p.instance, observed)
    if wanted is not None:
        return ask(p.subject, wanted)
    found = faults(p.subject, op.inputs, image, p.instance, observed, p.now)
    if not found:
        return GoOn()
    if all(fault.passing for fault in found):
        return p.say(Reason.BACKING_UP, f"{backup.text(op)} Waiting: {summary(found)[1]}")
    return Leave(op, ENDING_PREFLIGHT)
