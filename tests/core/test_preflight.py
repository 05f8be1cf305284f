"""Preflight as a table: one wrong thing, one fault, with the code that ECS would have used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import NEW_IMAGE, NOW, VM, account, disk, image, seen, subject, vm

from sysdisk.api.reasons import Reason
from sysdisk.api.status import OperationInputs
from sysdisk.core.decide import decide
from sysdisk.core.model import Look, Nothing, Subject
from sysdisk.core.passwords import password_faults
from sysdisk.core.preflight import Fault, faults, needed_looks, summary, unseen
from sysdisk.core.sizes import size_range
from sysdisk.core.wanted import frozen_inputs
from sysdisk.core.world import Disk, Lock, Observed, SecretLook, SecretState, Slot, Supply
from sysdisk.ecs.catalog import catalog

OURS = {
    "InstanceManaged",
    "AdvancedNotAllowed",
    "OperationLocked",
    "InstanceStatusUnknown",
    "SecretMissing",
    "SecretKeyMissing",
    "SecretForbidden",
    "SecretUnlabelled",
}
"""Codes that ECS does not know."""

REF = {"passwordSecretRef": {"name": "login", "key": "password"}}
PAIR = {"keyPairName": "ops"}
BY_DISK = {"diskId": "d-9", "architecture": "x86_64", "platform": "Ubuntu"}
SPARE = disk("d-9", type="data", status="Available", instance_id="", zone_id="z-1")
ALLOWED = account(allow_advanced=True)


def inputs_of(asked: Subject, world: Observed) -> OperationInputs:
    """Return what the replacement would send."""
    assert world.instance is not None
    shown = world.image(NEW_IMAGE) if asked.spec.image_id else None
    return frozen_inputs(asked, shown, world.instance, world.system_disk or disk())


def found(world: Observed, asked: Subject | None = None) -> tuple[Fault, ...]:
    """Return the faults of `asked` in `world`."""
    asked = asked or subject()
    assert world.instance is not None
    shown = world.image(NEW_IMAGE) if asked.spec.image_id else None
    return faults(asked, inputs_of(asked, world), shown, world.instance, world, NOW)


def with_image(**fields: Any) -> Observed:
    return seen(images=(image(**fields),))


def with_disk(**fields: Any) -> Observed:
    return seen(system_disks=(disk(**fields),))


def with_source(**fields: Any) -> Observed:
    """Return a world with `SPARE`; `fields` of that disk, else of the world as in `seen`."""
    of_disk = {k: v for k, v in fields.items() if k in Disk.__dataclass_fields__}
    given = {k: v for k, v in fields.items() if k not in of_disk}
    spare = replace(SPARE, **of_disk)
    return seen(source_disk=spare, source_disk_seen=True, account=ALLOWED, zone_id="z-1", **given)


def supply(offered: Iterable[str], gone: Iterable[str] = ()) -> Supply:
    return Supply(Slot("z", "t"), frozenset(offered), frozenset(gone))


def test_where_nothing_is_wrong_nothing_is_found() -> None:
    assert found(seen()) == ()
    assert found(seen("Stopped")) == ()
    assert found(with_source(), subject(imageId=None, advanced=BY_DISK)) == ()
    assert found(seen(account=None, tags=(("ack.aliyun.com", "c1"),))) == ()
    assert found(with_image(architecture="i386")) == ()
    assert found(seen(login_as_non_root=True)) == ()
    assert found(with_image(login_as_non_root=False)) == ()


@pytest.mark.parametrize("status", ["Creating", "Waiting"])
def test_an_image_that_is_still_being_made_is_waited_for(status: str) -> None:
    (fault,) = found(with_image(status=status))
    assert (fault.passing, fault.reason) == (True, Reason.INSTANCE_BUSY)


NOT_MATCHED, NOT_TAKEN = "InvalidEncrypted.NotMatchSnapshot", "InvalidParameter.Encrypted"


@pytest.mark.parametrize(
    ("world", "spec", "codes"),
    [
        (
            with_image(instance_types=frozenset({"other"})),
            {},
            ("InvalidParameter.Conflict", "ImageNotSupportInstanceType"),
        ),
        (with_image(encrypted=True), {}, (NOT_MATCHED, NOT_TAKEN)),
        (
            with_image(encrypted=True),
            {"encryption": {"enabled": False}},
            (NOT_TAKEN, NOT_MATCHED),
        ),
    ],
)
def test_every_code_that_ecs_might_refuse_with_can_be_searched_for(
    world: Observed, spec: dict[str, Any], codes: tuple[str, ...]
) -> None:
    (fault,) = found(world, subject(**spec))
    assert fault.codes == codes
    assert f"(ECS code {' or '.join(codes)})" in fault.text()


@pytest.mark.parametrize(
    ("world", "spec", "what"),
    [
        (with_image(os_type="windows"), {}, f"Image {NEW_IMAGE} is Windows"),
        (
            with_source(),
            {"imageId": None, "advanced": {**BY_DISK, "platform": "Windows"}},
            "The system on that disk (advanced.platform) is Windows",
        ),
    ],
)
def test_a_windows_that_takes_no_key_pair_is_named(
    world: Observed, spec: dict[str, Any], what: str
) -> None:
    (fault,) = found(world, subject(**spec, login=PAIR))
    assert fault.cause.startswith(what)


@pytest.mark.parametrize(
    ("world", "size"),
    [
        (seen(), 40),
        (with_image(size=60), 60),
        (seen(system_disks=(disk(size=20, performance_level="PL1"),)), None),
        (with_disk(category="cloud"), 500),
        (seen(), 2048),
    ],
)
def test_a_size_at_its_limit_is_fine(world: Observed, size: int | None) -> None:
    assert found(world, subject(size=size)) == ()


ONE_WRONG_THING: list[tuple[str, Observed, dict[str, Any]]] = [
    ("InstanceManaged", seen(tags=(("ack.aliyun.com", "c1"),)), {}),
    ("InstanceManaged", seen(tags=(("ack.alibabacloud.com/nodepool-id", "n"),)), {}),
    ("InstanceManaged", seen(tags=(("acs:autoscaling:scalingGroupId", "g"),)), {}),
    ("AdvancedNotAllowed", seen(), {"advanced": {"platform": "Ubuntu"}}),
    ("InstanceLockedForSecurity", seen(locks=(Lock("Security"), Lock("Recycling"))), {}),
    ("InstanceExpiredOrInArrears", seen(locks=(Lock("financial"),)), {}),
    ("InstanceExpiredOrInArrears", seen(locks=(Lock("dedicatedhostfinancial"),)), {}),
    ("OperationLocked", seen(locks=(Lock("Recycling"),)), {}),
    ("InstanceStatusUnknown", seen("Dreaming"), {}),
    ("IncorrectInstanceStatus", seen("Stopping"), {}),
    ("OperationDenied.InstanceCreating", seen("Pending"), {}),
    ("InstanceExpiredOrInArrears", seen(expired_time=NOW), {}),
    ("HibernationConfigured.InstanceOperationForbidden", seen(hibernation=True), {}),
    ("IncorrectDiskStatus", with_disk(status="ReIniting"), {}),
    ("IncorrectDiskStatus", with_disk(locks=(Lock("security"),)), {}),
    ("InvalidOperation.MultiAttachDisk", with_disk(multi_attach="LegacyShared"), {}),
    ("InvalidOperation.MultiAttachDisk", with_disk(multi_attach="Enabled"), {}),
    ("DISK_IN_DEDICATED_BLOCK_STORAGE_CLUSTER", with_disk(storage_cluster_id="c"), {}),
    ("DiskCreatingSnapshot", seen(snapshot_running=True), {}),
    ("InvalidSystemDiskStatus.IsTransfering", seen(in_transfer=True), {}),
    ("InvalidDiskCategory.ValueNotSupported", with_disk(category="local_ssd_pro"), {}),
    ("InvalidDiskCategory.ValueNotSupported", with_disk(category="ephemeral_ssd"), {}),
    (
        "OperationDenied.DiskNoStock",
        seen(supply=supply({"cloud_essd", "cloud_auto"}, {"cloud_essd"})),
        {},
    ),
    ("InvalidImageId.NotFound", with_image(found=False, size=0, status=""), {}),
    ("OperationDenied.ImageNotValid", with_image(status="Creating"), {}),
    ("OperationDenied.ImageNotValid", with_image(status="Waiting"), {}),
    ("OperationDenied.ImageNotValid", with_image(status="UnAvailable"), {}),
    ("OperationDenied.ImageNotValid", with_image(status=""), {}),
    ("OperationDenied.ImageNotValid", with_image(usable=False), {}),
    ("ImageRemovedInMarket", with_image(usable=False, product_code="p"), {}),
    ("ImageNotSubscribed", with_image(product_code="p", is_subscribed=False), {}),
    ("OperationDenied", with_image(has_data_snapshots=True), {}),
    ("InvalidInstanceType.NotSupported", with_image(architecture="arm64"), {}),
    (
        "InvalidInstanceType.NotSupported",
        seen(cpu_architecture="ARM", images=(image(architecture="i386"),)),
        {},
    ),
    (
        "InvalidInstanceType.NotSupported",
        seen(cpu_architecture="ARM", images=(image(instance_types=frozenset({"arm"})),)),
        {},
    ),
    ("InvalidParameter.Conflict", with_image(instance_types=frozenset({"other"})), {}),
    (
        "InvalidParameter.Conflict",
        with_image(architecture="", instance_types=frozenset({"other"})),
        {},
    ),
    ("IoOptimized.NotSupported", with_image(io_optimized=False), {}),
    (
        "LoginAsNonRoot.ImageNotSupport",
        seen(login_as_non_root=True, images=(image(login_as_non_root=False),)),
        {},
    ),
    ("DependencyViolation.IoOptimize", seen(io_optimized=False), {"login": PAIR}),
    ("DependencyViolation.WindowsInstance", with_image(os_type="windows"), {"login": PAIR}),
    ("InvalidEncrypted.NotMatchSnapshot", with_image(encrypted=True), {}),
    ("InvalidParameter.Encrypted", with_image(encrypted=True), {"encryption": {"enabled": False}}),
    ("InvalidEncrypted.NotMatchDiskDefaultEncryption", seen(default_encryption=True), {}),
    (
        "NotSupportSnapshotEncrypted.DiskCategory",
        with_disk(category="cloud_efficiency"),
        {"encryption": {"enabled": True}},
    ),
    ("InvalidSystemDiskSize.LessThanMinSize", seen(), {"size": 39}),
    ("InvalidSystemDiskSize.LessThanImageSize", with_image(size=60), {"size": 59}),
    ("InvalidSystemDiskSize.LessThanMinSize", with_disk(performance_level="PL2"), {}),
    ("InvalidSystemDiskSize.MoreThanMaxSize", with_disk(category="cloud"), {"size": 501}),
    ("InvalidPasswordParam.Mismatch", seen(), {"login": {**REF, "passwordInherit": True}}),
    ("InvalidEncrypted.NotMatchKmsKeyId", seen(), {"encryption": {"kmsKeyId": "k"}}),
    (
        "InvalidEncrypted.NotMatchEncryptAlgorithm",
        seen(account=ALLOWED),
        {"advanced": {"encryptAlgorithm": "SM4"}},
    ),
    ("InvalidKeyPairName.NotFound", seen(key_pairs=(("ops", False),)), {"login": PAIR}),
    (
        "InvalidKeyPairName.NotFound",
        seen(key_pair_name="ops", key_pairs=(("ops", False),)),
        {},
    ),
]


@pytest.mark.parametrize(("code", "world", "spec"), ONE_WRONG_THING)
def test_each_wrong_thing_is_one_fault_with_its_code(
    code: str, world: Observed, spec: dict[str, Any]
) -> None:
    (fault,) = found(world, subject(**spec))
    assert fault.code == code
    assert fault.cause.endswith(".")
    assert fault.advice.endswith(".")
    assert f"({'' if code in OURS else 'ECS '}code {code}" in fault.text()
    assert fault.passing is (fault.reason is Reason.INSTANCE_BUSY)
    assert fault.text().startswith(fault.cause.removesuffix("."))
    assert fault.text().endswith(f"). {fault.advice}")


BY_DISK_WRONG: list[tuple[str, Observed, dict[str, Any]]] = [
    ("InvalidDiskId.NotFound", seen(source_disk_seen=True, account=ALLOWED), {}),
    ("InvalidDatadisk.DiskStatusViolation", with_source(status="In_use"), {}),
    ("InvalidDatadisk.DiskStatusViolation", with_source(locks=(Lock("security"),)), {}),
    ("InvalidDatadisk.DiskCategoryViolation", with_source(category="ephemeral_ssd"), {}),
    ("InvalidDatadisk.DiskCategoryViolation", with_source(category="local_ssd_pro"), {}),
    ("InvalidDatadisk.DiskCategoryViolation", with_source(category="cloud"), {}),
    ("InvalidDatadisk.ChargeTypeViolation", with_source(charge_type="PrePaid"), {}),
    ("InvalidParameter.DiskType", with_source(kms_key_id="k"), {}),
    ("ResourcesNotInSameZone", with_source(zone_id="z-2"), {}),
    ("MissingParameter.Architecture", with_source(), {"architecture": None}),
    ("InvalidArchitecture.Malformed", with_source(), {"architecture": "mips"}),
    ("MissingParameter.Platform", with_source(), {"platform": None}),
]
WINDOWS = {**BY_DISK, "platform": "Windows Server 2022"}


@pytest.mark.parametrize(("code", "world", "advanced"), BY_DISK_WRONG)
def test_a_disk_in_the_place_of_an_image_is_looked_at_too(
    code: str, world: Observed, advanced: dict[str, Any]
) -> None:
    given = {k: v for k, v in {**BY_DISK, **advanced}.items() if v is not None}
    (fault,) = found(world, subject(imageId=None, advanced=given))
    assert fault.code == code


SLASH = SecretLook(SecretState.OK, leading_slash=True)


@pytest.mark.parametrize(
    ("code", "world", "advanced", "login"),
    [
        ("DependencyViolation.WindowsInstance", with_source(), WINDOWS, PAIR),
        ("DependencyViolation.IoOptimize", with_source(io_optimized=False), BY_DISK, PAIR),
        ("InvalidPassword.Malformed", with_source(secret=SLASH), WINDOWS, REF),
        (None, with_source(secret=SLASH), BY_DISK, REF),
        (None, with_source(key_pair_name="ops"), WINDOWS, None),
        (None, with_source(host_name="a.long.linux.name"), WINDOWS, None),
    ],
)
def test_the_system_on_that_disk_is_what_the_platform_says(
    code: str | None, world: Observed, advanced: dict[str, Any], login: dict[str, Any] | None
) -> None:
    asked = subject(imageId=None, advanced=advanced, login=login)
    assert [fault.code for fault in found(world, asked)] == ([code] if code else [])


@pytest.mark.parametrize(("platform", "kept"), [("windows", None), ("Ubuntu", "ops")])
def test_a_key_pair_is_not_kept_for_a_windows_on_a_disk(platform: str, kept: str | None) -> None:
    asked = subject(imageId=None, advanced={**BY_DISK, "platform": platform})
    assert inputs_of(asked, with_source(key_pair_name="ops")).key_pair_name == kept


def test_an_image_and_a_disk_at_once_contradict_each_other() -> None:
    (fault,) = found(with_source(), subject(advanced=BY_DISK))
    assert (fault.code, fault.advice) == (
        "InvalidParameter.Conflict",
        "Use either imageId or advanced.diskId.",
    )


def test_every_code_is_one_of_ecs_or_one_of_ours() -> None:
    known = {entry.code for entry in catalog().rows.values()} | OURS
    for code, world, spec in ONE_WRONG_THING:
        for fault in found(world, subject(**spec)):
            assert set(fault.codes) <= known, code


def test_an_account_may_allow_what_belongs_to_others_and_what_is_not_public() -> None:
    owned = seen(tags=(("ack.aliyun.com", "c1"),), account=account(allow_managed=True))
    assert found(owned) == ()
    asked = subject(advanced={"arns": [{"roleArn": "acs:ram::1:role/a"}]})
    assert found(seen(account=ALLOWED), asked) == ()


@pytest.mark.parametrize("disks", [(), (disk(), disk("d-2"))])
def test_an_instance_without_its_one_system_disk_is_told_so(disks: tuple[Any, ...]) -> None:
    (fault,) = found(seen(system_disks=disks))
    assert fault.codes == ("InvalidInstance.NotFoundSystemDisk", "InvalidDiskId.NotFound")
    assert f"{len(disks)} system disks" in fault.cause


def test_an_instance_that_is_yet_to_expire_is_left_alone_about_it() -> None:
    assert found(seen(expired_time=NOW + timedelta(minutes=1))) == ()


ESSD, AUTO = "cloud_essd", "cloud_auto"
DOUBTFUL = (supply({AUTO}), supply({ESSD}, {ESSD}), supply({ESSD, AUTO}, {ESSD, AUTO}))
CLEAR = (None, supply(()), supply({ESSD}), supply({ESSD, AUTO}, {AUTO}))


@pytest.mark.parametrize("told", [*CLEAR, *DOUBTFUL])
def test_what_a_zone_does_not_offer_forbids_nothing(told: Supply | None) -> None:
    assert found(seen(supply=told)) == ()


@pytest.mark.parametrize(
    ("told", "warned"), [*((s, 0) for s in CLEAR), *((s, 1) for s in DOUBTFUL)]
)
def test_what_a_zone_does_not_offer_is_warned_of(told: Supply | None, warned: int) -> None:
    plan = decide(subject(approval="Manual"), seen(supply=told), NOW).status.plan
    assert plan is not None
    assert sum("ECS offers no disk of category cloud_essd" in w for w in plan.warnings) == warned


@pytest.mark.parametrize(
    ("cpu", "architecture"), [("", "arm64"), (None, "arm64"), ("ARM", "mips"), ("ARM", "arm64")]
)
def test_an_architecture_that_is_not_known_forbids_nothing(
    cpu: str | None, architecture: str
) -> None:
    assert found(seen(cpu_architecture=cpu, images=(image(architecture=architecture),))) == ()


@pytest.mark.parametrize(
    ("host", "legal"),
    [
        ("web-1", True),
        ("ab", True),
        ("", True),
        ("a", False),
        ("123", False),
        ("-web", False),
        ("web-", False),
        ("a--b", False),
        ("web.example", False),
        ("web_1", False),
        ("w" * 15, True),
        ("w" * 16, False),
        ("web-1\n", False),
    ],
)
def test_a_host_name_that_windows_does_not_take_is_told(host: str, legal: bool) -> None:
    world = seen(host_name=host, images=(image(os_type="windows"),))
    codes = [fault.code for fault in found(world)]
    assert codes == ([] if legal else ["InvalidHostname.MismatchImage"])
    assert found(seen(host_name=host)) == ()


@pytest.mark.parametrize("category", ["cloud_essd", "cloud_auto", "cloud_essd_entry", ""])
def test_an_encrypted_disk_of_a_fitting_category_is_fine(category: str) -> None:
    world = seen(
        system_disks=(disk(category=category),),
        images=(image(encrypted=True),),
        default_encryption=True,
    )
    assert found(world, subject(encryption={"enabled": True, "kmsKeyId": "k"})) == ()


LOOKS: list[tuple[SecretLook, str | None]] = [
    (SecretLook(SecretState.OK), None),
    (SecretLook(SecretState.OK, leading_slash=True), None),
    (SecretLook(SecretState.MISSING), "SecretMissing"),
    (SecretLook(SecretState.KEY_MISSING), "SecretKeyMissing"),
    (SecretLook(SecretState.FORBIDDEN), "SecretForbidden"),
    (SecretLook(SecretState.UNLABELLED), "SecretUnlabelled"),
    (SecretLook(SecretState.NOT_TEXT), "InvalidPassword.Malformed"),
    (
        SecretLook(SecretState.AGAINST_RULES, faults=("it is empty",)),
        "InvalidPassword.Malformed",
    ),
]


@pytest.mark.parametrize(("look", "code"), LOOKS)
def test_a_secret_is_told_by_its_name_and_what_is_wrong_with_it(
    look: SecretLook, code: str | None
) -> None:
    told = found(seen(secret=look), subject(login=REF))
    assert [fault.code for fault in told] == ([code] if code else [])
    for fault in told:
        assert fault.reason is Reason.SECRET_NOT_USABLE
        assert "Secret login" in fault.cause
        assert all(rule in fault.cause for rule in look.faults)


def test_every_state_of_a_secret_is_in_the_table_above() -> None:
    assert {look.state for look, _ in LOOKS} == set(SecretState)


def test_a_secret_that_was_not_looked_at_is_not_judged() -> None:
    assert found(seen(secret=None), subject(login=REF)) == ()


def test_windows_does_not_take_a_password_that_begins_with_a_slash() -> None:
    world = seen(
        secret=SecretLook(SecretState.OK, leading_slash=True), images=(image(os_type="windows"),)
    )
    (fault,) = found(world, subject(login=REF))
    assert (fault.code, fault.reason) == ("InvalidPassword.Malformed", Reason.SECRET_NOT_USABLE)


# -- the summary ----------------------------------------------------------------------------------


def test_one_fault_is_told_as_it_is() -> None:
    told = summary(found(seen(hibernation=True)))
    assert told[0] is Reason.PREFLIGHT_FAILED
    assert told[1].startswith("Hibernation is enabled on the instance")
    assert "(ECS code HibernationConfigured.InstanceOperationForbidden)" in told[1]


def test_all_faults_are_told_and_the_standing_ones_give_the_reason() -> None:
    world = seen("Starting", locks=(Lock("security"),), in_transfer=True)
    reason, message = summary(found(world))
    assert reason is Reason.OPERATION_LOCKED
    assert message.startswith("3 things stand in the way. (1) ECS has locked the instance")
    assert "(ECS code InstanceLockedForSecurity). " in message
    assert "(2) The instance is Starting (ECS code IncorrectInstanceStatus). " in message
    assert "(ECS code InvalidSystemDiskStatus.IsTransfering). " in message


def test_different_reasons_become_one_that_says_so() -> None:
    reason, _ = summary(found(seen(hibernation=True, locks=(Lock("security"),))))
    assert reason is Reason.PREFLIGHT_FAILED


def test_what_only_passes_is_waited_for() -> None:
    reason, _ = summary(found(seen("Starting", snapshot_running=True)))
    assert reason is Reason.INSTANCE_BUSY


# -- what is looked at ----------------------------------------------------------------------------


def looks(world: Observed, **spec: Any) -> Look | None:
    asked = subject(**spec)
    assert world.instance is not None
    shown = world.image(NEW_IMAGE) if asked.spec.image_id else None
    return needed_looks(asked, inputs_of(asked, world), shown, world.instance, world)


def test_when_everything_was_looked_at_nothing_is_asked() -> None:
    assert looks(seen(), login=PAIR) is None
    assert looks(seen(), login=REF) is None


def test_only_what_can_matter_is_asked() -> None:
    bare = Observed(
        account=account(),
        instance=vm(zone_id="z-1"),
        instance_seen=True,
        system_disks=(disk(),),
        images=(image(instance_types=frozenset({"t"})),),
    )
    always = Look(snapshot=True, transfer=True, supply=True)
    assert looks(bare) == replace(always, default_encryption=True)
    assert looks(bare, encryption={"enabled": True}) == always
    assert looks(bare, encryption={"enabled": True}, login=REF) == replace(always, secret=True)
    assert looks(bare, encryption={"enabled": True}, login=PAIR) == replace(always, key_pair="ops")
    unzoned = replace(bare, instance=vm())
    assert looks(unzoned, encryption={"enabled": True}) == replace(always, supply=False)


def test_a_key_pair_that_is_kept_is_looked_up_as_well() -> None:
    look = looks(seen(key_pair_name="old-ops", key_pairs=()))
    assert look == Look(key_pair="old-ops")


@pytest.mark.parametrize("types", [None, frozenset({"other"}), frozenset[str]()])
def test_the_architecture_is_looked_up_where_the_list_does_not_settle_it(
    types: frozenset[str] | None,
) -> None:
    world = seen(cpu_architecture=None, images=(image(instance_types=types),))
    assert looks(world) == Look(cpu_architecture=True)
    missing = seen(cpu_architecture=None, images=(image(found=False),))
    assert looks(missing) is None


def test_the_disk_in_the_place_of_an_image_is_looked_at_once() -> None:
    assert looks(seen(), imageId=None, advanced=BY_DISK) == Look(source_disk="d-9")
    assert (
        looks(with_source(), imageId=None, advanced=BY_DISK, encryption={"enabled": True}) is None
    )


# -- what no read shows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "spec", "words"),
    [
        (seen(), {}, ()),
        (seen(), {"encryption": {"enabled": True}}, ("KMS",)),
        (with_image(product_code="cm-1"), {}, ("cm-1",)),
        (seen(charge_type="PrePaid"), {"size": 50}, ("10 GiB more",)),
        (seen(charge_type="PrePaid"), {}, ()),
        (seen(charge_type="PostPaid"), {"size": 50}, ()),
    ],
)
def test_what_no_read_shows_is_warned_of_where_it_can_happen(
    world: Observed, spec: dict[str, Any], words: tuple[str, ...]
) -> None:
    asked = subject(**spec)
    assert world.instance is not None
    assert world.instance.instance_id == VM
    inputs, shown = inputs_of(asked, world), world.image(NEW_IMAGE)
    told = list(unseen(inputs, shown, world.instance, disk(), world.supply))
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))


def test_a_disk_in_the_place_of_an_image_has_no_market_to_be_withdrawn_from() -> None:
    asked = subject(imageId=None, advanced=BY_DISK)
    assert list(unseen(inputs_of(asked, seen()), None, vm(), disk(), None)) == []


# -- sizes and passwords --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "level", "least", "most"),
    [
        ("cloud", "", 20, 500),
        ("cloud_essd", "PL0", 1, 2048),
        ("cloud_essd", "PL1", 20, 2048),
        ("cloud_essd", "PL2", 461, 2048),
        ("cloud_essd", "PL3", 1261, 2048),
        ("cloud_essd", "", 20, 2048),
        ("cloud_auto", "", 1, 2048),
        ("cloud_efficiency", "", 20, 2048),
        ("cloud_ssd", "", 20, 2048),
        ("cloud_essd_entry", "", 20, 2048),
        ("something_new", "", 20, 2048),
    ],
)
def test_the_legal_sizes_are_those_of_the_reference(
    category: str, level: str, least: int, most: int
) -> None:
    assert size_range(category, level) == (least, most)


@pytest.mark.parametrize(
    ("password", "broken"),
    [
        ("Abc12345", ()),
        ("abc-1234", ()),
        ("ABC-1234", ()),
        ("Abcdefg!", ()),
        ("()`~!@#$%^&*-_+=|{}[]:;<>,A1b2", ()),
        (".?/Aa123", ()),
        ("/Abc1234", ()),
        ("Ab1" * 10, ()),
        ("", ("empty",)),
        ("Abc1234", ("8 to 30",)),
        ("Ab1" * 10 + "x", ("8 to 30",)),
        ("abcd1234", ("at least three",)),
        ("abcdefgh", ("at least three",)),
        ("Abc 1234", ("ASCII",)),
        ("Abc'1234", ("ASCII",)),
        ('Abc"1234', ("ASCII",)),
        ("Abc\\1234", ("ASCII",)),
        ("Äbc12345!A", ("ASCII",)),
        ("Abc12345\n", ("line break", "ASCII")),
        ("Abc12345\r\n", ("line break", "ASCII")),
        ("a\n", ("line break", "8 to 30", "ASCII", "at least three")),
    ],
)
def test_each_broken_rule_is_named_and_the_password_never_quoted(
    password: str, broken: tuple[str, ...]
) -> None:
    told = password_faults(password)
    assert len(told) == len(broken)
    assert all(words in fault for words, fault in zip(broken, told, strict=True))
    assert not any(len(password) > 2 and password.strip() in fault for fault in told)


def test_a_region_that_ecs_does_not_have_is_an_error_of_the_spec() -> None:
    decision = decide(subject(regionId="cn-nowhere"), seen(no_region=True, failure="silence"), NOW)
    assert (decision.reason, decision.action) == (Reason.INVALID_SPEC, Nothing())
    (ready,) = (c for c in decision.status.conditions if c.type == "Ready")
    assert "InvalidRegionId.NotExists" in ready.message
