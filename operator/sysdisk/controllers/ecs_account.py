"""EcsAccounts: a change is looked at itself, and by every spec that goes through the account."""

from __future__ import annotations

from typing import Any

import kopf

from sysdisk.api.meta import ACCOUNT_PLURAL, GROUP, VERSION
from sysdisk.controllers.queue import WorkQueue
from sysdisk.controllers.store import AccountKey, AnyKey, Slim, Store, slim
from sysdisk.controllers.system_disk import Deliver
from sysdisk.core.model import Key


def register(registry: kopf.OperatorRegistry, deliver: Deliver) -> None:
    """Add the handler to `registry`. Importing this module registers nothing."""

    @kopf.on.event(GROUP, VERSION, ACCOUNT_PLURAL, registry=registry)
    async def seen(type: str | None, body: kopf.Body, **_: Any) -> None:
        """Hand over a slim copy. kopf drops what is raised here and cancels what is slow."""
        deliver(type == "DELETED", slim(body))


def take(
    deleted: bool,
    body: Slim,
    accounts: Store[AccountKey],
    specs: Store[Key],
    queue: WorkQueue[AnyKey],
) -> None:
    """Remember or forget one account; make it due, and its specs where it concerns them."""
    key = accounts.key_of(body)
    before = accounts.facts(key)
    if deleted:
        news = accounts.forget(key, body["metadata"].get("resourceVersion"))
    else:
        news = accounts.remember(body)
    if not news:
        return
    queue.add(key)
    now = accounts.facts(key)
    if before is None or now is None or before.concerns_specs != now.concerns_specs:
        wake_specs(key.name, specs, queue)


def wake_specs(account: str, specs: Store[Key], queue: WorkQueue[AnyKey]) -> None:
    """Make due every spec that names `account` or operates through it."""
    for spec in sorted(specs.of_account(account)):
        queue.add(spec)
