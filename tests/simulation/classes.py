"""The three classes of faults that make controllers fail, each counted where it really happened.

Source: Sun et al., "Automatic Reliability Testing for Cluster Management Controllers" (Sieve),
OSDI 2022: a controller ends between two writes of one pass; it acts on an old version of what it
watches; a change and its revert pass unseen between two looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sysdisk.api import meta
from sysdisk.controllers.store import AccountKey, slim
from sysdisk.core.model import Key
from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.support.world import TEAM, World

INTERMEDIATE: Final = "intermediate"
"""The process ended with this write done, or one before it in the same pass, and the next not."""
STALE: Final = "stale"
"""This write arrived, and who sent it knew an older version of the object than there was."""
UNOBSERVED: Final = "unobserved"
"""The same, and what it had missed was a change and its revert."""
CLASSES: Final = (INTERMEDIATE, STALE, UNOBSERVED)

ONE_PASS: Final = 1.0
"""Seconds: writes of one process so close to each other are of one pass."""

SPEC: Final = Key(TEAM, "web-1")
ACCOUNT: Final = AccountKey(meta.DEFAULT_ACCOUNT)


@dataclass(slots=True)
class Classes:
    """Counts by (verb, class) what befalls the writes of a world."""

    world: World
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    _last_write: dict[str, float] = field(default_factory=dict)

    def count(self, call: Call, side: Side, blow: Blow | None) -> None:
        """Look at a call that arrives (`before`), or whose effect is done (`after`)."""
        if not call.write:
            return
        now = self.world.now
        if side == "after":
            self._last_write[call.actor] = now
        else:
            missed = self._missed(call)
            if missed is not None:
                self.counted[call.verb, missed] += 1
        if blow is not None and blow.kind is Kind.KILLED:
            last = self._last_write.get(call.actor, -ONE_PASS)
            self.counted[call.verb, INTERMEDIATE] += now - last < ONE_PASS

    def _missed(self, call: Call) -> str | None:
        """Return the class of what the sender does not know of the object of its write."""
        world = self.world
        sender = next((each for each in world.operators if each.name == call.actor), None)
        if sender is None:
            return None
        of_account = call.verb.endswith(" ecsaccounts")
        there = world.account_if_there() if of_account else world.object()
        version = sender.accounts.version(ACCOUNT) if of_account else sender.specs.version(SPEC)
        if version is None or there is None:
            return None if there is None and version is None else STALE
        metadata = there["metadata"]
        if version == (metadata["uid"], metadata["resourceVersion"]):
            return None
        known = sender.accounts.get(ACCOUNT) if of_account else sender.specs.get(SPEC)
        assert known is not None
        return UNOBSERVED if _changed_and_back(known, slim(there)) else STALE


def _changed_and_back(known: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether the same is wanted as was known, and something else was in between."""
    before, after = known["metadata"], there["metadata"]
    return bool(
        before["uid"] == after["uid"]
        and after["generation"] - before["generation"] >= 2
        and known["spec"] == there["spec"]
        and before.get("deletionTimestamp") == after.get("deletionTimestamp")
    )
