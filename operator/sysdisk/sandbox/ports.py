"""Ports that a server can come back to.

The kernel gives ports of its ephemeral range to outgoing connections: while a server is away,
one of them may take its port, the very client that keeps calling it not excepted (a TCP
connection to itself). So ours lie outside that range.
"""

from __future__ import annotations

import contextlib
import ipaddress
import random
import socket
from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_UNPRIVILEGED: Final = range(10_000, 65_536)
_TRIES: Final = 200


def free_ports(count: int, host: str = "127.0.0.1") -> tuple[int, ...]:
    """Return different ports of `host` that are free now; another process may take one before.

    Raises OSError when none was found.
    """
    given_away = ephemeral()
    candidates = [port for port in _UNPRIVILEGED if port not in given_away]
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    found: list[int] = []
    # A random order: suites that run beside each other would else choose the same ones.
    for port in random.sample(candidates, min(_TRIES, len(candidates))):
        if len(found) == count:
            break
        with contextlib.suppress(OSError), socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            found.append(port)
    if len(found) < count:
        raise OSError(f"{count} free ports on {host} not found in {_TRIES} tries")
    return tuple(found)


def ephemeral() -> range:
    """Return the ports that the kernel gives to outgoing connections."""
    try:
        first, last = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        first, last = 49_152, 65_535  # RFC 6335, and all systems that have no such file
    return range(first, last + 1)
