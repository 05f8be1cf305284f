"""The batched requests behind the inventory: many IDs in, what ECS has of them out.

Every answer is of all pages: a list that broke off raises, so "left out" means "not there". A
record that cannot be read is the error of the one whose it is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from sysdisk.core.answers import ErrorClass
from sysdisk.core.world import Disk, Instance
from sysdisk.ecs import calls, parse
from sysdisk.ecs.batches import together
from sysdisk.ecs.errors import EcsError, NotYet, Refusal
from sysdisk.ecs.lookups import Read, pages
from sysdisk.ecs.port import Params
from sysdisk.ecs.sights import Attached

log = logging.getLogger(__name__)

FEW = 3
"""Up to so many instances are asked for their disks one by one."""

V = TypeVar("V")
Ask = Callable[[Sequence[str]], Awaitable[Mapping[str, V | EcsError]]]


class Questions:
    """Asks one region. All methods raise EcsError when nothing of the batch could be learnt."""

    def __init__(self, read: Read, region_id: str, refused: set[str] | None = None) -> None:
        self._read = read
        self._region = region_id
        self._disk_pages = 1
        self._refused = set[str]() if refused is None else refused
        """IDs that ECS refused by themselves: asked alone, so that they spoil no batch again."""

    def by(self, read: Read) -> Questions:
        """Return the same questions asked by `read`, with the same refused IDs."""
        return Questions(read, self._region, self._refused)

    async def instances(self, ids: Sequence[str]) -> Mapping[str, Instance | EcsError]:
        """Return the instances of at most 100 IDs, all pages of them."""
        return await self._without_bad_ids(self._some_instances, ids)

    async def disks(self, ids: Sequence[str]) -> Mapping[str, Disk | EcsError]:
        """Return the disks of at most 100 IDs, all pages of them."""
        return await self._without_bad_ids(self._some_disks, ids)

    async def attached(self, instance_ids: Sequence[str]) -> Mapping[str, Attached | EcsError]:
        """Return what is attached to each instance.

        Few are asked one by one; for many the region is listed, as long as that costs less. An
        instance for which the listing shows no system disk is asked again, by itself.
        """
        listed: dict[str, list[Disk | EcsError]] | None = None
        if len(instance_ids) > max(FEW, self._disk_pages):
            listed = await self._list_region(pages_at_most=len(instance_ids))
        found = {i: _attached(listed[i]) for i in instance_ids if listed and i in listed}
        alone = [i for i in instance_ids if not _is_told(found.get(i))]
        answers = await together(map(self._attached_to, alone))
        return found | dict(zip(alone, answers, strict=True))

    async def _attached_to(self, instance_id: str) -> Attached | EcsError:
        def page(token: str) -> Params:
            return calls.describe_disks_of(self._region, instance_id, token)

        found: list[Disk | EcsError] = []
        try:
            async for body in pages(self._read, "DescribeDisks", page):
                for owner, disk in parse.owners(body):
                    if owner == instance_id or isinstance(disk, EcsError):
                        found.append(disk)
        except EcsError as error:
            return error
        return _attached(found)

    async def _list_region(self, pages_at_most: int) -> dict[str, list[Disk | EcsError]] | None:
        """Return all attached disks by instance, None if that takes more than so many pages, or if
        one that cannot be read does not tell whose it is: it may be anybody's."""

        def page(token: str) -> Params:
            return calls.describe_all_disks(self._region, token)

        found: dict[str, list[Disk | EcsError]] = {}
        read = 0
        async for body in pages(self._read, "DescribeDisks", page):
            read += 1
            for owner, disk in parse.owners(body):
                if isinstance(disk, EcsError) and not owner:
                    return None
                if owner:
                    found.setdefault(owner, []).append(disk)
            if read >= pages_at_most and parse.next_token(body):
                self._disk_pages = read + 1
                return None
        self._disk_pages = read
        return found

    async def _some_instances(self, ids: Sequence[str]) -> dict[str, Instance | EcsError]:
        def page(token: str) -> Params:
            return calls.describe_instances(self._region, ids, token)

        bodies = pages(self._read, "DescribeInstances", page)
        return parse.by_id([parse.instances(body) async for body in bodies], ids)

    async def _some_disks(self, ids: Sequence[str]) -> dict[str, Disk | EcsError]:
        def page(token: str) -> Params:
            return calls.describe_disks(self._region, ids, token)

        bodies = pages(self._read, "DescribeDisks", page)
        return parse.by_id([parse.disks(body) async for body in bodies], ids)

    async def _without_bad_ids(self, ask: Ask[V], ids: Sequence[str]) -> Mapping[str, V | EcsError]:
        """Return the answer for `ids`; where ECS refuses a batch for an ID in it, by halves.

        One malformed ID must not hide the other 99 instances, which may be other people's.
        """
        suspects = [i for i in ids if i in self._refused]
        batches = [[i] for i in suspects]
        if clean := [i for i in ids if i not in self._refused]:
            batches.append(clean)
        answers = await together(self._apart(ask, b, Patience()) for b in batches)
        found = {key: value for answer in answers for key, value in answer.items()}
        for key in suspects:
            if not isinstance(found.get(key), Refusal):
                self._refused.discard(key)
        return found

    async def _apart(
        self, ask: Ask[V], ids: Sequence[str], patience: Patience
    ) -> dict[str, V | EcsError]:
        try:
            return dict[str, V | EcsError](await ask(ids))
        except NotYet as error:  # of this part of the batch: the others have had their turn
            return dict.fromkeys(ids, error)
        except Refusal as error:
            if not _blames_an_id(error) or not patience.more():
                raise
            if len(ids) == 1:
                self._refused.add(ids[0])
                return {ids[0]: error}
        log.info("ECS refuses an ID in a batch: asking by halves", extra={"ids": len(ids)})
        half = len(ids) // 2
        first = await self._apart(ask, ids[:half], patience)
        return {**first, **await self._apart(ask, ids[half:], patience)}


class Patience:
    """How many refusals of one batch are looked into: past them, the IDs are not to blame."""

    def __init__(self, refusals: int = 24) -> None:
        self._left = refusals

    def more(self) -> bool:
        self._left -= 1
        return self._left >= 0


def _blames_an_id(error: Refusal) -> bool:
    failure = error.failure
    return failure.error_class is ErrorClass.USER and failure.code.startswith(
        ("InvalidInstance", "InvalidDisk", "InvalidParameter")
    )


def _attached(disks: Sequence[Disk | EcsError]) -> Attached | EcsError:
    """Return the disks of one instance together; one that cannot be read is missed, not absent."""
    read = tuple(disk for disk in disks if isinstance(disk, Disk))
    odd = next((disk for disk in disks if isinstance(disk, EcsError)), None)
    return Attached(read) if odd is None else odd


def _is_told(found: Attached | EcsError | None) -> bool:
    return isinstance(found, EcsError) or (found is not None and bool(found.system))
