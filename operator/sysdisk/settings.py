"""Everything that `sysdisk run` can be told, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 lets the system choose one."""

    host: str = "127.0.0.1"
    port: int = 8080

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `HOST:PORT` names (`[::1]:8080` for IPv6; `:8080` is all).

        Raises ValueError with a text for people.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080")
        return cls(host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port))  # noqa: S104

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of the operator; the defaults are those of the command line."""

    kubeconfig: str | None = None
    """None: the pod's ServiceAccount, else `$KUBECONFIG`, else `~/.kube/config`."""
    namespaces: tuple[str, ...] = ()
    """Which namespaces are served. Empty: all."""
    listen: Address = Address()
    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    poll_interval: timedelta = timedelta(seconds=3)
    """The longest time between two looks while something is under way."""
    resync_interval: timedelta = timedelta(minutes=5)
    """Between two looks at rest."""
    threads: int = 16
    """For the reads of the synchronous ECS client, for each EcsAccount."""
    leader_elect: bool = False
    account_secret_namespaces: tuple[str, ...] | None = None
    """Where an EcsAccount's Secret may be. None: anywhere outside a cluster, the operator's own
    namespace inside."""
    dry_run: bool = False
    """Plan, and never write to ECS."""

    passes_at_once: int = 64
    prune_interval: timedelta = timedelta(minutes=3)
    """Between two listings that check on the watch."""
    grace: timedelta = timedelta(seconds=15)
    """How long passes in flight may go on after SIGTERM."""
