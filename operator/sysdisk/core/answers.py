"""What came back from an ECS write: the second half of a step, read by `core.outcome`."""

from __future__ import annotations

from dataclasses import dataclass

from sysdisk.api.status import ErrorClass as ErrorClass


@dataclass(frozen=True, slots=True)
class Failure:
    """An ECS error, scrubbed. `http_status` 0: there was no answer."""

    code: str
    message: str
    error_class: ErrorClass
    http_status: int = 0
    request_id: str = ""
    advice: str = ""
    throttled: bool = False
    action: str = ""
    """The ECS action that was asked for, where it is known."""
    known: bool = True
    """The code is on a list, so that its class is no guess."""

    def text(self) -> str:
        """One line: code, message and request ID, for logs and conditions."""
        head = f"{self.code}: {self.message}" if self.message else self.code
        return f"{head.rstrip('. ')} (request ID {self.request_id})" if self.request_id else head


@dataclass(frozen=True, slots=True)
class Accepted:
    """ECS took the request. `disk_id` and `snapshot_id` where the call makes one."""

    request_id: str = ""
    disk_id: str = ""
    snapshot_id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """ECS answered with an error code: the request had no effect."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the request had its effect."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this process: the fence fell, a limit held, or there were no credentials."""

    why: str


Answer = Accepted | Refused | Unknown | NotSent
