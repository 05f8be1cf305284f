"""One lab per test, and a server over it for the tests that speak HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sysdisk.sandbox.ecs_server import EcsServer
from tests.support.ecs_fleet import Lab

# pytest-asyncio 1.5 asks for "the" event loop before its first test; unless it has been said that
# there is none, asyncio makes one, which nobody closes: a ResourceWarning in some later test.
asyncio.set_event_loop(None)


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
async def server(lab: Lab) -> AsyncIterator[EcsServer]:
    async with EcsServer(lab.cloud) as running:
        yield running
