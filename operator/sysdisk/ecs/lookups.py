"""What is asked about a region or an image and never about a disk: images, families, key pairs,
the account's encryption default, and which disks have a snapshot in progress.

Many specs share these answers, so a fleet that is re-imaged together asks once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from sysdisk.core.world import Family, Image
from sysdisk.ecs import calls, parse
from sysdisk.ecs.batches import Shared
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import NoAnswer, Refusal, Throttled
from sysdisk.ecs.failures import unreadable
from sysdisk.ecs.port import Body, Params

log = logging.getLogger(__name__)

Read = Callable[[str, Params], Awaitable[Body]]
"""One read call, already limited and counted: (action, parameters) to the answer."""

_OWNERS: tuple[tuple[str, bool], ...] = (("", False), ("marketplace", False), ("others", True))
"""(ImageOwnerAlias, IsPublic) to try: the default leaves the marketplace and the community out."""
PAGES_AT_MOST = 1000


class Lookups:
    """Answers about one region, kept for `ttl` seconds and shared by who asks at the same time.

    Every method takes `begun_after` (monotonic): then only a request begun after it will do. All
    raise EcsError.
    """

    def __init__(
        self, read: Read, region_id: str, clock: Clock, *, ttl: float = 60.0, gather: float = 0.03
    ) -> None:
        self._read = read
        self._region = region_id
        self._images = Shared(self._ask_image, clock, ttl=ttl, gather=gather)
        self._families = Shared(self._ask_family, clock, ttl=ttl, gather=gather)
        self._key_pairs = Shared(self._ask_key_pair, clock, ttl=ttl, gather=gather)
        self._encryption = Shared(self._ask_encryption, clock, ttl=ttl, gather=gather)
        self._snapshots = Shared(self._ask_snapshots, clock, ttl=ttl / 12, gather=gather)

    async def image(self, image_id: str, begun_after: float | None = None) -> Image:
        """Return the image with the instance types that can take it; `found=False` if ECS knows
        none of that ID, whoever may own it. `instance_types` is None where ECS did not tell."""
        return await self._images.get(image_id, begun_after)

    async def family(self, name: str, begun_after: float | None = None) -> Family:
        """Return the newest available member of a family, none if it has none."""
        return await self._families.get(name, begun_after)

    async def key_pair(self, name: str, begun_after: float | None = None) -> bool:
        """Return whether a key pair of exactly this name exists."""
        return await self._key_pairs.get(name, begun_after)

    async def default_encryption(self, begun_after: float | None = None) -> bool:
        """Return whether the account encrypts new disks of this region by default."""
        return await self._encryption.get("", begun_after)

    async def snapshot_running(self, disk_id: str, begun_after: float | None = None) -> bool:
        """Return whether a snapshot of this disk is in progress."""
        return disk_id in await self._snapshots.get("", begun_after)

    async def close(self) -> None:
        """Stop asking; who still waits gets `NoAnswer`."""
        for shared in (self._images, self._families, self._key_pairs, self._encryption):
            await shared.close()
        await self._snapshots.close()

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
        try:
            return parse.instance_types(
                await self._read("DescribeImageSupportInstanceTypes", params)
            )
        except Throttled:
            raise
        except Refusal as error:
            fields = {"image_id": image_id, "error": error.failure.text()}
            log.warning("ECS does not say which instance types an image fits", extra=fields)
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

    async def _ask_snapshots(self, _: str) -> frozenset[str]:
        found: set[str] = set()
        async for body in pages(
            self._read,
            "DescribeSnapshots",
            lambda token: calls.describe_running_snapshots(self._region, token),
        ):
            found.update(parse.snapshot_sources(body))
        return frozenset(found)


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
