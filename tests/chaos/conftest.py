"""One world for all disasters of a backend; who needs an operator in it starts one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.e2e import BACKENDS, World, open_world


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=BACKENDS)
async def stormy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A world whose shared operator does not run."""
    async with open_world(request.param, tmp_path_factory.mktemp(request.param)) as opened:
        yield opened
