"""The keys that an account's requests are signed with, and where they come from.

The SDK asks for them in a thread at every call, so whatever a source needs (STS, the metadata
service, a token file) is waited for there, never on the event loop. The last keys that worked stay
in memory: when their source fails or vanishes they are used until they expire, because a machine
that was stopped must be started again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
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

from sysdisk.api.account import AssumeRole, Credentials
from sysdisk.ecs import parse
from sysdisk.ecs.endpoints import sts_address
from sysdisk.ecs.errors import CredentialsError, EcsError, NoAnswer
from sysdisk.ecs.failures import credentials_out_of_reach, no_credentials
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.sdk import DEFAULT_TIMEOUTS, STS_VERSION, Timeouts, Wire

SESSION_NAME = "sysdisk"
SESSION_SECONDS = 3600
REFRESH_BEFORE = 900
"""Seconds of life left at which a new session is asked for."""
TOKEN_FILE_VARIABLE = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"  # noqa: S105 - a variable's name


class Provider(Protocol):
    """A source of keys, as the credentials library shapes it."""

    def get_credentials(self) -> Any: ...

    def get_provider_name(self) -> str: ...


class AccountCredentials:
    """What the SDK asks for the keys of one account. Safe to use from any thread.

    `lost` says why the source is gone while its last keys are still used, None if it is not.
    """

    def __init__(self, scrubber: Scrubber, *, now: Callable[[], float] = time.time) -> None:
        self._scrubber = scrubber
        self._now = now
        self._lock = threading.Lock()
        self._provider: Provider | None = None
        self._made_from: object = None
        self._last: VendorKeys | None = None
        self._secrets: tuple[str, ...] = ()
        self.lost: str | None = None

    def use(
        self,
        spec: Credentials,
        secret: Mapping[str, bytes] | None = None,
        *,
        endpoint: str = "",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> bool:
        """Take keys from `spec` from now on; return whether anything changed.

        `secret` is the data of the Secret that `secretRef` names, `endpoint` that of the account.
        Reads files and the environment: call it in a thread. Raises CredentialsError, and then
        goes on with what it had.
        """
        made_from = (spec, tuple(sorted((secret or {}).items())), endpoint)
        if made_from == self._made_from and self.lost is None:
            return False
        base = _base(spec, secret, endpoint, self._scrubber)
        provider = (
            base if spec.assume_role is None else self._assumed(base, spec, endpoint, timeouts)
        )
        with self._lock:
            self._provider, self._made_from, self._last = provider, made_from, None
            self.lost = None
        return True

    def lose(self, why: str) -> bool:
        """Note that the source is gone; return whether the last keys can still be used.

        A Secret that vanished says nothing about its keys: they work until ECS refuses them.
        """
        self.lost = why
        return self._provider is not None

    @property
    def known(self) -> bool:
        """Whether there is a source at all."""
        return self._provider is not None

    def get_credential(self) -> CredentialModel:
        """Return the keys to sign with now. Raises CredentialsError. For threads."""
        with self._lock:
            provider, last = self._provider, self._last
        if provider is None:
            raise no_credentials(self.lost or "no credentials have been read yet")
        try:
            keys = provider.get_credentials()
        except Exception as fault:  # a library's text may hold keys: none may leave
            if last is None or not self._alive(last):
                raise _unusable(fault) from None
            keys = last
        self._keep(provider, keys)
        return _model(keys)

    def _assumed(
        self, base: Provider, spec: Credentials, endpoint: str, timeouts: Timeouts
    ) -> Provider:
        assert spec.assume_role is not None
        wire = Wire(sts_address(endpoint), _Client(base), self._scrubber, timeouts, STS_VERSION)
        return AssumedRole(wire, base.get_provider_name(), spec.assume_role, self._now)

    def _alive(self, keys: VendorKeys) -> bool:
        expires = keys.get_expiration()
        return expires is None or self._now() < expires

    def _keep(self, provider: Provider, keys: VendorKeys) -> None:
        secrets = (keys.get_access_key_secret(), keys.get_security_token() or "")
        with self._lock:
            if provider is self._provider:
                self._last = keys
            if secrets != self._secrets:
                self._scrubber.add(*secrets)
                self._scrubber.drop(*self._secrets)
                self._secrets = secrets


class AssumedRole:
    """Keys of a role, by STS AssumeRole with the keys of `base`. Source: STS 2015-04-01.

    Asked for again when less than 15 minutes of life are left; while STS does not answer, the old
    ones are given out until they expire (the library's own provider refuses them, 1.0.12).
    """

    def __init__(self, wire: Wire, base: str, role: AssumeRole, now: Callable[[], float]) -> None:
        self._now = now
        self._wire = wire
        self._base = base
        self._role = role
        self._keys: VendorKeys | None = None
        self._lock = threading.Lock()

    def get_credentials(self) -> VendorKeys:
        """Return the keys of the session. Raises EcsError."""
        with self._lock:
            left = self._keys.get_expiration() - self._now() if self._keys else 0.0
            if self._keys is None or left < REFRESH_BEFORE:
                answer = self._ask()
                if isinstance(answer, EcsError):
                    if left <= 0:
                        raise answer
                else:
                    self._keys = answer
            assert self._keys is not None
            return self._keys

    def get_provider_name(self) -> str:
        return f"ram_role_arn/{self._base}"

    def _ask(self) -> VendorKeys | EcsError:
        params = {
            "RoleArn": self._role.role_arn,
            "RoleSessionName": self._role.session_name or SESSION_NAME,
            "DurationSeconds": str(SESSION_SECONDS),
        }
        if self._role.external_id:
            params["ExternalId"] = self._role.external_id
        body = self._wire.call("AssumeRole", params)
        if isinstance(body, EcsError):
            return body
        try:
            session = parse.session(body)
        except EcsError as error:
            return error
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
        return _model(self._provider.get_credentials())


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


def _unusable(fault: Exception) -> CredentialsError:
    if isinstance(fault, CredentialsError):  # it says so already
        return fault
    why = fault.failure.text() if isinstance(fault, EcsError) else "their source failed"
    text = f"there are no usable credentials: {why}"
    if isinstance(fault, NoAnswer):
        return credentials_out_of_reach(text)
    return no_credentials(text)


def _model(keys: VendorKeys) -> CredentialModel:
    return CredentialModel(
        access_key_id=keys.get_access_key_id(),
        access_key_secret=keys.get_access_key_secret(),
        security_token=keys.get_security_token(),
        type="sts" if keys.get_security_token() else "access_key",
        provider_name=keys.get_provider_name(),
    )
