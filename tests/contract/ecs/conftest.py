"""One lab per test, and a server over it for the tests that speak HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sysdisk.sandbox.ecs_server import EcsServer
from tests.support.ecs_fleet import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
async def server(lab: Lab) -> AsyncIterator[EcsServer]:
    async with EcsServer(lab.cloud) as running:
        yield running
