"""The transport of the real SDK against the served cloud: every way in which a call can end."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from sysdisk.api.account import Credentials
from sysdisk.core.answers import ErrorClass
from sysdisk.ecs import parse, sdk
from sysdisk.ecs.calls import describe_instances
from sysdisk.ecs.connections import goes_directly
from sysdisk.ecs.endpoints import Address, account_address, ecs_address, sts_address
from sysdisk.ecs.errors import CredentialsError, NoAnswer, Refusal, Throttled, TooLate
from sysdisk.ecs.sdk import ECS_VERSION, SDK_LOGGERS, Timeouts, Wire
from sysdisk.ecs.threads import WRITES_AT_ONCE
from sysdisk.sandbox.ecs_faults import Side
from sysdisk.sandbox.ecs_fleet import HOME
from tests.contract.ecs_adapter.conftest import SECRET_REF, Site, answering


async def test_an_answer_is_the_decoded_json(site: Site) -> None:
    body = await site.transport().call("DescribeInstances", describe_instances(HOME, [site.vm.id]))
    assert list(parse.instances(body).found) == [site.vm.id]


async def test_parameters_arrive_as_they_were_given(site: Site) -> None:
    name = "ä b&c=d%e+f/~'\""
    site.fleet.key_pair(name)
    answer = {"RegionId": HOME, "KeyPairName": name}
    body = await site.transport().call("DescribeKeyPairs", answer)
    assert parse.key_pair_names(body) == (name,)


async def test_a_refusal_tells_code_status_message_request_id_and_what_to_do(site: Site) -> None:
    with pytest.raises(Refusal) as told:
        await site.transport().call("StartInstance", {"InstanceId": "i-nobody"})
    failure = told.value.failure
    assert (failure.code, failure.http_status) == ("InvalidInstanceId.NotFound", 404)
    assert failure.error_class is ErrorClass.USER
    assert failure.message
    assert failure.request_id
    assert failure.advice


@pytest.mark.parametrize("header", [False, True])
async def test_throttled_is_told_apart_with_and_without_a_time(site: Site, header: bool) -> None:
    site.server.cloud.faults.throttle("DescribeDisks", 0, header=header)
    with pytest.raises(Throttled) as told:
        await site.transport().call("DescribeDisks", {"RegionId": HOME})
    assert told.value.failure.throttled
    assert (told.value.retry_after is not None) == header
    assert told.value.retry_after is None or 0 < told.value.retry_after <= 60


@pytest.mark.parametrize(
    ("http", "code"), [(500, "OperationDenied"), (500, "InternalError"), (503, "What.Is.This")]
)
async def test_a_5xx_is_no_answer_and_keeps_its_code(site: Site, http: int, code: str) -> None:
    site.server.cloud.faults.error("StartInstance", code, http=http, message="The server failed.")
    with pytest.raises(NoAnswer) as told:
        await site.transport().call("StartInstance", {"InstanceId": site.vm.id})
    failure = told.value.failure
    assert (failure.code, failure.http_status) == (code, http)
    assert failure.error_class is ErrorClass.RETRY


async def test_an_internal_error_with_status_400_is_a_refusal_to_try_again(site: Site) -> None:
    site.server.cloud.faults.error("ReplaceSystemDisk", "InternalError", http=400)
    with pytest.raises(Refusal) as told:
        await site.transport().call("ReplaceSystemDisk", {"InstanceId": site.vm.id})
    assert told.value.failure.error_class is ErrorClass.RETRY


@pytest.mark.parametrize("kind", ["html-502", "empty-200", "half-json", "not-json"])
async def test_a_broken_answer_is_no_answer(site: Site, kind: str) -> None:
    site.server.cloud.faults.garble("StartInstance", kind)
    with pytest.raises(NoAnswer):
        await site.transport().call("StartInstance", {"InstanceId": site.vm.id})


async def test_json_too_deep_to_be_read_is_no_answer(site: Site) -> None:
    deep = b"[" * 200_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(deep)
    async with answering(lambda _: head + deep) as url:
        with pytest.raises(NoAnswer) as told:
            await site.transport(url=url).call("StartInstance", {"InstanceId": site.vm.id})
    assert told.value.failure.code == "Unreadable"


async def test_json_that_lacks_what_is_needed_is_unreadable_and_never_a_default(site: Site) -> None:
    site.server.cloud.faults.garble("DescribeInstances", "wrong-json")
    body = await site.transport().call("DescribeInstances", describe_instances(HOME, [site.vm.id]))
    with pytest.raises(NoAnswer) as told:
        parse.instances(body)
    assert told.value.failure.code == "Unreadable"


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_lost_connection_is_no_answer_whether_it_took_effect_or_not(
    site: Site, side: Side
) -> None:
    site.server.cloud.faults.drop("StartInstance", side)
    with pytest.raises(NoAnswer):
        await site.transport().call("StartInstance", {"InstanceId": site.vm.id})
    assert len(site.server.cloud.requests_of("StartInstance")) == 1  # no retry of the SDK's own


async def test_a_refused_connection_is_no_answer(site: Site) -> None:
    transport = site.transport()
    await site.server.go_dark()
    with pytest.raises(NoAnswer):
        await transport.call("StartInstance", {"InstanceId": site.vm.id})


async def test_an_answer_that_takes_too_long_is_no_answer(site: Site) -> None:
    site.server.cloud.faults.delay("StartInstance", 3.0, side="before")
    with pytest.raises(NoAnswer):
        await site.transport(Timeouts(read=0.2)).call("StartInstance", {"InstanceId": site.vm.id})


async def test_a_call_that_waits_past_its_fence_is_not_sent(site: Site) -> None:
    loop, busy = asyncio.get_running_loop(), threading.Event()
    for _ in range(WRITES_AT_ONCE):
        site.threads.of("StartInstance").submit(busy.wait, 10)
    fence = loop.time() + 0.05
    call = asyncio.create_task(
        site.transport().call("StartInstance", {"InstanceId": site.vm.id}, not_after=fence)
    )
    while loop.time() <= fence:
        await asyncio.sleep(0.01)
    busy.set()
    with pytest.raises(TooLate):
        await call
    assert site.server.cloud.requests_of("StartInstance") == []


async def test_a_call_whose_fence_falls_while_its_keys_are_fetched_is_not_sent(site: Site) -> None:
    role = {"assumeRole": {"roleArn": site.fleet.role("disks").arn}}
    spec = Credentials.from_api({**SECRET_REF, **role})
    site.credentials.use(spec, site.secret, endpoint=site.url)
    cloud = site.server.cloud
    wire = Wire(
        ecs_address(HOME, site.url), site.credentials, site.scrubber, Timeouts(), ECS_VERSION
    )
    answer = await asyncio.to_thread(
        wire.call,
        "StartInstance",
        {"InstanceId": site.vm.id},
        late=lambda: bool(cloud.requests_of("AssumeRole")),
    )
    assert isinstance(answer, TooLate)
    assert cloud.requests_of("AssumeRole")
    assert cloud.requests_of("StartInstance") == []


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
async def test_an_answer_that_drips_without_end_is_no_answer_and_its_connection_is_closed(
    site: Site, head: bytes
) -> None:
    closed = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        left = asyncio.create_task(reader.read())
        while not left.done():
            writer.write(b"H")
            await asyncio.wait([left], timeout=0.05)
        closed.set()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = site.transport(Timeouts(connect=5, read=5, total=0.3), url)
        with pytest.raises(NoAnswer):
            await transport.call("StartInstance", {"InstanceId": site.vm.id})
        await closed.wait()


async def test_a_start_waits_for_no_read_and_for_no_other_write(site: Site) -> None:
    busy = threading.Event()
    for action in ("DescribeInstances", "StopInstance", "GetCallerIdentity"):
        for _ in range(WRITES_AT_ONCE):
            site.threads.of(action).submit(busy.wait)
    try:
        async with asyncio.timeout(20):
            assert await site.transport().call("StartInstance", {"InstanceId": site.vm.id})
    finally:
        busy.set()


async def test_no_credentials_is_told_apart_from_no_answer(site: Site) -> None:
    site.credentials = type(site.credentials)(site.scrubber)
    with pytest.raises(CredentialsError):
        await site.transport().call("StartInstance", {"InstanceId": site.vm.id})


async def test_the_identity_and_the_difference_of_the_clocks_are_told(site: Site) -> None:
    site.server.clock_offset = 240.0
    who = await sdk.who_am_i(site.url, site.credentials, site.threads, scrubber=site.scrubber)
    assert (who.account_id, who.arn, who.type) == (site.key.account, site.key.arn, "RAMUser")
    assert who.skew is not None
    assert 235 < who.skew < 245


async def test_a_wrong_key_is_refused_by_its_name(site: Site) -> None:
    site.server.cloud.state.keys.clear()
    with pytest.raises(Refusal) as told:
        await sdk.who_am_i(site.url, site.credentials, site.threads, scrubber=site.scrubber)
    assert told.value.failure.code == "InvalidAccessKeyId.NotFound"


async def test_the_event_loop_stays_free_while_ecs_takes_its_time(site: Site) -> None:
    site.server.cloud.faults.delay("DescribeDisks", 0.5, side="before")
    call = asyncio.create_task(site.transport().call("DescribeDisks", {"RegionId": HOME}))
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 5


async def test_a_proxy_is_not_asked_for_a_loopback_endpoint(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await site.transport().call("DescribeDisks", {"RegionId": HOME})


def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "ecs.cn-beijing.aliyuncs.com,.internal")
    monkeypatch.setenv("no_proxy", "ecs.cn-beijing.aliyuncs.com,.internal")
    assert goes_directly("https://ecs.cn-beijing.aliyuncs.com/?A=1")
    assert goes_directly("https://ecs.internal:8443/?A=1")
    assert goes_directly("http://100.100.100.200/latest/meta-data/")
    assert goes_directly("http://[::1]:8080/")
    assert goes_directly("http://localhost:8080/?x=1")
    assert not goes_directly("https://ecs.cn-qingdao.aliyuncs.com/?A=1")


def test_the_sdk_writes_nothing_to_the_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in SDK_LOGGERS:
        logger = logging.getLogger(name)
        assert not [h for h in logger.handlers if type(h) is logging.StreamHandler]
        logger.setLevel(logging.DEBUG)
        logger.warning("GET /?Password=hunter2")
        logger.setLevel(logging.CRITICAL)
    assert capfd.readouterr() == ("", "")
    assert "hunter2" not in caplog.text


def test_endpoints_are_those_of_the_official_sdk() -> None:
    from alibabacloud_ecs20140526.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    known = Client(Config(region_id="cn-beijing"))._endpoint_map
    for region in [*known, "cn-beijing", "eu-central-1", "cn-shenzhen", "me-central-1"]:
        official = Client(Config(region_id=region))._endpoint
        assert ecs_address(region) == Address("https", official)


def test_plain_http_is_for_loopback_only() -> None:
    assert ecs_address("x", "http://127.0.0.1:80/") == Address("http", "127.0.0.1:80")
    assert ecs_address("x", "https://ecs.example.com/") == Address("https", "ecs.example.com")
    assert ecs_address("x", "ecs-vpc.example.com") == Address("https", "ecs-vpc.example.com")
    for url in ("http://ecs.example.com", "http://127.0.0.1.evil.com", "ftp://x", "https://"):
        with pytest.raises(ValueError, match="http"):
            ecs_address("x", url)


def test_an_endpoint_leads_to_the_region_of_its_account_alone() -> None:
    own, others = Address("https", "ecs-vpc.x.example.com"), ecs_address("cn-beijing")
    assert account_address("cn-qingdao", "cn-qingdao", own.host) == own
    assert account_address("cn-beijing", "cn-qingdao", own.host) == others
    assert account_address("cn-beijing", "cn-qingdao", "") == others
    simulator = Address("http", "127.0.0.1:80")
    assert account_address("cn-beijing", "cn-qingdao", "http://127.0.0.1:80") == simulator
    with pytest.raises(ValueError, match="http"):
        account_address("cn-beijing", "cn-qingdao", "http://ecs.example.com")


@pytest.mark.parametrize(
    ("region_id", "inside", "host"),
    [
        ("cn-beijing", "", "sts.cn-beijing.aliyuncs.com"),
        ("cn-beijing", "True", "sts-vpc.cn-beijing.aliyuncs.com"),
        ("", "true", "sts.aliyuncs.com"),
    ],
)
def test_the_environment_names_the_region_of_sts_and_whether_inside_a_vpc(
    monkeypatch: pytest.MonkeyPatch, region_id: str, inside: str, host: str
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_STS_REGION", region_id)
    monkeypatch.setenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", inside)
    assert sts_address("ecs-vpc.cn-beijing.aliyuncs.com") == Address("https", host)
    assert sts_address("http://127.0.0.1:80") == Address("http", "127.0.0.1:80")


def test_sts_is_the_public_one_unless_the_endpoint_is_a_simulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ALIBABA_CLOUD_STS_REGION", raising=False)
    assert sts_address("http://[::1]:99") == Address("http", "[::1]:99")
    for url in ("", "ecs-vpc.cn-hangzhou.aliyuncs.com", "https://proxy.example.com"):
        assert sts_address(url) == Address("https", "sts.aliyuncs.com")
