"""The Describe calls, with the traps that the reference names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sysdisk.sandbox.ecs_fleet import seed_fleet
from tests.support.ecs_fleet import REGION, Lab


def _instances(lab: Lab, **params: str) -> tuple[list[str], str]:
    found = lab.call("DescribeInstances", {"RegionId": REGION, **params})
    return [v["InstanceId"] for v in found["Instances"]["Instance"]], found["NextToken"]


def _images(lab: Lab, **params: str) -> set[str]:
    found = lab.call("DescribeImages", {"RegionId": REGION, "PageSize": "100", **params})
    return {i["ImageId"] for i in found["Images"]["Image"]}


@pytest.mark.parametrize(("asked", "given"), [("", 10), ("1", 10), ("50", 50), ("100", 60)])
def test_a_page_holds_ten_unless_more_is_asked_for(lab: Lab, asked: str, given: int) -> None:
    ids = [lab.fleet.instance(lab.image).id for _ in range(60)]
    found, more = _instances(lab, InstanceIds=json.dumps(ids), MaxResults=asked)
    assert found == ids[:given]
    assert bool(more) is (given < 60)


def test_pages_follow_each_other_by_token_without_gap_or_repeat(lab: Lab) -> None:
    for _ in range(25):
        lab.fleet.instance(lab.image)
    seen, token = _instances(lab, MaxResults="10")
    while token:
        page, token = _instances(lab, MaxResults="10", NextToken=token)
        seen += page
    assert seen == list(lab.cloud.state.instances)


def test_more_than_a_hundred_ids_or_rows_are_refused(lab: Lab) -> None:
    ids = json.dumps([f"i-{n}" for n in range(101)])
    assert lab.refused("DescribeInstances", RegionId=REGION, InstanceIds=ids)[0] == 400
    assert lab.refused("DescribeInstances", RegionId=REGION, MaxResults="101")[0] == 400
    assert lab.refused("DescribeInstances", RegionId=REGION, InstanceIds="i-1")[0] == 400
    assert lab.refused("DescribeInstances", RegionId=REGION, NextToken="x")[0] == 400
    assert lab.call("DescribeDisks", RegionId=REGION, MaxResults="500")["Disks"]["Disk"]


def test_a_region_must_be_named_and_exist(lab: Lab) -> None:
    assert lab.refused("DescribeInstances") == (400, "MissingParameter")
    refused = lab.refused("DescribeInstances", RegionId="cn-atlantis")
    assert refused == (404, "InvalidRegionId.NotFound")


def test_an_unknown_id_is_left_out_and_is_no_error(lab: Lab) -> None:
    assert _instances(lab, InstanceIds=json.dumps(["i-nowhere", lab.vm.id]))[0] == [lab.vm.id]
    assert _images(lab, ImageId="m-nowhere") == set()
    disks = lab.call("DescribeDisks", RegionId=REGION, DiskIds='["d-nowhere"]')
    assert disks["Disks"]["Disk"] == []
    assert lab.call("DescribeImageFromFamily", RegionId=REGION, ImageFamily="x")["Image"] == {}


def test_instances_are_found_by_tags_status_and_lock(lab: Lab) -> None:
    blue = lab.fleet.instance(lab.image, tags={"team": "blue", "tier": "web"})
    lab.fleet.instance(lab.image, tags={"team": "red", "tier": "web"})
    lab.cloud.outside.lock(blue.id, "Recycling")
    tags = {"Tag.1.Key": "team", "Tag.1.Value": "blue", "Tag.2.Key": "tier"}
    assert _instances(lab, **tags)[0] == [blue.id]
    assert _instances(lab, LockReason="recycling")[0] == [blue.id]
    assert len(_instances(lab, Status="Running")[0]) == 3
    assert lab.refused("DescribeInstances", RegionId=REGION, Status="Expired")[0] == 400


def test_locks_of_instances_and_disks_are_nested_differently(lab: Lab) -> None:
    lab.cloud.outside.lock(lab.vm.id, "security", "abuse")
    lab.cloud.outside.lock_disk(lab.vm.system_disk_id, "financial")
    vm = lab.call("DescribeInstances", RegionId=REGION)["Instances"]["Instance"][0]
    disk = lab.call("DescribeDisks", RegionId=REGION)["Disks"]["Disk"][0]
    assert vm["OperationLocks"] == {"LockReason": [{"LockReason": "security", "LockMsg": "abuse"}]}
    assert disk["OperationLocks"] == {"OperationLock": [{"LockReason": "financial"}]}


def test_io_optimized_is_a_bool_here_and_a_word_there(lab: Lab) -> None:
    vm = lab.call("DescribeInstances", RegionId=REGION)["Instances"]["Instance"][0]
    one = lab.call("DescribeInstanceAttribute", InstanceId=lab.vm.id)
    assert (vm["IoOptimized"], one["IoOptimized"]) == (True, "optimized")
    assert lab.refused("DescribeInstanceAttribute", InstanceId="i-nowhere")[0] == 404


def test_the_cheap_status_call_has_smaller_pages(lab: Lab) -> None:
    found = lab.call("DescribeInstanceStatus", {"RegionId": REGION, "InstanceId.1": lab.vm.id})
    assert found["InstanceStatuses"]["InstanceStatus"] == [
        {"InstanceId": lab.vm.id, "Status": "Running"}
    ]
    assert lab.refused("DescribeInstanceStatus", RegionId=REGION, PageSize="51")[0] == 400


def test_images_are_hidden_unless_available_or_asked_for(lab: Lab) -> None:
    old = lab.fleet.image(status="Deprecated").id
    assert _images(lab, ImageId=old) == set()
    assert _images(lab, ImageId=old, Status="ALL") == {old}
    assert _images(lab, ImageId=old, Status="Available,Deprecated") == {old}
    assert lab.refused("DescribeImages", RegionId=REGION, Status="ALL,Available")[0] == 400


def test_marketplace_and_community_images_must_be_asked_for(lab: Lab) -> None:
    system = lab.fleet.image(owner="system", image_id="aliyun_3_x64_20G.vhd").id
    market = lab.fleet.image(owner="marketplace", product_code="p").id
    community = lab.fleet.image(owner="others", public=True).id
    shared = lab.fleet.image(owner="others", shared_with=(lab.vm.account,)).id
    private = lab.fleet.image(owner="others").id
    mine = {lab.image.id, lab.newer.id}
    assert _images(lab) == {*mine, system, shared}
    assert _images(lab, ImageOwnerAlias="marketplace") == {market}
    assert _images(lab, ImageOwnerAlias="others", IsPublic="True") == {community}
    assert _images(lab, ImageOwnerAlias="others") == {shared}
    assert private not in _images(lab, ImageOwnerAlias="others", IsPublic="True", Status="ALL")


def test_a_family_is_its_newest_available_member(lab: Lab) -> None:
    lab.fleet.image(family="f", age_days=9)
    newest = lab.fleet.image(family="f", age_days=1).id
    lab.fleet.image(family="f", status="Creating")
    found = lab.call("DescribeImageFromFamily", RegionId=REGION, ImageFamily="f")
    assert found["Image"]["ImageId"] == newest


def test_fitness_follows_architecture_and_the_images_own_lists(lab: Lab) -> None:
    arm = lab.fleet.image(architecture="arm64", not_types=("ecs.c7.large",))

    def types(image_id: str) -> set[str]:
        found = lab.call(
            "DescribeImageSupportInstanceTypes",
            RegionId=REGION,
            ImageId=image_id,
            ActionType="ChangeOS",
        )
        return {t["InstanceTypeId"] for t in found["InstanceTypes"]["InstanceType"]}

    assert types(arm.id) == {"ecs.g8y.large"}
    assert "ecs.g8y.large" not in types(lab.image.id)
    assert _images(lab, InstanceType="ecs.g8y.large") == {arm.id}
    kinds = lab.call("DescribeInstanceTypes", {"InstanceTypes.1": "ecs.g8y.large"})
    assert kinds["InstanceTypes"]["InstanceType"][0]["CpuArchitecture"] == "ARM"


def test_key_pair_names_are_patterns(lab: Lab) -> None:
    for name in ("ops", "ops-2", "dev"):
        lab.fleet.key_pair(name)

    def names(pattern: str) -> list[str]:
        found = lab.call("DescribeKeyPairs", RegionId=REGION, KeyPairName=pattern)
        return [p["KeyPairName"] for p in found["KeyPairs"]["KeyPair"]]

    assert names("ops") == ["ops"]
    assert names("ops*") == ["ops", "ops-2"]
    assert names("o[p]s") == []


def test_a_key_pair_reaches_some_and_the_answer_is_200_all_the_same(lab: Lab) -> None:
    lab.fleet.key_pair("ops")
    windows = lab.fleet.instance(lab.fleet.image(os_type="windows"))
    ids = json.dumps([lab.vm.id, windows.id])
    given = {"RegionId": REGION, "KeyPairName": "ops", "InstanceIds": ids}
    answer = lab.call("AttachKeyPair", given)
    assert (answer["FailCount"], answer["TotalCount"]) == (1, 2)
    assert [r["Success"] for r in answer["Results"]["Result"]] == ["true", "false"]
    assert lab.cloud.look(lab.vm.id).key_pair == "ops"


def test_disks_know_their_instance_only_in_use_and_their_policy(lab: Lab) -> None:
    spare = lab.fleet.spare_disk().id
    found = lab.call("DescribeDisks", RegionId=REGION, DiskIds=json.dumps([spare]))
    assert found["Disks"]["Disk"][0]["InstanceId"] == ""
    lab.cloud.outside.set_disk(lab.vm.system_disk_id, auto_snapshot_policy="sp-1")
    found = lab.call("DescribeDisks", RegionId=REGION, InstanceId=lab.vm.id, DiskType="system")
    (disk,) = found["Disks"]["Disk"]
    assert (disk["InstanceId"], disk["AutoSnapshotPolicyId"]) == (lab.vm.id, "sp-1")
    assert disk["EnableAutomatedSnapshotPolicy"] is True


def test_stock_tasks_and_default_encryption_can_be_read(lab: Lab) -> None:
    zone = lab.vm.zone
    lab.cloud.outside.set_region(REGION, sold_out=((zone, "cloud_essd"),), default_encryption=True)
    found = lab.call(
        "DescribeAvailableResource", RegionId=REGION, DestinationResource="SystemDisk", ZoneId=zone
    )
    (row,) = found["AvailableZones"]["AvailableZone"]
    supported = row["AvailableResources"]["AvailableResource"][0]["SupportedResources"]
    stock = {r["Value"]: r["StatusCategory"] for r in supported["SupportedResource"]}
    assert (stock["cloud_essd"], stock["cloud_auto"]) == ("WithoutStock", "WithStock")
    assert lab.call("DescribeDiskEncryptionByDefaultStatus", RegionId=REGION)["Encrypted"] is True
    lab.cloud.outside.transfer(lab.vm.system_disk_id)
    given = {"RegionId": REGION, "TaskAction": "ModifyDiskSpec", "TaskStatus": "Processing"}
    tasks = lab.call("DescribeTasks", {**given, "ResourceIds.1": lab.vm.system_disk_id})
    assert tasks["TotalCount"] == 1


def test_image_options_are_shown_only_to_who_asks_for_them(lab: Lab) -> None:
    lab.cloud.outside.set_instance(lab.vm.id, login_as_non_root=True)

    def options(**more: str) -> Any:
        found = lab.call("DescribeInstances", {"RegionId": REGION, **more})
        return found["Instances"]["Instance"][0].get("ImageOptions")

    assert options() is None
    assert options(**{"AdditionalAttributes.1": "META_OPTIONS"}) is None
    assert options(**{"AdditionalAttributes.1": "LOGIN_AS_NON_ROOT"}) == {"LoginAsNonRoot": True}


@pytest.mark.parametrize(
    ("name", "usual", "other"),
    [
        ("InstanceChargeType", "PostPaid", "PrePaid"),
        ("SpotStrategy", "NoSpot", "SpotAsPriceGo"),
        ("IoOptimized", "optimized", "none"),
    ],
)
def test_what_can_be_had_depends_on_the_kind_of_instance_that_is_told(
    lab: Lab, name: str, usual: str, other: str
) -> None:
    def categories(**more: str) -> set[str]:
        given = {"RegionId": REGION, "DestinationResource": "SystemDisk", "ZoneId": lab.vm.zone}
        (row,) = lab.call("DescribeAvailableResource", {**given, **more})["AvailableZones"][
            "AvailableZone"
        ]
        supported = row["AvailableResources"]["AvailableResource"][0]["SupportedResources"]
        return {r["Value"] for r in supported["SupportedResource"]}

    assert {"cloud", "cloud_essd"} <= categories()
    lab.cloud.outside.set_region(REGION, unsupported=((usual, "cloud_essd"),))
    assert "cloud_essd" not in categories()  # the usual kind is what it answers for by default
    assert "cloud_essd" not in categories(**{name: usual})
    assert "cloud_essd" in categories(**{name: other})
    given = {"RegionId": REGION, "DestinationResource": "SystemDisk", name: "neither"}
    assert lab.refused("DescribeAvailableResource", given)[0] == 400


def test_a_type_that_is_sold_out_has_no_disks_either(lab: Lab) -> None:
    lab.cloud.outside.set_region(REGION, sold_out=((lab.vm.zone, lab.vm.type),))
    given = {"RegionId": REGION, "DestinationResource": "SystemDisk", "ZoneId": lab.vm.zone}
    found = lab.call("DescribeAvailableResource", {**given, "InstanceType": lab.vm.type})
    (row,) = found["AvailableZones"]["AvailableZone"]
    assert row["StatusCategory"] == "WithoutStock"


def test_tags_can_be_put_on_and_taken_off(lab: Lab) -> None:
    given = {"RegionId": REGION, "ResourceType": "instance", "ResourceId.1": lab.vm.id}
    lab.call("TagResources", {**given, "Tag.1.Key": "a", "Tag.1.Value": "b"})
    assert lab.cloud.look(lab.vm.id).tags == {"a": "b"}
    lab.call("UntagResources", {**given, "TagKey.1": "a"})
    assert lab.cloud.look(lab.vm.id).tags == {}


def test_an_unknown_call_is_refused(lab: Lab) -> None:
    assert lab.refused("DeleteEverything") == (404, "InvalidAction.NotFound")


def test_a_seeded_fleet_is_plausible_and_the_same_every_time(lab: Lab) -> None:
    made = seed_fleet(lab.cloud, 40)
    again = seed_fleet(Lab().cloud, 40)
    assert [v.id for v in made.instances] == [v.id for v in again.instances]
    assert len({v.id for v in made.instances}) == 40
    assert all(v.id.startswith("i-bp1") and len(v.id) == 22 for v in made.instances)
    assert {v.os_type for v in made.instances} == {"linux", "windows"}
    assert len({v.zone for v in made.instances}) == 3
