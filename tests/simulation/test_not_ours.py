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


async def _not_understood(world: World) -> None:
    """Have a later version's record stand in a spec whose machine is stopped."""
    world.apply(instanceId=world.vm().id, imageId=world.image())
    await world.until("stopped", lambda: world.vm().status == "Stopped")
    for operator in world.operators:
        world.retire(operator)
    _write_status(world, {"operation": {"step": "Probe"}})
    world.start("older")
    told = "NotUnderstood"
    await world.until("told", lambda: world.ready().get("reason") == told)


def test_a_record_of_another_version_is_told_kept_and_shouted_about() -> None:
    async def told(world: World) -> None:
        await _not_understood(world)
        message = world.ready()["message"]
        assert "status.operation.step" in message
        assert "NOBODY STARTS IT AGAIN" in message
        assert world.status()["operation"]["step"] == "Probe"
        writes, later = world.spec_writes(), world.now + 3600.0
        await world.until("an hour", lambda: world.now >= later)
        assert world.spec_writes() == writes
        _write_status(world, {"operation": {"step": "Stop"}})
        await world.until("it goes on", lambda: world.is_ready())
        assert (world.replaced(), world.vm().status) == (1, "Running")

    run(told, checked=False)


def test_nobody_begins_on_the_machine_of_a_record_that_he_does_not_understand() -> None:
    async def told(world: World) -> None:
        await _not_understood(world)
        asked = world.ecs_writes()
        world.apply("another", instanceId=world.vm().id, imageId=world.image("ubuntu-22"))
        owned = "InstanceOwned"
        await world.until("owned", lambda: world.ready("another").get("reason") == owned)
        assert world.ecs_writes() == asked
        _write_status(world, {"operation": {"step": "Stop"}})
        await world.until("it goes on", lambda: world.is_ready())

    run(told, checked=False)


def test_a_record_that_was_taken_out_is_made_anew() -> None:
    async def told(world: World) -> None:
        await _forged(world)
        _write_status(world, {"operation": None})
        await _replaced_once(world)

    run(told)
