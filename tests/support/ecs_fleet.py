"""A cloud under a clock that tests move by hand, and the SDKs' clients for its server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from sysdisk.sandbox.ecs_faults import EcsFault
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.ecs_server import EcsServer
from sysdisk.sandbox.ecs_state import AccessKey, Image, Instance

T = TypeVar("T")
REGION = "cn-hangzhou"
LONG = 3600.0


@dataclass
class HandClock:
    """Stands still until `pass_` moves it."""

    at: float = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Lab:
    """A cloud with one Linux image and its follower, one running instance, one access key."""

    clock: HandClock = field(default_factory=HandClock)
    cloud: Cloud = field(init=False)
    fleet: Fleet = field(init=False)
    image: Image = field(init=False)
    newer: Image = field(init=False)
    vm: Instance = field(init=False)
    key: AccessKey = field(init=False)

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.clock.now, wall=time.time)
        self.fleet = Fleet(self.cloud)
        self.image, self.newer = self.fleet.image(), self.fleet.image()
        self.vm = self.fleet.instance(self.image, host_name="web-1")
        self.key = self.fleet.access_key()

    def call(self, action: str, params: Mapping[str, str] | None = None, **more: str) -> Any:
        """Return the answer of a call in the home region; `A__B` stands for `A.B`."""
        given = {k.replace("__", "."): v for k, v in more.items()}
        return self.cloud.call(action, {**(params or {}), **given}, region=REGION)

    def refused(
        self, action: str, params: Mapping[str, str] | None = None, **more: str
    ) -> tuple[int, str]:
        """Return the status and code with which a call is refused; fails if it is not."""
        try:
            answer = self.call(action, params, **more)
        except EcsFault as fault:
            return fault.http, fault.code
        raise AssertionError(f"{action} was not refused: {answer}")

    def settled(self) -> Instance:
        """Let all work end; return the instance."""
        self.clock.pass_(LONG)
        return self.cloud.look(self.vm.id)

    def stopped(self) -> Instance:
        """Stop the instance; return it."""
        self.call("StopInstance", InstanceId=self.vm.id, StoppedMode="KeepCharging")
        return self.settled()

    def replace(self, **more: str) -> Any:
        """Replace the system disk by one of the newer image."""
        given = {"InstanceId": self.vm.id, "ImageId": self.newer.id, **more}
        return self.call("ReplaceSystemDisk", given)


def sdk(server: EcsServer, key: AccessKey, **more: Any) -> EcsClient:
    """Return the official SDK's client for a simulator."""
    config = Config(
        access_key_id=key.id,
        access_key_secret=more.pop("secret", key.secret),
        endpoint=more.pop("endpoint", server.endpoint),
        protocol="http",
        region_id=REGION,
        **more,
    )
    return EcsClient(config)


def old_sdk(server: EcsServer, key: AccessKey, secret: str = "") -> AcsClient:
    """Return the older SDK's client for a simulator."""
    return AcsClient(key.id, secret or key.secret, REGION, timeout=10, auto_retry=False)


def old_request(server: EcsServer, action: str, version: str = "2014-05-26") -> CommonRequest:
    """Return a request of the older SDK to a simulator."""
    request = CommonRequest(domain=server.endpoint, version=version, action_name=action)
    request.set_method("POST")
    request.set_protocol_type("http")
    return request


async def in_thread(verb: Callable[..., T], *args: Any) -> T:
    """Return what a blocking call of an SDK answers, without blocking the server's loop."""
    return await asyncio.to_thread(verb, *args)
