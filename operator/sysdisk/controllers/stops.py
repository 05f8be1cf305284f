"""The stops that this process sent, until none of them can come true unseen any more (I3).

A process can be held up between its fenced write and its call while another one does all the work.
Its stop then takes effect outside any recorded operation, and only who sent it knows of it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sysdisk.api.status import Operation
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.store import Store
from sysdisk.core.answers import Accepted, Answer, NotSent, Refused
from sysdisk.core.model import Key
from sysdisk.core.operate import STOP_SETTLES
from sysdisk.core.world import Power
from sysdisk.ecs.errors import EcsError

log = logging.getLogger(__name__)

STRAY_FOR: Final = STOP_SETTLES.total_seconds()
STRAY_LOOK: Final = timedelta(seconds=5)
"""How often a machine is looked at whose stop may still come true."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One stop. `until`: monotonic; from then on it has happened or never will."""

    intent: Operation
    instance_id: str
    until: float


class Stops:
    """What was sent, by object; `monotonic` is the clock of `until`."""

    def __init__(
        self, accounts: Accounts, specs: Store[Key], monotonic: Callable[[], float]
    ) -> None:
        self._accounts = accounts
        self._specs = specs
        self._monotonic = monotonic
        self._sent: dict[Key, Sent] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._sent

    def get(self, key: Key) -> Sent | None:
        """Return the stop that is remembered for `key`."""
        return self._sent.get(key)

    def leaves(self, key: Key, intent: Operation, instance_id: str) -> None:
        """Remember a stop that is about to be sent."""
        self._sent[key] = Sent(intent, instance_id, math.inf)

    def answered(self, key: Key, answer: Answer, *, late: bool) -> None:
        """Forget a stop that did nothing; keep one whose effect may still be to come.

        An answer in time to the first try leaves nothing to come.
        """
        sent, now = self._sent[key], self._monotonic()
        first = sent.intent.tries == 1
        if isinstance(answer, NotSent) or (isinstance(answer, Refused) and first):
            del self._sent[key]
            return
        settled = isinstance(answer, Accepted) and first and not late
        until = now if settled else now + STRAY_FOR
        self._sent[key] = Sent(sent.intent, sent.instance_id, until)

    def settle(self, key: Key) -> None:
        """Forget the stop of `key` if it cannot come true any more; its machine is cared for."""
        sent = self._sent.get(key)
        if sent is not None and self._monotonic() >= sent.until:
            del self._sent[key]

    async def rest_of(self, key: Key) -> timedelta | None:
        """Care for the machine of an object that is gone; return when to look again, None: never.

        There is no record left to write an intent to: a start does no harm, and is asked for until
        the machine runs. An operation of another object on the same instance owes its own start.
        """
        sent = self._sent.get(key)
        if sent is None:
            return None
        region = self._accounts.region(sent.intent.account, sent.intent.region_id)
        busy = self._specs.claims(sent.instance_id) & self._specs.operating(sent.intent.account)
        if region is None or busy:
            self.settle(key)
            return STRAY_LOOK if key in self._sent else None
        try:
            seen = (await region.inventory.look(sent.instance_id)).instance
        except EcsError:
            return STRAY_LOOK
        if seen is not None and seen.power is not Power.RUNNING:
            if seen.power is Power.STOPPED:
                answer = await region.start_instance(sent.instance_id)
                log.warning(
                    "a stop came true after its object was gone: the machine is started",
                    extra={
                        "key": str(key),
                        "instance_id": sent.instance_id,
                        "answer": type(answer).__name__,
                    },
                )
            return STRAY_LOOK
        self.settle(key)
        return STRAY_LOOK if key in self._sent else None
