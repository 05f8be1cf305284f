"""Changes of mind: whether what was frozen is still wanted, and still allowed.

Asked until the first ReplaceSystemDisk is sent, and between tries that ECS refused for certain.
"""

from __future__ import annotations

from typing import Final

from sysdisk.api.spec import Login
from sysdisk.api.status import Operation
from sysdisk.core.model import Subject
from sysdisk.core.orders import protected, suspended
from sysdisk.core.under_way import Pass
from sysdisk.core.wanted import frozen_login, pinned_image, target_hash, trigger_values
from sysdisk.core.world import AccountState

ENDING_DELETED: Final = "Deleted"


def changed_mind(p: Pass) -> str | None:
    """Return why the operation should not go on, in one word; None: it is still wanted."""
    subject, account = p.subject, p.observed.account
    if subject.deleting:
        return ENDING_DELETED
    if protected(subject):
        return "Protected"
    if suspended(subject):
        return "Suspended"
    if not granted(p):
        return "GrantRevoked"
    if account is not None and account.suspended:
        return "AccountSuspended"
    return None if _still_wanted(subject, p.op) else "SpecChanged"


def granted(p: Pass) -> bool:
    """Whether the account still lets this namespace reach the instance (I7)."""
    account = p.observed.account
    return (
        account is not None
        and account.state in (AccountState.OK, AccountState.NOT_READY)
        and account.grant.covers(p.instance)
    )


def _still_wanted(subject: Subject, op: Operation) -> bool:
    """Whether the spec still asks for what was frozen; policies for later do not count."""
    spec, inputs = subject.spec, op.inputs
    asked = set((inputs.trigger or "").split("\n")) - {""}
    return (
        spec.account_ref.name == op.account
        and target_hash(spec, pinned_image(subject)) == inputs.hash
        and (spec.login or Login()) == frozen_login(inputs)
        and spec.security_enhancement_strategy == inputs.security_enhancement_strategy
        and spec.use_additional_service == inputs.use_additional_service
        and spec.advanced == inputs.advanced
        and asked <= set(trigger_values(subject))
    )
