"""What is asked about a region, a zone or an image and never about a disk: images, families, key
pairs, the account's encryption default, what a zone offers, and which disks are busy.

Many specs share these answers, so a fleet that is re-imaged together asks once.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

from sysdisk.core.world import Family, Image, Slot, Snapshot, Supply
from sysdisk.ecs import calls, parse
from sysdisk.ecs.batches import Batcher, Shared
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import EcsError, NoAnswer, Refusal, Throttled
from sysdisk.ecs.failures import unreadable
from sysdisk.ecs.port import Body, Params

log = logging.getLogger(__name__)

Read = Callable[[str, Params], Awaitable[Body]]
"""One read call, already limited and counted: (action, parameters) to the answer."""

_OWNERS: tuple[tuple[str, bool], ...] = (("", False), ("marketplace", False), ("others", True))
"""(ImageOwnerAlias, IsPublic) to try: the default leaves the marketplace and the community out."""
PAGES_AT_MOST = 1000
FOR_GOOD = 3600.0
"""Seconds to keep what hardly ever changes: the architecture of a type, the list of regions."""


class Lookups:
    """Answers about one region, kept for `ttl` seconds and shared by who asks at the same time.

    With `after` (monotonic) an answer is of a request begun after that moment, and still shared.
    Every method raises EcsError.
    """

    def __init__(
        self, read: Read, region_id: str, clock: Clock, *, ttl: float = 60.0, gather: float = 0.03
    ) -> None:
        self._read = read
        self._region = region_id
        self._images = Shared(self._ask_image, clock, ttl=ttl, gather=gather, holds_up=_is_awaited)
        self._families = Shared(
            self._ask_family, clock, ttl=ttl, gather=gather, holds_up=lambda f: not f.image_id
        )
        self._key_pairs = Shared(
            self._ask_key_pair, clock, ttl=ttl, gather=gather, holds_up=lambda there: not there
        )
        self._encryption = Shared(self._ask_encryption, clock, ttl=ttl, gather=gather)
        self._snapshots = Shared(self._ask_snapshots, clock, ttl=ttl / 12, gather=gather)
        self._backups = Batcher(
            self._ask_backups, clock, size=calls.SNAPSHOTS_A_PAGE, gather=gather
        )
        self._transfers = Shared(self._ask_transfers, clock, ttl=ttl, gather=gather, holds_up=bool)
        self._supplies = Shared(self._ask_supply, clock, ttl=2 * ttl, gather=gather)
        self._types = Shared(self._ask_architecture, clock, ttl=FOR_GOOD, gather=gather)
        self._regions = Shared(self._ask_regions, clock, ttl=FOR_GOOD, gather=gather)

    async def image(self, image_id: str, *, after: float | None = None) -> Image:
        """Return the image with the instance types that can take it; `found=False` if ECS knows
        none of that ID, whoever may own it. `instance_types` is None where ECS did not tell."""
        return await self._images.get(image_id, begun_after=after)

    async def family(self, name: str) -> Family:
        """Return the newest available member of a family, none if it has none."""
        return await self._families.get(name)

    async def key_pair(self, name: str, *, after: float | None = None) -> bool:
        """Return whether a key pair of exactly this name exists."""
        return await self._key_pairs.get(name, begun_after=after)

    async def default_encryption(self, *, after: float | None = None) -> bool:
        """Return whether the account encrypts new disks of this region by default."""
        return await self._encryption.get("", begun_after=after)

    async def snapshot_running(
        self, disk_id: str, besides: str | None = None, *, after: float | None = None
    ) -> bool:
        """Return whether a snapshot of this disk is in progress, `besides` the one of that ID."""
        running = await self._snapshots.get("", begun_after=after)
        return not running.get(disk_id, frozenset()) <= {besides}

    async def in_transfer(self, disk_id: str, *, after: float | None = None) -> bool:
        """Return whether the kind of this disk is being changed. False where ECS does not tell."""
        return disk_id in await self._transfers.get("", begun_after=after)

    async def supply(self, slot: Slot, *, after: float | None = None) -> Supply:
        """Return the system disks that ECS offers; no categories where it does not tell."""
        return await self._supplies.get(slot, begun_after=after)

    async def cpu_architecture(self, instance_type: str) -> str:
        """Return `X86` or `ARM`, empty where ECS does not tell."""
        return await self._types.get(instance_type)

    async def regions(self) -> frozenset[str]:
        """Return the IDs of all regions of ECS, as the account sees them."""
        return await self._regions.get("")

    async def snapshot(self, snapshot_id: str) -> Snapshot:
        """Return one snapshot, of a request begun after this call; an empty status if ECS shows
        none. Up to 100 that are waited for share a request."""
        seen = await self._backups.get(snapshot_id)
        return seen.value or Snapshot(snapshot_id)

    async def close(self) -> None:
        """Stop asking; who still waits gets `NoAnswer`."""
        for shared in (self._images, self._families, self._key_pairs, self._encryption):
            await shared.close()
        for one in (self._snapshots, self._transfers, self._types, self._regions):
            await one.close()
        await self._supplies.close()
        await self._backups.close()

    async def _ask_image(self, image_id: str) -> Image:
        for owner, public in _OWNERS:
            params = calls.describe_image(self._region, image_id, owner=owner, public=public)
            body = await self._read("DescribeImages", params)
            for image in parse.images(body):
                if image.image_id == image_id:
                    return replace(image, instance_types=await self._types_for(image_id))
        return Image(image_id, found=False)

    async def _types_for(self, image_id: str) -> frozenset[str] | None:
        params = calls.describe_image_support(self._region, image_id)
        body = await self._ask_if_told("DescribeImageSupportInstanceTypes", params)
        return None if body is None else parse.instance_types(body)

    async def _ask_if_told(self, action: str, params: Params) -> Body | None:
        """Return the answer of a read that a preflight can do without; None: ECS refuses it.

        A policy that lacks such a read makes a preflight weaker, never a replacement impossible.
        """
        try:
            return await self._read(action, params)
        except Throttled:
            raise
        except Refusal as error:
            fields = {"action": action, "error": error.failure.text()}
            log.warning("ECS does not say what a preflight would like to know", extra=fields)
            return None

    async def _ask_family(self, name: str) -> Family:
        params = calls.describe_image_from_family(self._region, name)
        try:
            return parse.family(name, await self._read("DescribeImageFromFamily", params))
        except Refusal as error:
            if error.failure.code.endswith(".NotFound"):
                return Family(name)
            raise

    async def _ask_key_pair(self, name: str) -> bool:
        seen = 0
        for page in range(1, PAGES_AT_MOST + 1):
            params = calls.describe_key_pairs(self._region, name, page)
            body = await self._read("DescribeKeyPairs", params)
            names = parse.key_pair_names(body)
            seen += len(names)
            if name in names:
                return True
            if seen >= parse.total_count(body):
                return False
            if not names:
                raise unreadable("DescribeKeyPairs gave fewer names than it counts")
        raise endless("DescribeKeyPairs")

    async def _ask_encryption(self, _: str) -> bool:
        params = calls.describe_default_encryption(self._region)
        return parse.default_encryption(
            await self._read("DescribeDiskEncryptionByDefaultStatus", params)
        )

    async def _ask_backups(self, ids: Sequence[str]) -> dict[str, Snapshot | EcsError]:
        bodies = pages(
            self._read,
            "DescribeSnapshots",
            lambda token: calls.describe_snapshots(self._region, ids, token),
        )
        return parse.by_id([parse.snapshots(body) async for body in bodies], ids)

    async def _ask_snapshots(self, _: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        async for body in pages(
            self._read,
            "DescribeSnapshots",
            lambda token: calls.describe_running_snapshots(self._region, token),
        ):
            for snapshot_id, disk_id in parse.snapshot_sources(body):
                found[disk_id].add(snapshot_id)
        return dict(found)

    async def _ask_transfers(self, _: str) -> frozenset[str]:
        found: set[str] = set()
        seen = 0
        for page in range(1, PAGES_AT_MOST + 1):
            params = calls.describe_running_tasks(self._region, page)
            body = await self._ask_if_told("DescribeTasks", params)
            tasks = () if body is None else parse.task_resources(body)
            found.update(tasks)
            seen += len(tasks)
            if body is None or not tasks or seen >= parse.total_count(body):
                return frozenset(found)
        raise endless("DescribeTasks")

    async def _ask_supply(self, slot: Slot) -> Supply:
        params = calls.describe_supply(self._region, slot)
        body = await self._ask_if_told("DescribeAvailableResource", params)
        return Supply(slot) if body is None else parse.supply(slot, body)

    async def _ask_architecture(self, instance_type: str) -> str:
        params = calls.describe_instance_type(instance_type)
        body = await self._ask_if_told("DescribeInstanceTypes", params)
        return "" if body is None else parse.cpu_architecture(instance_type, body)

    async def _ask_regions(self, _: str) -> frozenset[str]:
        return parse.region_ids(await self._read("DescribeRegions", calls.describe_regions()))


def _is_awaited(image: Image) -> bool:
    return not image.found or image.status != "Available"


async def pages(read: Read, action: str, params: Callable[[str], Params]) -> AsyncIterator[Body]:
    """Yield all pages of a list; `params` makes the request from a page's token.

    Raises EcsError: a list that broke off was not read, and what is missing in it is not known.
    """
    token, seen = "", set[str]()
    while True:
        body = await read(action, params(token))
        yield body
        token = parse.next_token(body)
        if not token:
            return
        if token in seen or len(seen) >= PAGES_AT_MOST:
            raise endless(action)
        seen.add(token)


def endless(action: str) -> NoAnswer:
    """Return the error for a list whose pages do not end."""
    return unreadable(f"the pages of {action} do not end")
