"""Where an account's keys come from: a Secret, RRSA, the instance's role, the chain, a role on top.

A source is asked in a thread and may wait there. Whatever a library says stays inside: its texts
may hold keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from alibabacloud_credentials.models import CredentialModel
from alibabacloud_credentials.provider import (
    DefaultCredentialsProvider,
    EcsRamRoleCredentialsProvider,
    OIDCRoleArnCredentialsProvider,
    StaticAKCredentialsProvider,
    StaticSTSCredentialsProvider,
)
from alibabacloud_credentials.provider.refreshable import Credentials as VendorKeys
from Tea.exceptions import RetryError

from sysdisk.api.account import AssumeRole, Credentials
from sysdisk.core.answers import ErrorClass
from sysdisk.ecs import parse
from sysdisk.ecs.connections import Bounds, bounded
from sysdisk.ecs.endpoints import sts_address
from sysdisk.ecs.errors import CredentialsError, EcsError, NoAnswer
from sysdisk.ecs.failures import credentials_out_of_reach, no_credentials, refusal
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.sdk import DEFAULT_TIMEOUTS, STS_VERSION, Timeouts, Wire

SESSION_NAME = "sysdisk"
SESSION_SECONDS = 3600
REFRESH_BEFORE = 900
"""Seconds of life left at which a new session is asked for."""
TOKEN_FILE_VARIABLE = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"  # noqa: S105 - a variable's name
_NONE = "there are no usable credentials"
_ANSWERED = re.compile(r'http_code: (\d+),.*?"Code"\s*:\s*"([A-Za-z0-9.]+)"', re.DOTALL)
"""How the library tells an answer of STS (alibabacloud-credentials 1.0.12, oidc.py)."""


class Provider(Protocol):
    """A source of keys, as the credentials library shapes it."""

    def get_credentials(self) -> Any: ...

    def get_provider_name(self) -> str: ...


def source(
    spec: Credentials,
    secret: Mapping[str, bytes] | None,
    endpoint: str,
    scrubber: Scrubber,
    timeouts: Timeouts,
    now: Callable[[], float],
) -> Provider:
    """Return what gives the keys that `spec` names; see `AccountCredentials.use`.

    Reads the environment. Raises CredentialsError.
    """
    base = _base(spec, secret, endpoint, scrubber)
    if spec.assume_role is None:
        return base
    wire = Wire(sts_address(endpoint), _Client(base), scrubber, timeouts, STS_VERSION)
    return AssumedRole(wire, base.get_provider_name(), spec.assume_role, now)


def ask(provider: Provider) -> VendorKeys:
    """Return the keys of `provider`. Raises CredentialsError, without what the library said."""
    with bounded(DEFAULT_TIMEOUTS.total) as bounds:
        try:
            keys: VendorKeys = provider.get_credentials()
        except Exception as fault:
            raise _unusable(fault, bounds) from None
    return keys


def _unusable(fault: Exception, bounds: Bounds) -> CredentialsError:
    if isinstance(fault, EcsError):
        return _not_given(fault)
    if answered := _ANSWERED.search(str(fault)):
        return _not_given(refusal(answered[2], int(answered[1]), "STS gave no session"))
    if bounds.unanswered or isinstance(fault, RetryError):
        return credentials_out_of_reach(f"{_NONE}: their source did not answer")
    return no_credentials(f"{_NONE}: their source failed")


def _not_given(error: EcsError) -> CredentialsError:
    """Return the error for keys that STS did not give; the code of a refusal is kept."""
    failure = error.failure
    if isinstance(error, CredentialsError):
        return error
    if isinstance(error, NoAnswer):
        return credentials_out_of_reach(f"{_NONE}: {failure.text()}")
    text = f"{_NONE}: {failure.message or failure.code}"
    given = no_credentials(text).failure if failure.error_class is ErrorClass.USER else failure
    kept = replace(given, code=failure.code, message=text, request_id=failure.request_id)
    return CredentialsError(kept)


class AssumedRole:
    """Keys of a role, by STS AssumeRole with the keys of `base`. Source: STS 2015-04-01.

    Asked for again when less than 15 minutes of life are left. One thread asks at a time: see
    `AccountCredentials`.
    """

    def __init__(self, wire: Wire, base: str, role: AssumeRole, now: Callable[[], float]) -> None:
        self._now = now
        self._wire = wire
        self._base = base
        self._role = role
        self._keys: VendorKeys | None = None

    def get_credentials(self) -> VendorKeys:
        """Return the keys of the session. Raises EcsError."""
        keys = self._keys
        if keys is None or keys.get_expiration() - self._now() < REFRESH_BEFORE:
            keys = self._keys = self._open()
        return keys

    def get_provider_name(self) -> str:
        return f"ram_role_arn/{self._base}"

    def _open(self) -> VendorKeys:
        params = {
            "RoleArn": self._role.role_arn,
            "RoleSessionName": self._role.session_name or SESSION_NAME,
            "DurationSeconds": str(SESSION_SECONDS),
        }
        if self._role.external_id:
            params["ExternalId"] = self._role.external_id
        body = self._wire.call("AssumeRole", params)
        if isinstance(body, EcsError):
            raise body
        session = parse.session(body)
        return VendorKeys(
            access_key_id=session.access_key_id,
            access_key_secret=session.access_key_secret,
            security_token=session.security_token,
            expiration=session.expires_at.timestamp(),
            provider_name=self.get_provider_name(),
        )


class _Client:
    """A provider as the SDK's client wants it."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def get_credential(self) -> CredentialModel:
        return model(ask(self._provider))

    def refused(self, keys: CredentialModel) -> None:
        """Do nothing: what STS refused is told as the answer to AssumeRole."""


def keys_in(secret: Mapping[str, bytes] | None) -> tuple[str, str, str]:
    """Return accessKeyId, accessKeySecret and securityToken (or "") of a Secret's data.

    Raises CredentialsError that names the key at fault, never its value.
    """
    if secret is None:
        raise no_credentials("the Secret with the access key was not found")
    found = [_text(secret, name) for name in ("accessKeyId", "accessKeySecret", "securityToken")]
    for name, value in zip(("accessKeyId", "accessKeySecret"), found, strict=False):
        if not value:  # the library would silently take the operator's own from the environment
            raise no_credentials(f"the Secret with the access key has no {name}, or an empty one")
    return found[0], found[1], found[2]


def _text(secret: Mapping[str, bytes], name: str) -> str:
    try:
        text = secret.get(name, b"").decode("ascii").strip()
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise no_credentials(f"{name} in the Secret with the access key is not plain text")
    return text


def _base(
    spec: Credentials, secret: Mapping[str, bytes] | None, endpoint: str, scrubber: Scrubber
) -> Provider:
    try:
        return _source(spec, secret, endpoint, scrubber)
    except ValueError:  # so the library says that something is missing
        why = "the source of the credentials is not complete, or is switched off by the environment"
        raise no_credentials(why) from None


def _source(
    spec: Credentials, secret: Mapping[str, bytes] | None, endpoint: str, scrubber: Scrubber
) -> Provider:
    provider: Provider
    if spec.secret_ref is not None:
        key_id, key_secret, token = keys_in(secret)
        scrubber.add(key_secret, token)
        if token:
            provider = StaticSTSCredentialsProvider(
                access_key_id=key_id, access_key_secret=key_secret, security_token=token
            )
        else:
            provider = StaticAKCredentialsProvider(
                access_key_id=key_id, access_key_secret=key_secret
            )
        return provider
    if spec.rrsa is not None:
        return _rrsa(spec.rrsa.role_arn, spec.rrsa.oidc_provider_arn, endpoint)
    if spec.ecs_ram_role is not None:
        provider = EcsRamRoleCredentialsProvider(
            role_name=spec.ecs_ram_role.name, async_update_enabled=False
        )
        return provider
    if spec.chain:
        provider = DefaultCredentialsProvider()
        return provider
    raise no_credentials("`credentials` names no source")


def _rrsa(role_arn: str, provider_arn: str, endpoint: str) -> Provider:
    path = os.environ.get(TOKEN_FILE_VARIABLE, "")
    if not path:
        why = f"rrsa needs a service account token: {TOKEN_FILE_VARIABLE} is not set"
        raise no_credentials(why)
    sts = sts_address(endpoint)
    provider: Provider = OIDCRoleArnCredentialsProvider(
        role_arn=role_arn,
        oidc_provider_arn=provider_arn,
        oidc_token_file_path=path,
        role_session_name=SESSION_NAME,
        duration_seconds=SESSION_SECONDS,
        sts_endpoint=sts.host if sts.protocol == "https" else f"{sts.protocol}://{sts.host}",
    )
    return provider


def model(keys: VendorKeys) -> CredentialModel:
    """Return `keys` as the SDK's client wants them."""
    return CredentialModel(
        access_key_id=keys.get_access_key_id(),
        access_key_secret=keys.get_access_key_secret(),
        security_token=keys.get_security_token(),
        type="sts" if keys.get_security_token() else "access_key",
        provider_name=keys.get_provider_name(),
    )
