"""A client for the contract tests that shows codes, headers and bodies as they are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """Code, decoded body and headers of a response."""

    code: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def causes(self) -> set[tuple[str, str]]:
        """Return field and reason of every cause in a Status."""
        found = (self.body.get("details") or {}).get("causes") or []
        return {(each.get("field", ""), each["reason"]) for each in found}


class Api:
    """A client that shows everything: no retries, no decoding into types."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session, self.base = session, base
        self._watches: list[AsyncGenerator[Any, None]] = []

    async def close(self) -> None:
        """End the watches that a test has not read to their end."""
        for watch in self._watches:
            await watch.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """Return the answer to one request."""
        data = None if body is None else json.dumps(body)
        headers = {"Accept": accept} | ({"Content-Type": kind} if data else {})
        async with self.session.request(
            method, self.base + path, data=data, headers=headers
        ) as response:
            text = await response.text()
            decoded = json.loads(text) if "json" in response.content_type else {"text": text}
            return Answer(response.status, decoded, dict(response.headers))

    async def merge(self, path: str, patch: Any) -> Answer:
        """Return the answer to a merge patch."""
        return await self.ask("PATCH", path, patch, kind=MERGE)

    async def until(self, path: str, holds: Callable[[Answer], bool]) -> Answer:
        """Return the first answer to a GET for which `holds` is true; fail after 20 s."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = await self.ask("GET", path)
            if holds(answer):
                return answer
            await asyncio.sleep(0.05)
        raise AssertionError(f"not in time: {path}: {answer}")

    def watch(self, path: str, query: str, accept: str = "") -> AsyncGenerator[Any, None]:
        """Yield the events of a watch; ends when the server ends it."""
        stream = self._watch(path, query, accept)
        self._watches.append(stream)
        return stream

    async def _watch(self, path: str, query: str, accept: str) -> AsyncGenerator[Any, None]:
        headers = {"Accept": accept or "application/json"}
        url = f"{self.base}{path}?watch=true&{query}"
        async with self.session.get(url, headers=headers) as response:
            assert response.status == 200, await response.text()
            try:
                while line := await response.content.readline():
                    yield json.loads(line)
            finally:
                _hang_up(response)


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Cut the connection of a response that is not read to its end.

    Closing it over TLS waits for the server's goodbye, for up to 30 s and unseen by the session's
    own close: it would be left to the garbage collector once the test's event loop is gone.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
