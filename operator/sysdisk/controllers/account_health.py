"""Whether an account works, in the words of its Ready condition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sysdisk.api import meta
from sysdisk.api.account import EcsAccountSpec, EcsAccountStatus
from sysdisk.api.account import Identity as IdentityStatus
from sysdisk.api.reasons import AccountReason
from sysdisk.api.status import Condition, ConditionStatus
from sysdisk.core import windows, words
from sysdisk.core.answers import ErrorClass
from sysdisk.core.orders import is_set
from sysdisk.ecs.errors import CredentialsError, EcsError
from sysdisk.ecs.sdk import Identity
from sysdisk.kube.errors import KubeError

SKEW_LIMIT: Final = 60.0
"""Seconds between the operator's clock and that of ECS beyond which signatures are refused."""

_BAD_KEYS: Final = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidAccessKeySecret",
    "InvalidSecurityToken",
    "MissingSecurityToken",
)
_NO_ROLE: Final = ("Forbidden", "NoPermission", "EntityNotExist", "AuthenticationFail")
_BAD_CLOCK: Final = ("InvalidTimeStamp", "IllegalTimestamp")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an account works: the reason of its Ready condition, and why."""

    reason: AccountReason
    message: str
    identity: IdentityStatus | None = None

    @property
    def ready(self) -> bool:
        return self.reason is AccountReason.VERIFIED


NOT_ENFORCED: Final = Health(
    AccountReason.APPROVAL_NOT_ENFORCED,
    f"require.approval is Manual, and no ValidatingAdmissionPolicy {meta.APPROVAL_POLICY} with its "
    "binding denies an approval by just anybody. Nothing new begins. Install it (chart value "
    "policies.enabled), or drop require.approval.",
)
_REMARK: Final = " But no replacement can begin under its windows: "
UNCHECKED: Final = Health(AccountReason.UNCHECKED, "its credentials have not been checked yet")
NOT_CHECKED_FOR: Final = frozenset(
    {AccountReason.APPROVAL_NOT_ENFORCED, AccountReason.BRAKE_PULLED}
)
"""Reasons that follow from the cluster and from what is recorded, whatever a check of ECS found."""


def of_brake(name: str, failures: int, limit: int) -> Health | None:
    """Return why nothing new begins after so many failures in a row; None: the brake is not on."""
    if failures < limit:
        return None
    return Health(
        AccountReason.BRAKE_PULLED,
        f"{words.operations(failures)} failed in a row (limits.stopAfterFailures: {limit}). "
        "Nothing new begins in this account; what is under way is brought to its end. Look at why "
        "in the specs that failed (`kubectl get sds -A -o wide`), then run "
        f"`sysdisk resume --account {name}`.",
    )


def remarked(health: Health, spec: EcsAccountSpec) -> Health:
    """Return `health` with what is wrong with the windows of `spec`, in place of an earlier remark.

    No look at ECS shows it, and a spec tells it only to those who read the spec.
    """
    message = health.message.partition(_REMARK)[0]
    wrong = [
        f"{place}.{fault}"
        for place, part in (("defaults", spec.defaults), ("require", spec.require))
        for fault in windows.faults(part.maintenance_windows or ())
    ]
    if health.ready and wrong:
        message += f"{_REMARK}{'; '.join(wrong)}. Correct it."
    return replace(health, message=message)


_SUSPENDED: Final = re.compile(r"^Suspended: nothing new begins \([^)]*\)\. ")


def suspended_by(spec: EcsAccountSpec, annotations: Mapping[str, str]) -> str:
    """Return what suspends the account, in the name that a person looks for; empty: nothing."""
    if spec.suspend:
        return "spec.suspend"
    set_ = is_set(annotations, meta.ANNOTATION_SUSPEND)
    return f"annotation {meta.ANNOTATION_SUSPEND}" if set_ else ""


def suspended(health: Health, by: str) -> Health:
    """Return `health`, whose message says first that nothing new begins, if anything suspends."""
    if not by:
        return health
    return replace(health, message=f"Suspended: nothing new begins ({by}). {health.message}")


def unsuspended(message: str) -> str:
    """Return what `message` says of the account's health alone."""
    return _SUSPENDED.sub("", message)


def of_identity(identity: Identity) -> Health:
    """Return the health of an account as which ECS answered."""
    skew = identity.skew
    if skew is not None and abs(skew) > SKEW_LIMIT:
        return Health(
            AccountReason.CLOCK_SKEWED,
            f"The operator's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} "
            "ECS's; signatures will be refused. Correct the clock of its node.",
        )
    found = IdentityStatus(account_id=identity.account_id, arn=identity.arn, type=identity.type)
    return Health(AccountReason.VERIFIED, f"Acting as {identity.arn}.", found)


def unidentified(error: EcsError) -> Health:
    """Return the health of an account that works if ECS says so: STS did not tell who it is."""
    return Health(
        AccountReason.VERIFIED,
        f"ECS answers. As whom is not known: STS did not tell ({error.failure.code}). "
        "Where there is no way to the internet, set ALIBABA_CLOUD_STS_REGION and "
        "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED=true in the operator's environment.",
    )


def keeps_out(code: str) -> bool:
    """Whether an answer of ECS means that nothing works, and not just what was asked for."""
    return code.startswith((*_BAD_KEYS, *_BAD_CLOCK, "InvalidRegionId"))


def of_failure(exc: EcsError | KubeError, spec: EcsAccountSpec) -> Health:
    """Return the health of an account that could not be looked at, with what to do."""
    if isinstance(exc, KubeError):
        return Health(
            AccountReason.CREDENTIALS_INVALID,
            f"The Secret with the access key cannot be read: {exc}.",
        )
    code, text = exc.failure.code, exc.failure.text().rstrip(".")
    if code.startswith(_BAD_CLOCK):
        return Health(
            AccountReason.CLOCK_SKEWED, f"{text}. Correct the clock of the operator's node."
        )
    unsigned = isinstance(exc, CredentialsError)
    passing = unsigned and exc.failure.error_class is ErrorClass.RETRY
    if code.startswith((*_BAD_KEYS, *_NO_ROLE)) or (unsigned and not passing):
        advice = "Correct credentials in the EcsAccount, or the Secret that it names"
        return Health(
            AccountReason.CREDENTIALS_INVALID, f"{text}. {advice}; it is checked again by itself."
        )
    if passing:
        return Health(
            AccountReason.UNREACHABLE,
            f"{text}. Check that STS (for ecsRamRole, the metadata service) can be reached from "
            "the operator; it is tried again by itself.",
        )
    if code.startswith("InvalidRegionId"):
        return Health(AccountReason.UNREACHABLE, f"{text}. Correct regionId ({spec.region_id}).")
    where = spec.endpoint or f"the endpoint of region {spec.region_id}"
    return Health(
        AccountReason.UNREACHABLE,
        f"{where} does not answer as ECS does: {text}. Check regionId, endpoint, proxy and "
        "network; it is tried again by itself.",
    )


def condition(
    before: EcsAccountStatus, health: Health, generation: int | None, now: datetime
) -> Condition:
    """Return `health` as Ready; it changed at `now`, unless `before` had the same status."""
    status = ConditionStatus.TRUE if health.ready else ConditionStatus.FALSE
    was = before.condition("Ready")
    message = words.steady(was, health.message)
    since = was.last_transition_time if was is not None and was.status == status else now
    return Condition(
        type="Ready",
        status=status,
        reason=health.reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )
