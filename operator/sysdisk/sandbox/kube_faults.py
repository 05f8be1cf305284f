"""Faults on demand: failing answers, and answers lost before or after the effect."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["before", "after"]

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` matching requests.

    `method` and `path` are regular expressions that must match the whole. With `status` the
    answer is that error; without, the connection is cut. `side` says whether the request has
    its effect (`after`) or not (`before`). `retry_after` is in seconds.
    """

    method: str = ".*"
    path: str = ".*"
    times: int = 1
    status: int | None = None
    side: Side = "before"
    retry_after: int | None = None
    message: str = "injected by the sandbox"

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault is about this request and not used up."""
        return (
            self.times > 0
            and re.fullmatch(self.method, method) is not None
            and re.fullmatch(self.path, path) is not None
        )

    @property
    def reason(self) -> str:
        """Return the `reason` of the injected Status."""
        return _REASONS.get(self.status or 0, "")


@dataclass(slots=True)
class Faults:
    """The faults that are set, first come first served, and those that took effect."""

    waiting: list[Fault] = field(default_factory=list)
    hits: list[tuple[str, str]] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        """Set a fault; return it, so that `times` can be looked at."""
        self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self.waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault of this request, and count it as used."""
        for fault in self.waiting:
            if fault.matches(method, path):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                self.hits.append((method, path))
                return fault
        return None
