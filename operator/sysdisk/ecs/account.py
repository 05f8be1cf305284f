"""One EcsAccount in use: its regions, their inventories and the writes, under one set of limits.

Reads raise `EcsError`; writes never raise for what the cloud does, they return an `Answer`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sysdisk.api.account import Limits
from sysdisk.api.spec import StoppedMode
from sysdisk.api.status import OperationInputs
from sysdisk.core.answers import Accepted, Answer, NotSent, Refused, Unknown
from sysdisk.ecs import calls, parse
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import (
    CredentialsError,
    EcsError,
    NoAnswer,
    Throttled,
    TooLate,
)
from sysdisk.ecs.failures import not_yet
from sysdisk.ecs.inventory import Inventory
from sysdisk.ecs.limits import Held, RateLimiter
from sysdisk.ecs.port import Body, Params, Transport

log = logging.getLogger(__name__)

Transports = Callable[[str], Transport]
"""Region ID to the transport for it."""
OnRequest = Callable[[str, str], None]
"""Told of every request: its action, and `OK` or the error code."""
OK = "OK"
NOT_SENT_CODE = "NotSent"
PATIENCE = 1.0
"""Seconds that a read waits for its turn."""


class RegionClient:
    """One region of one account: `inventory` to look, and the writes.

    `not_after` of a write is a time of the event loop's clock: later than that it is not sent.
    """

    def __init__(
        self,
        region_id: str,
        transport: Transport,
        limiter: RateLimiter,
        clock: Clock,
        *,
        on_request: OnRequest,
        on_change: Callable[[str, str], None],
        resync_interval: float,
    ) -> None:
        self.region_id = region_id
        self.requests: Counter[str] = Counter()
        """How many requests were sent, by action."""
        self._transport = transport
        self._limiter = limiter
        self._clock = clock
        self._on_request = on_request
        self.inventory = Inventory(
            self.read,
            region_id,
            at_leisure=self.read_at_leisure,
            clock=clock,
            resync_interval=resync_interval,
            on_change=lambda instance_id: on_change(region_id, instance_id),
        )

    async def stop_instance(
        self,
        instance_id: str,
        *,
        force: bool = False,
        stopped_mode: StoppedMode = StoppedMode.KEEP_CHARGING,
        not_after: float | None = None,
    ) -> Answer:
        """Ask for a stop. A repeat is refused (IncorrectInstanceStatus): look first."""
        params = calls.stop_instance(instance_id, force=force, stopped_mode=stopped_mode)
        return await self._write("StopInstance", params, _accepted, not_after)

    async def start_instance(self, instance_id: str, *, not_after: float | None = None) -> Answer:
        """Ask for a start. A repeat is refused (IncorrectInstanceStatus): look first."""
        params = calls.start_instance(instance_id)
        return await self._write("StartInstance", params, _accepted, not_after)

    async def replace_system_disk(
        self,
        inputs: OperationInputs,
        *,
        instance_id: str,
        client_token: str,
        password: str | None = None,
        not_after: float | None = None,
    ) -> Answer:
        """Replace the system disk; `Accepted.disk_id` is the new one. A repeat with the same token
        gives the same disk."""
        params = calls.replace_system_disk(
            inputs, instance_id=instance_id, client_token=client_token, password=password
        )
        return await self._write("ReplaceSystemDisk", params, _accepted_disk, not_after)

    async def create_snapshot(
        self,
        disk_id: str,
        *,
        client_token: str,
        name: str = "",
        description: str = "",
        retention_days: int | None = None,
        tags: Iterable[tuple[str, str]] = (),
        not_after: float | None = None,
    ) -> Answer:
        """Begin a snapshot; `Accepted.snapshot_id` is its ID. A repeat with the same token gives
        the same snapshot."""
        params = calls.create_snapshot(
            disk_id,
            client_token=client_token,
            name=name,
            description=description,
            retention_days=retention_days,
            tags=tags,
        )
        return await self._write("CreateSnapshot", params, _accepted_snapshot, not_after)

    async def apply_auto_snapshot_policy(
        self, policy_id: str, disk_id: str, *, not_after: float | None = None
    ) -> Answer:
        """Put an automatic snapshot policy on a disk. A repeat changes nothing."""
        params = calls.apply_auto_snapshot_policy(self.region_id, policy_id, [disk_id])
        return await self._write("ApplyAutoSnapshotPolicy", params, _accepted, not_after)

    async def knock(self) -> None:
        """Ask ECS something cheap, never answered from memory. Raises EcsError."""
        await self.read(
            "DescribeDiskEncryptionByDefaultStatus",
            calls.describe_default_encryption(self.region_id),
        )

    def ready_in(self, action: str) -> float:
        """Return the seconds until a write of `action` could leave: ask before recording one."""
        return self._limiter.ready_in(action)

    async def read(self, action: str, params: Params) -> Body:
        """Return the answer of a read.

        Raises `NotYet` where its turn is further away than `PATIENCE`: whoever asks holds a worker,
        and others have machines to start.
        """
        try:
            await self._limiter.turn(action, not_after=self._clock.monotonic() + PATIENCE)
        except Held as held:
            raise not_yet(str(held), self._limiter.ready_in(action)) from None
        return await self._send(action, params, None)

    async def read_at_leisure(self, action: str, params: Params) -> Body:
        """Return the answer of a read for which nobody waits, however far away its turn is."""
        await self._limiter.turn(action)
        return await self._send(action, params, None)

    async def _write(
        self,
        action: str,
        params: Params,
        read: Callable[[Body], Accepted],
        not_after: float | None,
    ) -> Answer:
        try:
            await self._limiter.turn(action, not_after=not_after)
            return read(await self._send(action, params, not_after))
        except Held as held:
            return NotSent(str(held))
        except (TooLate, CredentialsError) as error:
            return NotSent(error.failure.text())
        except NoAnswer as error:
            return Unknown(error.failure)
        except EcsError as error:
            return Refused(error.failure)

    async def _send(self, action: str, params: Params, not_after: float | None) -> Body:
        code = OK
        try:
            return await self._transport.call(action, params, not_after=not_after)
        except EcsError as error:
            code = error.failure.code
            error.failure = replace(error.failure, action=action)
            if isinstance(error, Throttled):
                until = self._limiter.rest(action, error.retry_after)
                fields = {"action": action, "region": self.region_id, "until": until.isoformat()}
                log.warning("throttled: the action rests", extra=fields)
            if isinstance(error, TooLate | CredentialsError):
                code = NOT_SENT_CODE
            raise
        finally:
            self.requests[action] += code != NOT_SENT_CODE
            self._on_request(action, code)


class EcsAccountClient:
    """One EcsAccount: `region(ID)` gives the client of a region, made at its first use.

    `on_change` is told (region ID, instance ID) when a sweep sees an instance changed.
    """

    def __init__(
        self,
        transports: Transports,
        limits: Limits,
        *,
        clock: Clock | None = None,
        resync_interval: float = 300.0,
        on_request: OnRequest = lambda _action, _code: None,
        on_change: Callable[[str, str], None] = lambda _region, _instance: None,
    ) -> None:
        self._transports = transports
        self._limits = limits
        self._clock = clock or Clock()
        self._resync_interval = resync_interval
        self._on_request = on_request
        self._on_change = on_change
        self._regions: dict[str, RegionClient] = {}
        self._limiters: dict[str, RateLimiter] = {}

    @property
    def regions(self) -> Mapping[str, RegionClient]:
        """The regions in use."""
        return dict(self._regions)

    @property
    def request_count(self) -> int:
        """How many requests were sent in all."""
        return sum(region.requests.total() for region in self._regions.values())

    def region(self, region_id: str) -> RegionClient:
        """Return the client of a region; its inventory sweeps from the first use on."""
        if region_id not in self._regions:
            client = RegionClient(
                region_id,
                self._transports(region_id),
                self._limiter(region_id),
                self._clock,
                on_request=self._on_request,
                on_change=self._on_change,
                resync_interval=self._resync_interval,
            )
            client.inventory.start()
            self._regions[region_id] = client
        return self._regions[region_id]

    def _limiter(self, region_id: str) -> RateLimiter:
        """Return the limiter of a region; it outlives `close`: ECS's minute does not begin anew."""
        if region_id not in self._limiters:
            self._limiters[region_id] = RateLimiter(
                self._limits.requests_per_second, self._limits.headroom_percent or 0, self._clock
            )
        return self._limiters[region_id]

    def configure(self, limits: Limits) -> None:
        """Take new limits, for calls from now on."""
        self._limits = limits
        for limiter in self._limiters.values():
            limiter.configure(limits.requests_per_second, limits.headroom_percent or 0)

    async def close(self) -> None:
        """Stop sweeping; who still waits for an answer to a look gets `NoAnswer`."""
        for region in self._regions.values():
            await region.inventory.close()
        self._regions.clear()


def _accepted(body: Body) -> Accepted:
    return Accepted(parse.request_id(body))


def _accepted_disk(body: Body) -> Accepted:
    return Accepted(parse.request_id(body), disk_id=parse.disk_id(body))


def _accepted_snapshot(body: Body) -> Accepted:
    return Accepted(parse.request_id(body), snapshot_id=parse.snapshot_id(body))
