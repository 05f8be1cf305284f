"""Whether the API server holds approvals to the admission policy: what an account may demand.

It is looked at, never believed: the policy and its binding, as the chart installs them. Where
they are missing, narrowed or only warn, an approval proves nothing, and nothing begins that
requires one.
"""

from __future__ import annotations

from typing import Any, Final

from sysdisk.api.meta import APPROVAL_POLICY, PLURAL
from sysdisk.ecs.clock import Clock
from sysdisk.kube.errors import Forbidden
from sysdisk.kube.port import Kube, Object
from sysdisk.kube.resources import POLICIES, POLICY_BINDINGS

BELIEVED_FOR: Final = 30.0
"""Seconds that a look is good for."""


class Enforcement:
    """Looks at the policy, at most once in a while."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._known: tuple[float, bool] | None = None

    async def holds(self) -> bool:
        """Whether approvals are enforced; who may not look is answered no. Raises KubeError."""
        now = self._clock.monotonic()
        if self._known is None or now - self._known[0] > BELIEVED_FOR:
            self._known = (now, await self._look())
        return self._known[1]

    async def _look(self) -> bool:
        try:
            policy = await self._kube.read(POLICIES, None, APPROVAL_POLICY)
            binding = await self._kube.read(POLICY_BINDINGS, None, APPROVAL_POLICY)
        except Forbidden:
            return False
        return policy is not None and binding is not None and enforced(policy, binding)


def enforced(policy: Object, binding: Object) -> bool:
    """Whether this policy and binding deny, everywhere, and fail closed."""
    spec, bound = policy.get("spec") or {}, binding.get("spec") or {}
    return (
        not policy.get("metadata", {}).get("deletionTimestamp")
        and spec.get("failurePolicy", "Fail") == "Fail"
        and bool(spec.get("validations"))
        and not spec.get("matchConditions")
        and _covers(spec.get("matchConstraints") or {})
        and bound.get("policyName") == APPROVAL_POLICY
        and "Deny" in (bound.get("validationActions") or ())
        and _unnarrowed(bound.get("matchResources") or {})
    )


def _covers(constraints: dict[str, Any]) -> bool:
    rules = constraints.get("resourceRules") or ()
    ours = [r for r in rules if PLURAL in (r.get("resources") or ())]
    operations = {o for r in ours if not r.get("resourceNames") for o in r.get("operations") or ()}
    return {"CREATE", "UPDATE"} <= operations and _unnarrowed(
        {k: v for k, v in constraints.items() if k != "resourceRules"}
    )


def _unnarrowed(matching: dict[str, Any]) -> bool:
    """Whether nothing is left out. Source: MatchResources; an empty selector matches everything."""
    return not any(
        matching.get(part)
        for part in (
            "namespaceSelector",
            "objectSelector",
            "resourceRules",
            "excludeResourceRules",
        )
    )
