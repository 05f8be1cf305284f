"""ReplaceSystemDisk is refused with the row of the error table that fits the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sysdisk.ecs.catalog import catalog
from sysdisk.sandbox.ecs_faults import EcsFault
from sysdisk.sandbox.ecs_state import Image
from tests.support.ecs_fleet import REGION, Lab

ZONE = f"{REGION}-h"
Arrange = Callable[[Lab], Any]


def nothing(lab: Lab) -> None:
    """The world as it is."""


def image(**fields: Any) -> Arrange:
    def arrange(lab: Lab) -> Image:
        lab.newer = lab.fleet.image(**fields)
        return lab.newer

    return arrange


def instance(**fields: Any) -> Arrange:
    return lambda lab: lab.cloud.outside.set_instance(lab.vm.id, **fields)


def disk(**fields: Any) -> Arrange:
    return lambda lab: lab.cloud.outside.set_disk(lab.vm.system_disk_id, **fields)


def region(**fields: Any) -> Arrange:
    return lambda lab: lab.cloud.outside.set_region(REGION, **fields)


def account(**fields: Any) -> Arrange:
    return lambda lab: lab.cloud.outside.set_account(lab.vm.account, **fields)


def lock(reason: str) -> Arrange:
    return lambda lab: lab.cloud.outside.lock(lab.vm.id, reason)


def key_pair(lab: Lab) -> None:
    lab.fleet.key_pair("admins")


def kms(**fields: Any) -> Arrange:
    return lambda lab: lab.fleet.kms_key("key-1", **fields)


def spare(**fields: Any) -> Arrange:
    def arrange(lab: Lab) -> dict[str, str]:
        return {"DiskId": lab.fleet.spare_disk(**fields).id}

    return arrange


def both(*steps: Arrange) -> Arrange:
    def arrange(lab: Lab) -> None:
        for step in steps:
            step(lab)

    return arrange


@dataclass(frozen=True)
class Case:
    row: int
    arrange: Arrange = nothing
    params: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    endpoint: str = REGION


SIZE = "SystemDisk.Size"
SEALED = {"Encrypted": "True"}
BY_DISK = {"Architecture": "x86_64", "Platform": "Ubuntu"}
NO_IMAGE = ("ImageId",)
CASES = [
    Case(1, both(instance(login_as_non_root=True), image(login_as_non_root=False))),
    Case(2, params={SIZE: "big"}),
    Case(3, image(not_types=("ecs.g7.large",))),
    Case(4, image(resizable=False), {SIZE: "50"}),
    Case(5, params={SIZE: "-1"}),
    Case(6, params={"Password": "simple"}),
    Case(6, params={"Password": "Ümläut-1234"}),
    Case(6, image(os_type="windows"), {"Password": "/Abc12345"}),
    Case(7, params={"Password": "Abc12345!", "PasswordInherit": "True"}),
    Case(8, image(data_disks=(20,))),
    Case(9, disk(category="ephemeral_ssd")),
    Case(9, region(unsupported=(("ecs.g7.large", "cloud_essd"),))),
    Case(
        9, both(instance(charge_type="PrePaid"), region(unsupported=(("PrePaid", "cloud_essd"),)))
    ),
    Case(10, params={"KeyPairName": "nobody"}),
    Case(11, both(instance(io_optimized=False), key_pair), {"KeyPairName": "admins"}),
    Case(12, spare(), {"Platform": "Ubuntu"}, NO_IMAGE),
    Case(13, spare(), {"Platform": "Ubuntu", "Architecture": "mips"}, NO_IMAGE),
    Case(14, spare(), {"Architecture": "x86_64"}, NO_IMAGE),
    Case(15, spare(), {"Architecture": "x86_64", "Platform": "Beos"}, NO_IMAGE),
    Case(16, params={"DiskId": "d-nowhere", **BY_DISK}, without=NO_IMAGE),
    Case(17, spare(status="Attaching"), BY_DISK, NO_IMAGE),
    Case(18, spare(category="cloud"), BY_DISK, NO_IMAGE),
    Case(19, spare(charge_type="PrePaid"), BY_DISK, NO_IMAGE),
    Case(20, without=NO_IMAGE),
    Case(21, instance(system_disk_id="")),
    Case(22, spare(kms_key_id="key-1"), BY_DISK, NO_IMAGE),
    Case(23, disk(storage_cluster="dbsc-1")),
    Case(24, disk(replication="unknown")),
    Case(25, disk(replication="paired")),
    Case(26, image(architecture="arm64")),
    Case(27, region(encrypted_replace=False), SEALED),
    Case(28, both(disk(storage_cluster="dbsc-1"), region(cluster_free_gib={"dbsc-1": 99}))),
    Case(29, region(disk_quota_gib={(ZONE, "cloud_essd"): 50}), {SIZE: "60"}),
    Case(30, account(may_buy=False)),
    Case(31, region(outage="unavailable")),
    Case(32, params={"SystemDisk.DiskName": "x"}),
    Case(33, image(encrypted=True), {"Encrypted": "False"}),
    Case(34, region(outage="denied")),
    Case(35, region(outage="unknown")),
    Case(36, both(instance(login_as_non_root=True), region(non_root_login=False))),
    Case(37, lambda lab: lab.cloud.outside.transfer(lab.vm.system_disk_id)),
    Case(38, disk(status="ReIniting")),
    Case(38, lambda lab: lab.replace()["RequestId"]),
    Case(39, instance(status="Running")),
    Case(39, instance(status="Stopping")),
    Case(39, lock("Recycling")),
    Case(40, lock("security")),
    Case(41, image(owner="marketplace", product_code="p", subscribed=False)),
    Case(42, image(owner="marketplace", product_code="p", withdrawn=True)),
    Case(43, lock("financial")),
    Case(43, instance(charge_type="PrePaid", expired_time=1.0)),
    Case(44, both(instance(charge_type="PrePaid"), region(fixed_payments=("PrePaid",)))),
    Case(45, lambda lab: lab.call("CreateSnapshot", DiskId=lab.vm.system_disk_id)),
    Case(46, image(io_optimized=False)),
    Case(47, image(only_types=("ecs.c7.large",))),
    Case(48, image(owner="marketplace", bought=False)),
    Case(49, instance(unpaid_order="order")),
    Case(50, instance(status="Pending")),
    Case(51, both(image(os_type="windows"), key_pair), {"KeyPairName": "admins"}),
    Case(53, spare(zone=f"{REGION}-i"), BY_DISK, NO_IMAGE),
    Case(54, instance(unpaid_order="operation")),
    Case(55, both(image(os_type="windows"), instance(host_name="a.long.linux.name"))),
    Case(56, instance(hibernation=True)),
    Case(57, disk(multi_attach="Enabled")),
    Case(58, region(encrypt_algorithms=()), {**SEALED, "EncryptAlgorithm": "AES256"}),
    Case(59, endpoint="cn-nowhere"),
    Case(60, params={**SEALED, "EncryptAlgorithm": "ROT13"}),
    Case(61, params={"KMSKeyId": "key-1"}),
    Case(62, params={"EncryptAlgorithm": "AES256"}),
    Case(63, account(kms_enabled=False), SEALED),
    Case(64, kms(makes_data_keys=False), {**SEALED, "KMSKeyId": "key-1"}),
    Case(65, params={**SEALED, "KMSKeyId": "key-1"}),
    Case(66, account(kms_authorized=False), SEALED),
    Case(67, kms(symmetric=False), {**SEALED, "KMSKeyId": "key-1"}),
    Case(68, disk(encryptable=False), SEALED),
    Case(69, disk(category="cloud_ssd"), SEALED),
    Case(70, params={"ImageId": ""}),
    Case(71, spare(), BY_DISK),
    Case(72, both(image(os_type="windows"), region(os_change=False))),
    Case(73, image(status="Deprecated")),
    Case(74, region(sold_out=((ZONE, "cloud_essd"),))),
    Case(75, kms(enabled=False), {**SEALED, "KMSKeyId": "key-1"}),
    Case(76, kms(taggable=False), {**SEALED, "KMSKeyId": "key-1"}),
    Case(77, image(encrypted=True)),
    Case(78, region(default_encryption=True)),
    Case(79, both(instance(charge_type="PrePaid"), account(sync_payment=False)), {SIZE: "60"}),
    Case(80, params={"InstanceId": "i-nowhere"}),
    Case(81, params={"ImageId": "m-nowhere"}),
    Case(82, params={SIZE: "2049"}),
    Case(82, disk(category="cloud"), {SIZE: "501"}),
    Case(83, image(size_gib=100), {SIZE: "60"}),
    Case(84, params={SIZE: "30"}),
    Case(84, disk(performance_level="PL2", size_gib=500), {SIZE: "460"}),
]
NOT_EXPRESSED = {52, 85}
"""Of these the table does not say which parameters, or which resource, they are about."""


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"row{c.row}")
def test_each_precondition_is_refused_with_its_row_and_changes_nothing(
    lab: Lab, case: Case
) -> None:
    lab.stopped()
    more = case.arrange(lab)
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id, SIZE: "100"}
    given |= more if isinstance(more, dict) and "DiskId" in more else {}
    given |= case.params
    before = len(lab.cloud.effects_of("replacement_accepted"))
    sent = {k: v for k, v in given.items() if k not in case.without}
    with pytest.raises(EcsFault) as refused:
        lab.cloud.call("ReplaceSystemDisk", sent, region=case.endpoint)
    entry = catalog().rows[case.row]
    fault = refused.value
    assert (fault.http, fault.code) == (entry.http, entry.code)
    assert fault.message == entry.message.replace("%s", f"zone {ZONE}")
    assert fault.data["Code"] == entry.code
    assert fault.data["RequestId"] == lab.cloud.requests[-1].request_id
    assert len(lab.cloud.effects_of("replacement_accepted")) == before


def test_the_table_above_names_every_row_that_the_model_can_express() -> None:
    assert {c.row for c in CASES} | NOT_EXPRESSED == set(range(1, 86))
    assert {c.row for c in CASES} & NOT_EXPRESSED == set()


def test_a_storage_cluster_with_room_takes_the_disk(lab: Lab) -> None:
    lab.stopped()
    lab.cloud.outside.set_disk(lab.vm.system_disk_id, storage_cluster="dbsc-1")
    lab.cloud.outside.set_region(REGION, cluster_free_gib={"dbsc-1": 100})
    lab.replace(**{SIZE: "100"})
    assert lab.settled().replacement is None
    assert lab.cloud.disk_of(lab.vm.id).storage_cluster == "dbsc-1"


def test_the_world_of_the_table_accepts_a_replacement_when_nothing_is_wrong(lab: Lab) -> None:
    lab.stopped()
    assert lab.replace(**{SIZE: "100"})["DiskId"].startswith("d-bp1")


@pytest.mark.parametrize(
    ("category", "level", "size", "row"),
    [
        ("cloud_essd", "PL0", 1, None),
        ("cloud_essd", "PL1", 19, 84),
        ("cloud_essd", "PL1", 20, None),
        ("cloud_essd", "PL2", 460, 84),
        ("cloud_essd", "PL3", 1261, None),
        ("cloud_essd", "PL3", 2049, 82),
        ("cloud_auto", "", 1, None),
        ("cloud_efficiency", "", 19, 84),
        ("cloud", "", 500, None),
        ("cloud", "", 501, 82),
    ],
)
def test_the_legal_size_depends_on_the_category(
    lab: Lab, category: str, level: str, size: int, row: int | None
) -> None:
    lab.stopped()
    lab.newer = lab.fleet.image(size_gib=1)
    lab.cloud.outside.set_disk(
        lab.vm.system_disk_id, category=category, performance_level=level, size_gib=1
    )
    params = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id, SIZE: str(size)}
    if row is None:
        lab.call("ReplaceSystemDisk", params)
        assert lab.settled().replacement is None
        assert lab.cloud.disk_of(lab.vm.id).size_gib == size
    else:
        entry = catalog().rows[row]
        assert lab.refused("ReplaceSystemDisk", params) == (entry.http, entry.code)
