"""A record that somebody changed, in a simulated world: believed by nobody, and no dead end."""

from __future__ import annotations

from typing import Any

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.stage import TEAM
from tests.simulation.test_policies import BACKUP
from tests.support.world import World, _served, run


async def _forged(world: World) -> list[str]:
    """Have the record changed while the backup is made; return what ECS was asked to do by then."""
    await BACKUP.begin(world)
    await world.until("saving", lambda: world.ready().get("reason") == "BackingUp")
    _write_status(world, {"operation": {"attempt": 7}})
    await world.until("told", lambda: world.ready().get("reason") == "RecordNotOurs")
    return list(world.ecs_writes())


def _write_status(world: World, status: dict[str, Any]) -> None:
    world.store.patch(
        _served(world.store, SPECS), TEAM, "web-1", {"status": status}, subresource="status"
    )


async def _replaced_once(world: World) -> None:
    await world.until("ready", lambda: BACKUP.ended(world))
    assert world.replaced() == 1
    assert world.vm().status == "Running"
    assert world.vm().image_id == world.image()


def test_an_object_whose_record_is_not_ours_can_be_deleted_and_applied_again() -> None:
    async def told(world: World) -> None:
        asked = await _forged(world)
        assert "Instance" in world.ready()["message"]
        world.delete()
        began = world.now
        await world.until("gone", lambda: world.object() is None)
        assert world.now - began <= 1000
        assert list(world.ecs_writes()) == asked
        assert world.vm().status == "Running"
        await BACKUP.begin(world)
        await _replaced_once(world)

    run(told)


def test_a_record_that_was_taken_out_is_made_anew() -> None:
    async def told(world: World) -> None:
        await _forged(world)
        _write_status(world, {"operation": None})
        await _replaced_once(world)

    run(told)
