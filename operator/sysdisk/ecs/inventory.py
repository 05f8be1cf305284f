"""What the instances of one account and region look like, asked for in batches.

Everybody who looks at the same time shares a request of up to 100 IDs, and who needs an observation
of its own moment says so (`begun_after`) and still shares it. At rest one sweep for all registered
instances costs ceil(N/100) requests of each kind, and tells only of what changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sysdisk.core.world import Disk, Instance
from sysdisk.ecs.batches import Batcher, Seen, answered
from sysdisk.ecs.calls import IDS_A_CALL
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.lookups import Lookups, Read
from sysdisk.ecs.questions import Questions
from sysdisk.ecs.sights import Attached, Disks, Sight, system_disks_of

__all__ = ["Disks", "Inventory", "Sight"]

log = logging.getLogger(__name__)

FIRST_BACKOFF = 5.0
SWEEP_JITTER = 0.1
"""Share of the interval by which a sweep may come earlier."""
ANY_NUMBER = 1_000_000

V = TypeVar("V")


class Inventory:
    """The observations of one account and region; see the module.

    `on_change` is called with an instance ID when a sweep finds it different from how it was last
    seen, by a look or a sweep. `read` is one limited, counted call, and `at_leisure` one that may
    wait long for its turn, for sweeps.
    """

    def __init__(
        self,
        read: Read,
        region_id: str,
        *,
        at_leisure: Read | None = None,
        clock: Clock | None = None,
        resync_interval: float = 300.0,
        gather: float = 0.01,
        ttl: float = 60.0,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clock = clock = clock or Clock()
        self._interval = resync_interval
        self._on_change = on_change
        ask = Questions(read, region_id)
        self._ask = ask.by(at_leisure or read)
        self._instances = Batcher(ask.instances, clock, size=IDS_A_CALL, gather=gather)
        self._disks = Batcher(ask.disks, clock, size=IDS_A_CALL, gather=gather)
        self._attached = Batcher(ask.attached, clock, size=ANY_NUMBER, gather=gather)
        self._lookups = Lookups(read, region_id, clock, ttl=ttl, gather=gather)
        self._known: dict[str, Sight] = {}
        self._registered: dict[str, datetime] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def look(
        self,
        instance_id: str,
        *,
        begun_after: float | None = None,
        disks: Disks = Disks.KNOWN,
        expect: Collection[str] = (),
    ) -> Sight:
        """Return how `instance_id` looks. Raises EcsError.

        With `begun_after` (monotonic), every request behind the answer was begun after it; without,
        the last observation will do, however old, if it tells enough. `expect` names further disks
        to ask about (a new one, an old one), batched with the others; see `Sight.disks`.
        """
        known = self._known.get(instance_id)
        if known and not expect and known.tells(disks) and known.is_of_after(begun_after):
            return known
        sight = await self._look(instance_id, disks, tuple(expect))
        self._remember(sight)
        return sight

    @property
    def lookups(self) -> Lookups:
        """What else can be asked of the region."""
        return self._lookups

    def register(self, instance_id: str) -> None:
        """Sweep and remember `instance_id` from now on. A repeat does nothing."""
        self._registered.setdefault(instance_id, self._clock.now())

    def unregister(self, instance_id: str) -> None:
        """Sweep it no more, and forget it. A repeat does nothing."""
        self._registered.pop(instance_id, None)
        self._known.pop(instance_id, None)

    def start(self) -> None:
        """Sweep every interval from now on. A repeat does nothing."""
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        """Stop sweeping and asking; who still waits gets `NoAnswer`."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        await self._instances.close()
        await self._disks.close()
        await self._attached.close()
        await self._lookups.close()

    @property
    def count(self) -> int:
        """How many instances are registered."""
        return len(self._registered)

    def oldest_age(self) -> float:
        """Return the age in seconds of the oldest observation of a registered instance."""
        now = self._clock.now()
        times = (
            self._known[i].seen_at if i in self._known else since
            for i, since in self._registered.items()
        )
        return max(((now - time).total_seconds() for time in times), default=0.0)

    async def sweep(self) -> None:
        """Look once at all registered instances, in full batches. Raises EcsError.

        Costs ceil(N/100) DescribeInstances and as many DescribeDisks; more only for instances whose
        system disk is not known yet, or was replaced.
        """
        ids = tuple(self._registered)
        seen = await self._in_batches(self._ask.instances, ids)
        there = [i for i, look in seen.items() if look.value is not None]
        disk_ids = dict.fromkeys(d for i in there for d in self._known_disks(i))
        disks = await self._in_batches(self._ask.disks, tuple(disk_ids))
        sights = {i: self._sight(seen[i], disks, self._known_disks(i), i) for i in seen}
        lost = [i for i in there if not sights[i].system_disks]
        attached = await self._ask.attached(lost) if lost else {}
        for instance_id, sight in sights.items():
            listed = attached.get(instance_id)
            if isinstance(listed, Attached):
                sight = replace(sight, system_disks=listed.system, data_disk_ids=listed.data_ids)
            elif instance_id in attached:
                continue  # that one could not be read: it stays as it was
            self._tell(sight)

    async def _look(self, instance_id: str, disks: Disks, expect: tuple[str, ...]) -> Sight:
        known = self._known_disks(instance_id) if disks is Disks.KNOWN else ()
        disk_ids = tuple(dict.fromkeys((*known, *expect)))
        instance_to_come = self._instances.ask(instance_id)
        disks_to_come = {disk_id: self._disks.ask(disk_id) for disk_id in disk_ids}
        list_to_come = self._attached.ask(instance_id) if disks is Disks.ALL else None
        seen = answered(await instance_to_come)
        by_id = {disk_id: answered(await disk) for disk_id, disk in disks_to_come.items()}
        listed = answered(await list_to_come) if list_to_come else None
        sight = self._sight(seen, by_id, disk_ids, instance_id)
        sight = replace(sight, disks=tuple((d, by_id[d].value) for d in expect))
        if seen.value is None:
            return replace(sight, system_disks=(), data_disk_ids=frozenset())
        if disks is Disks.NONE:
            return replace(sight, system_disks=None)
        if disks is Disks.KNOWN and (sight.system_disks or _being_made(expect, by_id)):
            return sight
        listed = listed or await self._attached.get(instance_id)
        attached = listed.value or Attached()
        return replace(sight, system_disks=attached.system, data_disk_ids=attached.data_ids)

    def _sight(
        self,
        seen: Seen[Instance | None],
        disks: Mapping[str, Seen[Disk | None]],
        disk_ids: Iterable[str],
        instance_id: str,
    ) -> Sight:
        looks = [disks[d] for d in disk_ids if d in disks]
        return Sight(
            instance_id,
            seen.value,
            system_disks_of(instance_id, [look.value for look in looks]),
            None if seen.value else frozenset(),
            min([seen.begun_at, *(look.begun_at for look in looks)]),
            min([seen.seen_at, *(look.seen_at for look in looks)]),
        )

    def _known_disks(self, instance_id: str) -> tuple[str, ...]:
        known = self._known.get(instance_id)
        return tuple(d.disk_id for d in known.system_disks or ()) if known else ()

    def _remember(self, sight: Sight) -> None:
        known = self._known.get(sight.instance_id)
        if sight.instance_id not in self._registered:
            return
        if known is not None and known.begun_at > sight.begun_at:
            return
        if sight.system_disks is not None:
            self._known[sight.instance_id] = replace(sight, disks=())
        elif known is not None:  # only the instance was looked at: the disks keep their age
            self._known[sight.instance_id] = replace(known, instance=sight.instance)

    def _tell(self, sight: Sight) -> None:
        known = self._known.get(sight.instance_id)
        self._remember(sight)
        now_known = self._known.get(sight.instance_id)
        if now_known is not None and not now_known.looks_like(known):
            self._on_change(sight.instance_id)

    async def _in_batches(
        self,
        ask: Callable[[Sequence[str]], Awaitable[Mapping[str, V | EcsError]]],
        ids: Sequence[str],
    ) -> dict[str, Seen[V | None]]:
        """Return an answer for each ID, but for those that ECS refuses, 100 a request."""
        answers: dict[str, Seen[V | None]] = {}
        for start in range(0, len(ids), IDS_A_CALL):
            chunk = ids[start : start + IDS_A_CALL]
            begun_at = self._clock.monotonic()
            found = await ask(chunk)
            now = self._clock.now()
            for key in chunk:
                value = found.get(key)
                if not isinstance(value, EcsError):
                    answers[key] = Seen(value, begun_at, now)
        return answers

    async def _sweep_for_ever(self) -> None:
        failures = 0
        while True:
            pause = self._interval * (1 - SWEEP_JITTER * self._clock.jitter())
            if failures:
                pause = min(pause, FIRST_BACKOFF * 2 ** min(failures - 1, 10))
            await self._clock.sleep(pause)
            try:
                await self.sweep()
                failures = 0
            except EcsError as error:
                failures += 1
                log.warning("sweep failed", extra={"error": error.failure.text()})
            except Exception:  # nobody waits for this task: it would end for good, and silently
                failures += 1
                log.exception("sweep broke")


def _being_made(expect: tuple[str, ...], disks: Mapping[str, Seen[Disk | None]]) -> bool:
    """Whether an expected disk is there and not attached yet: nothing else would be found."""
    looks = [disks[d].value for d in expect]
    return any(disk is not None and not disk.instance_id for disk in looks)
