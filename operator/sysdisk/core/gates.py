"""The gates before a replacement: each says why it does not begin, or lets it through.

Order matters: who said no comes first, then what can never work, then a person's approval, then
the window, then the account's limits. What passes all of them is begun by `core.begin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api.conditions import Extra, Kind
from sysdisk.api.policy import Approval
from sysdisk.api.reasons import Reason
from sysdisk.api.status import OperationInputs, Plan, SystemDiskSpecStatus
from sysdisk.core import approval, windows, words
from sysdisk.core.model import RESYNC, SETTLE, Action, Decision, DropApproval, Look, Subject
from sysdisk.core.orders import protected, suspended
from sysdisk.core.outcome import ENDING_BACKUP_FAILED
from sysdisk.core.policy import (
    calendar,
    effective,
    wants_backup,
    where_windows_stand,
    window_faults,
)
from sysdisk.core.preflight import Fault, faults, needed_looks, summary
from sysdisk.core.tried import resting_text, spent_text
from sysdisk.core.verdict import verdict
from sysdisk.core.wanted import Difference
from sysdisk.core.world import AccountLook, Disk, Image, Instance, Observed

SLOT_PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Due:
    """A replacement that is due, with everything a gate may want to know of it."""

    subject: Subject
    observed: Observed
    account: AccountLook
    instance: Instance
    disk: Disk
    image: Image | None
    inputs: OperationInputs
    plan: Plan
    status: SystemDiskSpecStatus
    drift: tuple[Difference, ...]
    retried: bool
    """The plan was tried, and somebody asks for it once more."""
    first_sight: bool
    now: datetime

    @property
    def extras(self) -> tuple[Extra, ...]:
        """What is told beside Ready: drift, and the approval where one is needed."""
        shown = drift_extras(self.drift)
        if self.approval_void:
            text = f"Plan {self.plan.id} is not approved, and no approval counts here."
            shown += (Extra(Kind.APPROVED, False, Reason.APPROVAL_NOT_ENFORCED.value, text),)
        elif approval.needed(effective(self.subject).approval):
            shown += (approval.condition(approval.judge(self.subject, self.plan, self.now)),)
        return shown

    @property
    def approval_void(self) -> bool:
        """Whether an approval is required where anybody could give it."""
        required = self.subject.require.approval is Approval.MANUAL
        return required and not self.account.approval_enforced

    def refuse(
        self,
        reason: Reason,
        message: str,
        *,
        look_again: timedelta | None = None,
        action: Action | None = None,
    ) -> Decision:
        """Return the decision that begins nothing, and says why."""
        return verdict(
            self.subject,
            self.status,
            reason,
            message,
            self.now,
            extras=self.extras,
            look_again=look_again,
            action=action,
        )


def passed(due: Due) -> Decision | None:
    """Return why the replacement does not begin now; None: every gate lets it through."""
    return (
        _held(due)
        or _preflight(due)
        or _approval(due)
        or _window(due)
        or _no_place(due)
        or _ordered(due)
    )


def look(subject: Subject, wanted: Look) -> Decision:
    """Return the question `wanted`; nothing is recorded for it."""
    return Decision(wanted, subject.status, Reason.OBSERVING, SETTLE)


def drift_extras(found: tuple[Difference, ...]) -> tuple[Extra, ...]:
    if not found:
        return ()
    lines = "; ".join(difference.line() for difference in found)
    return (Extra(Kind.DRIFTED, True, "OutOfBand", f"The machine moved away: {lines}."),)


def _held(due: Due) -> Decision | None:
    """Somebody said no, or this very plan was tried already."""
    subject, plan = due.subject, due.plan
    todo = f"Plan {plan.id} is due: {'; '.join(plan.changes)}."
    if no := protected(subject):
        return due.refuse(Reason.PROTECTED, f"{todo} Not begun: {no}")
    if no := suspended(subject):
        return due.refuse(Reason.SUSPENDED, f"{todo} Not begun: {no}")
    if due.account.suspended:
        return due.refuse(
            Reason.ACCOUNT_SUSPENDED,
            f"{todo} Not begun: EcsAccount {due.account.name} is suspended by an admin. It begins "
            "by itself when an admin resumes the account.",
        )
    if plan.spent and not due.retried:
        saved = plan.spent_reason != ENDING_BACKUP_FAILED
        return due.refuse(
            Reason.PLAN_SPENT if saved else Reason.BACKUP_FAILED,
            spent_text(subject, plan, due.inputs),
        )
    if plan.rest_until is not None and due.now < plan.rest_until and not due.retried:
        return due.refuse(
            Reason.RESTING,
            resting_text(subject, plan, due.inputs, plan.rest_until),
            look_again=min(plan.rest_until - due.now, timedelta(minutes=5)),
        )
    return None


def _preflight(due: Due) -> Decision | None:
    wanted = needed_looks(due.subject, due.inputs, due.image, due.instance, due.observed)
    if wanted is not None:
        return look(due.subject, wanted)
    found: tuple[Fault, ...] = faults(
        due.subject, due.inputs, due.image, due.instance, due.observed, due.now
    )
    if not found:
        return None
    reason, message = summary(found)
    return due.refuse(reason, f"Plan {due.plan.id} cannot begin. {message}")


def _approval(due: Due) -> Decision | None:
    """A person's word, where the policy asks for one."""
    if not approval.needed(effective(due.subject).approval):
        return None
    if due.approval_void:
        return due.refuse(
            Reason.APPROVAL_NOT_ENFORCED,
            f"Plan {due.plan.id} is due. Not begun: EcsAccount {due.account.name} requires an "
            "approval, and this cluster lets anybody approve, because the admission policy of the "
            "chart is missing. Ask an admin to install it (policies.enabled).",
        )
    found = approval.judge(due.subject, due.plan, due.now)
    todo = f"Plan {due.plan.id} is due: {'; '.join(due.plan.changes)}."
    if isinstance(found, approval.Approved):
        return None
    return due.refuse(
        Reason.AWAITING_APPROVAL,
        f"{todo} It waits for an approval. {found.why}",
        action=DropApproval() if found.stands else None,
        look_again=timedelta(0) if found.stands else RESYNC,
    )


def _window(due: Due) -> Decision | None:
    """A time to begin in which it can also end, backup included."""
    policy = effective(due.subject)
    wrong = window_faults(due.subject)
    if wrong:
        what = "Correct it there." if len(wrong) == 1 else "Correct each of them in its place."
        return due.refuse(
            Reason.INVALID_SPEC,
            f"Plan {due.plan.id} is due. Not begun: {'; and '.join(wrong)}. {what}",
        )
    need = windows.time_needed(due.subject.status.history, backup=wants_backup(policy))
    found = windows.fits(calendar(policy), due.now, need)
    if isinstance(found, windows.Fits):
        return None
    if isinstance(found, windows.Waits):
        return due.refuse(
            Reason.AWAITING_WINDOW,
            f"Plan {due.plan.id} is due: {'; '.join(due.plan.changes)}. It begins in the "
            f"maintenance window that opens at {windows.at(found.opens)}; to have it earlier, "
            f"change {where_windows_stand(due.subject)}.",
            look_again=min(found.opens - due.now, RESYNC),
        )
    seen = windows.timed(due.subject.status.history, backup=wants_backup(policy))
    short = windows.too_short_text(found, need, backup=wants_backup(policy), seen=seen)
    return due.refuse(
        Reason.WINDOW_TOO_SHORT,
        f"Plan {due.plan.id} is due. Not begun: {short} The windows stand in "
        f"{where_windows_stand(due.subject)}.",
    )


def _no_place(due: Due) -> Decision | None:
    """The account's limits: how many at once, and how many that nothing is known about."""
    account = due.account
    if account.brake_pulled:
        return due.refuse(
            Reason.BRAKE_PULLED,
            f"Plan {due.plan.id} is due. Not begun: "
            f"{words.operations(account.failures_in_a_row)} of EcsAccount {account.name} failed in "
            "a row (limits.stopAfterFailures), so nothing new begins in it. Look at why in the "
            "specs that failed (`kubectl get sds -A -o wide`), then have an admin run "
            f"`sysdisk resume --account {account.name}`.",
        )
    if due.first_sight and account.first_sights >= account.first_sight_per_hour:
        return due.refuse(
            Reason.FIRST_SIGHT_LIMITED,
            f"Plan {due.plan.id} is due. Not begun yet: specs without a record begin at most "
            f"{account.first_sight_per_hour} an hour in EcsAccount {account.name} "
            "(limits.firstSightPerHour), lest a cluster restored without status replaces every "
            "disk at once. It begins by itself when its turn comes; an admin can raise the limit.",
        )
    if account.under_way >= account.concurrent_replacements:
        return due.refuse(
            Reason.AWAITING_SLOT,
            f"Plan {due.plan.id} is due. Not begun yet: EcsAccount {account.name} has as many "
            f"operations under way as it allows at once ({account.concurrent_replacements}, "
            "limits.concurrentReplacements). It begins by itself when one has ended.",
            look_again=SLOT_PAUSE,
        )
    if due.observed.dry_run:
        return due.refuse(
            Reason.DRY_RUN,
            f"Plan {due.plan.id} is due: {'; '.join(due.plan.changes)}. Not begun: the operator "
            "runs with --dry-run. It begins when an operator without --dry-run sees it.",
        )
    return None


def _ordered(due: Due) -> Decision | None:
    """What a person ordered is on record before its annotation is taken off, or it may be lost."""
    manual = approval.needed(effective(due.subject).approval)
    if not due.subject.orders_new or not (due.retried or manual):
        return None
    again = " It is tried once more." if due.retried else ""
    by = f" It is approved by {due.plan.approved_by}." if manual else ""
    return due.refuse(
        Reason.PLANNED,
        f"Plan {due.plan.id} is due: {'; '.join(due.plan.changes)}.{again}{by}",
        look_again=timedelta(0),
    )
