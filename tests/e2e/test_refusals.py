"""What cannot succeed: refused before the machine is stopped, or given back after."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from sysdisk.kube.resources import ACCOUNTS
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_state import Instance
from sysdisk.sandbox.stage import TEAM
from tests.support.e2e import World, condition, message

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Case:
    """A spec that cannot be carried out, and what Ready must say of it."""

    machine: Instance
    image: str
    declared: dict[str, Any]
    reason: str
    words: str


async def test_what_can_be_known_is_refused_before_the_machine_is_stopped(world: World) -> None:
    pair, missing = world.stage.seeded.key_pair, world.name("nowhere")
    weak = world.name("weak")
    await world.store_secret(weak, password="weak")
    new = world.machine
    secret: dict[str, Any] = {"passwordSecretRef": {"name": missing, "key": "password"}}
    cases = [
        Case(new(), "with-data", {}, "PreflightFailed", "the snapshot of a data disk"),
        Case(new(), "ubuntu-24", {"size": 30}, "PreflightFailed", "a system disk cannot shrink"),
        Case(new(), "big", {"size": 60}, "PreflightFailed", "is below image"),
        Case(new(), "deprecated", {}, "PreflightFailed", "is Deprecated"),
        Case(
            new(),
            "arm-new",
            {},
            "PreflightFailed",
            "the instance's architecture",
        ),
        Case(new(), "encrypted", {}, "PreflightFailed", "Set encryption.enabled: true"),
        Case(new(), "", {"imageId": missing}, "ImageNotFound", "Correct imageId"),
        Case(new(), "", {"imageFamily": missing}, "ImageNotFound", "Correct imageFamily"),
        Case(new(), "ubuntu-24", {"login": secret}, "SecretNotUsable", "does not exist"),
        Case(
            new(),
            "ubuntu-24",
            {"login": {"passwordSecretRef": {"name": weak, "key": "password"}}},
            "SecretNotUsable",
            "breaks the rules",
        ),
        Case(
            new(),
            "ubuntu-24",
            {"login": {"passwordSecretRef": {"name": weak, "key": "pass"}}},
            "SecretNotUsable",
            "has no key pass",
        ),
        Case(
            new(), "ubuntu-24", {"login": {"keyPairName": missing}}, "PreflightFailed", "Create it"
        ),
        Case(
            new("windows"),
            "windows-new",
            {"login": {"keyPairName": pair}},
            "PreflightFailed",
            "is Windows",
        ),
        Case(
            Fleet(world.stage.cloud).managed_by_ack(new()),
            "ubuntu-24",
            {},
            "InstanceManaged",
            "node pool",
        ),
        Case(new(hibernation=True), "ubuntu-24", {}, "PreflightFailed", "Hibernation"),
        Case(new(tags={"team": "bank"}), "ubuntu-24", {}, "InstanceNotFound", "is not found"),
    ]
    names = [await world.declare(c.machine, c.image, **c.declared) for c in cases]
    found = await asyncio.gather(
        *(world.until_not_ready(n, c.reason) for n, c in zip(names, cases, strict=True))
    )
    for case, stalled in zip(cases, found, strict=True):
        assert case.words in message(stalled)
        assert condition(stalled, "Stalled")["status"] == "True"
        assert condition(stalled, "Reconciling") == {}
        assert "operation" not in stalled["status"]
        assert "finalizers" not in stalled["metadata"]
        world.untouched(case.machine)
        assert world.running(case.machine)


async def test_all_reasons_are_told_at_once(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, "with-data", size=30, login={"keyPairName": "nobody"})
    found = await world.until_not_ready(name, "PreflightFailed")
    for words in ("cannot shrink", "snapshot of a data disk", "Key pair nobody"):
        assert words in message(found)
    world.untouched(machine)


async def test_a_machine_of_others_reads_like_one_that_is_not_there(world: World) -> None:
    theirs, nobody = world.machine(tags={"team": "bank"}).id, "i-bp1nobodynobodynobo"
    names = [await world.declare(theirs), await world.declare(nobody)]
    found = [await world.until_not_ready(name, "InstanceNotFound") for name in names]
    texts = [
        message(o).replace(i, "INSTANCE") for o, i in zip(found, (theirs, nobody), strict=True)
    ]
    assert texts[0] == texts[1]
    seen = set(found[0]["status"])
    assert not seen & {"diskId", "imageId", "size", "instanceStatus", "locked", "plan"}


async def test_what_was_missing_is_taken_up_when_it_appears(world: World) -> None:
    await asyncio.gather(
        _a_secret(world), _an_image(world), _an_instance(world), _a_grant(world), _an_account(world)
    )


async def _a_secret(world: World) -> None:
    machine, secret = world.machine(), world.name("login")
    login = {"passwordSecretRef": {"name": secret, "key": "password"}}
    name = await world.declare(machine, login=login)
    await world.until_not_ready(name, "SecretNotUsable")
    await world.store_secret(secret, password="Fine&long7")
    await world.until_ready(name)
    assert world.replacements(machine) == 1


async def _an_image(world: World) -> None:
    machine, image = world.machine(), f"m-bp1{world.name('late')}"
    name = await world.declare(machine, "", imageId=image)
    await world.until_not_ready(name, "ImageNotFound")
    Fleet(world.stage.cloud).image(image_id=image)
    await world.until_ready(name)
    assert world.stage.cloud.look(machine.id).image_id == image


async def _an_instance(world: World) -> None:
    machine = world.machine(tags={"team": "bank"})
    name = await world.declare(machine)
    await world.until_not_ready(name, "InstanceNotFound")
    world.stage.cloud.outside.set_tags(machine.id, {"team": TEAM})
    await world.until_ready(name)
    assert world.replacements(machine) == 1


async def _a_grant(world: World) -> None:
    machine, account = world.machine(), world.name("closed")
    await world.add_account(account, allowedNamespaces={"names": ["elsewhere"]})
    name = await world.declare(machine, accountRef={"name": account})
    found = await world.until_not_ready(name, "NamespaceNotGranted")
    assert "allowedNamespaces" in message(found)
    grant = {"spec": {"allowedNamespaces": {"names": [TEAM]}}}
    await world.stage.client.merge(ACCOUNTS, None, account, grant)
    await world.until_ready(name)
    assert world.replacements(machine) == 1


async def _an_account(world: World) -> None:
    machine, account = world.machine(), world.name("later")
    name = await world.declare(machine, accountRef={"name": account})
    found = await world.until_not_ready(name, "AccountNotFound")
    assert account in message(found)
    await world.add_account(account)
    await world.until_ready(name)
    assert world.replacements(machine) == 1


async def test_a_refusal_after_the_stop_gives_the_machine_back_and_spends_the_plan(
    world: World,
) -> None:
    machine = world.machine(unpaid_order="order")
    old_disk = machine.system_disk_id
    name = await world.declare(machine)
    found = await world.until_not_ready(name, "PlanSpent")
    status = found["status"]
    error = status["plan"]["lastError"]
    assert (error["code"], error["class"], error["httpStatus"]) == (
        "INST_HAS_UNPAID_ORDER",
        "user",
        403,
    )
    refused = world.stage.cloud.requests_of("ReplaceSystemDisk")
    assert error["requestId"] in {r.request_id for r in refused if r.instance_id == machine.id}
    assert error["code"] in message(found)
    assert error["requestId"] in message(found)
    assert (status["plan"]["spent"], "operation" in status) == (True, False)
    assert [entry["result"] for entry in status["history"]] == ["Refused"]
    assert world.running(machine)
    assert world.stage.cloud.look(machine.id).system_disk_id == old_disk

    probe = await world.declare(world.machine())
    await world.until_ready(probe)
    assert (world.stops(machine), world.calls(machine, "ReplaceSystemDisk")) == (1, 1)

    world.stage.cloud.outside.set_instance(machine.id, unpaid_order="")
    await world.annotate(name, retry=status["plan"]["id"])
    await world.until_ready(name)
    assert world.replacements(machine) == 1
    assert (world.stops(machine), world.calls(machine, "ReplaceSystemDisk")) == (2, 2)
    tokens = {r.token for r in world.stage.cloud.requests_of("ReplaceSystemDisk")
              if r.instance_id == machine.id}  # fmt: skip
    assert len(tokens) == 2


async def test_a_plan_waits_for_its_approval_its_window_and_its_backup(world: World) -> None:
    window = {"schedule": "0 0 29 2 *", "duration": "4h"}
    approved, waiting, saved = world.machine(), world.machine(), world.machine()
    manual = await world.declare(approved, approval="Manual")
    later = await world.declare(waiting, maintenanceWindows=[window])
    kept = await world.declare(saved, backup={"enabled": True, "retentionDays": 3})

    asked = await world.until_not_ready(manual, "AwaitingApproval")
    assert f"sysdisk approve {manual}" in message(asked)
    world.untouched(approved)
    await world.annotate(manual, approve=asked["status"]["plan"]["id"])
    await world.until_ready(manual)
    assert world.replacements(approved) == 1

    told = await world.until_not_ready(later, "AwaitingWindow")
    assert "-02-29T00:00:00Z" in message(told)
    world.untouched(waiting)

    (entry,) = (await world.until_ready(kept))["status"]["history"]
    assert entry["snapshotId"].startswith("s-")
    assert entry["oldDiskId"] != entry["newDiskId"]
    assert world.replacements(saved) == 1
