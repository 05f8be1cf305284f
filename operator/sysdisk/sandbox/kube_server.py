"""The embedded Kubernetes API over HTTP: for development and tests only.

It enforces **no RBAC and no admission policy**: whoever reaches it may do everything. It listens
on loopback addresses only, optionally behind one bearer token, and says so when it starts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from sysdisk.sandbox import kube_discovery as discovery
from sysdisk.sandbox import kube_http as http
from sysdisk.sandbox import kube_openapi as openapi
from sysdisk.sandbox import kube_openapi_v2 as openapi_v2
from sysdisk.sandbox.kube_api import KubeApi
from sysdisk.sandbox.kube_config import kubeconfig, write_private
from sysdisk.sandbox.kube_errors import ApiError, no_such_path
from sysdisk.sandbox.kube_faults import Fault, Faults
from sysdisk.sandbox.kube_resources import builtin_resources
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.ports import free_ports

log = logging.getLogger(__name__)
_JOURNAL = 100_000
_NO_SUCH_PATH = no_such_path().message
_BUILTIN_GROUPS = frozenset(each.group for each in builtin_resources())
_BODY_LIMIT = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Journaled:
    """A request that was answered: method, path, whether it was a watch, the HTTP code."""

    method: str
    path: str
    watch: bool
    code: int


class KubeServer:
    """A store behind HTTP. `async with KubeServer(store) as server:` serves at `server.url`.

    `stop` and `start` again keep store and port: a restart as clients see it. `bookmark_every` is
    in seconds. `journal` holds the last requests, `faults` what shall go wrong.
    """

    def __init__(
        self,
        store: KubeStore,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        bookmark_every: float = 5.0,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the embedded Kubernetes API listens on loopback only, not {host}")
        self.store = store
        self.faults = Faults()
        self.journal: deque[Journaled] = deque(maxlen=_JOURNAL)
        self._host, self._port, self._token = host, port, token
        self._api = KubeApi(store, bookmark_every)
        self._runner: web.AppRunner | None = None
        self._watches: dict[int, web.Request] = {}

    # -- life -------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Return the address, valid after the first start."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; at the same port as before, if it was started before."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # Without cancellation a watch would go on for its hour after its client has left.
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        try:
            self._port = self._port or free_ports(1, self._host)[0]
            site = web.TCPSite(runner, self._host, self._port, reuse_address=True)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        log.info(
            "embedded Kubernetes API, for development only: no RBAC, no admission",
            extra={"url": self.url},
        )

    async def stop(self) -> None:
        """Cut everything and stop listening; the store keeps its objects."""
        self.cut_watches()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for this server, mode 0600, in one step; return `path`."""
        return write_private(path, kubeconfig(self.url, token=self._token))

    def cut_watches(self) -> int:
        """Cut the connections of all watches; return how many."""
        cut = 0
        for request in tuple(self._watches.values()):
            if request.transport is not None:
                request.transport.abort()
                cut += 1
        return cut

    @property
    def open_watches(self) -> int:
        """Return the number of watches that are being served."""
        return len(self._watches)

    def expire_history(self) -> None:
        """Make all open watches, and those that resume from before now, end with 410."""
        self.store.compact()

    # -- one request ------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        watch = request.method == "GET" and http.flag(request.query, "watch")
        if watch:
            self._watches[id(request)] = request
        code = 0
        try:
            response = await self._with_faults(request)
            code = response.status
            return response
        finally:
            self._watches.pop(id(request), None)
            self.journal.append(Journaled(request.method, request.path, watch, code))

    async def _with_faults(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.take(request.method, request.path)
        if fault is None:
            return await self._answer(request)
        if fault.side == "after":
            await self._answer(request)
        if fault.status is None:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError
        return _faulty(fault)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authenticate(request)
            special = self._special(request)
            if special is not None:
                return special
            return await self._api.answer(request)
        except ApiError as exc:
            if exc.message == _NO_SUCH_PATH and not _is_builtin(request.path):
                return web.Response(text="404 page not found\n", status=404)
            return http.respond(exc.status(), status=exc.code)
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(413, "RequestEntityTooLarge", "Request entity too large")
            return http.respond(too_large.status(), status=413)
        except ConnectionError:
            raise
        except Exception as exc:  # the last resort: a client sees a Status, the log the trace
            log.exception("request failed", extra={"method": request.method, "path": request.path})
            broken = ApiError(500, "InternalError", f"Internal error occurred: {exc!r}")
            return http.respond(broken.status(), status=500)

    def _authenticate(self, request: web.Request) -> None:
        if self._token is None or request.path in ("/healthz", "/readyz", "/livez"):
            return
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            raise ApiError(401, "Unauthorized", "Unauthorized")

    def _special(self, request: web.Request) -> web.Response | None:
        """Return the answer of paths that are not about objects, None for the others."""
        path = request.path.rstrip("/") or "/"
        if path.split("/")[1] in ("healthz", "readyz", "livez"):
            return web.Response(text="ok")
        resources = self.store.resources.values()
        if path in ("/api", "/apis"):
            return self._discovery_root(request, path)
        if path == "/version":
            return http.respond(discovery.version())
        if path == "/":
            return http.respond({"paths": ["/api", "/apis", "/openapi/v3", "/version"]})
        if path == "/openapi/v2":
            body, kind = openapi_v2.document(), openapi_v2.CONTENT_TYPE
            return web.Response(body=body, headers={"Content-Type": kind})
        if path == "/openapi/v3":
            return http.respond(openapi.index(resources))
        if path.startswith("/openapi/v3/"):
            document = openapi.document(resources, path.removeprefix("/openapi/v3/"))
            if document is None:
                raise no_such_path()
            return http.respond(document)
        parts = path.split("/")[1:]
        if parts == ["api", "v1"]:
            return http.respond(discovery.resource_list(resources, "", "v1"))
        if parts[0] == "apis" and len(parts) == 2:
            return http.respond(discovery.group(resources, parts[1]))
        if parts[0] == "apis" and len(parts) == 3:
            return http.respond(discovery.resource_list(resources, parts[1], parts[2]))
        return None

    def _discovery_root(self, request: web.Request, path: str) -> web.Response:
        resources = self.store.resources.values()
        core = path == "/api"
        accept = request.headers.get("Accept", "")
        if "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" in accept.replace(" ", ""):
            response = http.respond(discovery.aggregated(resources, core=core))
            response.headers["Content-Type"] = discovery.AGGREGATED
            response.headers["Vary"] = "Accept"
            return response
        if core:
            return http.respond(discovery.core_versions(f"{self._host}:{self._port}"))
        return http.respond(discovery.group_list(resources))


def _is_builtin(path: str) -> bool:
    """Return whether a path is of a built-in group; those answer a Status for what is missing."""
    parts = path.split("/")
    return path.startswith("/api/v1/") or (len(parts) > 2 and parts[2] in _BUILTIN_GROUPS)


def _faulty(fault: Fault) -> web.Response:
    code = fault.status or 500
    details = {} if fault.retry_after is None else {"retryAfterSeconds": fault.retry_after}
    error = ApiError(code, fault.reason, fault.message, details)
    response = http.respond(error.status(), status=code)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response
