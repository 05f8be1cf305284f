"""How many specs of an account stand where: for its status."""

from __future__ import annotations

from typing import Final

from sysdisk.api.account import Counts
from sysdisk.api.reasons import Reason, Standing, phase, standing
from sysdisk.controllers.store import Store
from sysdisk.core.model import Key

_STANDING_OF: Final = {phase(reason): standing(reason) for reason in Reason}


def counts(specs: Store[Key], account: str) -> Counts:
    """Return the numbers of the specs that name `account`, without a time."""
    ready = waiting = stalled = drifted = 0
    keys = specs.of_account(account)
    for key in keys:
        facts = specs.facts(key)
        if facts is None:
            continue
        where = _STANDING_OF.get(facts.phase)
        ready += where is Standing.DONE
        waiting += where is Standing.WAITING
        stalled += where is Standing.STUCK
        drifted += facts.drifted
    return Counts(
        specs=len(keys),
        ready=ready,
        under_way=len(specs.operating(account)),
        waiting=waiting,
        stalled=stalled,
        drifted=drifted,
    )
