"""People and others: protect, suspend, changes of mind, drift, locks, two owners."""

import asyncio

import pytest

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.stage import TEAM
from tests.support.e2e import World, condition, message, step

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_protected_spec_begins_nothing_until_the_annotation_goes(world: World) -> None:
    machine = world.machine()
    manifest = world.spec(machine)
    manifest["metadata"]["annotations"] = {"sysdisk.dev/protect": "true"}
    name = await world.apply(manifest)
    found = await world.until_not_ready(name, "Protected")
    assert found["status"]["plan"]["changes"]
    assert condition(found, "Stalled") == condition(found, "Reconciling") == {}
    world.untouched(machine)
    await world.kubectl("annotate", "sds", name, "sysdisk.dev/protect-")
    await world.until_ready(name)
    assert world.replacements(machine) == 1


@pytest.mark.parametrize("how", ["annotation", "field"])
async def test_a_suspended_spec_begins_nothing_until_it_is_resumed(world: World, how: str) -> None:
    machine = world.machine()
    manifest = world.spec(machine)
    if how == "field":
        manifest["spec"]["suspend"] = True
    else:
        manifest["metadata"]["annotations"] = {"sysdisk.dev/suspend": "true"}
    name = await world.apply(manifest)
    await world.until_not_ready(name, "Suspended")
    world.untouched(machine)
    if how == "field":
        await world.change(name, suspend=False)
    else:
        await world.annotate(name, suspend=None)
    await world.until_ready(name)
    assert world.replacements(machine) == 1


@pytest.mark.parametrize("why", ["suspended", "protected", "changed", "deleted"])
async def test_a_change_of_mind_before_the_request_gives_the_machine_back(
    world: World, why: str
) -> None:
    machine = world.machine()
    world.stage.cloud.outside.freeze(machine.id)  # it stays Stopping until it is thawed
    name = await world.declare(machine)
    await world.until(name, lambda o: step(o) == "Stop")
    await world.until_true(lambda: world.stops(machine) == 1, "the stop")
    match why:
        case "suspended":
            await world.change(name, suspend=True)
        case "protected":
            await world.annotate(name, protect="true")
        case "changed":
            await world.change(name, imageId=world.image("ubuntu-22"))
        case _:
            await world.kubectl("delete", "sds", name, "--wait=false")
    await world.until(name, lambda o: "Giving" in str(o["status"].get("phase")))
    world.stage.cloud.outside.thaw(machine.id)
    if why == "deleted":
        await _until_gone(world, name)
    else:
        await world.until(name, lambda o: "operation" not in o["status"])
    assert world.running(machine)
    assert world.calls(machine, "ReplaceSystemDisk") == 0
    assert world.stops(machine) == 1


async def test_a_deletion_after_the_request_waits_for_the_safe_end(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine)
    await world.until(name, lambda o: step(o) == "Verify")
    await world.kubectl("delete", "sds", name, "--timeout=60s")
    assert world.replacements(machine) == 1
    assert world.running(machine)


async def test_a_second_image_after_the_request_is_a_second_replacement(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine)
    await world.until(name, lambda o: step(o) == "Verify")
    await world.change(name, imageId=world.image("big"), size=100)
    found = await world.until_ready(name)
    results = [entry["toImageId"] for entry in found["status"]["history"]]
    assert results == [world.image("ubuntu-24"), world.image("big")]
    assert world.replacements(machine) == 2
    assert world.running(machine)


@pytest.mark.parametrize("policy", ["Report", "Reconcile", "Ignore"])
async def test_drift_is_met_as_the_policy_says(world: World, policy: str) -> None:
    machine = world.machine()
    name = await world.declare(machine, driftPolicy=policy)
    await world.until_ready(name)
    elsewhere = world.stage.cloud.outside.replace_disk(machine.id, world.image("ubuntu-22"))
    if policy == "Reconcile":
        await world.until(name, lambda o: len(o["status"]["history"]) == 2)
        found = await world.until_ready(name)
        assert found["status"]["imageId"] == world.image("ubuntu-24")
        assert world.replacements(machine) == 2
        return
    reason = "Drifted" if policy == "Report" else "UpToDate"
    found = await world.until(
        name,
        lambda o: (
            o["status"]["diskId"] == elsewhere and condition(o, "Ready").get("reason") == reason
        ),
    )
    assert condition(found, "Ready")["status"] == "True"
    assert condition(found, "Drifted").get("status") == ("True" if policy == "Report" else None)
    assert world.replacements(machine) == 1


async def test_a_lock_shows_in_the_status_and_holds_a_replacement_back(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, "ubuntu-22")
    await world.until_ready(name)
    world.stage.cloud.outside.lock(machine.id, "security", "spam was sent")
    found = await world.until(name, lambda o: o["status"]["locked"])
    assert found["status"]["operationLocks"] == [{"reason": "security", "message": "spam was sent"}]
    assert "true" in await world.kubectl("get", "sds", name, "--no-headers")
    await world.change(name, imageId=world.image("ubuntu-24"))
    found = await world.until_not_ready(name, "OperationLocked")
    assert "security" in message(found)
    world.untouched(machine)
    world.stage.cloud.outside.unlock(machine.id)
    found = await world.until_ready(name)
    assert (found["status"]["locked"], world.replacements(machine)) == (False, 1)


async def test_of_two_specs_for_one_machine_the_older_one_keeps_it(world: World) -> None:
    machine = world.machine()
    first = await world.declare(machine)
    created = (await world.until_ready(first))["metadata"]["creationTimestamp"]
    second = await world.declare(machine, "ubuntu-22")
    found = await world.until(
        second, lambda o: condition(o, "Ready").get("reason") in ("InstanceOwned", "UpToDate")
    )
    younger = found["metadata"]["creationTimestamp"] > created
    if younger:
        assert first in message(found)
        assert condition(found, "Stalled")["status"] == "True"
        assert world.replacements(machine) == 1
    loser, winner = (second, first) if younger else (first, second)
    await world.stage.client.merge(SPECS, TEAM, winner, {"metadata": {"labels": {"seen": "1"}}})
    await world.kubectl("delete", "sds", winner, "--timeout=30s")
    await world.until_ready(loser)


async def test_a_new_trigger_asks_for_a_fresh_disk_and_an_old_one_does_not(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, replaceTrigger="one")
    await world.until_ready(name)
    await world.change(name, replaceTrigger="two")
    await world.until(name, lambda o: len(o["status"]["history"]) == 2)
    await world.until_ready(name)
    await world.change(name, replaceTrigger="one")
    await world.until_ready(name)
    await world.annotate(name, replace="three")
    await world.until(name, lambda o: len(o["status"]["history"]) == 3)
    await world.until_ready(name)
    assert world.replacements(machine) == 3


async def test_a_machine_that_was_stopped_stays_stopped(world: World) -> None:
    machine = world.machine(status="Stopped")
    name = await world.declare(machine)
    await world.until_ready(name)
    assert world.replacements(machine) == 1
    assert world.calls(machine, "StartInstance") == world.calls(machine, "StopInstance") == 0
    assert not world.running(machine)


async def test_the_automatic_snapshot_policy_is_put_back(world: World) -> None:
    machine = world.machine(policy=world.stage.seeded.policy)
    name = await world.declare(machine)
    await world.until_ready(name)
    new = world.stage.cloud.disk_of(machine.id)
    assert new.auto_snapshot_policy == world.stage.seeded.policy
    assert world.replacements(machine) == 1


async def _until_gone(world: World, name: str) -> None:
    async def gone() -> bool:
        return await world.stage.client.read(SPECS, TEAM, name) is None

    await asyncio.wait_for(world.until_true(gone, f"{name} is gone"), 60)
