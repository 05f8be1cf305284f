"""Watches: streams of changes, from a version on, until a timeout, a fault or the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sysdisk.sandbox.kube_errors import ApiError, bad_request
from sysdisk.sandbox.kube_http import Shape, encode, flag, number, shaped
from sysdisk.sandbox.kube_log import WatchEvent
from sysdisk.sandbox.kube_resources import Resource
from sysdisk.sandbox.kube_selectors import Selector
from sysdisk.sandbox.kube_store import KubeStore, in_version
from sysdisk.sandbox.kube_tables import table

Json = Mapping[str, Any]
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """One watch: what it is about, from where, how it wants to be told."""

    resource: Resource
    namespace: str | None
    selector: Selector
    shape: Shape
    query: Mapping[str, str]

    def wants(self, obj: Json | None) -> bool:
        """Return whether the object is one that the watch is about."""
        if obj is None:
            return False
        space = obj["metadata"].get("namespace")
        return self.namespace in (None, space) and self.selector(in_version(self.resource, obj))


class Watch:
    """The state of a stream: the version up to which everything was told."""

    def __init__(self, store: KubeStore, asked: WatchRequest) -> None:
        self._store = store
        self._asked = asked
        self._told_columns = False
        version = asked.query.get("resourceVersion", "")
        self._from_now = version in ("", "0")
        if not version.isdigit() and version:
            raise bad_request(f'invalid resource version "{version}"')
        self._cursor = store.version if self._from_now else int(version)

    def check(self) -> None:
        """Raise ApiError for a request that is refused before the stream begins."""
        if "sendInitialEvents" in self._asked.query:
            _check_initial(self._asked.query)

    def opening(self) -> Iterator[bytes]:
        """Yield what is told before the first change. Raises ApiError 400 or 410."""
        asked = self._asked
        initial = flag(asked.query, "sendInitialEvents")
        if initial or (self._from_now and "sendInitialEvents" not in asked.query):
            self._cursor = self._store.version
            for obj in self._store.list(
                asked.resource, asked.namespace, selector=asked.selector
            ).items:
                yield self._line("ADDED", obj)
        if initial and flag(asked.query, "allowWatchBookmarks"):
            yield self.bookmark({_INITIAL_END: "true"})
        yield from self.news()

    def news(self) -> Iterator[bytes]:
        """Yield what happened since the last call. Raises ApiError 410 when history is gone."""
        events = list(self._store.log.since(self._asked.resource.key, self._cursor))
        self._cursor = max(self._cursor, self._store.version)
        for event in events:
            if (told := self._told(event)) is not None:
                yield told

    def _told(self, event: WatchEvent) -> bytes | None:
        now, before = self._asked.wants(event.object), self._asked.wants(event.old)
        if event.type == "DELETED":
            return self._line("DELETED", event.object) if before or now else None
        if now:
            return self._line("MODIFIED" if before else "ADDED", event.object)
        if before and event.old is not None:
            version = {"resourceVersion": str(event.version)}
            last = {**event.old, "metadata": {**event.old["metadata"], **version}}
            return self._line("DELETED", last)
        return None

    def _line(self, kind: str, obj: Json) -> bytes:
        asked = self._asked
        obj = in_version(asked.resource, obj)
        include = asked.query.get("includeObject", "Metadata")
        if asked.shape.form == "table":
            version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            shown: Json = table(
                asked.resource,
                [obj],
                self._store.now(),
                include=include,
                metadata=version,
                with_columns=not self._told_columns,
            )
            self._told_columns = True
        else:
            shown = shaped(asked.shape, asked.resource, obj, self._store.now(), include)
        return encode({"type": kind, "object": shown})

    def bookmark(self, annotations: Mapping[str, str] | None = None) -> bytes:
        """Return a bookmark: everything up to its version was told."""
        asked = self._asked
        meta: dict[str, Any] = {"resourceVersion": str(self._cursor), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = dict(annotations)
        if asked.shape.form == "table":
            empty = table(asked.resource, [], self._store.now(), metadata=meta, with_columns=False)
            return encode({"type": "BOOKMARK", "object": empty})
        kind, api_version = asked.resource.kind, asked.resource.api_version
        if asked.shape.form == "metadata":
            kind, api_version = "PartialObjectMetadata", "meta.k8s.io/v1"
        head = {"kind": kind, "apiVersion": api_version, "metadata": meta}
        return encode({"type": "BOOKMARK", "object": head})


def _check_initial(query: Mapping[str, str]) -> None:
    if query.get("resourceVersionMatch") != "NotOlderThan":
        raise ApiError(
            422,
            "Invalid",
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            {"group": "meta.k8s.io", "kind": "ListOptions"},
        )


async def stream(
    request: web.Request, store: KubeStore, asked: WatchRequest, bookmark_every: float
) -> web.StreamResponse:
    """Serve one watch until its timeout, the client's end, or the loss of its history."""
    watch = Watch(store, asked)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    wake = asyncio.Event()
    key = asked.resource.key
    stop_listening = store.log.listen(lambda about: wake.set() if about in (None, key) else None)
    try:
        watch.check()
        await response.prepare(request)
        await _tell(response, watch, wake, asked.query, bookmark_every)
        await response.write_eof()
    except ApiError as exc:
        if not response.prepared:
            raise
        await response.write(encode({"type": "ERROR", "object": exc.status()}))
        await response.write_eof()
    except ConnectionError:
        pass
    finally:
        stop_listening()
    return response


async def _tell(
    response: web.StreamResponse,
    watch: Watch,
    wake: asyncio.Event,
    query: Mapping[str, str],
    bookmark_every: float,
) -> None:
    loop = asyncio.get_running_loop()
    seconds = number(query, "timeoutSeconds") or random.randint(1800, 3600)  # noqa: S311 - no secret
    bookmarks = flag(query, "allowWatchBookmarks")
    end = loop.time() + seconds
    next_bookmark = loop.time() + bookmark_every
    await _write(response, watch.opening())
    while (left := end - loop.time()) > 0:
        wait = min(left, next_bookmark - loop.time()) if bookmarks else left
        try:
            async with asyncio.timeout(max(wait, 0)):
                await wake.wait()
        except TimeoutError:
            if bookmarks and loop.time() >= next_bookmark:
                await response.write(watch.bookmark())
                next_bookmark = loop.time() + bookmark_every
        wake.clear()
        await _write(response, watch.news())


async def _write(response: web.StreamResponse, lines: Iterator[bytes]) -> None:
    block = b"".join(lines)
    if block:
        await response.write(block)
