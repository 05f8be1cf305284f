"""A stage without an operator, shared by the tests of a module; and names for what they make."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sysdisk.sandbox.stage import Stage
from tests.support.command import fresh_name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with Stage(kube="embedded", time_scale=100) as stage:
        yield stage


@pytest.fixture
def name() -> str:
    """A name that nothing has yet."""
    return fresh_name()
