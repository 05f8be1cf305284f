"""What an account says when STS, the keys or the clock are at fault: the right one is blamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sysdisk.api.account import Credentials, EcsAccountSpec
from sysdisk.api.reasons import AccountReason
from sysdisk.controllers import account_health
from sysdisk.controllers.account_health import Health
from sysdisk.controllers.services import connections
from sysdisk.ecs import sdk
from sysdisk.ecs.errors import EcsError, NoAnswer
from sysdisk.ecs.key_sources import TOKEN_FILE_VARIABLE
from sysdisk.sandbox.ecs_fleet import HOME
from tests.contract.ecs_adapter.conftest import SECRET_REF, Site, answering

RRSA = {"rrsa": {"roleArn": "acs:ram::1:role/r", "oidcProviderArn": "acs:ram::1:oidc-provider/p"}}


async def health(site: Site, credentials: Mapping[str, object], url: str = "") -> Health:
    spec = EcsAccountSpec.from_api({"regionId": HOME, "credentials": credentials})
    url = url or site.url
    site.credentials.use(Credentials.from_api(credentials), site.secret, endpoint=url)
    with pytest.raises(EcsError) as told:
        await sdk.who_am_i(url, site.credentials, site.threads, scrubber=site.scrubber)
    return account_health.of_failure(told.value, spec)


def out_of_reach(site: Site) -> None:
    site.server.cloud.faults.drop("AssumeRole", "before")


def failing(site: Site) -> None:
    site.server.cloud.faults.error("AssumeRole", "InternalError", http=500)


def throttled(site: Site) -> None:
    site.server.cloud.faults.error("AssumeRole", "Throttling.User", http=400)


def another_time(site: Site) -> None:
    site.server.clock_offset = 3000.0


def not_trusted(site: Site) -> None:
    site.server.cloud.faults.error("AssumeRole", "NoPermission", http=403)


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        (out_of_reach, AccountReason.UNREACHABLE, "STS"),
        (failing, AccountReason.UNREACHABLE, "InternalError"),
        (throttled, AccountReason.UNREACHABLE, "Throttling.User"),
        (another_time, AccountReason.CLOCK_SKEWED, "InvalidTimeStamp.Expired"),
        (not_trusted, AccountReason.CREDENTIALS_INVALID, "NoPermission"),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
async def test_what_keeps_a_role_from_being_assumed_is_told_by_its_own_name(
    site: Site, fault: Callable[[Site], None], reason: AccountReason, says: str
) -> None:
    fault(site)
    role = {"assumeRole": {"roleArn": site.fleet.role("disks").arn}}
    found = await health(site, {**SECRET_REF, **role})
    assert found.reason is reason
    assert says in found.message


async def test_an_account_whose_endpoint_is_silent_holds_up_no_other(site: Site) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await done.wait()
        writer.close()

    done, connect = asyncio.Event(), connections(1, site.scrubber)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        dark = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ways = [connect(), connect()]
        for way, endpoint in zip(ways, (dark, site.url), strict=True):
            spec = {"regionId": HOME, "endpoint": endpoint, "credentials": SECRET_REF}
            await way.use(EcsAccountSpec.from_api(spec), site.secret)
        hanging = asyncio.create_task(ways[0].transport(HOME).call("DescribeRegions", {}))
        await asked.wait()
        assert await ways[1].transport(HOME).call("DescribeRegions", {})
        done.set()
        with pytest.raises(NoAnswer):
            await hanging
    for way in ways:
        way.close()


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("a.b.c", encoding="ascii")
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(path))


@pytest.mark.usefixtures("token_file")
async def test_an_sts_that_does_not_answer_rrsa_is_out_of_reach(site: Site) -> None:
    await site.server.go_dark()
    found = await health(site, RRSA)
    assert found.reason is AccountReason.UNREACHABLE
    assert "did not answer" in found.message


@pytest.mark.usefixtures("token_file")
async def test_an_sts_that_refuses_rrsa_is_told_by_its_code(site: Site) -> None:
    body = b'{"Code":"AuthenticationFail.NoPermission","Message":"no"}'
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with answering(lambda _: head + body) as url:
        found = await health(site, RRSA, url)
    assert found.reason is AccountReason.CREDENTIALS_INVALID
    assert "AuthenticationFail.NoPermission" in found.message
