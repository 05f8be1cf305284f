"""The cloud behind HTTP, and the real SDK in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import pytest

from sysdisk.api.account import Credentials, Limits
from sysdisk.ecs.account import EcsAccountClient, RegionClient
from sysdisk.ecs.credentials import AccountCredentials
from sysdisk.ecs.endpoints import ecs_address
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.sdk import SdkTransport, Timeouts, sdk_transports
from sysdisk.ecs.threads import Threads
from sysdisk.sandbox.ecs_fleet import HOME, Fleet
from sysdisk.sandbox.ecs_server import EcsServer

SECRET_REF = {"secretRef": {"namespace": "ops", "name": "ecs"}}


@dataclass
class Site:
    """A served cloud with one stopped instance, and a transport of the real SDK to it."""

    server: EcsServer
    threads: Threads

    def __post_init__(self) -> None:
        self.scrubber = Scrubber()
        self.fleet = Fleet(self.server.cloud)
        self.image, self.newer = self.fleet.image(), self.fleet.image()
        self.vm = self.fleet.instance(self.image, status="Stopped")
        self.key = self.fleet.access_key()
        self.credentials = AccountCredentials(self.scrubber)
        self.credentials.use(Credentials.from_api(SECRET_REF), self.secret, endpoint=self.url)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def secret(self) -> dict[str, bytes]:
        return {
            "accessKeyId": self.key.id.encode(),
            "accessKeySecret": self.key.secret.encode(),
        }

    def transport(self, timeouts: Timeouts | None = None, url: str = "") -> SdkTransport:
        return SdkTransport(
            ecs_address(HOME, url or self.url),
            self.credentials,
            self.threads,
            scrubber=self.scrubber,
            timeouts=timeouts or Timeouts(),
        )

    def region(self) -> RegionClient:
        transports = sdk_transports(
            self.url, self.credentials, self.threads, scrubber=self.scrubber
        )
        return EcsAccountClient(transports, Limits()).region(HOME)


@asynccontextmanager
async def answering(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """Serve raw bytes, made from the path of the request; yields the URL."""

    async def on_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(head.split(b" ")[1]))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(on_request, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def threads() -> Iterator[Threads]:
    with closing(Threads(4)) as threads:
        yield threads


@pytest.fixture
async def site(threads: Threads) -> AsyncIterator[Site]:
    async with EcsServer.at_scale(100) as server:
        yield Site(server, threads)
