"""Where the keys come from, how they change, and what happens when their source is gone."""

from __future__ import annotations

import asyncio
import time

import pytest

from sysdisk.api.account import Credentials
from sysdisk.core.answers import ErrorClass
from sysdisk.ecs import sdk
from sysdisk.ecs.credentials import AccountCredentials, _unusable, keys_in
from sysdisk.ecs.errors import CredentialsError, Refusal
from sysdisk.ecs.failures import no_credentials
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.sdk import Identity
from tests.contract.ecs_adapter.conftest import SECRET_REF, Site

STATIC = Credentials.from_api(SECRET_REF)


async def who(site: Site) -> Identity:
    return await sdk.who_am_i(site.url, site.credentials, site.threads, scrubber=site.scrubber)


async def test_a_rotated_secret_is_used_at_once_and_the_old_key_no_more(site: Site) -> None:
    assert (await who(site)).arn == site.key.arn
    old = site.secret
    site.key = site.fleet.access_key("successor")
    assert not site.credentials.use(STATIC, old, endpoint=site.url)
    assert site.credentials.use(STATIC, site.secret, endpoint=site.url)
    assert (await who(site)).arn == site.key.arn


async def test_keys_whose_secret_vanished_stay_in_use_until_ecs_refuses_them(site: Site) -> None:
    await who(site)
    with pytest.raises(CredentialsError):
        site.credentials.use(STATIC, None, endpoint=site.url)
    assert site.credentials.lose("the Secret ops/ecs is gone")
    assert site.credentials.lost == "the Secret ops/ecs is gone"
    assert (await who(site)).arn == site.key.arn
    site.server.cloud.outside.set_key(site.key.id, enabled=False)
    with pytest.raises(Refusal):
        await who(site)


async def test_a_source_that_comes_back_is_used_again(site: Site) -> None:
    site.credentials.lose("gone")
    assert site.credentials.use(STATIC, site.secret, endpoint=site.url)
    assert site.credentials.lost is None


async def test_a_role_is_assumed_on_top(site: Site) -> None:
    role = site.fleet.role("disks")
    spec = Credentials.from_api(
        {**SECRET_REF, "assumeRole": {"roleArn": role.arn, "sessionName": "night-shift"}}
    )
    site.credentials.use(spec, site.secret, endpoint=site.url)
    identity = await who(site)
    assert identity.type == "AssumedRoleUser"
    assert "disks/night-shift" in identity.arn
    await who(site)
    assert len(site.server.cloud.requests_of("AssumeRole")) == 1


async def test_a_role_that_may_not_be_assumed_says_why_and_tells_no_keys(site: Site) -> None:
    spec = Credentials.from_api({**SECRET_REF, "assumeRole": {"roleArn": "acs:ram::1:role/none"}})
    site.credentials.use(spec, site.secret, endpoint=site.url)
    with pytest.raises(CredentialsError) as told:
        await who(site)
    text = told.value.failure.text()
    assert "EntityNotExist" in text
    assert site.key.secret not in text


def test_a_source_without_keys_is_told_once_also_under_a_role() -> None:
    told = _unusable(no_credentials("the source of the credentials gave none"))
    assert told.failure.text() == "CredentialsInvalid: the source of the credentials gave none"


async def test_sts_out_of_reach_is_not_called_a_wrong_key(site: Site) -> None:
    role = site.fleet.role("disks")
    spec = Credentials.from_api({**SECRET_REF, "assumeRole": {"roleArn": role.arn}})
    site.credentials.use(spec, site.secret, endpoint=site.url)
    site.server.cloud.faults.drop("AssumeRole", "before")
    with pytest.raises(CredentialsError) as told:
        await who(site)
    assert told.value.failure.code == "CredentialsUnavailable"
    assert told.value.failure.error_class is ErrorClass.RETRY


async def test_session_keys_live_on_while_sts_is_out_of_reach_and_not_longer(site: Site) -> None:
    late = 0.0
    site.credentials = AccountCredentials(site.scrubber, now=lambda: time.time() + late)
    role = site.fleet.role("disks")
    spec = Credentials.from_api({**SECRET_REF, "assumeRole": {"roleArn": role.arn}})
    site.credentials.use(spec, site.secret, endpoint=site.url)
    keys = site.credentials.get_credential
    first = await asyncio.to_thread(keys)
    assert site.scrubber.knows(first.access_key_secret)
    assert site.scrubber.knows(first.security_token)
    site.server.cloud.faults.drop("AssumeRole", "before", times=2)
    late = 3000.0  # ten minutes of life are left: new ones are asked for
    again = await asyncio.to_thread(keys)
    assert again.access_key_id == first.access_key_id
    assert len(site.server.cloud.requests_of("AssumeRole")) == 2
    late = 3700.0
    with pytest.raises(CredentialsError):
        await asyncio.to_thread(keys)
    late = 3000.0
    fresh = await asyncio.to_thread(keys)
    assert fresh.access_key_id != first.access_key_id


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (None, "not found"),
        ({}, "accessKeyId"),
        ({"accessKeyId": b"a"}, "accessKeySecret"),
        ({"accessKeyId": b"a", "accessKeySecret": b" "}, "accessKeySecret"),
        ({"accessKeyId": b"a", "accessKeySecret": b"\xff\xfe"}, "accessKeySecret"),
        ({"accessKeyId": b"a\nb: c", "accessKeySecret": b"s"}, "accessKeyId"),
    ],
)
def test_a_secret_at_fault_is_told_by_the_key_and_without_its_value(
    secret: dict[str, bytes], says: str
) -> None:
    with pytest.raises(CredentialsError, match=says) as told:
        keys_in(secret)
    assert "\xff" not in str(told.value)


def test_a_line_end_around_a_key_does_no_harm() -> None:
    assert keys_in({"accessKeyId": b"a\n", "accessKeySecret": b" s\n"}) == ("a", "s", "")


def test_an_empty_secret_never_falls_back_to_the_environment(
    site_free: AccountCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "alibabacloud_credentials.utils.auth_util.environment_access_key_id", "from-env"
    )
    monkeypatch.setattr(
        "alibabacloud_credentials.utils.auth_util.environment_access_key_secret", "from-env"
    )
    with pytest.raises(CredentialsError):
        site_free.use(STATIC, {"accessKeyId": b"", "accessKeySecret": b""})
    assert not site_free.known


def test_rrsa_without_a_token_file_says_which_variable_is_missing(
    site_free: AccountCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", raising=False)
    rrsa = {"rrsa": {"roleArn": "acs:ram::1:role/r", "oidcProviderArn": "acs:ram::1:oidc/p"}}
    with pytest.raises(CredentialsError, match="ALIBABA_CLOUD_OIDC_TOKEN_FILE"):
        site_free.use(Credentials.from_api(rrsa))


def test_a_role_of_the_instance_that_is_switched_off_is_told(
    site_free: AccountCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "alibabacloud_credentials.utils.auth_util.environment_ecs_metadata_disabled", "true"
    )
    with pytest.raises(CredentialsError, match="switched off"):
        site_free.use(Credentials.from_api({"ecsRamRole": {"name": "r"}}))


@pytest.fixture
def site_free() -> AccountCredentials:
    return AccountCredentials(Scrubber())
