"""Workers: take a due key, run its pass, and turn how it ended into when it comes again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from sysdisk.controllers.queue import WorkQueue
from sysdisk.controllers.store import AccountKey, AnyKey
from sysdisk.core.model import Key
from sysdisk.ecs.errors import EcsError, NotYet, Throttled
from sysdisk.kube.errors import Conflict, KubeError, Unavailable

log = logging.getLogger(__name__)


class Passes(Protocol):
    """The passes. Each may be run at any time, twice, or after an end anywhere.

    They return how long to rest, None if the object is gone; they raise KubeError and EcsError.
    """

    async def reconcile(self, key: Key) -> timedelta | None: ...

    async def account_pass(self, name: str) -> timedelta | None: ...


async def work(
    queue: WorkQueue[AnyKey],
    passes: Passes,
    *,
    on_error: Callable[[str], None] = lambda kind: None,
) -> None:
    """Run passes, one after the other, until the queue is drained. Never raises."""
    while (key := await queue.get()) is not None:
        await _one(key, queue, passes, on_error)


async def _one(
    key: AnyKey, queue: WorkQueue[AnyKey], passes: Passes, on_error: Callable[[str], None]
) -> None:
    try:
        match key:
            case AccountKey(name=name):
                pause = await passes.account_pass(name)
            case Key():
                pause = await passes.reconcile(key)
    except Conflict:
        on_error("conflict")
        rest = queue.conflicted(key)
        log.debug("pass overtaken", extra={"key": str(key), "rest_seconds": round(rest, 1)})
    except NotYet as later:
        queue.done(key, again_in=timedelta(seconds=later.seconds))
        log.debug("pass waits for its turn", extra={"key": str(key), "why": str(later)})
    except (KubeError, EcsError) as exc:
        on_error("kube" if isinstance(exc, KubeError) else "ecs")
        rest = queue.failed(key, at_least=_asked_rest(exc))
        log.warning(
            "pass failed",
            extra={"key": str(key), "error": str(exc), "rest_seconds": round(rest, 1)},
        )
    except Exception:
        on_error("internal")
        rest = queue.failed(key)
        log.exception("pass broke", extra={"key": str(key), "rest_seconds": round(rest, 1)})
    except BaseException:
        queue.failed(key)
        raise
    else:
        queue.done(key, again_in=pause)


def _asked_rest(exc: KubeError | EcsError) -> float | None:
    return exc.retry_after if isinstance(exc, Unavailable | Throttled) else None
