"""The simulated cloud behind HTTP: what the vendor's SDKs talk to.

One port serves all regions, and STS. ReplaceSystemDisk, StopInstance and others carry no RegionId:
on the real API the endpoint decides. Here the main port finds the region by the instance, disk or
snapshot that the call names. `endpoint_of(region)` is a further port that belongs to one region, as
the real endpoints do: there an instance of another region is not found.

Test it with `EcsControl` (ecs_control), which speaks to `/_control/...` on the same port. For
development on one machine only: it listens on a loopback address.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Any

from aiohttp import web

from sysdisk.sandbox.ecs_clock import Clock
from sysdisk.sandbox.ecs_faults import Broken, BrokenAnswer, ConnectionLost, EcsFault
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.ecs_remote import Remote
from sysdisk.sandbox.ecs_state import Timings
from sysdisk.sandbox.ecs_wire import Gate, RawRequest, Request
from sysdisk.sandbox.ports import free_ports

__all__ = ["EcsServer"]

_JSON = "application/json;charset=utf-8"
_LONGEST_URL = 65_536
_HTML = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


class EcsServer:
    """Serves a cloud on `host`; port 0 takes a free one. An async context manager.

    `url` is known after `start()`. `clock_offset` moves ECS's clock against ours, in seconds, for
    signatures and the Date header. With `tls` the main port speaks https, as the credentials
    library demands of STS.
    """

    def __init__(
        self,
        cloud: Cloud,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.cloud = cloud
        self.host = host
        self.port = port
        self.clock_offset = 0.0
        self._tls = tls
        self._gate = Gate(self.wall)
        self._remote = Remote(self)
        self._ports: dict[int, str] = {}
        self._dark = False
        self._runner: web.AppRunner | None = None
        self._sites: list[web.SockSite] = []

    @classmethod
    def at_scale(
        cls,
        scale: float = 1.0,
        *,
        timings: Timings | None = None,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> EcsServer:
        """Return a server over an empty cloud whose time runs `scale` times as fast."""
        cloud = Cloud(Clock(scale).now, timings, seed, wall=time.time)
        return cls(cloud, host, port)

    def wall(self) -> float:
        """Return ECS's own time of day, as its callers see it."""
        return time.time() + self.clock_offset

    @property
    def url(self) -> str:
        """The endpoint with its scheme. Raises RuntimeError before `start`."""
        return f"{'https' if self._tls else 'http'}://{self.endpoint}"

    @property
    def endpoint(self) -> str:
        """`host:port` of the main port, as the SDKs want it."""
        if self._runner is None:
            raise RuntimeError("the server is not running")
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/", self._serve)
        self._remote.routes(app)
        self._runner = web.AppRunner(
            app,
            access_log=None,  # URLs hold passwords
            handle_signals=False,
            shutdown_timeout=1.0,
            max_line_size=_LONGEST_URL,
            max_field_size=_LONGEST_URL,
        )
        await self._runner.setup()
        self.port = await self._listen(self.port, "")

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
        self._sites, self._ports = [], {}

    async def endpoint_of(self, region: str) -> str:
        """Return `host:port` of the port that belongs to one region; opened when first asked."""
        for port, owner in self._ports.items():
            if owner == region:
                return f"{self.host}:{port}"
        return f"{self.host}:{await self._listen(0, region)}"

    async def go_dark(self) -> None:
        """Refuse connections, and cut those that are open, until `come_back`."""
        self._dark = True
        for site in self._sites:
            await site.stop()
        self._sites = []

    async def come_back(self) -> None:
        """Listen again, on the same ports."""
        self._dark = False
        for port, region in list(self._ports.items()):
            await self._listen(port, region)

    async def __aenter__(self) -> EcsServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _listen(self, port: int, region: str) -> int:
        assert self._runner is not None
        port = port or free_ports(1, self.host)[0]
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((self.host, port))
        except OSError:
            sock.close()
            raise
        site = web.SockSite(self._runner, sock, backlog=1024, ssl_context=self._tls)
        await site.start()
        self._sites.append(site)
        self._ports[port] = region
        return port

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        if self._dark:
            return _cut(http)
        raw = RawRequest(
            method=http.method,
            path=http.path,
            query=http.raw_path.partition("?")[2],
            headers={name.lower(): value for name, value in http.headers.items()},
            body=await http.read(),
        )
        pinned = self._ports.get(_local_port(http), "")
        try:
            ask = self._gate.admit(self.cloud, raw)
        except EcsFault as fault:
            action = raw.headers.get("x-acs-action", "")
            return self._refusal(self.cloud.refuse(action, pinned, "", fault))
        return await self._answer(http, ask, pinned)

    async def _answer(self, http: web.Request, ask: Request, pinned: str) -> web.StreamResponse:
        region = self._region(ask.params, pinned)
        before, after = self.cloud.delays(ask.action, ask.params)
        try:
            if before:
                await asyncio.sleep(before)
            answer = self.cloud.call(ask.action, ask.params, region=region, caller=ask.caller)
        except EcsFault as fault:
            return self._refusal(fault)
        except ConnectionLost:
            return _cut(http)
        except BrokenAnswer as broken:
            return self._broken(broken)
        if after:
            await asyncio.sleep(after)
        return self._json(200, answer)

    def _region(self, params: Mapping[str, str], pinned: str) -> str:
        """Return the region of a call: as it says, else the port's, else that of what it names."""
        if named := params.get("RegionId") or params.get("regionId") or pinned:
            return named
        state = self.cloud.state
        for name in ("InstanceId", "DiskId", "SnapshotId", "InstanceId.1"):
            key = params.get(name, "")
            record = state.instances.get(key) or state.disks.get(key) or state.snapshots.get(key)
            if record is not None:
                return record.region
        return next(iter(state.regions), "")

    def _refusal(self, fault: EcsFault) -> web.Response:
        response = self._json(fault.http, fault.data)
        if fault.retry_after is not None:
            response.headers["x-acs-retry-after"] = str(int(fault.retry_after * 1000))
        return response

    def _broken(self, broken: BrokenAnswer) -> web.Response:
        text = json.dumps(broken.answer or {"RequestId": "0", "Code": "OK"})
        match broken.kind:
            case Broken.HTML_502:
                return self._text(502, _HTML, "text/html")
            case Broken.EMPTY_200:
                return self._text(200, "", _JSON)
            case Broken.HALF_JSON:
                return self._text(200, text[: len(text) // 2], _JSON)
            case Broken.WRONG_JSON:
                return self._text(200, '{"Success":true,"Data":[]}', _JSON)
            case Broken.NOT_JSON:
                return self._text(200, "welcome to this network, please log in", "text/plain")

    def _json(self, status: int, body: Mapping[str, Any]) -> web.Response:
        return self._text(status, json.dumps(body), _JSON)

    def _text(self, status: int, text: str, kind: str) -> web.Response:
        date = format_datetime(datetime.fromtimestamp(self.wall(), UTC), usegmt=True)
        headers = {"Content-Type": kind, "Date": date}
        return web.Response(status=status, body=text.encode(), headers=headers)


def _local_port(http: web.Request) -> int:
    name = http.transport.get_extra_info("sockname") if http.transport else None
    return int(name[1]) if name else 0


def _cut(http: web.Request) -> web.Response:
    """End the connection without an answer."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)
