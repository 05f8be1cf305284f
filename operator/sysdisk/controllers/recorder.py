"""The recorder: status is written here, under the resourceVersion that was read, or not at all.

A merge patch holds only what changed. Nothing changed: nothing is written. A stale version is a
Conflict, with nothing done: whoever meets it reads again and decides again (I2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pydantic

from sysdisk.api import meta
from sysdisk.api.durations import parse_time
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import SystemDiskSpecStatus
from sysdisk.controllers.calm import Calm
from sysdisk.controllers.store import Slim, Store
from sysdisk.core.model import Key, Subject
from sysdisk.kube.errors import Conflict, Unavailable
from sysdisk.kube.port import Kube
from sysdisk.kube.resources import SPECS

T = TypeVar("T", SystemDiskSpecSpec, SystemDiskSpecStatus)


class Unreadable(Exception):
    """An object that does not parse: its spec, or its recorded status. The text is for people."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(f"{part} is not understood: {why}")
        self.part = part


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) from `old` to `new`; empty: they are equal."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = merge_patch(before, value)
            if inner:
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch


def read_subject(key: Key, body: Slim) -> Subject:
    """Return `body` as a Subject, without its account's policies. Raises Unreadable."""
    spec = _parse("spec", SystemDiskSpecSpec, body.get("spec"))
    return _subject(key, body, spec, _parse("status", SystemDiskSpecStatus, body.get("status")))


def _subject(
    key: Key, body: Slim, spec: SystemDiskSpecSpec, status: SystemDiskSpecStatus
) -> Subject:
    metadata = body["metadata"]
    return Subject(
        key=key,
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        generation=metadata.get("generation", 0),
        created_at=parse_time(metadata["creationTimestamp"]),
        spec=spec,
        status=status,
        deleting="deletionTimestamp" in metadata,
        has_finalizer=meta.FINALIZER in metadata.get("finalizers", ()),
        annotations=metadata.get("annotations", {}),
    )


def _parse(part: str, kind: type[T], data: Any) -> T:
    try:
        return kind.from_api(data)
    except pydantic.ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        raise Unreadable(part, f"{part}.{path}: {first['msg']}") from None


def stand_in(key: Key, body: Slim) -> Subject:
    """Return `body`, which does not parse, as far as it takes to tell of it: its instance, and
    the conditions it has."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    try:
        before = SystemDiskSpecStatus.from_api({"conditions": status.get("conditions", [])})
    except pydantic.ValidationError:
        before = SystemDiskSpecStatus()
    named = SystemDiskSpecSpec.model_construct(instance_id=str(spec.get("instanceId", "")))
    return _subject(key, body, named, before)


class Recorder:
    """Writes for one kind of object, and keeps the store in step with the answers."""

    def __init__(self, kube: Kube, specs: Store[Key], news: Callable[[Key], None]) -> None:
        self._kube = kube
        self._specs = specs
        self._news = news
        self._calm: Calm[Key] = Calm()

    async def read_again(self, key: Key) -> Slim | None:
        """Return the object as the API server has it now, and remember it; None: it is gone."""
        body = await self._kube.read(SPECS, key.namespace, key.name)
        if body is None:
            self._specs.forget(key)
            return None
        self._specs.remember(body)
        return self._specs.get(key)

    async def record(
        self, subject: Subject, status: SystemDiskSpecStatus, *, before: SystemDiskSpecStatus
    ) -> str:
        """Write `status` if it is another than `before`; return the resourceVersion after it.

        `before` may know more than is stored: that alone is no reason to write. Raises Conflict
        where somebody wrote first, and Unavailable where a status at rest is written too often:
        nothing was done.
        """
        if status == before:
            return subject.resource_version
        if status.operation is None and subject.status.operation is None:
            self._keep_calm(subject.key)
        elif status.operation == before.operation and self._wait(subject.key) > 0.0:
            return subject.resource_version  # nothing but words, and somebody else has others
        return await self._patch(subject, merge_patch(self._stored(subject), status.to_api()))

    async def tell(self, subject: Subject, status: SystemDiskSpecStatus) -> None:
        """Write what `status` tells, and leave all else of what is stored as it is.

        For an object that is not understood (`stand_in`). Raises Conflict.
        """
        if status.conditions == subject.status.conditions:
            return
        self._keep_calm(subject.key)
        told, stored = status.to_api(), self._stored(subject)
        shown = ("conditions", "phase", "observedGeneration")
        await self._patch(subject, {n: told[n] for n in shown if told.get(n) != stored.get(n)})

    async def _patch(self, subject: Subject, patch: dict[str, Any]) -> str:
        with self._specs.own_write(subject.key, self._news) as remember:
            body = await self._kube.patch_status(
                SPECS,
                subject.key.namespace,
                subject.key.name,
                resource_version=subject.resource_version,
                uid=subject.uid,
                status=patch,
            )
            remember(body)
        return _version(body)

    async def set_finalizer(
        self, subject: Subject, present: bool, annotations: Mapping[str, str | None] | None = None
    ) -> str | None:
        """Put our finalizer on or take it off, others stay; return the resourceVersion after it.

        `annotations` are merged along. None: the object is gone. Raises Conflict.
        """
        body = self._specs.get(subject.key)
        if body is None or body["metadata"].get("resourceVersion") != subject.resource_version:
            raise Conflict("the object was changed meanwhile", code=409)
        others = [f for f in body["metadata"].get("finalizers", ()) if f != meta.FINALIZER]
        wanted = [*others, meta.FINALIZER] if present else others
        if not present and subject.status.operation is None:
            self._keep_calm(subject.key)
        after = await self._patch_metadata(subject, finalizers=wanted, annotations=annotations)
        metadata = after.get("metadata", {})
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._specs.forget(subject.key, metadata.get("resourceVersion"))
            return None
        return _version(after)

    async def annotate(self, subject: Subject, annotations: Mapping[str, str | None]) -> None:
        """Merge annotations into the object that was read. Raises Conflict."""
        await self._patch_metadata(subject, annotations=annotations)

    async def _patch_metadata(self, subject: Subject, **changes: Any) -> dict[str, Any]:
        with self._specs.own_write(subject.key, self._news) as remember:
            after = await self._kube.patch_metadata(
                SPECS,
                subject.key.namespace,
                subject.key.name,
                uid=subject.uid,
                resource_version=subject.resource_version,
                **changes,
            )
            remember(after)
        return after

    def _wait(self, key: Key) -> float:
        """Return how long to let a write that only tells something rest; 0: it may go."""
        return self._calm.wait(key, asyncio.get_running_loop().time())

    def _keep_calm(self, key: Key) -> None:
        """Raises Unavailable with the time to wait where somebody else undoes what we write."""
        wait = self._wait(key)
        if wait > 0.0:
            raise Unavailable(
                "the object at rest is written again and again: is a second operator at work?",
                retry_after=wait,
            )

    def _stored(self, subject: Subject) -> Mapping[str, Any]:
        """Return the status as it is stored in the version that was read. Raises Conflict."""
        body = self._specs.get(subject.key)
        if body is None or body["metadata"].get("resourceVersion") != subject.resource_version:
            raise Conflict("the object was changed meanwhile", code=409)
        stored: Mapping[str, Any] = body["status"]
        return stored


def _version(body: Mapping[str, Any]) -> str:
    version: str = body["metadata"]["resourceVersion"]
    return version
