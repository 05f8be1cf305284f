"""How an EcsAccount becomes a connection to ECS: credentials, transports, and who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from sysdisk.api.account import EcsAccountSpec
from sysdisk.ecs.credentials import AccountCredentials
from sysdisk.ecs.port import Transport
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.sdk import Identity, sdk_transports, who_am_i
from sysdisk.ecs.threads import Threads


class Connection(Protocol):
    """One account's way to ECS. It outlives changes of its spec: only what changed is made anew."""

    async def use(self, spec: EcsAccountSpec, secret: Mapping[str, bytes] | None) -> None:
        """Take credentials and endpoint from `spec`. Raises EcsError, and keeps what it had."""
        ...

    def lose(self, why: str) -> None:
        """Note that the source of the credentials is gone; the last are used while they work."""
        ...

    async def identify(self) -> Identity:
        """Return who the credentials are. Raises EcsError."""
        ...

    def transport(self, region_id: str) -> Transport:
        """Return the transport for a region. Raises ValueError for a forbidden endpoint."""
        ...

    def close(self) -> None:
        """Free what it holds: no call follows."""
        ...


class SdkConnection:
    """`Connection` by the official SDK. `threads` are its own."""

    def __init__(self, threads: Threads, scrubber: Scrubber) -> None:
        self._threads = threads
        self._scrubber = scrubber
        self._credentials = AccountCredentials(scrubber)
        self._endpoint = self._home = ""

    async def use(self, spec: EcsAccountSpec, secret: Mapping[str, bytes] | None) -> None:
        self._endpoint, self._home = spec.endpoint or "", spec.region_id
        await asyncio.get_running_loop().run_in_executor(
            self._threads.reads,
            lambda: self._credentials.use(spec.credentials, secret, endpoint=self._endpoint),
        )

    def lose(self, why: str) -> None:
        self._credentials.lose(why)

    async def identify(self) -> Identity:
        return await who_am_i(
            self._endpoint, self._credentials, self._threads, scrubber=self._scrubber
        )

    def transport(self, region_id: str) -> Transport:
        return sdk_transports(
            self._endpoint,
            self._credentials,
            self._threads,
            scrubber=self._scrubber,
            home=self._home,
        )(region_id)

    def close(self) -> None:
        self._threads.close()
