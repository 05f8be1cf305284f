"""The Kubernetes port over the embedded store, in one process and in whatever time the loop has.

`cut` makes calls fail: before their effect, or after it with the answer lost.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal

from sysdisk.kube.errors import NotThere, Unavailable, error_for
from sysdisk.kube.port import Object, SecretData
from sysdisk.kube.resources import SECRETS, Resource
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_errors import ApiError
from sysdisk.sandbox.kube_store import KubeStore, thaw

Side = Literal["before", "after"]
Cut = Callable[[str, Resource], Side | None]
"""Says for a call (verb, resource) on which side of its effect it is cut, if at all."""


def never(verb: str, resource: Resource) -> Side | None:
    return None


class LocalKube:
    """Implements `kube.port.Kube`. `calls` lists the verbs and plurals of all calls in order."""

    def __init__(self, store: KubeStore | None = None, *, takes_seconds: float = 0.0) -> None:
        self.store = store or complete(KubeStore())
        self.cut: Cut = never
        self.calls: list[tuple[str, str]] = []
        self._takes = takes_seconds

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        try:
            return await self._do("read", resource, lambda r: self.store.get(r, namespace, name))
        except NotThere:
            return None

    async def list(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[Object]:
        for item in self.store.list(self._find(resource), namespace).items:
            yield thaw(item)

    async def list_metadata(
        self, resource: Resource, namespace: str | None = None
    ) -> AsyncIterator[Object]:
        async for item in self.list(resource, namespace):
            yield {"metadata": item["metadata"]}

    async def probe(self, resource: Resource, namespace: str | None = None) -> None:
        await self._do("probe", resource, lambda r: {})

    async def patch_status(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        resource_version: str,
        status: Mapping[str, Any],
        uid: str | None = None,
    ) -> Object:
        fence = {"resourceVersion": resource_version} | ({"uid": uid} if uid else {})
        patch = {"metadata": fence, "status": dict(status)}
        return await self._do(
            "patch_status",
            resource,
            lambda r: self.store.patch(r, namespace, name, patch, subresource="status"),
        )

    async def patch_metadata(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        resource_version: str | None,
        finalizers: Sequence[str] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> Object:
        metadata: dict[str, Any] = {"uid": uid}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        if finalizers is not None:
            metadata["finalizers"] = [*finalizers]
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        return await self._do(
            "patch_metadata",
            resource,
            lambda r: self.store.patch(r, namespace, name, {"metadata": metadata}),
        )

    async def read_secret(self, namespace: str, name: str) -> SecretData | None:
        body = await self.read(SECRETS, namespace, name)
        if body is None:
            return None
        return SecretData(
            uid=body["metadata"]["uid"],
            resource_version=body["metadata"]["resourceVersion"],
            labels=body["metadata"].get("labels") or {},
            data={k: base64.b64decode(v) for k, v in (body.get("data") or {}).items()},
        )

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        return await self._do("create", resource, lambda r: self.store.create(r, namespace, body))

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Object
    ) -> Object:
        return await self._do(
            "replace", resource, lambda r: self.store.update(r, namespace, name, body)
        )

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object
    ) -> Object:
        return await self._do(
            "merge", resource, lambda r: self.store.patch(r, namespace, name, patch)
        )

    async def _do(
        self, verb: str, resource: Resource, effect: Callable[[Any], Mapping[str, Any]]
    ) -> Object:
        self.calls.append((verb, resource.plural))
        side = self.cut(verb, resource)
        await asyncio.sleep(self._takes)
        if side == "before":
            raise Unavailable(f"{verb} {resource.plural}: cut before its effect")
        try:
            answer: Object = thaw(effect(self._find(resource)))
        except ApiError as exc:
            raise error_for(exc.code, exc.reason, str(exc)) from None
        if side == "after":
            raise Unavailable(f"{verb} {resource.plural}: cut after its effect")
        return answer

    def _find(self, resource: Resource) -> Any:
        try:
            return self.store.resource(resource.group, resource.version, resource.plural)
        except ApiError as exc:
            raise error_for(exc.code, exc.reason, str(exc)) from None
