"""What is told beside Ready while an operation is under way: who approved it, and its backup."""

from __future__ import annotations

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.status import Operation, Step


def beside(op: Operation | None) -> tuple[Extra, ...]:
    """Return the conditions Approved and BackedUp of `op`, where it has something to say."""
    if op is None:
        return ()
    return (*_approved(op), *_backed_up(op))


def _approved(op: Operation) -> tuple[Extra, ...]:
    if op.approved_by is None:
        return ()
    text = f"Plan {op.plan_id} is approved by {op.approved_by}."
    return (Extra(Kind.APPROVED, True, "Approved", text),)


def _backed_up(op: Operation) -> tuple[Extra, ...]:
    if op.snapshot_token is None:
        return ()
    disk = f"Disk {op.old_disk_id}"
    if op.backup_skipped:
        return (Extra(Kind.BACKED_UP, False, "NothingToSave", op.backup_skipped),)
    if op.ending is not None and op.snapshot_id is None:
        return (Extra(Kind.BACKED_UP, False, "BackupFailed", f"{disk} is not saved."),)
    if op.step is Step.BACKUP:
        return (Extra(Kind.BACKED_UP, False, "BackingUp", f"{disk} is being saved."),)
    text = f"{disk} is saved as snapshot {op.snapshot_id}."
    return (Extra(Kind.BACKED_UP, True, "SnapshotAccomplished", text),)
