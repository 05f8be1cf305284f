"""A cloud for the adapter's tests: in this process, or behind HTTP for the real SDK."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from sysdisk.api.account import Limits
from sysdisk.api.base import FrozenMap
from sysdisk.ecs.account import EcsAccountClient
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.failures import no_answer, refusal, unreadable
from sysdisk.ecs.inventory import Inventory
from sysdisk.ecs.port import Body, Params
from sysdisk.sandbox.ecs_faults import BrokenAnswer, ConnectionLost, EcsFault
from sysdisk.sandbox.ecs_fleet import HOME, Fleet
from sysdisk.sandbox.ecs_model import Cloud

UNLIMITED = Limits(
    requests_per_second=FrozenMap(
        dict.fromkeys(
            (
                "DescribeInstances",
                "DescribeDisks",
                "DescribeImages",
                "DescribeImageSupportInstanceTypes",
                "StopInstance",
                "StartInstance",
                "ReplaceSystemDisk",
            ),
            10_000.0,
        )
    )
)


@dataclass
class CloudTransport:
    """`Transport` over a cloud in this process; every answer takes `latency` seconds."""

    cloud: Cloud
    latency: float = 0.005
    asked: list[tuple[str, Params]] = field(default_factory=list)

    async def call(self, action: str, params: Params, *, not_after: float | None = None) -> Body:
        self.asked.append((action, params))
        await asyncio.sleep(self.latency)
        error: EcsError
        try:
            return self.cloud.call(action, params, region=HOME)
        except EcsFault as fault:
            error = refusal(fault.code, fault.http, fault.message, "R-1")
        except ConnectionLost:
            error = no_answer(action)
        except BrokenAnswer:
            error = unreadable(action)
        raise error

    @property
    def counts(self) -> Counter[str]:
        return Counter(action for action, _ in self.asked)


@dataclass
class Lab:
    """A cloud with `count` running instances, each with a system and a data disk."""

    count: int = 1
    cloud: Cloud = field(init=False)
    fleet: Fleet = field(init=False)
    transport: CloudTransport = field(init=False)

    def __post_init__(self) -> None:
        self.cloud = Cloud(asyncio.get_running_loop().time)
        self.fleet = Fleet(self.cloud)
        self.image, self.newer = self.fleet.image(), self.fleet.image()
        vms = [self.fleet.instance(self.image, data_disks=(20,)) for _ in range(self.count)]
        self.ids = [vm.id for vm in vms]
        self.transport = CloudTransport(self.cloud)

    def inventory(self, **options: object) -> Inventory:
        return Inventory(self.transport.call, HOME, **options)  # type: ignore[arg-type]

    def account(self, limits: Limits = UNLIMITED, clock: Clock | None = None) -> EcsAccountClient:
        return EcsAccountClient(lambda _: self.transport, limits, clock=clock)

    def forget_requests(self) -> None:
        self.transport.asked.clear()
