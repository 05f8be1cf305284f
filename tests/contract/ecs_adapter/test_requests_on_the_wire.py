"""Our requests beside those of the SDK's typed client: the same on the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from sysdisk.api.spec import (
    Advanced,
    Arn,
    ForceStop,
    SecurityEnhancementStrategy,
    StartAfter,
    StoppedMode,
)
from sysdisk.api.status import OperationInputs
from sysdisk.core.world import Slot
from sysdisk.ecs import calls

BARE = OperationInputs(
    stop_timeout=timedelta(minutes=5),
    force_stop=ForceStop.NEVER,
    stopped_mode=StoppedMode.KEEP_CHARGING,
    start_after=StartAfter.IF_IT_WAS_RUNNING,
    give_back_after=timedelta(minutes=10),
    generation=1,
    hash="h",
)
ADVANCED = Advanced(
    disk_id="d-9",
    platform="CentOS",
    architecture="x86_64",
    encrypt_algorithm="AES256",
    arns=(
        Arn(role_arn="acs:ram::1:role/a", role_type="service", assume_role_for=7),
        Arn(role_arn="acs:ram::1:role/b"),
    ),
)


class Recording(Client):  # type: ignore[misc]  # the SDK has no types
    """The SDK's typed client, stopped short of the network."""

    def call_api(self, params: Any, request: Any, runtime: Any) -> dict[str, Any]:
        self.sent = (params.action, {k: str(v) for k, v in request.query.items()})
        return {"body": {}, "headers": {}, "statusCode": 200}


def official(verb: str, request: Any) -> tuple[str, dict[str, str]]:
    client = Recording(Config(access_key_id="a", access_key_secret="b", endpoint="ecs.example.com"))
    getattr(client, f"{verb}_with_options")(request, RuntimeOptions())
    return client.sent


@pytest.mark.parametrize(
    ("inputs", "password", "theirs"),
    [
        (BARE, None, {}),
        (BARE.replace(image_id="m-1", size=80), None, {"image_id": "m-1", "size": 80}),
        (BARE, "a%b&c+d E1", {"password": "a%b&c+d E1"}),
        (BARE.replace(password_inherit=True), None, {"password_inherit": True}),
        (BARE.replace(key_pair_name="k"), None, {"key_pair_name": "k"}),
        (
            BARE.replace(encrypted=True, kms_key_id="key-1"),
            None,
            {"encrypted": True, "kmskey_id": "key-1"},
        ),
        (BARE.replace(encrypted=False), None, {"encrypted": False}),
        (
            BARE.replace(security_enhancement_strategy=SecurityEnhancementStrategy.ACTIVE),
            None,
            {"security_enhancement_strategy": "Active"},
        ),
        (BARE.replace(use_additional_service=True), None, {"use_additional_service": True}),
        (BARE.replace(use_additional_service=False), None, {"use_additional_service": False}),
        (
            BARE.replace(advanced=ADVANCED),
            None,
            {
                "disk_id": "d-9",
                "platform": "CentOS",
                "architecture": "x86_64",
                "encrypt_algorithm": "AES256",
                "arn": [
                    models.ReplaceSystemDiskRequestArn(
                        rolearn="acs:ram::1:role/a", role_type="service", assume_role_for=7
                    ),
                    models.ReplaceSystemDiskRequestArn(rolearn="acs:ram::1:role/b"),
                ],
            },
        ),
    ],
)
def test_a_replacement_is_sent_as_declared_and_nothing_else(
    inputs: Any, password: str, theirs: Any
) -> None:
    ours = calls.replace_system_disk(
        inputs, instance_id="i-1", client_token="tok", password=password
    )
    size = theirs.pop("size", None)
    disk = models.ReplaceSystemDiskRequestSystemDisk(size=size) if size else None
    request = models.ReplaceSystemDiskRequest(
        instance_id="i-1", client_token="tok", system_disk=disk, **theirs
    )
    assert official("replace_system_disk", request) == ("ReplaceSystemDisk", ours)


def test_every_parameter_that_can_be_declared_has_its_place() -> None:
    sent = calls.replace_system_disk(
        BARE.replace(
            image_id="m-1",
            size=80,
            password_inherit=False,
            key_pair_name="k",
            encrypted=True,
            kms_key_id="key-1",
            security_enhancement_strategy=SecurityEnhancementStrategy.DEACTIVE,
            use_additional_service=True,
            advanced=ADVANCED,
        ),
        instance_id="i-1",
        client_token="tok",
        password="secret",
    )
    undocumented = {"OwnerAccount", "OwnerId", "ResourceOwnerAccount", "ResourceOwnerId"}
    offered = set(models.ReplaceSystemDiskRequest().__dict__)
    assert len({name.split(".")[0] for name in sent}) == len(offered) - len(undocumented)


@pytest.mark.parametrize(
    ("verb", "request_", "ours"),
    [
        (
            "stop_instance",
            models.StopInstanceRequest(instance_id="i-1", stopped_mode="KeepCharging"),
            calls.stop_instance("i-1", force=False, stopped_mode=StoppedMode.KEEP_CHARGING),
        ),
        (
            "stop_instance",
            models.StopInstanceRequest(
                instance_id="i-1", force_stop=True, stopped_mode="StopCharging"
            ),
            calls.stop_instance("i-1", force=True, stopped_mode=StoppedMode.STOP_CHARGING),
        ),
        (
            "start_instance",
            models.StartInstanceRequest(instance_id="i-1"),
            calls.start_instance("i-1"),
        ),
        (
            "create_snapshot",
            models.CreateSnapshotRequest(
                disk_id="d-1", client_token="t", snapshot_name="n", retention_days=7
            ),
            calls.create_snapshot("d-1", client_token="t", name="n", retention_days=7),
        ),
        (
            "apply_auto_snapshot_policy",
            models.ApplyAutoSnapshotPolicyRequest(
                region_id="r", auto_snapshot_policy_id="sp-1", disk_ids='["d-1"]'
            ),
            calls.apply_auto_snapshot_policy("r", "sp-1", ["d-1"]),
        ),
        (
            "describe_instances",
            models.DescribeInstancesRequest(
                region_id="r",
                instance_ids='["i-1","i-2"]',
                max_results=100,
                additional_attributes=["LOGIN_AS_NON_ROOT"],
            ),
            calls.describe_instances("r", ["i-1", "i-2"]),
        ),
        (
            "describe_tasks",
            models.DescribeTasksRequest(
                region_id="r",
                task_action="ModifyDiskSpec",
                task_status="Processing",
                page_number=2,
                page_size=100,
            ),
            calls.describe_running_tasks("r", 2),
        ),
        (
            "describe_instance_types",
            models.DescribeInstanceTypesRequest(instance_types=["ecs.g7.large"]),
            calls.describe_instance_type("ecs.g7.large"),
        ),
        (
            "describe_available_resource",
            models.DescribeAvailableResourceRequest(
                region_id="r",
                destination_resource="SystemDisk",
                resource_type="instance",
                zone_id="r-h",
                instance_type="ecs.g7.large",
                io_optimized="optimized",
            ),
            calls.describe_supply("r", Slot("r-h", "ecs.g7.large")),
        ),
        (
            "describe_available_resource",
            models.DescribeAvailableResourceRequest(
                region_id="r",
                destination_resource="SystemDisk",
                resource_type="instance",
                zone_id="r-h",
                instance_type="ecs.g7.large",
                instance_charge_type="PrePaid",
                spot_strategy="NoSpot",
                io_optimized="none",
            ),
            calls.describe_supply("r", Slot("r-h", "ecs.g7.large", "PrePaid", "NoSpot", False)),
        ),
        ("describe_regions", models.DescribeRegionsRequest(), calls.describe_regions()),
        (
            "describe_disks",
            models.DescribeDisksRequest(region_id="r", disk_ids='["d-1"]', max_results=100),
            calls.describe_disks("r", ["d-1"]),
        ),
        (
            "describe_disks",
            models.DescribeDisksRequest(region_id="r", max_results=500, next_token="n"),
            calls.describe_all_disks("r", "n"),
        ),
        (
            "describe_images",
            models.DescribeImagesRequest(
                region_id="r",
                image_id="m-1",
                status="ALL",
                page_size=10,
                image_owner_alias="others",
                is_public=True,
            ),
            calls.describe_image("r", "m-1", owner="others", public=True),
        ),
        (
            "describe_image_support_instance_types",
            models.DescribeImageSupportInstanceTypesRequest(
                region_id="r", image_id="m-1", action_type="ChangeOS"
            ),
            calls.describe_image_support("r", "m-1"),
        ),
        (
            "describe_image_from_family",
            models.DescribeImageFromFamilyRequest(region_id="r", image_family="f"),
            calls.describe_image_from_family("r", "f"),
        ),
        (
            "describe_key_pairs",
            models.DescribeKeyPairsRequest(
                region_id="r", key_pair_name="k", page_number=1, page_size=50
            ),
            calls.describe_key_pairs("r", "k"),
        ),
        (
            "describe_snapshots",
            models.DescribeSnapshotsRequest(region_id="r", status="progressing", max_results=100),
            calls.describe_running_snapshots("r"),
        ),
        (
            "describe_disk_encryption_by_default_status",
            models.DescribeDiskEncryptionByDefaultStatusRequest(region_id="r"),
            calls.describe_default_encryption("r"),
        ),
    ],
)
def test_the_other_calls_are_those_of_the_typed_client(verb: Any, request_: Any, ours: Any) -> None:
    action, theirs = official(verb, request_)
    assert theirs == ours
    assert action.lower() == verb.replace("_", "")
