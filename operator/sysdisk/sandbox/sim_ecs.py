"""ECS for a simulated process: the adapter's ports over the model of the cloud."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sysdisk.api.account import EcsAccountSpec
from sysdisk.ecs.failures import no_answer, no_credentials, refusal, too_late, unreadable
from sysdisk.ecs.parse import caller_identity
from sysdisk.ecs.port import Body, Params
from sysdisk.ecs.sdk import Identity
from sysdisk.sandbox.ecs_faults import BrokenAnswer, ConnectionLost, EcsFault
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.sim_calls import Answered, AnswerLost, Line

WRITES: Final = frozenset(
    {
        "StopInstance",
        "StartInstance",
        "ReplaceSystemDisk",
        "CreateSnapshot",
        "ApplyAutoSnapshotPolicy",
    }
)


@dataclass(frozen=True, slots=True)
class EcsWrite:
    """A write that has just left its process, as an observer of the process sees it."""

    actor: str
    action: str
    instance_id: str
    token: str
    at: float


OnWrite = Callable[[EcsWrite], None]


@dataclass(slots=True)
class Keys:
    """The credentials that a process works with; the last ones stay when their source is gone."""

    id: str = ""
    secret: str = ""


class CloudTransport:
    """`Transport` over the model: one account in one region, seen by one process."""

    def __init__(
        self, line: Line, cloud: Cloud, region: str, keys: Keys, on_write: OnWrite
    ) -> None:
        self._line = line
        self._cloud = cloud
        self._region = region
        self._keys = keys
        self._on_write = on_write

    async def call(self, action: str, params: Params, *, not_after: float | None = None) -> Body:
        """See `Transport.call`."""
        if not self._keys.id:
            raise no_credentials("there are no credentials")
        write = action in WRITES
        subject = _subject(params)

        def leave() -> None:
            now = asyncio.get_running_loop().time()
            if not_after is not None and now > not_after:
                raise too_late(action)
            if write:
                token = params.get("ClientToken", "")
                self._on_write(EcsWrite(self._line.life.name, action, subject, token, now))

        try:
            return await self._line.carry(
                "ecs",
                action,
                subject,
                lambda: self._ask(action, params),
                write=write,
                leaving=leave,
            )
        except AnswerLost:
            raise no_answer(action) from None
        except Answered as exc:
            blow = exc.blow
            message = "answered on the way"
            raise refusal(blow.code, blow.http, message, self._cloud.request_id()) from None

    def _ask(self, action: str, params: Params) -> Body:
        key = self._cloud.state.keys.get(self._keys.id)
        if key is not None and key.secret != self._keys.secret:
            raise refusal("SignatureDoesNotMatch", 400, "The signature does not match.")
        try:
            return self._cloud.call(action, params, region=self._region, caller=self._keys.id)
        except EcsFault as fault:
            request_id = str(fault.data.get("RequestId", ""))
            raise refusal(
                fault.code, fault.http, fault.message, request_id, retry_after=fault.retry_after
            ) from None
        except ConnectionLost:
            raise no_answer(action) from None
        except BrokenAnswer as broken:
            raise unreadable(f"{action} gave {broken.kind}") from None


def _subject(params: Params) -> str:
    for name in ("InstanceId", "DiskId"):
        if name in params:
            return params[name]
    for name in ("InstanceIds", "DiskIds", "diskIds"):
        if name in params:
            ids: list[Any] = json.loads(params[name])
            return ",".join(map(str, ids))
    return params.get("ImageId", "")


class CloudConnection:
    """An account's way to ECS as the controllers ask for it, over the model."""

    def __init__(self, line: Line, cloud: Cloud, on_write: OnWrite) -> None:
        self._line = line
        self._cloud = cloud
        self._on_write = on_write
        self._keys = Keys()
        self._home = ""

    async def use(self, spec: EcsAccountSpec, secret: Mapping[str, bytes] | None) -> None:
        """Take the access key of `secret`. Raises CredentialsError, and keeps what it had."""
        self._home = spec.region_id
        given = {name: value.decode() for name, value in (secret or {}).items()}
        if not (given.get("accessKeyId") and given.get("accessKeySecret")):
            raise no_credentials("the Secret holds no access key")
        self._keys.id, self._keys.secret = given["accessKeyId"], given["accessKeySecret"]

    def lose(self, why: str) -> None:
        """Keep the last keys: they are used while they work."""

    async def identify(self) -> Identity:
        """Return who the keys are. Raises EcsError."""
        body = await self.transport(self._home).call("GetCallerIdentity", {})
        account_id, arn, kind = caller_identity(body)
        return Identity(account_id, arn, kind, 0.0)

    def transport(self, region_id: str) -> CloudTransport:
        """Return the transport for a region."""
        return CloudTransport(self._line, self._cloud, region_id, self._keys, self._on_write)

    def close(self) -> None:
        """Do nothing: it holds nothing."""
