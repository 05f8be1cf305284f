"""A plan as people read it on a terminal: changes in colour, what is lost, what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import typer

from sysdisk.api.durations import format_duration, format_time
from sysdisk.cli.colour import paint

if TYPE_CHECKING:
    from sysdisk.api.policy import MaintenanceWindow
    from sysdisk.api.status import Plan, PlanPolicy, SystemDiskSpecStatus

_COLOURS: Final = {
    "~": typer.colors.YELLOW,
    "-": typer.colors.RED,
    "+": typer.colors.GREEN,
    "!": typer.colors.MAGENTA,
}


def described(name: str, status: SystemDiskSpecStatus, unplanned: str = "") -> str:
    """Return everything about the plan in `status`, several lines; colour codes are in it.

    `unplanned` says why there is none for the spec as it is now.
    """
    plan, ready = status.plan, status.condition("Ready")
    lines = [paint(name, bold=True)]
    if status.operation is not None:
        operation = status.operation
        lines[0] += f": plan {operation.plan_id} is under way, step {operation.step}"
    elif unplanned:
        lines[0] += f": {unplanned}"
        return "\n".join(lines)
    elif plan is None:
        lines[0] += f": {'nothing to do' if ready and ready.status == 'True' else 'no plan'}"
    else:
        lines[0] += f": plan {plan.id}, made {format_time(plan.made_at)}"
        lines += _plan_lines(plan)
    if unplanned:
        lines.append(f"  {unplanned}")
    elif ready is not None:
        lines.append(f"  {ready.reason}: {ready.message}")
    return "\n".join(lines)


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield ""
    for change in plan.changes:
        yield "  " + paint(change, _COLOURS.get(change[:1]))
    yield ""
    for lost in plan.destroys:
        yield "  " + paint(f"destroyed: {lost}", typer.colors.RED)
    for warning in plan.warnings:
        yield "  " + paint(f"warning: {warning}", typer.colors.YELLOW)
    if plan.policy is not None:
        yield f"  policy: {policy_text(plan.policy)}"
    if plan.spent:
        yield "  " + paint("spent: it is not begun again by itself", typer.colors.RED)
    if plan.expires_at is not None:
        yield f"  an approval lapses at {format_time(plan.expires_at)}"


def _window_text(window: MaintenanceWindow) -> str:
    zone = window.time_zone or "UTC"
    return f"{window.schedule} {zone} for {format_duration(window.duration)}"


def policy_text(policy: PlanPolicy) -> str:
    """Return the policy in one line."""
    parts = [f"approval {policy.approval or 'Automatic'}"]
    if policy.backup is not None and policy.backup.enabled:
        days = policy.backup.retention_days
        parts.append(f"backup kept {f'{days} days' if days else 'until it is deleted'}")
    else:
        parts.append("no backup")
    parts += [f"window {_window_text(window)}" for window in policy.maintenance_windows]
    parts += [f"required window {_window_text(window)}" for window in policy.required_windows]
    if not (policy.maintenance_windows or policy.required_windows):
        parts.append("at any time")
    return ", ".join(parts)
