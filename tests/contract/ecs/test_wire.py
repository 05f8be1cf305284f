"""The wire protocol, as the official SDK and the older one speak it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from alibabacloud_ecs20140526 import models as m
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ServerException as OldServerException
from aliyunsdkcore.auth.composer.rpc_signature_composer import get_signed_url
from aliyunsdkcore.client import AcsClient
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import (
    DescribeInstancesRequest as OldDescribeInstances,
)
from darabonba.exceptions import UnretryableException

from sysdisk.ecs.catalog import catalog
from sysdisk.sandbox.ecs_control import ControlError, EcsControl
from sysdisk.sandbox.ecs_faults import Broken
from sysdisk.sandbox.ecs_server import EcsServer
from tests.support.ecs_fleet import REGION, Lab, in_thread, old_request, old_sdk, sdk

PASSWORD = "Pa%ss&w+rd 1/~*'\"ü"


def _replace(lab: Lab, **more: Any) -> m.ReplaceSystemDiskRequest:
    return m.ReplaceSystemDiskRequest(instance_id=lab.vm.id, image_id=lab.newer.id, **more)


async def test_the_sdk_is_understood_and_its_answers_fill_its_models(
    lab: Lab, server: EcsServer
) -> None:
    ask = m.DescribeInstancesRequest(
        region_id=REGION,
        instance_ids=json.dumps([lab.vm.id]),
        max_results=100,
        tag=[m.DescribeInstancesRequestTag(key="team", value="a b+c/~*ü%")],
    )
    lab.vm.tags = {"team": "a b+c/~*ü%"}
    body = (await in_thread(sdk(server, lab.key).describe_instances, ask)).body
    (vm,) = body.instances.instance
    assert (vm.instance_id, vm.status, vm.io_optimized) == (lab.vm.id, "Running", True)
    assert vm.operation_locks.lock_reason == []
    assert body.request_id == lab.cloud.requests[-1].request_id


async def test_every_parameter_of_a_replacement_arrives(lab: Lab, server: EcsServer) -> None:
    lab.stopped()
    key = lab.fleet.kms_key()
    ask = _replace(
        lab,
        client_token="tok",
        password="Pa%ss&w+rd1",
        encrypted=True,
        kmskey_id=key.id,
        security_enhancement_strategy="Deactive",
        use_additional_service=True,
        system_disk=m.ReplaceSystemDiskRequestSystemDisk(size=80),
        arn=[m.ReplaceSystemDiskRequestArn(rolearn="r", role_type="t", assume_role_for=1)],
    )
    disk_id = (await in_thread(sdk(server, lab.key).replace_system_disk, ask)).body.disk_id
    lab.settled()
    (effect,) = lab.cloud.effects_of("disk_replaced")
    params = effect.details["params"]
    assert (effect.details["new_disk_id"], effect.details["size_gib"]) == (disk_id, 80)
    assert params["Encrypted"] == params["UseAdditionalService"] == "True"
    assert (params["Arn.1.Rolearn"], params["KMSKeyId"]) == ("r", key.id)
    assert params["Password"].startswith("sha256:")
    assert "Pa%ss" not in repr(lab.cloud.state)


async def test_the_older_sdk_is_understood(lab: Lab, server: EcsServer) -> None:
    request = old_request(server, "DescribeInstances")
    request.add_query_param("RegionId", REGION)
    request.add_query_param("InstanceIds", json.dumps([lab.vm.id]))
    request.add_query_param("InstanceName", "*")
    answer = json.loads(await in_thread(old_sdk(server, lab.key).do_action_with_exception, request))
    assert [v["InstanceId"] for v in answer["Instances"]["Instance"]] == [lab.vm.id]


async def test_the_older_sdks_own_request_classes_work(lab: Lab, server: EcsServer) -> None:
    request = OldDescribeInstances()
    request.set_protocol_type("http")
    request.set_endpoint(server.endpoint)
    request.set_accept_format("json")
    answer = json.loads(await in_thread(old_sdk(server, lab.key).do_action_with_exception, request))
    assert answer["TotalCount"] == 1


async def test_a_wrong_secret_is_refused_whichever_way_it_signs(
    lab: Lab, server: EcsServer
) -> None:
    ask = m.DescribeRegionsRequest()
    with pytest.raises(ClientException) as new:
        await in_thread(sdk(server, lab.key, secret="wrong").describe_regions, ask)
    assert (new.value.status_code, new.value.code) == (400, "IncompleteSignature")
    client: AcsClient = old_sdk(server, lab.key, secret="wrong")
    with pytest.raises(OldServerException) as old:
        await in_thread(client.do_action_with_exception, old_request(server, "DescribeRegions"))
    assert old.value.get_error_code() == "IncompleteSignature"
    assert [r.code for r in lab.cloud.requests] == ["IncompleteSignature"] * 2


async def test_unknown_and_disabled_keys_are_refused(lab: Lab, server: EcsServer) -> None:
    ask = m.DescribeRegionsRequest()
    client = sdk(server, lab.key)
    lab.key.enabled = False
    with pytest.raises(ClientException) as disabled:
        await in_thread(client.describe_regions, ask)
    del lab.cloud.state.keys[lab.key.id]
    with pytest.raises(ClientException) as unknown:
        await in_thread(client.describe_regions, ask)
    assert disabled.value.code == "Forbidden.AccessKeyDisabled"
    assert (unknown.value.status_code, unknown.value.code) == (404, "InvalidAccessKeyId.NotFound")


@pytest.mark.parametrize("offset", [-3600.0, 3600.0])
async def test_a_clock_that_is_an_hour_off_is_refused(
    lab: Lab, server: EcsServer, offset: float
) -> None:
    server.clock_offset = offset
    with pytest.raises(ClientException) as late:
        await in_thread(sdk(server, lab.key).describe_regions, m.DescribeRegionsRequest())
    assert late.value.code == "InvalidTimeStamp.Expired"


async def test_a_replayed_request_is_refused(lab: Lab, server: EcsServer) -> None:
    params = {"Action": "DescribeRegions", "Version": "2014-05-26", "RegionId": REGION}
    url, _ = get_signed_url(params, lab.key.id, lab.key.secret, "JSON", "POST", {})
    async with aiohttp.ClientSession() as session:
        codes = []
        for _ in range(2):
            async with session.post(f"{server.url}{url}") as answer:
                codes.append((await answer.json()).get("Code", "OK"))
    assert codes == ["OK", "SignatureNonceUsed"]


async def test_an_unsigned_request_is_refused(server: EcsServer) -> None:
    async with aiohttp.ClientSession() as session:
        target = f"{server.url}/?Action=DescribeRegions&Version=2014-05-26"
        async with session.get(target) as answer:
            assert (answer.status, (await answer.json())["Code"]) == (400, "MissingParameter")


async def test_a_denied_action_names_itself(lab: Lab, server: EcsServer) -> None:
    lab.cloud.outside.set_key(lab.key.id, denied=("StopInstance",))
    ask = m.StopInstanceRequest(instance_id=lab.vm.id)
    with pytest.raises(ClientException) as denied:
        await in_thread(sdk(server, lab.key).stop_instance, ask)
    assert (denied.value.status_code, denied.value.code) == (403, "Forbidden.RAM")
    assert denied.value.access_denied_detail["AuthAction"] == "ecs:StopInstance"
    assert lab.cloud.look(lab.vm.id).status == "Running"


async def test_a_regions_own_port_does_not_find_what_lives_elsewhere(
    lab: Lab, server: EcsServer
) -> None:
    lab.fleet.region("cn-beijing")
    there = sdk(server, lab.key, endpoint=await server.endpoint_of("cn-beijing"))
    ask = m.StopInstanceRequest(instance_id=lab.vm.id)
    with pytest.raises(ClientException) as elsewhere:
        await in_thread(there.stop_instance, ask)
    assert elsewhere.value.code == "InvalidInstanceId.NotFound"
    await in_thread(sdk(server, lab.key).stop_instance, ask)
    assert lab.cloud.look(lab.vm.id).status == "Stopping"


async def test_temporary_credentials_work_until_they_expire(lab: Lab, server: EcsServer) -> None:
    role = lab.fleet.role("sysdisk", external_id="x")
    request = old_request(server, "AssumeRole", "2015-04-01")
    for name, value in {"RoleArn": role.arn, "RoleSessionName": "s", "ExternalId": "x"}.items():
        request.add_query_param(name, value)
    answer = json.loads(await in_thread(old_sdk(server, lab.key).do_action_with_exception, request))
    given = answer["Credentials"]
    config = Config(
        access_key_id=given["AccessKeyId"],
        access_key_secret=given["AccessKeySecret"],
        security_token=given["SecurityToken"],
        endpoint=server.endpoint,
        protocol="http",
    )
    client = type(sdk(server, lab.key))(config)
    await in_thread(client.describe_regions, m.DescribeRegionsRequest())
    assert lab.cloud.requests[-1].caller.endswith("assumed-role/sysdisk/s")
    server.clock_offset = 0.0
    lab.cloud.wall = lambda: server.wall() + 4000
    with pytest.raises(ClientException) as expired:
        await in_thread(client.describe_regions, m.DescribeRegionsRequest())
    assert expired.value.code == "InvalidSecurityToken.Expired"


async def test_a_role_that_does_not_trust_the_caller_is_not_assumed(
    lab: Lab, server: EcsServer
) -> None:
    role = lab.fleet.role("other", external_id="secret")
    request = old_request(server, "AssumeRole", "2015-04-01")
    request.add_query_param("RoleArn", role.arn)
    request.add_query_param("RoleSessionName", "s")
    with pytest.raises(OldServerException) as refused:
        await in_thread(old_sdk(server, lab.key).do_action_with_exception, request)
    assert (refused.value.get_http_status(), refused.value.get_error_code()) == (
        403,
        "NoPermission",
    )


async def test_an_oidc_token_is_exchanged_without_a_signature(lab: Lab, server: EcsServer) -> None:
    role = lab.fleet.role(
        "rrsa", oidc_provider="acs:ram::1:oidc-provider/ack", oidc_subjects=("s",)
    )
    params = {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "RoleArn": role.arn,
        "RoleSessionName": "n",
        "OIDCProviderArn": role.oidc_provider,
        "OIDCToken": "s",
    }
    async with aiohttp.ClientSession() as session:
        async with session.post(server.url, params=params) as good:
            assert (await good.json())["Credentials"]["AccessKeyId"].startswith("STS.")
        async with session.post(server.url, params={**params, "OIDCToken": "t"}) as bad:
            assert bad.status == 400


async def test_a_lost_answer_looks_the_same_whether_or_not_the_call_took_effect(
    lab: Lab, server: EcsServer
) -> None:
    client, ask = sdk(server, lab.key), m.StopInstanceRequest(instance_id=lab.vm.id)
    seen = []
    for side in ("before", "after"):
        lab.cloud.faults.drop("StopInstance", side)
        with pytest.raises(UnretryableException) as lost:
            await in_thread(client.stop_instance, ask)
        seen.append((lost.value.code, lab.cloud.look(lab.vm.id).status))
    assert seen == [(None, "Running"), (None, "Stopping")]


@pytest.mark.parametrize(
    "kind", [Broken.HTML_502, Broken.EMPTY_200, Broken.HALF_JSON, Broken.NOT_JSON]
)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(
    lab: Lab, server: EcsServer, kind: Broken
) -> None:
    lab.cloud.faults.garble("StopInstance", kind)
    ask = m.StopInstanceRequest(instance_id=lab.vm.id)
    with pytest.raises(UnretryableException):
        await in_thread(sdk(server, lab.key).stop_instance, ask)
    assert lab.cloud.look(lab.vm.id).status == "Stopping"


async def test_an_answer_with_unexpected_json_raises_nothing_and_has_no_fields(
    lab: Lab, server: EcsServer
) -> None:
    lab.stopped()
    lab.cloud.faults.garble("ReplaceSystemDisk", Broken.WRONG_JSON, side="before")
    answer = await in_thread(sdk(server, lab.key).replace_system_disk, _replace(lab))
    assert answer.body is None or answer.body.disk_id is None
    assert lab.cloud.effects_of("replacement_accepted") == []


async def test_a_refused_connection_is_an_unknown_outcome_and_the_server_comes_back(
    lab: Lab, server: EcsServer
) -> None:
    client = sdk(server, lab.key)
    await in_thread(client.describe_regions, m.DescribeRegionsRequest())
    await server.go_dark()
    with pytest.raises(UnretryableException):
        await in_thread(client.describe_regions, m.DescribeRegionsRequest())
    await server.come_back()
    await in_thread(client.describe_regions, m.DescribeRegionsRequest())


async def test_an_answer_later_than_the_timeout_is_an_unknown_outcome(
    lab: Lab, server: EcsServer
) -> None:
    lab.cloud.faults.delay("StopInstance", 1.0)
    client = sdk(server, lab.key, read_timeout=100)
    with pytest.raises(UnretryableException):
        await in_thread(client.stop_instance, m.StopInstanceRequest(instance_id=lab.vm.id))
    assert lab.cloud.look(lab.vm.id).status == "Stopping"


@pytest.mark.parametrize("row", range(1, 86))
def test_every_row_of_the_table_can_be_injected(lab: Lab, row: int) -> None:
    entry = catalog().rows[row]
    lab.cloud.faults.error("ReplaceSystemDisk", entry.code, http=entry.http, message=entry.message)
    assert lab.refused("ReplaceSystemDisk", InstanceId=lab.vm.id) == (entry.http, entry.code)


async def test_every_common_code_reaches_the_sdk_with_its_status(
    lab: Lab, server: EcsServer
) -> None:
    client, ask = sdk(server, lab.key), m.DescribeRegionsRequest()
    for entry in catalog().common:
        lab.cloud.faults.error("DescribeRegions", entry.code, http=entry.http)
        kind = ServerException if entry.http >= 500 else ClientException
        with pytest.raises(kind) as refused:
            await in_thread(client.describe_regions, ask)
        assert (refused.value.status_code, refused.value.code) == (entry.http, entry.code)
        assert refused.value.data["Message"] == entry.message


async def test_the_control_api_moves_the_world_from_outside(server: EcsServer) -> None:
    async with EcsControl(server.url) as control:
        made = await control.seed(3, team="other")
        vm = made["instances"][0]
        await control.change("lock", instance_id=vm, reason="security")
        assert [k.reason for k in await control.locks(vm)] == ["security"]
        await control.inject("StopInstance", "Throttling.User", times=2)
        assert (await control.state())["waiting_faults"][0]["code"] == "Throttling.User"
        assert [e.kind for e in await control.effects(instance_id=vm)] == ["locked"]
        with pytest.raises(ControlError, match="KeyError"):
            await control.freeze("i-nowhere")
        with pytest.raises(ControlError, match="what is one of"):
            await control.change("__init__")
        await control.reset(world=True)
        assert (await control.state())["instances"] == {}


async def test_what_only_reads_is_answered_to_a_get(server: EcsServer) -> None:
    async with EcsControl(server.url) as control, aiohttp.ClientSession(server.url) as plain:
        made = await control.seed(3, team="other")
        first, second = made["instances"][:2]
        for vm in (first, second):
            await control.change("lock", instance_id=vm, reason="security")

        async def read(path: str) -> Any:
            async with plain.get(f"/_control/{path}") as answer:
                return (await answer.json()).get("result", answer.status)

        assert [e["instance_id"] for e in await read("effects")] == [first, second]
        assert [e["instance_id"] for e in await read("effects?since=1")] == [second]
        assert (await read(f"locks?instance_id={first}"))[0]["reason"] == "security"
        assert {vm["id"] for vm in await read("instances")} >= set(made["instances"])
        assert {image["id"] for image in await read("images")} >= set(made["images"].values())
        assert [await read(verb) for verb in ("reset?world=1", "nothing")] == [405, 404]
        assert sum((await control.state())["instances"].values()) >= 3


async def test_a_hundred_instances_fit_into_one_call(lab: Lab, server: EcsServer) -> None:
    ids = [lab.fleet.instance(lab.image).id for _ in range(100)]
    ask = m.DescribeInstancesRequest(
        region_id=REGION, instance_ids=json.dumps(ids), max_results=100
    )
    body = (await in_thread(sdk(server, lab.key).describe_instances, ask)).body
    assert [v.instance_id for v in body.instances.instance] == ids


async def test_the_server_leaves_nothing_open(lab: Lab) -> None:
    async with EcsServer(lab.cloud) as server:
        await in_thread(sdk(server, lab.key).describe_regions, m.DescribeRegionsRequest())
    with pytest.raises(RuntimeError):
        _ = server.url
