"""One world for all stories of a backend, with the operator running in it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.e2e import BACKENDS, World, open_world


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=BACKENDS)
async def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with open_world(request.param, tmp_path_factory.mktemp(request.param)) as opened:
        await opened.operator.start()
        yield opened
