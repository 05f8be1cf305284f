"""The policy in force: spec, else the account's default, else built-in, raised to what is required.

Built-in: no approval, no windows, and a backup that is kept for a week.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sysdisk.api.policy import Approval, Backup, MaintenanceWindow
from sysdisk.api.status import PlanPolicy
from sysdisk.core import windows
from sysdisk.core.model import Subject

BUILT_IN_RETENTION_DAYS: Final = 7
BUILT_IN_BACKUP: Final = Backup(enabled=True, retention_days=BUILT_IN_RETENTION_DAYS)


def effective(subject: Subject) -> PlanPolicy:
    """Return the approval, backup and windows that hold for `subject`."""
    return PlanPolicy(
        approval=_approval(subject),
        backup=_backup(subject),
        maintenance_windows=_windows(subject),
        required_windows=subject.require.maintenance_windows or (),
    )


def _approval(subject: Subject) -> Approval:
    if subject.require.approval is Approval.MANUAL:
        return Approval.MANUAL
    return subject.spec.approval or subject.defaults.approval or Approval.AUTOMATIC


def _backup(subject: Subject) -> Backup:
    """Fields fall back one by one; what is required can only be raised, never lowered."""
    layers = [subject.spec.backup, subject.defaults.backup, BUILT_IN_BACKUP]
    enabled = next(b.enabled for b in layers if b and b.enabled is not None)
    days = next(b.retention_days for b in layers if b and b.retention_days)
    least = subject.require.backup
    if least is not None:
        enabled = enabled or bool(least.enabled)
        days = max(days, least.retention_days or days)
    return Backup(enabled=enabled, retention_days=days)


def _windows(subject: Subject) -> tuple[MaintenanceWindow, ...]:
    if subject.spec.maintenance_windows is not None:
        return subject.spec.maintenance_windows
    return subject.defaults.maintenance_windows or ()


def calendar(policy: PlanPolicy) -> windows.Calendar:
    """Return when work may begin: in a window of the spec that is in a required one, too."""
    return [group for group in (policy.maintenance_windows, policy.required_windows) if group]


def where_windows_stand(subject: Subject) -> str:
    """Return where the windows in force are written, for a person who wants others."""
    return " and ".join(f"{place}.maintenanceWindows" for place, some in _by_place(subject) if some)


def window_faults(subject: Subject) -> tuple[str, ...]:
    """Return what is wrong with the windows in force, and where to correct it; empty: nothing."""
    return tuple(
        f"{place}.{wrong}" for place, some in _by_place(subject) for wrong in windows.faults(some)
    )


def _by_place(subject: Subject) -> Iterator[tuple[str, tuple[MaintenanceWindow, ...]]]:
    """Yield the windows in force by the place that they come from."""
    policy, account = effective(subject), f"EcsAccount {subject.spec.account_ref.name}"
    own = subject.spec.maintenance_windows is not None
    yield "spec" if own else f"{account}, defaults", policy.maintenance_windows
    yield f"{account}, require", policy.required_windows


def wants_backup(policy: PlanPolicy) -> bool:
    """Whether a backup is asked for."""
    return policy.backup is not None and bool(policy.backup.enabled)


def backup_lines(policy: PlanPolicy, disk_id: str) -> tuple[str, ...]:
    """Return the plan's lines about the backup, as people read them."""
    if policy.backup is None or not policy.backup.enabled:
        return ()
    days = policy.backup.retention_days
    kept = f"kept {days} days" if days else "kept until it is deleted"
    return (
        f"+ backup: a snapshot of {disk_id}, {kept}",
        "! what is written between snapshot and stop is lost",
    )
