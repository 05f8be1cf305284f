"""What the rest of sysdisk asks of ECS: a Protocol, and the outcomes that a call can have.

Two levels. `Transport` is one raw call in the API's own names: the SDK implements it, and so does
the simulator's model, so that everything above runs unchanged over both. `ecs.calls` builds the
requests and `ecs.parse` reads the answers on top of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Params = Mapping[str, str]
"""Flat wire parameters, such as `SystemDisk.Size`; lists are numbered, ID lists are JSON text."""

Body = Mapping[str, Any]
"""A decoded JSON answer."""


class Transport(Protocol):
    """One account in one region, seen through one set of credentials."""

    async def call(self, action: str, params: Params, *, not_after: float | None = None) -> Body:
        """Return the decoded answer of one ECS call (version 2014-05-26). Never retries.

        `not_after` is a time of the event loop's clock: a request that has not left by then is
        not sent any more, and `TooLate` is raised (the fence of a write).

        Raises `EcsError`: `Refusal` where ECS answered with an error code (it has then done
        nothing), `NoAnswer` where nothing is known about the effect (connection lost, timeout, an
        unreadable answer, a 5xx). No text that it raises holds a parameter's value.
        """
        ...
