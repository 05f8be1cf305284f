"""SystemDiskSpecs: from kopf's watch to the store and the queue; nothing here fails or waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from sysdisk.api.meta import GROUP, PLURAL, VERSION
from sysdisk.controllers.queue import WorkQueue
from sysdisk.controllers.store import AnyKey, Slim, Store, slim
from sysdisk.core.model import Key

Deliver = Callable[[bool, Slim], None]
"""Takes (deleted, slim copy) from the watch, in whatever thread that runs; never raises."""


def register(registry: kopf.OperatorRegistry, deliver: Deliver) -> None:
    """Add the handler to `registry`. Importing this module registers nothing."""

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(type: str | None, body: kopf.Body, **_: Any) -> None:
        """Hand over a slim copy. kopf drops what is raised here and cancels what is slow."""
        deliver(type == "DELETED", slim(body))


def take(deleted: bool, body: Slim, specs: Store[Key], queue: WorkQueue[AnyKey]) -> None:
    """Remember or forget one object, and make due what should be looked at because of it.

    Who else names the same instance is looked at too when one comes or goes: ownership may move.
    """
    key = specs.key_of(body)
    known = specs.facts(key)
    if deleted:
        news = specs.forget(key, body["metadata"].get("resourceVersion"))
    else:
        news = specs.remember(body)
    if not news or (not deleted and specs.overheard(key, body)):
        return
    queue.add(key)
    now = specs.facts(key)
    if known is None or now is None:
        for facts in (known, now):
            for other in specs.claims(facts.instance_id) - {key} if facts else ():
                queue.add(other)
