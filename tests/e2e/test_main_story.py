"""What a team does with kubectl: apply, watch, wait, change, delete."""

import asyncio

import pytest

from tests.support.e2e import World, condition

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_applying_a_spec_replaces_the_disk_and_writes_the_new_one_back(world: World) -> None:
    machine = world.machine()
    old_disk = machine.system_disk_id
    name = await world.apply(world.spec(machine))
    await world.kubectl("wait", f"sds/{name}", "--for=condition=Ready", "--timeout=60s")
    status = (await world.look(name))["status"]
    disk = world.stage.cloud.disk_of(machine.id)
    assert status["diskId"] == disk.id != old_disk
    assert status["previousDiskId"] == old_disk
    assert (status["imageId"], status["size"]) == (world.image("ubuntu-24"), 40)
    assert (status["locked"], status["phase"]) == (False, "Ready")
    assert "operation" not in status
    assert [entry["result"] for entry in status["history"]] == ["Replaced"]
    assert world.replacements(machine) == world.stops(machine) == 1
    assert world.running(machine)


async def test_watching_shows_the_steps_as_they_are_taken(world: World) -> None:
    await world.declare(world.machine())  # an empty table has no heading to wait for
    manifest = world.spec(world.machine())
    name = manifest["metadata"]["name"]
    columns = "--output=custom-columns=NAME:.metadata.name,PHASE:.status.phase"
    async with world.kubectl.watching("get", "sds", "--watch", columns) as watch:
        await watch.until(1)
        await world.apply(manifest)
        await world.until_ready(name)
        await world.until_true(lambda: _phases(watch.lines, name)[-1:] == ["Ready"], "Ready shown")
    seen = _phases(watch.lines, name)
    assert seen[0] in ("<none>", "Stopping")
    steps = ["Stopping", "Replacing", "Verifying", "Starting", "Ready"]
    assert [phase for phase in seen if phase in steps] == [s for s in steps if s in seen]
    assert {"Stopping", "Verifying", "Starting", "Ready"} <= set(seen)


def _phases(lines: list[str], name: str) -> list[str]:
    """Return the phases that were shown, in order, repetitions left out."""
    shown = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return [phase for n, phase in enumerate(shown) if n == 0 or shown[n - 1] != phase]


async def test_the_columns_say_what_people_look_for(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine)
    status = (await world.until_ready(name))["status"]
    narrow, wide = await asyncio.gather(
        world.kubectl("get", "sds", name), world.kubectl("get", "sds", name, "--output=wide")
    )
    heads, row = narrow.splitlines()
    assert heads.split() == [
        *("NAME", "INSTANCE", "IMAGE", "SIZE", "DISK", "PHASE", "LOCKED", "READY", "AGE")
    ]
    shown = [name, machine.id, status["imageId"], "40", status["diskId"], "Ready", "false", "True"]
    assert row.split()[:-1] == shown
    assert status["previousDiskId"] in wide
    assert condition(await world.look(name), "Ready")["message"] in wide


async def test_describe_tells_the_steps_as_events(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine)
    await world.until_ready(name)

    async def told() -> bool:
        return "Replaced" in {event["reason"] for event in await world.events(name)}

    await world.until_true(told, "the event Replaced")
    text = await world.kubectl("describe", "sds", name)
    events = text.partition("Events:")[2]
    for reason in ("Stopping", "Verifying", "Starting", "Replaced"):
        assert reason in events
    assert "sysdisk" in events


async def test_a_new_image_is_one_more_replacement(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine)
    await world.until_ready(name)
    patch = f'{{"spec": {{"imageId": "{world.image("ubuntu-22")}"}}}}'
    await world.kubectl("patch", "sds", name, "--type=merge", f"--patch={patch}")
    await world.kubectl("wait", f"sds/{name}", "--for=condition=Ready=False", "--timeout=60s")
    status = (await world.until_ready(name))["status"]
    assert world.stage.cloud.look(machine.id).image_id == world.image("ubuntu-22")
    assert [entry["result"] for entry in status["history"]] == ["Replaced", "Replaced"]
    assert world.replacements(machine) == 2


async def test_applying_the_same_again_changes_nothing(world: World) -> None:
    machine = world.machine()
    manifest = world.spec(machine)
    name = await world.apply(manifest)
    before = await world.until_ready(name)
    assert "unchanged" in await world.kubectl("apply", "--filename=-", given=manifest)
    await world.kubectl("label", "sds", name, "team=web")
    await world.kubectl("annotate", "sds", name, "note=seen")
    probe = await world.declare(world.machine())
    await world.until_ready(probe)  # by then the operator has long seen the label
    after = await world.look(name)
    assert after["status"] == before["status"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert world.replacements(machine) == 1


async def test_deleting_a_spec_leaves_the_machine_alone(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine)
    await world.until_ready(name)
    await world.until(name, lambda o: "finalizers" not in o["metadata"])
    await world.kubectl("delete", "sds", name, "--timeout=30s")
    assert "NotFound" in (await world.kubectl.run("get", "sds", name)).err
    assert world.running(machine)
    assert world.calls(machine, "StopInstance") == 1
    assert world.replacements(machine) == 1


async def test_an_editor_changes_a_spec(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, "ubuntu-22")
    await world.until_ready(name)
    old, new = world.image("ubuntu-22"), world.image("ubuntu-24")
    editor = {"KUBE_EDITOR": f"sed -i s/{old}/{new}/"}
    said = await world.kubectl.run("edit", "sds", name, environment=editor)
    assert said.code == 0, said.err
    await world.until_ready(name)
    assert world.stage.cloud.look(machine.id).image_id == new


async def test_a_json_patch_changes_a_spec(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, "ubuntu-22")
    await world.until_ready(name)
    patch = '[{"op": "add", "path": "/spec/size", "value": 60}]'
    await world.kubectl("patch", "sds", name, "--type=json", f"--patch={patch}")
    await world.until_ready(name)
    assert world.stage.cloud.disk_of(machine.id).size_gib == 60


async def test_a_machine_that_is_right_already_is_adopted_without_a_touch(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, "ubuntu-22")
    found = await world.until_ready(name)
    assert found["status"]["diskId"] == machine.system_disk_id
    world.untouched(machine)
