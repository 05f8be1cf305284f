"""The policy in force: spec, else the account's default, else built-in, raised to what is required.

Built-in: no approval, no windows, and (until the step exists) no backup.
"""

from __future__ import annotations

from typing import Final

from sysdisk.api.policy import Approval, Backup, MaintenanceWindow
from sysdisk.api.status import PlanPolicy
from sysdisk.core.model import Subject

BUILT_IN_RETENTION_DAYS: Final = 7
BUILT_IN_BACKUP: Final = Backup(enabled=False, retention_days=BUILT_IN_RETENTION_DAYS)


def effective(subject: Subject) -> PlanPolicy:
    """Return the approval, backup and windows that hold for `subject`."""
    return PlanPolicy(
        approval=_approval(subject),
        backup=_backup(subject),
        maintenance_windows=_windows(subject),
    )


def _approval(subject: Subject) -> Approval:
    if subject.require.approval is Approval.MANUAL:
        return Approval.MANUAL
    return subject.spec.approval or subject.defaults.approval or Approval.AUTOMATIC


def _backup(subject: Subject) -> Backup:
    """Fields fall back one by one; what is required can only be raised, never lowered."""
    layers = [subject.spec.backup, subject.defaults.backup, BUILT_IN_BACKUP]
    enabled = next((b.enabled for b in layers if b and b.enabled is not None), False)
    days = next((b.retention_days for b in layers if b and b.retention_days), None)
    least = subject.require.backup
    if least is not None:
        enabled = enabled or bool(least.enabled)
        days = max(days or 0, least.retention_days or 0) or None
    return Backup(enabled=enabled, retention_days=days)


def _windows(subject: Subject) -> tuple[MaintenanceWindow, ...]:
    """What is required takes the place of what the spec says."""
    if subject.require.maintenance_windows:
        return subject.require.maintenance_windows
    if subject.spec.maintenance_windows is not None:
        return subject.spec.maintenance_windows
    return subject.defaults.maintenance_windows or ()


def origin_of_windows(subject: Subject) -> str:
    """Return where the windows in force are written, for a person who has to correct them."""
    if subject.require.maintenance_windows:
        return f"EcsAccount {subject.spec.account_ref.name}, require.maintenanceWindows"
    if subject.spec.maintenance_windows is not None:
        return "spec.maintenanceWindows"
    return f"EcsAccount {subject.spec.account_ref.name}, defaults.maintenanceWindows"


def wants_backup(policy: PlanPolicy) -> bool:
    """Whether a backup is asked for."""
    return policy.backup is not None and bool(policy.backup.enabled)


def backup_lines(policy: PlanPolicy, disk_id: str) -> tuple[str, ...]:
    """Return the plan's lines about the backup, as people read them."""
    if not wants_backup(policy):
        return ()
    days = policy.backup.retention_days if policy.backup else None
    kept = f"kept {days} days" if days else "kept until it is deleted"
    return (
        f"+ backup: a snapshot of {disk_id}, {kept}",
        "! what is written between snapshot and stop is lost",
    )
