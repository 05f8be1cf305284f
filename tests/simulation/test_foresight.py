"""Every refusal that reading shows is known before the stop: no machine is stopped to find out.

One case for each row of the error table that is foreseen, in the simulated cloud, through the
shipped operator; the cloud's own refusal for the same world is held to the same row elsewhere
(tests/contract/ecs). `FORESIGHT` says which rows these are, and this table is complete for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from sysdisk.api.reasons import Reason, Standing, standing
from sysdisk.ecs.catalog import catalog
from sysdisk.ecs.foresight import FORESIGHT, Foresight
from sysdisk.kube.resources import SECRETS
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_state import Disk
from sysdisk.sandbox.kube_errors import ApiError
from tests.support.world import TEAM, World, run

ROWS: Final = catalog().rows
LONG: Final = 3 * 3600.0
Spec = dict[str, Any]
Arrange = Callable[[World], Spec | None]


def instance(**fields: Any) -> Arrange:
    return lambda world: world.cloud.outside.set_instance(world.vm().id, **fields)


def disk(**fields: Any) -> Arrange:
    return lambda world: world.cloud.outside.set_disk(world.vm().system_disk_id, **fields)


def region(**fields: Any) -> Arrange:
    return lambda world: world.cloud.outside.set_region(world.vm().region, **fields)


def image(**fields: Any) -> Arrange:
    return lambda world: {"imageId": Fleet(world.cloud).image(**fields).id}


def wants(**spec: Any) -> Arrange:
    return lambda _world: dict(spec)


def lock(reason: str) -> Arrange:
    return lambda world: world.cloud.outside.lock(world.vm().id, reason)


def both(*steps: Arrange) -> Arrange:
    def arrange(world: World) -> Spec:
        return {k: v for step in steps for k, v in (step(world) or {}).items()}

    return arrange


def by_disk(**given: str | None) -> Spec:
    """Return a wish for a disk in the place of an image; None leaves a parameter out."""
    whole = {"diskId": "d-1", "architecture": "x86_64", "platform": "Ubuntu", **given}
    return {"imageId": None, "advanced": {k: v for k, v in whole.items() if v}}


def source(platform: str = "Ubuntu", **fields: Any) -> Arrange:
    """Ask for a disk in the place of an image, in an account that allows it."""

    def arrange(world: World) -> Spec:
        world.edit_account({"spec": {"allowAdvanced": True}})
        spare: Disk = Fleet(world.cloud).spare_disk(**{"zone": world.vm().zone, **fields})
        return by_disk(diskId=spare.id, platform=platform)

    return arrange


def nowhere(world: World) -> Spec:
    """Ask for a disk that there is not."""
    world.edit_account({"spec": {"allowAdvanced": True}})
    return by_disk(diskId="d-nowhere")


def password(value: str) -> Arrange:
    def arrange(world: World) -> Spec:
        world.put_secret(TEAM, "login", password=value)
        return {"login": {"passwordSecretRef": {"name": "login", "key": "password"}}}

    return arrange


def algorithm(world: World) -> Spec:
    """Ask for a way to encrypt, in an account that allows it."""
    world.edit_account({"spec": {"allowAdvanced": True}})
    return {"encryption": {"enabled": True}, "advanced": {"encryptAlgorithm": "SM4"}}


def snapshot(world: World) -> None:
    Fleet(world.cloud).snapshot(world.vm().system_disk_id, done=False)


def expired(world: World) -> None:
    past = world.wall() - 3600
    world.cloud.outside.set_instance(world.vm().id, charge_type="PrePaid", expired_time=past)


def unsupported(world: World) -> None:
    pair = ((world.vm().type, "cloud_essd"),)
    world.cloud.outside.set_region(world.vm().region, unsupported=pair)


def sold_out(world: World) -> None:
    gone = ((world.vm().zone, "cloud_essd"),)
    world.cloud.outside.set_region(world.vm().region, sold_out=gone)


def elsewhere(world: World) -> Spec:
    return {"regionId": "cn-nowhere"}


@dataclass(frozen=True)
class Case:
    """A world in which ECS would refuse with one of `rows`; `mend` makes it pass.

    `code` is what the condition shows where that is not the rows' code.
    """

    rows: tuple[int, ...]
    arrange: Arrange
    reason: Reason = Reason.PREFLIGHT_FAILED
    mend: Arrange | None = None
    code: str = ""


BUSY: Final = Reason.INSTANCE_BUSY
LOCKED: Final = Reason.OPERATION_LOCKED
SECRET: Final = Reason.SECRET_NOT_USABLE
SEALED: Final = wants(encryption={"enabled": True})
KEY_PAIR: Final = wants(login={"keyPairName": "shop-admins"})
WINDOWS: Final = image(os_type="windows", size_gib=40)
MARKET: Final = {"owner": "marketplace", "product_code": "cmjj0001"}

REFUSED: Final = (
    Case((1,), both(instance(login_as_non_root=True), image(login_as_non_root=False))),
    Case((2, 5, 82), both(disk(category="cloud"), wants(size=501))),
    Case((3, 47), image(not_types=("ecs.g7.large",))),
    Case((6,), password("simple"), SECRET),
    Case((6,), password("with space 1A"), SECRET),
    Case((6,), both(WINDOWS, password("/Abc12345")), SECRET),
    Case((6,), both(source(platform="Windows Server 2022"), password("/Abc12345")), SECRET),
    Case((8,), image(data_disks=(20,))),
    Case((9,), disk(category="ephemeral_ssd")),
    Case((10,), wants(login={"keyPairName": "nobody"})),
    Case((10,), instance(key_pair="deleted-since")),
    Case((11,), both(instance(io_optimized=False), KEY_PAIR)),
    Case((11,), both(source(), instance(io_optimized=False), KEY_PAIR)),
    Case((16,), nowhere),
    Case((17,), source(status="Attaching")),
    Case((18,), source(category="cloud")),
    Case((19,), source(charge_type="PrePaid")),
    Case((21, 16), instance(system_disk_id="")),
    Case((22,), source(kms_key_id="key-1")),
    Case((23,), disk(storage_cluster="dbsc-1")),
    Case((26, 3, 47), image(architecture="arm64")),
    Case((33, 77), both(image(encrypted=True), wants(encryption={"enabled": False}))),
    Case((40,), lock("security"), LOCKED),
    Case((41, 48), image(**MARKET, subscribed=False)),
    Case((43,), expired),
    Case((43,), lock("financial"), LOCKED),
    Case((46,), image(io_optimized=False)),
    Case((51,), both(WINDOWS, KEY_PAIR)),
    Case((51,), both(source(platform="Windows Server 2022"), KEY_PAIR)),
    Case((53,), source(zone="cn-hangzhou-h")),
    Case((55,), both(WINDOWS, instance(host_name="a.long.linux.name"))),
    Case((56,), instance(hibernation=True)),
    Case((57,), disk(multi_attach="Enabled")),
    Case((59,), elsewhere, Reason.INVALID_SPEC),
    Case((69,), both(disk(category="cloud_ssd"), SEALED)),
    Case((73,), image(status="Deprecated")),
    Case((77, 33), image(encrypted=True)),
    Case((78,), region(default_encryption=True)),
    Case((80,), wants(instanceId="i-nowhere"), Reason.INSTANCE_NOT_FOUND, code="is not found"),
    Case((81,), wants(imageId="m-nowhere"), Reason.IMAGE_NOT_FOUND),
    Case((83, 2, 5), both(image(size_gib=100), wants(size=60))),
    Case((84, 2, 5), wants(size=30)),
)

WAITED: Final = (
    Case(
        (37,),
        lambda w: w.cloud.outside.transfer(w.vm().system_disk_id),
        BUSY,
        lambda w: w.cloud.outside.transfer(w.vm().system_disk_id, busy=False),
    ),
    Case((38,), disk(status="ReIniting"), BUSY, disk(status="In_use")),
    Case((39,), instance(status="Starting"), BUSY, instance(status="Running")),
    Case((45,), snapshot, BUSY, lambda _world: None),
    Case((50,), instance(status="Pending"), BUSY, instance(status="Running")),
    Case((74,), sold_out, BUSY, region(sold_out=())),
)


def name(case: Case) -> str:
    return "-".join(f"row{row}" for row in case.rows)


def codes(case: Case) -> set[str]:
    return {case.code} if case.code else {ROWS[row].code for row in case.rows}


def begin(world: World, case: Case) -> None:
    more = case.arrange(world) or {}
    spec = {"instanceId": world.vm().id, "imageId": world.image(), **more}
    world.apply(**{k: v for k, v in spec.items() if v is not None})


def told(world: World, case: Case) -> bool:
    ready = world.ready()
    shown = all(code in ready.get("message", "") for code in codes(case))
    return bool(world.rests() and ready.get("reason") == case.reason and shown)


async def untouched(world: World, seconds: float) -> None:
    """Let time pass: nothing may be written to ECS in it, nor the spec's status flap."""
    writes, deadline = world.spec_writes(), world.now + seconds
    await world.until("time passes", lambda: world.now >= deadline, seconds + 60)
    assert world.ecs_writes() == []
    assert world.spec_writes() == writes


@pytest.mark.parametrize("case", REFUSED, ids=name)
def test_what_reading_shows_is_refused_before_the_stop(case: Case) -> None:
    async def story(world: World) -> None:
        begin(world, case)
        await world.until("the refusal is told", lambda: told(world, case), LONG)
        await untouched(world, 1800.0)
        ready = world.ready()
        assert ready["status"] == "False"
        assert standing(Reason(ready["reason"])) in (Standing.STUCK, Standing.WAITING)
        assert world.vm().status in ("Running", "Stopped")

    run(story)


@pytest.mark.parametrize("case", WAITED, ids=name)
def test_what_passes_is_waited_for_before_the_stop(case: Case) -> None:
    async def story(world: World) -> None:
        world.cloud.timings = world.cloud.timings.__class__(snapshot=400.0)
        begin(world, case)
        await world.until("the wait is told", lambda: told(world, case), LONG)
        assert world.ecs_writes() == []
        assert not any(c["type"] == "Stalled" for c in world.status()["conditions"])
        assert case.mend is not None
        case.mend(world)
        await world.until("it is replaced", world.is_ready, LONG)
        assert world.replaced() == 1
        assert world.ecs_writes()[:2] == ["StopInstance", "ReplaceSystemDisk"]

    run(story)


def test_a_key_pair_is_not_taken_to_a_windows_on_a_disk() -> None:
    async def story(world: World) -> None:
        world.cloud.outside.set_instance(world.vm().id, key_pair="shop-admins")
        more = source(platform="Windows Server 2022")(world) or {}
        world.apply(instanceId=world.vm().id, advanced=more["advanced"])
        await world.until("it is replaced", world.is_ready, LONG)
        (done,) = world.cloud.effects_of("disk_replaced", world.vm().id)
        assert "KeyPairName" not in done.details["params"]
        assert world.ecs_writes() == ["StopInstance", "ReplaceSystemDisk", "StartInstance"]

    run(story)


AT_APPLY: Final[Mapping[int, tuple[Spec, str]]] = {
    7: (
        {"login": {"passwordSecretRef": {"name": "a", "key": "b"}, "passwordInherit": True}},
        "at most one of passwordSecretRef, passwordInherit and keyPairName",
    ),
    12: (by_disk(architecture=None), "diskId needs advanced.platform and advanced.architecture"),
    13: (by_disk(architecture="mips"), "architecture must be one of i386, x86_64, arm64"),
    14: (by_disk(platform=None), "diskId needs advanced.platform and advanced.architecture"),
    20: ({"imageId": None}, "exactly one of imageId and imageFamily"),
    61: ({"encryption": {"kmsKeyId": "key-1"}}, "needs encryption.enabled: true"),
    62: ({"advanced": {"encryptAlgorithm": "AES256"}}, "needs encryption.enabled: true"),
    70: ({"imageId": None, "advanced": {"platform": "Ubuntu"}}, "exactly one of imageId"),
    71: ({"advanced": {"diskId": "d-1"}}, "exactly one of imageId and imageFamily"),
}


@pytest.mark.parametrize("row", AT_APPLY)
def test_what_the_manifest_itself_shows_is_refused_at_apply(row: int) -> None:
    async def story(world: World) -> None:
        more, words = AT_APPLY[row]
        given = {"instanceId": world.vm().id, "imageId": world.image(), **more}
        with pytest.raises(ApiError, match=words) as refused:
            world.apply(**{k: v for k, v in given.items() if v is not None})
        assert refused.value.code == 422

    run(story)


NOT_SENT: Final[Mapping[int, str]] = {32: "SystemDisk.DiskName"}
NOT_ASKED_FOR: Final = (*NOT_SENT.values(), "Platform", "Architecture", "DiskId")


@pytest.mark.parametrize("name", [*NOT_ASKED_FOR, "EncryptAlgorithm"])
def test_a_parameter_that_nobody_asked_for_is_not_sent(name: str) -> None:
    async def story(world: World) -> None:
        world.apply(instanceId=world.vm().id, imageId=world.image(), size=60)
        await world.until("it is replaced", world.is_ready, LONG)
        (done,) = world.cloud.effects_of("disk_replaced", world.vm().id)
        sent = set(done.details["params"])
        assert {"ImageId", "SystemDisk.Size", "ClientToken"} <= sent
        assert name not in sent

    run(story)


def test_what_is_not_public_needs_the_account_to_allow_it() -> None:
    async def story(world: World) -> None:
        sealed: Spec = {"encryption": {"enabled": True}, "advanced": {"encryptAlgorithm": "SM4"}}
        world.apply(instanceId=world.vm().id, imageId=world.image(), **sealed)
        await world.until(
            "it is refused", lambda: "AdvancedNotAllowed" in world.ready().get("message", ""), LONG
        )
        await untouched(world, 1800.0)

    run(story)


WARNED: Final[Mapping[int, tuple[Arrange, str]]] = {
    9: (unsupported, "ECS offers no disk of category cloud_essd"),
    42: (image(**MARKET), "marketplace image"),
    72: (WINDOWS, "some regions refuse the change"),
    79: (both(instance(charge_type="PrePaid"), wants(size=60)), "paid at once"),
    15: (source(platform="Beos"), "whether ECS takes their values no read shows"),
    **dict.fromkeys((58, 60), (algorithm, "whether ECS takes their values no read shows")),
    **dict.fromkeys((63, 64, 65, 66, 67, 75, 76), (SEALED, "whether KMS is activated")),
}


@pytest.mark.parametrize("row", WARNED)
def test_what_no_read_shows_is_said_in_the_plan(row: int) -> None:
    async def story(world: World) -> None:
        arrange, words = WARNED[row]
        more = arrange(world) or {}
        given = {"instanceId": world.vm().id, "imageId": world.image(), "approval": "Manual"}
        world.apply(**{k: v for k, v in {**given, **more}.items() if v is not None})
        waits = Reason.AWAITING_APPROVAL
        await world.until("it is planned", lambda: world.ready().get("reason") == waits, LONG)
        assert any(words in line for line in world.status()["plan"]["warnings"])

    run(story)


def withdrawn(world: World) -> None:
    """Let the type read as sold out in the zone, with every disk."""
    gone = ((world.vm().zone, world.vm().type),)
    world.cloud.outside.set_region(world.vm().region, sold_out=gone)


def only_for(category: str, word: str, **fields: Any) -> Arrange:
    """Let the machine be of a kind, and disks of its category be offered to all but `word`."""

    def arrange(world: World) -> None:
        world.cloud.outside.set_instance(world.vm().id, **fields)
        pair = ((word, category),)
        world.cloud.outside.set_region(world.vm().region, unsupported=pair)

    return arrange


@pytest.mark.parametrize(
    "arrange",
    [
        only_for("cloud_essd", "PostPaid", charge_type="PrePaid"),
        only_for("cloud_essd", "NoSpot", spot_strategy="SpotAsPriceGo"),
        only_for("cloud_essd", "optimized", io_optimized=False, key_pair=""),
        both(disk(category="cloud"), wants(size=100)),
    ],
    ids=["subscription", "spot", "not-io-optimized", "basic-disk"],
)
def test_supply_is_asked_for_the_kind_of_the_machine(arrange: Arrange) -> None:
    async def story(world: World) -> None:
        more = arrange(world) or {}
        given = {"instanceId": world.vm().id, "imageId": world.image(), "approval": "Manual"}
        world.apply(**given, **more)
        waits = Reason.AWAITING_APPROVAL
        await world.until("it is planned", lambda: world.ready().get("reason") == waits, LONG)
        assert not any("ECS offers no" in line for line in world.status()["plan"]["warnings"])

    run(story)


def test_a_machine_whose_type_reads_as_sold_out_altogether_is_replaced_with_a_warning() -> None:
    async def story(world: World) -> None:
        world.cloud.outside.stop(world.vm().id)
        withdrawn(world)
        world.apply(instanceId=world.vm().id, imageId=world.image(), approval="Manual")
        waits = Reason.AWAITING_APPROVAL
        await world.until("it is planned", lambda: world.ready().get("reason") == waits, LONG)
        assert any("ECS offers no" in line for line in world.status()["plan"]["warnings"])
        world.edit({"spec": {"approval": "Automatic"}})
        await world.until("it is replaced", world.is_ready, LONG)
        assert world.replaced() == 1

    run(story)


def test_each_row_is_shown_to_be_foreseen_as_the_table_says() -> None:
    shown = {
        Foresight.REFUSED: {row for case in REFUSED for row in case.rows},
        Foresight.WAITED: {row for case in WAITED for row in case.rows},
        Foresight.APPLY: set(AT_APPLY),
        Foresight.NOT_SENT: set(NOT_SENT),
        Foresight.WARNED: set(WARNED),
        Foresight.UNSEEN: {row for row in ROWS if FORESIGHT[row] is Foresight.UNSEEN},
    }
    assert {row: how for how, rows in shown.items() for row in rows} == dict(FORESIGHT)
    assert set(FORESIGHT) == set(ROWS)


# -- all at once, and what it costs ---------------------------------------------------------------


def test_all_reasons_are_told_at_once_and_work_begins_when_the_last_is_gone() -> None:
    async def story(world: World) -> None:
        outside, vm = world.cloud.outside, world.vm().id
        outside.set_instance(vm, hibernation=True)
        outside.transfer(world.vm().system_disk_id)
        big = Fleet(world.cloud).image(size_gib=100).id
        world.apply(instanceId=vm, imageId=big, size=60, login={"keyPairName": "nobody"})
        wanted = ("Hibernation", "LessThanImageSize", "InvalidKeyPairName", "IsTransfering")

        def message() -> str:
            return str(world.ready().get("message", ""))

        await world.until("all are told", lambda: all(w in message() for w in wanted), LONG)
        assert message().count("(4)") == 1
        assert "4 things stand in the way" in message()
        await untouched(world, 1800.0)
        outside.set_instance(vm, hibernation=False)
        world.edit({"spec": {"size": 100, "login": None}})
        await world.until("one is left", lambda: world.ready().get("reason") == BUSY, LONG)
        outside.transfer(world.vm().system_disk_id, busy=False)
        await world.until("it is replaced", world.is_ready, LONG)
        assert world.replaced() == 1

    run(story)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "SecretMissing"),
        ({"other": "UGFzc3cwcmQh"}, "SecretKeyMissing"),
        ({"password": ""}, "InvalidPassword.Malformed"),
        ({"password": "//79/A=="}, "InvalidPassword.Malformed"),
        ({"password": "UGE1NXcwcmQhCg=="}, "InvalidPassword.Malformed"),
    ],
    ids=["missing", "without-the-key", "empty", "not-utf-8", "with-a-line-break"],
)
def test_a_secret_that_cannot_be_used_is_told_before_the_stop_without_its_value(
    data: dict[str, str] | None, code: str
) -> None:
    async def story(world: World) -> None:
        world.judge.keep_secret("Pa55w0rd!")
        if data is not None:
            world.create(SECRETS, TEAM, {"metadata": {"name": "login"}, "data": data})
        ref = {"name": "login", "key": "password"}
        login = {"passwordSecretRef": ref}
        world.apply(instanceId=world.vm().id, imageId=world.image(), login=login)
        await world.until(
            "it is told",
            lambda: (
                world.ready().get("reason") == SECRET and code in world.ready().get("message", "")
            ),
            LONG,
        )
        assert "login" in world.ready()["message"]
        await untouched(world, 900.0)
        world.put_secret(TEAM, "login", password="G00d-enough!")
        await world.until("it is replaced", world.is_ready, LONG)
        assert world.replaced() == 1

    run(story)


READS: Final = (
    "DescribeAvailableResource",
    "DescribeTasks",
    "DescribeImageSupportInstanceTypes",
    "DescribeInstanceTypes",
)


def test_an_account_that_may_not_read_everything_is_told_less_and_still_served() -> None:
    async def story(world: World) -> None:
        world.cloud.outside.set_key(world.seeded.key.id, denied=READS)
        world.apply(instanceId=world.vm().id, imageId=world.image())
        await world.until("it is replaced", world.is_ready, LONG)
        asked = Counter(r.action for r in world.cloud.requests if r.code != "OK")
        assert set(asked) == set(READS)

    run(story)


def test_the_architecture_is_asked_for_where_the_list_of_types_is_not_told() -> None:
    async def story(world: World) -> None:
        denied = ("DescribeImageSupportInstanceTypes",)
        world.cloud.outside.set_key(world.seeded.key.id, denied=denied)
        case = Case((26,), image(architecture="arm64"))
        begin(world, case)
        await world.until("the refusal is told", lambda: told(world, case), LONG)
        await untouched(world, 900.0)

    run(story)


@pytest.mark.parametrize(
    ("region_id", "reason"),
    [("cn-nowhere", Reason.INVALID_SPEC), ("cn-hangzhou", Reason.ACCOUNT_NOT_READY)],
)
def test_a_region_that_does_not_exist_is_told_from_one_that_is_silent(
    region_id: str, reason: Reason
) -> None:
    async def story(world: World) -> None:
        world.cloud.faults.drop("DescribeInstances", "before", times=10_000)
        world.apply(instanceId=world.vm().id, imageId=world.image(), regionId=region_id)
        await world.until("it is told", lambda: world.ready().get("reason") == reason, LONG)
        await untouched(world, 900.0)

    run(story)


def test_what_cannot_matter_is_not_asked_for() -> None:
    async def story(world: World) -> None:
        world.apply(instanceId=world.vm().id, imageId=world.image(), encryption={"enabled": True})
        asked = Counter[str]()
        await world.until("it is replaced", world.is_ready, LONG)
        asked.update(r.action for r in world.cloud.requests)
        assert "DescribeInstanceTypes" not in asked
        assert "DescribeRegions" not in asked
        assert asked["DescribeAvailableResource"] == 1
        assert asked["DescribeTasks"] == 1
        assert asked["DescribeKeyPairs"] == 1

    run(story)


def test_a_machine_that_cannot_be_read_holds_up_no_other_and_goes_on_when_it_can() -> None:
    async def story(world: World) -> None:
        odd, good = world.vm(1), world.vm(2)
        present = odd.image_id
        world.cloud.outside.set_instance(odd.id, image_id="")
        world.apply("odd", instanceId=odd.id, imageId=world.image())
        world.apply("good", instanceId=good.id, imageId=world.image())
        await world.until("the good one is replaced", lambda: world.is_ready("good"), LONG)

        def said() -> bool:
            return "the instance has no ImageId" in world.ready("odd").get("message", "")

        await world.until("why is told", said, LONG)
        assert world.replaced(1) == 0
        world.cloud.outside.set_instance(odd.id, image_id=present)
        await world.until("the other one too", lambda: world.is_ready("odd"), LONG)
        assert (world.replaced(1), world.replaced(2)) == (1, 1)

    run(story)
