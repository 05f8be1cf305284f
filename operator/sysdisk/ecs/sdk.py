"""The only importer of the vendor SDK: raw calls in threads, and its surprises kept inside.

Every call goes through the SDK's generic `call_api`, which signs and sends; the answers are
decoded here. The SDK's own asynchronous calls and its typed models are not used: the first cost
33 ms of CPU on the event loop each, the second 50 MB. Parameters, the password among them, travel
in the URL and come back in the SDK's exception texts, so nothing of an exception leaves the thread
but Code, Message and RequestId of an error answer that could be parsed, with secrets masked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from alibabacloud_tea_openapi import utils_models
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from darabonba.core import DaraCore
from darabonba.exceptions import UnretryableException
from darabonba.runtime import RuntimeOptions
from Tea.core import TeaCore

from sysdisk.ecs.connections import bounded, take_over
from sysdisk.ecs.endpoints import Address, account_address, sts_address
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.failures import no_answer, no_credentials, refusal, too_late, unreadable
from sysdisk.ecs.parse import caller_identity
from sysdisk.ecs.port import Body, Params
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.threads import Threads

ECS_VERSION = "2014-05-26"
STS_VERSION = "2015-04-01"
SECRET_PARAMS = frozenset({"Password", "OIDCToken", "SecurityToken"})
SESSION_OVER = "InvalidSecurityToken"
"""Codes that begin so are answered to a session that STS does not know any more."""
SDK_LOGGERS = ("darabonba-core", "alibabacloud-tea", "credentials")
URL_LOGGERS = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for the connection, for each piece of the answer, and for the whole call.

    Past `total` the connection is closed and the call had no answer. Each look-up of keys has as
    long again.
    """

    connect: float = 5.0
    read: float = 10.0
    total: float = 20.0


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials are, and how far this machine's clock is from the server's.

    `skew` is the server's time minus ours in seconds, None if the server gave no date.
    Source: STS GetCallerIdentity.
    """

    account_id: str
    arn: str
    type: str
    skew: float | None


class CredentialClient(Protocol):
    """Who is asked for the keys, in a thread, at every call."""

    def get_credential(self) -> Any:
        """Return the keys, as the credentials library shapes them. Raises CredentialsError."""

    def refused(self, keys: Any) -> None:
        """Note that the session of `keys` is over, whatever its expiration says."""


class SdkTransport:
    """`Transport` by the official SDK: one account and region, through `address`.

    `skew` is the difference that the last answer showed between the server's clock and ours, in
    seconds; None before the first answer.
    """

    def __init__(
        self,
        address: Address,
        credentials: CredentialClient,
        threads: Threads,
        *,
        scrubber: Scrubber,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        version: str = ECS_VERSION,
    ) -> None:
        self._wire = Wire(address, credentials, scrubber, timeouts, version)
        self._threads = threads

    @property
    def skew(self) -> float | None:
        return self._wire.skew

    async def call(self, action: str, params: Params, *, not_after: float | None = None) -> Body:
        """See `Transport.call`. Raises CredentialsError where no keys could be had."""
        loop = asyncio.get_running_loop()
        late = _falls(loop.time, not_after)
        threads = self._threads.of(action)
        answer = await loop.run_in_executor(threads, self._wire.call, action, params, late)
        if isinstance(answer, EcsError):
            raise answer
        return answer


def sdk_transports(
    url: str,
    credentials: CredentialClient,
    threads: Threads,
    *,
    scrubber: Scrubber,
    home: str = "",
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
) -> Callable[[str], SdkTransport]:
    """Return what makes the transport of a region; `url` is the account's endpoint in `home`.

    What it returns raises ValueError for an endpoint that passwords must not be sent to.
    """

    def transport(region_id: str) -> SdkTransport:
        address = account_address(region_id, home, url)
        return SdkTransport(address, credentials, threads, scrubber=scrubber, timeouts=timeouts)

    return transport


async def who_am_i(
    url: str,
    credentials: CredentialClient,
    threads: Threads,
    *,
    scrubber: Scrubber,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
) -> Identity:
    """Return the identity behind `credentials`; `url` is the account's endpoint.

    Raises EcsError like a call to ECS. Source: STS GetCallerIdentity.
    """
    transport = SdkTransport(
        sts_address(url),
        credentials,
        threads,
        scrubber=scrubber,
        timeouts=timeouts,
        version=STS_VERSION,
    )
    body = await transport.call("GetCallerIdentity", {})
    account_id, arn, kind = caller_identity(body)
    return Identity(account_id, arn, kind, transport.skew)


class Wire:
    """The blocking side: used in threads only. Errors are returned, not raised.

    An exception raised here would carry the SDK's own as its context, secrets and all.
    """

    def __init__(
        self,
        address: Address,
        credentials: CredentialClient,
        scrubber: Scrubber,
        timeouts: Timeouts,
        version: str,
    ) -> None:
        self.skew: float | None = None
        self._address = address
        self._credentials = credentials
        self._scrubber = scrubber
        self._timeouts = timeouts
        self._version = version

    def call(
        self, action: str, params: Params, late: Callable[[], bool] = lambda: False
    ) -> Body | EcsError:
        """Return the decoded answer, or the error; `late` is asked just before it leaves."""

        def leave() -> None:
            if late():
                raise too_late(action)

        secrets = [params[name] for name in SECRET_PARAMS & params.keys()]
        with self._scrubber.holding(*secrets):
            keys = None
            try:
                keys = self._credentials.get_credential()
                with bounded(self._timeouts.total, leave):
                    answer = self._send(action, params, keys)
            except Exception as fault:  # the text of any of them may hold the URL: none may leave
                error = self._translate(action, fault)
                if keys is not None and error.failure.code.startswith(SESSION_OVER):
                    self._credentials.refused(keys)
                return error
            return self._read(action, answer)

    def _send(self, action: str, params: Params, keys: Any) -> Mapping[str, Any]:
        call = utils_models.Params(
            action=action,
            version=self._version,
            protocol=self._address.protocol,
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="byte",
        )
        request = utils_models.OpenApiRequest(query=dict(params))
        answer: Mapping[str, Any] = self._client(keys).call_api(call, request, RuntimeOptions())
        return answer

    def _client(self, keys: Any) -> OpenApiClient:
        """Return a client that signs with `keys`: a new one takes 2 µs."""
        return OpenApiClient(
            utils_models.Config(
                credential=_Given(keys),
                endpoint=self._address.host,
                protocol=self._address.protocol,
                connect_timeout=_milliseconds(self._timeouts.connect),
                read_timeout=_milliseconds(self._timeouts.read),
            )
        )

    def _read(self, action: str, answer: Mapping[str, Any]) -> Body | EcsError:
        self._note_time(answer["headers"].get("date", ""))
        try:
            body = json.loads(answer["body"])
        except (ValueError, RecursionError):
            body = None
        return body if isinstance(body, dict) else unreadable(f"{action} gave no JSON object")

    def _note_time(self, date: str) -> None:
        try:
            self.skew = parsedate_to_datetime(date).timestamp() - time.time()
        except ValueError:
            return

    def _translate(self, action: str, fault: Exception) -> EcsError:
        if isinstance(fault, AlibabaCloudException):
            return self._answered(action, fault)
        inner = fault.inner_exception if isinstance(fault, UnretryableException) else fault
        if isinstance(inner, EcsError):
            return inner.again()
        return no_answer(action)

    def _answered(self, action: str, fault: AlibabaCloudException) -> EcsError:
        if fault.code == "InvalidCredentials" and fault.status_code is None:
            return no_credentials("there are no credentials")
        data = fault.data if isinstance(fault.data, dict) else {}
        code, http = data.get("Code"), fault.status_code or 0
        if not isinstance(code, str) or not code:
            return unreadable(f"{action} gave an error without a Code", http)
        text = data.get("Message")
        message = self._scrubber.scrub(text) if isinstance(text, str) else ""
        retry_after = fault.retry_after / 1000 if fault.retry_after else None
        request_id = str(data.get("RequestId") or "")
        return refusal(code, http, message, request_id, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class _Given:
    """Keys that were fetched before, as the SDK's client wants them."""

    keys: Any

    def get_credential(self) -> Any:
        return self.keys


def _falls(clock: Callable[[], float], not_after: float | None) -> Callable[[], bool]:
    return lambda: not_after is not None and clock() > not_after


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


class _Silence(logging.Filter):
    """Lets nothing through: with DEBUG=sdk the SDK logs the URL and the Authorization header."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


class _WithoutQuery(logging.Filter):
    """Cuts queries out of urllib3's lines, which show the whole URL of a request; and tracebacks,
    whose last line may show what came back, the URL among it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        if isinstance(record.args, tuple):
            record.args = tuple(self._cut(arg) for arg in record.args)
        return True

    @staticmethod
    def _cut(arg: object) -> object:
        if isinstance(arg, BaseException):
            return type(arg).__name__
        return arg.split("?", 1)[0] if isinstance(arg, str) else arg


def _quieten() -> None:
    """Silence the SDK's loggers, which write to stderr from import on, and defuse DEBUG=sdk."""
    for name in SDK_LOGGERS:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.addFilter(_Silence())
        logger.propagate = False
        logger.setLevel(logging.CRITICAL)
    for name in URL_LOGGERS:
        logging.getLogger(name).addFilter(_WithoutQuery())
    if os.environ.get("DEBUG", "").lower() == "sdk":
        del os.environ["DEBUG"]


_quieten()
take_over(DaraCore)
take_over(TeaCore)
