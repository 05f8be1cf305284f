"""The scenes of the gallery: how each kind of waiting and refusal comes about."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from sysdisk.kube.resources import ACCOUNTS, SECRETS, SPECS
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_state import Instance
from sysdisk.sandbox.stage import SYSTEM, TEAM, secret
from tests.support.e2e import World, condition, step

Undo = Callable[[], None]
RARE: Final = {"schedule": "0 0 29 2 *", "duration": "4h"}
FOR_EVER: Final = 1e6
SAVED: Final = {"enabled": True, "retentionDays": 7}


@dataclass(frozen=True, slots=True)
class Shown:
    """The spec to look at, the reason that Ready must have, and what puts the world right again."""

    name: str
    reason: str
    undo: tuple[Undo, ...] = ()


def spec(reason: str, image: str = "ubuntu-24", **more: Any) -> Callable[[World], Awaitable[Shown]]:
    """Return the scene of a spec like this for a running machine."""

    async def scene(world: World) -> Shown:
        return Shown(await world.declare(world.machine(), image, **more), reason)

    return scene


def machine(reason: str, **fields: Any) -> Callable[[World], Awaitable[Shown]]:
    """Return the scene of a machine like this, for which a new image is declared."""

    async def scene(world: World) -> Shown:
        return Shown(await world.declare(world.machine(**fields)), reason)

    return scene


def account(reason: str, **fields: Any) -> Callable[[World], Awaitable[Shown]]:
    """Return the scene of an account like this, and of a spec that names it."""

    async def scene(world: World) -> Shown:
        name = world.name("account")
        await world.add_account(name, **fields)
        return Shown(await world.declare(world.machine(), accountRef={"name": name}), reason)

    return scene


def login(
    reason: str, key: str = "password", **values: bytes
) -> Callable[[World], Awaitable[Shown]]:
    """Return the scene of a login Secret with these values; without any there is none."""

    async def scene(world: World) -> Shown:
        name = world.name("login")
        if values:
            body = secret(TEAM, name)
            body["data"] = {k: base64.b64encode(v).decode() for k, v in values.items()}
            await world.stage.client.create(SECRETS, TEAM, body)
        given = {"passwordSecretRef": {"name": name, "key": key}}
        return Shown(await world.declare(world.machine(), login=given), reason)

    return scene


# -- waiting ----------------------------------------------------------------------------------


def _slow_snapshots(world: World) -> Undo:
    cloud = world.stage.cloud
    before = cloud.timings
    cloud.timings = replace(before, snapshot=FOR_EVER)
    return lambda: setattr(cloud, "timings", before)


async def backup_under_way(world: World) -> Shown:
    undo = _slow_snapshots(world)
    name = await world.declare(world.machine(), backup=SAVED)
    await world.until(name, lambda o: o.get("status", {}).get("operation", {}).get("snapshotId"))
    return Shown(name, "BackingUp", (undo,))


async def backup_asked_for(world: World) -> Shown:
    world.stage.cloud.faults.error(
        "CreateSnapshot", "IncorrectDiskStatus.CreatingSnapshot", times=99
    )
    name = await world.declare(world.machine(), backup=SAVED)
    await world.until(name, lambda o: o.get("status", {}).get("operation", {}).get("lastError"))
    return Shown(name, "BackingUp", (world.stage.cloud.faults.clear,))


async def backup_failed(world: World) -> Shown:
    world.stage.cloud.faults.error("CreateSnapshot", "QuotaExceed.Snapshot")
    return Shown(await world.declare(world.machine(), backup=SAVED), "BackupFailed")


async def other_snapshot(world: World) -> Shown:
    vm, undo = world.machine(), _slow_snapshots(world)
    Fleet(world.stage.cloud).snapshot(vm.system_disk_id, automatic=True, done=False)
    # It waits for an approval until the list of snapshots, kept for some seconds, is read anew.
    return Shown(await world.declare(vm, approval="Manual"), "InstanceBusy", (undo,))


async def no_place(world: World) -> Shown:
    undo, name = _slow_snapshots(world), world.name("account")
    await world.add_account(name, limits={"concurrentReplacements": 1, "firstSightPerHour": 99})
    first = await world.declare(world.machine(), accountRef={"name": name}, backup=SAVED)
    await world.until(first, lambda o: step(o) == "Backup")
    second = await world.declare(world.machine(), accountRef={"name": name})
    return Shown(second, "AwaitingSlot", (undo,))


async def first_sight(world: World) -> Shown:
    name = world.name("account")
    await world.add_account(name, limits={"firstSightPerHour": 1})
    first = await world.declare(world.machine(), accountRef={"name": name})
    await world.until_ready(first)
    return Shown(
        await world.declare(world.machine(), accountRef={"name": name}), "FirstSightLimited"
    )


async def brake(world: World) -> Shown:
    name = world.name("account")
    await world.add_account(name, limits={"stopAfterFailures": 1})
    bad = world.machine(unpaid_order="order")
    await world.until_not_ready(await world.declare(bad, accountRef={"name": name}), "PlanSpent")
    return Shown(await world.declare(world.machine(), accountRef={"name": name}), "BrakePulled")


async def by_annotation(world: World, order: str, reason: str) -> Shown:
    vm = world.machine()
    manifest = world.spec(vm)
    manifest["metadata"]["annotations"] = {f"sysdisk.dev/{order}": "true"}
    return Shown(await world.apply(manifest), reason)


async def wrong_approval(world: World) -> Shown:
    name = await world.declare(world.machine(), approval="Manual")
    await world.until_not_ready(name, "AwaitingApproval")
    await world.annotate(name, approve="p1-0123456789abcdef", **{"approved-by": "ann"})
    await world.until(name, lambda o: "p1-0123456789abcdef" in condition(o, "Ready")["message"])
    return Shown(name, "AwaitingApproval")


# -- accounts, grants, owners -----------------------------------------------------------------


async def wrong_key(world: World) -> Shown:
    keys, real, name = world.name("keys"), world.stage.seeded.key, world.name("account")
    wrong = secret(SYSTEM, keys, accessKeyId=real.id, accessKeySecret="wrong")
    await world.stage.client.create(SECRETS, SYSTEM, wrong)
    await world.add_account(name, credentials={"secretRef": {"namespace": SYSTEM, "name": keys}})
    await world.until_account(name, "False", "CredentialsInvalid")
    spec = await world.declare(world.machine(), accountRef={"name": name})
    return Shown(spec, "AccountNotReady")


async def denied(world: World) -> Shown:
    key = Fleet(world.stage.cloud).access_key(denied=("DescribeImages",))
    keys, name = world.name("keys"), world.name("account")
    body = secret(SYSTEM, keys, accessKeyId=key.id, accessKeySecret=key.secret)
    await world.stage.client.create(SECRETS, SYSTEM, body)
    await world.add_account(name, credentials={"secretRef": {"namespace": SYSTEM, "name": keys}})
    spec = await world.declare(world.machine(), accountRef={"name": name})
    return Shown(spec, "ReadRefused")


async def turns(world: World) -> Shown:
    name = world.name("account")
    await world.add_account(name, limits={"requestsPerSecond": {"StopInstance": 0.01}})
    first = await world.declare(world.machine(), accountRef={"name": name})
    await world.until(first, lambda o: step(o) == "Stop")
    return Shown(await world.declare(world.machine(), accountRef={"name": name}), "AwaitingSlot")


async def second_owner(world: World) -> Shown:
    vm = world.machine()
    await world.until_ready(await world.declare(vm))
    return Shown(await world.declare(vm, "ubuntu-22"), "InstanceOwned")


async def managed(world: World, how: Callable[[Fleet, Instance], Instance]) -> Shown:
    vm = how(Fleet(world.stage.cloud), world.machine())
    return Shown(await world.declare(vm), "InstanceManaged")


async def nobody(world: World) -> Shown:
    return Shown(await world.declare("i-bp1nobodynobodynobo"), "InstanceNotFound")


# -- what is refused, and what is under way ---------------------------------------------------


async def locked(world: World) -> Shown:
    vm = world.machine()
    world.stage.cloud.outside.lock(vm.id, "security", "mining")
    return Shown(await world.declare(vm), "OperationLocked")


async def drifted(world: World) -> Shown:
    vm = world.machine()
    name = await world.declare(vm)
    await world.until_ready(name)
    world.stage.cloud.outside.replace_disk(vm.id, world.image("ubuntu-22"))
    return Shown(name, "Drifted")


async def login_changed(world: World) -> Shown:
    name = await world.declare(world.machine())
    await world.until_ready(name)
    await world.change(name, login={"passwordInherit": True})
    return Shown(name, "LoginPending")


async def slow_stop(world: World) -> Shown:
    vm = world.machine()
    world.stage.cloud.outside.freeze(vm.id)
    return Shown(await world.declare(vm), "Stopping", (partial(_thaw, world, vm),))


async def stop_timed_out(world: World) -> Shown:
    vm = world.machine()
    world.stage.cloud.outside.freeze(vm.id)
    name = await world.declare(vm, power={"stopTimeout": "1s"})
    return Shown(name, "GivingBack", (partial(_thaw, world, vm),))


async def resting(world: World) -> Shown:
    vm = world.machine()
    world.stage.cloud.outside.freeze(vm.id)
    name = await world.declare(vm, power={"stopTimeout": "1s"})
    await world.until(name, lambda o: condition(o, "Ready").get("reason") == "GivingBack")
    _thaw(world, vm)
    return Shown(name, "Resting")


def _thaw(world: World, vm: Instance) -> None:
    world.stage.cloud.outside.thaw(vm.id)


async def outcome_unknown(world: World) -> Shown:
    vm = world.machine()
    world.stage.cloud.faults.drop("ReplaceSystemDisk", "before", times=99, instance_id=vm.id)
    return Shown(await world.declare(vm), "OutcomeUnknown", (world.stage.cloud.faults.clear,))


async def deleting(world: World) -> Shown:
    vm = world.machine()
    name = await world.declare(vm)
    await world.until(name, lambda o: step(o) == "Stop")
    world.stage.cloud.outside.freeze(vm.id)
    await world.until(name, lambda o: step(o) in ("Stop", "Verify"))
    await world.kubectl("delete", "sds", name, "--wait=false")
    reason = {"Stop": "GivingBack"}.get(step(await world.look(name)), "Verifying")
    return Shown(name, reason, (partial(_thaw, world, vm),))


async def deleting_in_verify(world: World) -> Shown:
    vm = world.machine()
    cloud = world.stage.cloud
    before = cloud.timings
    cloud.timings = replace(before, replace=FOR_EVER)
    name = await world.declare(vm)
    await world.until(name, lambda o: step(o) == "Verify")
    await world.kubectl("delete", "sds", name, "--wait=false")
    return Shown(name, "Verifying", (lambda: setattr(cloud, "timings", before),))


async def no_stock(world: World) -> Shown:
    vm = world.machine()
    world.stage.cloud.faults.error(
        "StartInstance", "OperationDenied.NoStock", times=99, instance_id=vm.id
    )
    undo = world.stage.cloud.faults.clear
    return Shown(await world.declare(vm), "MachineLeftStopped", (undo,))


async def not_ours(world: World) -> Shown:
    name = await world.declare(world.machine(), suspend=True)
    found = await world.until_not_ready(name, "Suspended")
    vm = world.machine()
    slow = await world.declare(vm)
    under_way = await world.until(slow, lambda o: step(o) == "Stop")
    await world.stage.client.patch_status(
        SPECS,
        TEAM,
        name,
        resource_version=found["metadata"]["resourceVersion"],
        status={"operation": under_way["status"]["operation"]},
    )
    return Shown(name, "RecordNotOurs")


async def not_enforced(world: World) -> Shown:
    name = world.name("account")
    await world.add_account(name, require={"approval": "Manual"})
    spec = await world.declare(world.machine(), accountRef={"name": name})
    return Shown(spec, "ApprovalNotEnforced")


async def revoked(world: World) -> Shown:
    name, vm = world.name("account"), world.machine()
    await world.add_account(name)
    world.stage.cloud.outside.freeze(vm.id)
    found = await world.declare(vm, accountRef={"name": name})
    await world.until(found, lambda o: step(o) == "Stop")
    await world.stage.client.merge(ACCOUNTS, None, name, {"spec": {"allowedInstances": None}})
    return Shown(found, "GivingBack", (partial(_thaw, world, vm),))


SCENES: Final[tuple[tuple[str, Callable[[World], Awaitable[Shown]]], ...]] = (
    ("waiting for an approval", spec("AwaitingApproval", approval="Manual")),
    ("approved, but another plan than the one that is due", wrong_approval),
    ("ApprovalNotEnforced: required, and no admission policy", not_enforced),
    ("waiting for a window", spec("AwaitingWindow", maintenanceWindows=[RARE])),
    (
        "a window that is too short for a backup and the work",
        spec(
            "WindowTooShort",
            maintenanceWindows=[{"schedule": "0 2 * * *", "duration": "20m"}],
            backup=SAVED,
        ),
    ),
    (
        "a window with days that run backwards, one by its name",
        spec("InvalidSpec", maintenanceWindows=[{"schedule": "0 2 * * FRI-1", "duration": "4h"}]),
    ),
    ("backup under way", backup_under_way),
    ("backup asked for, the disk busy", backup_asked_for),
    ("backup refused", backup_failed),
    ("an automatic snapshot of the disk is under way", other_snapshot),
    ("the account's places are taken", no_place),
    ("the account's first sights of the hour are used up", first_sight),
    ("the account's brake is pulled", brake),
    ("suspended in the spec", spec("Suspended", suspend=True)),
    ("suspended by annotation", partial(by_annotation, order="suspend", reason="Suspended")),
    ("protected by annotation", partial(by_annotation, order="protect", reason="Protected")),
    ("the account is suspended", account("AccountSuspended", suspend=True)),
    ("unknown account", spec("AccountNotFound", accountRef={"name": "nobody"})),
    ("account with a wrong access key", wrong_key),
    (
        "namespace not granted",
        account("NamespaceNotGranted", allowedNamespaces={"names": ["elsewhere"]}),
    ),
    ("instance not granted", machine("InstanceNotFound", tags={"team": "bank"})),
    ("instance not found", nobody),
    ("instance owned by another spec", second_owner),
    ("member of an ACK node pool", partial(managed, how=Fleet.managed_by_ack)),
    ("member of a scaling group", partial(managed, how=Fleet.in_scaling_group)),
    ("instance locked", locked),
    ("instance in a state that is not understood", machine("InstanceNotUnderstood", status="Odd")),
    ("instance that is just starting", machine("InstanceBusy", status="Starting")),
    ("Secret missing", login("SecretNotUsable")),
    ("Secret without the key", login("SecretNotUsable", other=b"x")),
    ("Secret empty", login("SecretNotUsable", password=b"")),
    ("Secret not UTF-8", login("SecretNotUsable", password=b"\xff\xfe\xfd")),
    ("Secret against the password rules", login("SecretNotUsable", password=b"weak")),
    ("image not found", spec("ImageNotFound", "", imageId="m-bp1nobody")),
    ("image family without an image", spec("ImageNotFound", "", imageFamily="nobody")),
    ("image of another architecture", spec("PreflightFailed", "arm-new")),
    ("image with a data disk", spec("PreflightFailed", "with-data")),
    ("size below the disk", spec("PreflightFailed", size=30)),
    (
        "everything wrong at once",
        spec("PreflightFailed", "with-data", size=30, login={"keyPairName": "nobody"}),
    ),
    (
        "advanced parameters without leave",
        spec("PreflightFailed", advanced={"arns": [{"roleType": "service"}]}),
    ),
    ("refused after the stop", machine("PlanSpent", unpaid_order="order")),
    ("the machine does not stop for long", slow_stop),
    ("the stop timed out", stop_timed_out),
    ("the plan rests", resting),
    ("grant revoked in the middle", revoked),
    ("no answer to the replacement", outcome_unknown),
    ("start refused for lack of stock", no_stock),
    ("deleted while stopping", deleting),
    ("deleted after ECS accepted", deleting_in_verify),
    ("a record that is not ours", not_ours),
    ("a read that the account may not make", denied),
    ("no turn to stop it yet", turns),
    ("drifted, driftPolicy Report", drifted),
    ("login changed", login_changed),
)
DRY: Final = ("operator with --dry-run", spec("DryRun"))
