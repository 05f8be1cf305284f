"""Every reason that a Ready condition can have: documented enums, public API.

A reason says where the object stands; `Standing` says what that means for the conditions that
kubectl, Argo CD and Flux read. The pair is a table on purpose: no other code makes the choice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sysdisk.api.status import Condition


class Standing(StrEnum):
    """What a reason means for Ready, Reconciling and Stalled. Source: kstatus."""

    DONE = "Done"
    """Ready True."""
    WORKING = "Working"
    """Ready False, Reconciling True: the operator is at it."""
    WAITING = "Waiting"
    """Ready False, neither: it goes on by itself, or when somebody says so."""
    STUCK = "Stuck"
    """Ready False, Stalled True: a person must act."""


class Reason(StrEnum):
    """Why the conditions are what they are."""

    # Done
    UP_TO_DATE = "UpToDate"
    DRIFTED = "Drifted"
    LOGIN_PENDING = "LoginPending"

    # Working
    OBSERVING = "Observing"
    PLANNED = "Planned"
    BACKING_UP = "BackingUp"
    STOPPING = "Stopping"
    REPLACING = "Replacing"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    VERIFYING = "Verifying"
    VERIFY_OVERDUE = "VerifyOverdue"
    STARTING = "Starting"
    FINISHING = "Finishing"
    GIVING_BACK = "GivingBack"

    # Waiting
    SUSPENDED = "Suspended"
    ACCOUNT_SUSPENDED = "AccountSuspended"
    PROTECTED = "Protected"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_WINDOW = "AwaitingWindow"
    AWAITING_SLOT = "AwaitingSlot"
    FIRST_SIGHT_LIMITED = "FirstSightLimited"
    RESTING = "Resting"
    ACCOUNT_NOT_READY = "AccountNotReady"
    INSTANCE_BUSY = "InstanceBusy"
    DRY_RUN = "DryRun"

    # Stuck
    INVALID_SPEC = "InvalidSpec"
    ACCOUNT_NOT_FOUND = "AccountNotFound"
    NAMESPACE_NOT_GRANTED = "NamespaceNotGranted"
    INSTANCE_NOT_FOUND = "InstanceNotFound"
    INSTANCE_OWNED = "InstanceOwned"
    INSTANCE_MANAGED = "InstanceManaged"
    INSTANCE_NOT_UNDERSTOOD = "InstanceNotUnderstood"
    OPERATION_LOCKED = "OperationLocked"
    IMAGE_NOT_FOUND = "ImageNotFound"
    SECRET_NOT_USABLE = "SecretNotUsable"  # noqa: S105 - a reason, not a secret
    PREFLIGHT_FAILED = "PreflightFailed"
    PLAN_SPENT = "PlanSpent"
    BRAKE_PULLED = "BrakePulled"
    WINDOW_TOO_SHORT = "WindowTooShort"
    APPROVAL_NOT_ENFORCED = "ApprovalNotEnforced"
    BACKUP_FAILED = "BackupFailed"
    NOT_CONVERGING = "NotConverging"
    MACHINE_LEFT_STOPPED = "MachineLeftStopped"
    RECORD_NOT_OURS = "RecordNotOurs"
    NOT_UNDERSTOOD = "NotUnderstood"
    READ_REFUSED = "ReadRefused"


_DONE: Final = frozenset({Reason.UP_TO_DATE, Reason.DRIFTED, Reason.LOGIN_PENDING})
_WORKING: Final = frozenset(
    {
        Reason.OBSERVING,
        Reason.PLANNED,
        Reason.BACKING_UP,
        Reason.STOPPING,
        Reason.REPLACING,
        Reason.OUTCOME_UNKNOWN,
        Reason.VERIFYING,
        Reason.VERIFY_OVERDUE,
        Reason.STARTING,
        Reason.FINISHING,
        Reason.GIVING_BACK,
    }
)
_WAITING: Final = frozenset(
    {
        Reason.SUSPENDED,
        Reason.ACCOUNT_SUSPENDED,
        Reason.PROTECTED,
        Reason.AWAITING_APPROVAL,
        Reason.AWAITING_WINDOW,
        Reason.AWAITING_SLOT,
        Reason.FIRST_SIGHT_LIMITED,
        Reason.RESTING,
        Reason.ACCOUNT_NOT_READY,
        Reason.INSTANCE_BUSY,
        Reason.DRY_RUN,
    }
)


def standing(reason: Reason) -> Standing:
    """Return what `reason` means for the conditions: stuck, unless the table says otherwise."""
    if reason in _DONE:
        return Standing.DONE
    if reason in _WORKING:
        return Standing.WORKING
    if reason in _WAITING:
        return Standing.WAITING
    return Standing.STUCK


def reason_of(condition: Condition | None, otherwise: Reason) -> Reason:
    """Return the reason that `condition` names; `otherwise` where it names none that we know."""
    try:
        return Reason(condition.reason) if condition is not None else otherwise
    except ValueError:
        return otherwise


_PHASES: Final = {
    Standing.DONE: "Ready",
    Standing.WAITING: "Waiting",
    Standing.STUCK: "Stalled",
}

_PHASE_OF: Final = {
    Reason.DRIFTED: "Drifted",
    Reason.OBSERVING: "Pending",
    Reason.PLANNED: "Planned",
    Reason.BACKING_UP: "BackingUp",
    Reason.STOPPING: "Stopping",
    Reason.REPLACING: "Replacing",
    Reason.OUTCOME_UNKNOWN: "Replacing",
    Reason.VERIFYING: "Verifying",
    Reason.VERIFY_OVERDUE: "Verifying",
    Reason.STARTING: "Starting",
    Reason.FINISHING: "Finishing",
    Reason.GIVING_BACK: "GivingBack",
    Reason.SUSPENDED: "Suspended",
    Reason.ACCOUNT_SUSPENDED: "Suspended",
    Reason.PROTECTED: "Protected",
}


def phase(reason: Reason) -> str:
    """Return the one word for people (`status.phase`); no code reads it."""
    return _PHASE_OF.get(reason) or _PHASES[standing(reason)]


PHASES: Final = tuple(
    sorted({phase(reason) for reason in Reason}),
)
"""Every phase there is: the values of the `phase` label of `sysdisk_specs`."""


class AccountReason(StrEnum):
    """Why an EcsAccount is Ready, or why not."""

    VERIFIED = "Verified"
    UNCHECKED = "Unchecked"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    UNREACHABLE = "Unreachable"
    CLOCK_SKEWED = "ClockSkewed"
    APPROVAL_NOT_ENFORCED = "ApprovalNotEnforced"
    BRAKE_PULLED = "BrakePulled"
