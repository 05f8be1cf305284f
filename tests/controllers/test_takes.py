"""What the watch tells: what of it is news, and whom it makes due."""

from contextlib import suppress
from typing import Any

import pytest

from sysdisk.api.meta import ACCOUNT_KIND, API_VERSION, KIND
from sysdisk.controllers import ecs_account, system_disk
from sysdisk.controllers.queue import WorkQueue
from sysdisk.controllers.store import AccountKey, AnyKey, account_store, spec_store
from sysdisk.core.model import Key

KEY = Key("shop", "web-1")
ACCOUNT = AccountKey("default")


def a_spec(version: str, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "resourceVersion": version},
        "spec": {"instanceId": "i-1"},
        "status": status,
    }


def an_account(version: str, *, suspend: bool = False, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": ACCOUNT_KIND,
        "metadata": {"name": "default", "uid": "a", "resourceVersion": version},
        "spec": {"suspend": suspend},
        "status": status,
    }


class Lab:
    """Stores and a queue, as the process has them."""

    def __init__(self) -> None:
        self.specs, self.accounts = spec_store(), account_store()
        self.queue: WorkQueue[AnyKey] = WorkQueue()

    def tell(self, body: dict[str, Any], *, deleted: bool = False) -> None:
        if body["kind"] == KIND:
            system_disk.take(deleted, body, self.specs, self.queue)
        else:
            ecs_account.take(deleted, body, self.accounts, self.specs, self.queue)

    async def due(self) -> set[AnyKey]:
        """Return the keys that are due now, and have been passed since."""
        found: set[AnyKey] = set()
        while self.queue.ready():
            key = await self.queue.get()
            assert key is not None
            self.queue.done(key, again_in=None)
            found.add(key)
        return found


@pytest.fixture
async def lab() -> Lab:
    lab = Lab()
    lab.tell(a_spec("10"))
    lab.tell(an_account("11"))
    assert await lab.due() == {KEY, ACCOUNT}
    return lab


async def test_the_copy_of_ones_own_write_is_no_news_before_the_answer_nor_after(lab: Lab) -> None:
    with lab.specs.own_write(KEY, lab.queue.add) as remember:
        lab.tell(a_spec("12", phase="Stopping"))
        remember(a_spec("12", phase="Stopping"))
    lab.tell(a_spec("12", phase="Stopping"))
    assert await lab.due() == set()
    assert lab.specs.version(KEY) == ("u", "12")


async def test_a_change_that_came_with_ones_own_write_is_told_at_its_end(lab: Lab) -> None:
    with lab.specs.own_write(KEY, lab.queue.add) as remember:
        lab.tell(a_spec("12", phase="Stopping"))
        lab.tell(a_spec("13", phase="Stopping", more="of another"))
        remember(a_spec("12", phase="Stopping"))
        assert await lab.due() == set()
    assert await lab.due() == {KEY}
    assert lab.specs.version(KEY) == ("u", "13")


async def test_a_change_that_made_ones_own_write_fail_is_told(lab: Lab) -> None:
    with suppress(TimeoutError), lab.specs.own_write(KEY, lab.queue.add):
        lab.tell(a_spec("12", phase="Stopping"))
        raise TimeoutError
    assert await lab.due() == {KEY}
    lab.tell(a_spec("14", phase="Replacing"))
    assert await lab.due() == {KEY}


async def test_a_deletion_is_told_at_once(lab: Lab) -> None:
    with lab.specs.own_write(KEY, lab.queue.add):
        lab.tell(a_spec("12"), deleted=True)
        assert await lab.due() == {KEY}


@pytest.mark.parametrize(
    "counted", [{"firstSights": [{"hour": "2026-01-05T00:00:00Z", "count": 1}]}, {"message": "x"}]
)
async def test_what_is_counted_in_an_account_wakes_no_spec(
    lab: Lab, counted: dict[str, Any]
) -> None:
    lab.tell(an_account("12", **counted))
    assert await lab.due() == {ACCOUNT}


@pytest.mark.parametrize(
    "change",
    [
        an_account("12", suspend=True),
        an_account("12", brake={"failures": 3}),
        an_account("12", conditions=[{"type": "Ready", "status": "True"}]),
        an_account("12") | {"metadata": {"name": "default", "uid": "b", "resourceVersion": "12"}},
    ],
    ids=["spec", "brake", "ready", "another"],
)
async def test_what_an_account_allows_wakes_its_specs(lab: Lab, change: dict[str, Any]) -> None:
    lab.tell(change)
    assert await lab.due() == {ACCOUNT, KEY}


async def test_an_account_that_goes_wakes_its_specs(lab: Lab) -> None:
    lab.tell(an_account("12"), deleted=True)
    assert await lab.due() == {ACCOUNT, KEY}
