"""HTTP connections that know the call they carry: its fence, its deadline, and its way.

The SDK fetches keys and connects after it was told to send, and its timeouts count from one byte
to the next. So the fence is asked here, at a connection that stands and before the first byte, and
every wait is cut to what is left of the call.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from requests.utils import should_bypass_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from sysdisk.ecs.endpoints import is_loopback

METADATA_SERVICE = "100.100.100.200"


@dataclass(slots=True)
class Bounds:
    """What the calls of this thread keep to. `until` is monotonic; see `bounded`."""

    until: float
    leave: Callable[[], None]
    unanswered: bool = False
    """Whether one of them had no answer."""

    def left(self, timeout: float | None) -> float:
        """Return how long may be waited now, at most `timeout`. Raises TimeoutError at the end."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call took too long")
        return left if timeout is None else min(left, timeout)


_BOUNDS: ContextVar[Bounds | None] = ContextVar("bounds", default=None)


@contextmanager
def bounded(seconds: float, leave: Callable[[], None] = lambda: None) -> Iterator[Bounds]:
    """Give the calls that this thread makes in the block `seconds` in all.

    `leave` is called when a request is about to leave, on a connection that stands; what it raises
    keeps the request from being sent.
    """
    bounds = Bounds(time.monotonic() + seconds, leave)
    token = _BOUNDS.set(bounds)
    try:
        yield bounds
    finally:
        _BOUNDS.reset(token)


class _Cut(io.RawIOBase):
    """Reads from a socket, and waits no longer than is left of the call."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, bounds: Bounds) -> None:
        self._raw = raw
        self._sock = sock
        self._bounds = bounds
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._bounds.left(self._timeout))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        bounds = _BOUNDS.get()
        if bounds is not None:
            self.fp = io.BufferedReader(_Cut(self.fp.detach(), sock, bounds))


class _Connection(HTTPConnection):
    response_class = _Answer

    def connect(self) -> None:
        _cut(self)
        super().connect()

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _leave()
        super().send(data)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS: `connect` goes on to that of HTTPSConnection."""


def _cut(connection: HTTPConnection) -> None:
    if (bounds := _BOUNDS.get()) is not None:
        connection.timeout = bounds.left(connection.timeout)


def _leave() -> None:
    if (bounds := _BOUNDS.get()) is not None:
        bounds.leave()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def take_over(core: Any) -> None:
    """Make the sessions of `core` use our connections, and go directly where that is asked for.

    The SDK hands HTTP_PROXY and HTTPS_PROXY to every request and ignores NO_PROXY (seen in
    darabonba-core 1.0.9 and alibabacloud-tea 0.4.3). All sessions get their adapter from this hook.
    """
    make = core.get_adapter

    def get_adapter(*args: Any, **kwargs: Any) -> Any:
        adapter = make(*args, **kwargs)
        send, through_proxy = adapter.send, adapter.proxy_manager_for

        def send_directly_if_asked(request: Any, *rest: Any, **options: Any) -> Any:
            if goes_directly(request.url):
                options["proxies"] = {}
            try:
                return send(request, *rest, **options)
            except OSError:
                if (bounds := _BOUNDS.get()) is not None:
                    bounds.unanswered = True
                raise

        def proxy_manager_for(*args: Any, **kwargs: Any) -> Any:
            return _ours(through_proxy(*args, **kwargs))

        _ours(adapter.poolmanager)
        adapter.send, adapter.proxy_manager_for = send_directly_if_asked, proxy_manager_for
        return adapter

    core.get_adapter = staticmethod(get_adapter)


def _ours(pools: Any) -> Any:
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pools


def goes_directly(url: str) -> bool:
    """Whether no proxy is to be used for `url`: a loopback address, the metadata service of the
    instance we run on, or a host in NO_PROXY."""
    host = url.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0]
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return (
        is_loopback(name)
        or name == METADATA_SERVICE
        or bool(should_bypass_proxies(url, no_proxy=None))
    )
