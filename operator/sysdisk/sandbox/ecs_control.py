"""A client of the simulator's control API, for tests and demos in another process."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

import aiohttp

from sysdisk.sandbox.ecs_faults import Broken, Side
from sysdisk.sandbox.ecs_state import Effect, Lock, RequestRecord

__all__ = ["ControlError", "EcsControl"]


class ControlError(Exception):
    """The control API refused; the text says why."""


class EcsControl:
    """Moves the world behind `url` (that of `EcsServer`). An async context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> EcsControl:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def seed(
        self, count: int, region: str = "cn-hangzhou", team: str = "shop"
    ) -> Mapping[str, Any]:
        """Add a fleet; return its `instances`, `images` by name, `access_key_id`, `_secret`, ..."""
        found = await self._post("seed", count=count, region=region, team=team)
        return cast(Mapping[str, Any], found)

    async def add(self, kind: str, **fields: Any) -> Mapping[str, Any]:
        """Add one thing by `Fleet`'s method of that name; an instance takes `image_id`."""
        return cast(Mapping[str, Any], await self._post("add", kind=kind, **fields))

    async def change(self, what: str, **fields: Any) -> Any:
        """Do something out of band, by `Outside`'s method of that name."""
        return await self._post("change", what=what, **fields)

    async def inject(self, action: str, code: str, **more: Any) -> None:
        """Answer the next calls of `action` with an error; see `Faults.error`."""
        await self._post("inject", action=action, code=code, **more)

    async def drop(self, action: str, side: Side, times: int = 1, instance_id: str = "") -> None:
        """Lose the next calls, or their answers; see `Faults.drop`."""
        await self._post("drop", action=action, side=side, times=times, instance_id=instance_id)

    async def garble(self, action: str, kind: Broken, side: Side = "after", times: int = 1) -> None:
        """Answer the next calls with something that is no answer; see `Faults.garble`."""
        await self._post("garble", action=action, kind=kind, side=side, times=times)

    async def delay(
        self, action: str, seconds: float, side: Side = "after", times: int = 1
    ) -> None:
        """Let the next calls wait; see `Faults.delay`."""
        await self._post("delay", action=action, seconds=seconds, side=side, times=times)

    async def throttle(self, action: str, per_minute: int) -> None:
        """Allow so many calls a minute; below 0: any number."""
        await self._post("throttle", action=action, per_minute=per_minute)

    async def clear_faults(self) -> None:
        """Forget all faults that still wait."""
        await self._post("clear-faults")

    async def freeze(self, instance_id: str) -> None:
        """Let the work on an instance never end."""
        await self._post("freeze", instance_id=instance_id)

    async def thaw(self, instance_id: str) -> None:
        """Let it go on."""
        await self._post("thaw", instance_id=instance_id)

    async def locks(self, instance_id: str) -> list[Lock]:
        """Return the locks that are seen on an instance."""
        return [Lock(**row) for row in await self._post("locks", instance_id=instance_id)]

    async def effects(self, kind: str = "", instance_id: str = "") -> list[Effect]:
        """Return what became true, of one kind and instance or all."""
        rows = await self._post("effects", kind=kind, instance_id=instance_id)
        return [Effect(**row) for row in rows]

    async def requests(self, action: str = "") -> list[RequestRecord]:
        """Return the requests that were made, for one action or all."""
        return [RequestRecord(**row) for row in await self._post("requests", action=action)]

    async def state(self, instance_id: str = "") -> Mapping[str, Any]:
        """Return an instance with its system disk, or counts over the whole world."""
        return cast(Mapping[str, Any], await self._post("state", instance_id=instance_id))

    async def reset(self, *, world: bool = False) -> None:
        """Empty the logs and the faults; with `world` also everything that exists."""
        await self._post("reset", world=world)

    async def _post(self, verb: str, **body: Any) -> Any:
        if self._session is None:
            raise RuntimeError("use EcsControl as an async context manager")
        async with self._session.post(f"{self.url}/_control/{verb}", json=body) as answer:
            content = await answer.json()
        if answer.status != 200:
            raise ControlError(f"{verb}: {content.get('error', answer.status)}")
        return content["result"]
