"""Kubernetes for a simulated process: the `Kube` port over the store's model, in one event loop."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

from sysdisk.kube.errors import Conflict, Invalid, KubeError, NotThere, Unavailable, error_for
from sysdisk.kube.port import Object, SecretData
from sysdisk.kube.resources import SECRETS, Resource
from sysdisk.sandbox.kube_errors import ApiError
from sysdisk.sandbox.kube_resources import Resource as Served
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.sim_calls import Answered, AnswerLost, Line

T = TypeVar("T")


class StoreKube:
    """`Kube` over a store: what it returns is shared with the store and must not be changed.

    `on_status` is told (resource, object) of each status that this process wrote and knows of.
    """

    def __init__(
        self,
        line: Line,
        store: KubeStore,
        on_status: Callable[[Resource, Object], None] = lambda _resource, _object: None,
    ) -> None:
        self._line = line
        self._store = store
        self._on_status = on_status

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """See `Kube.read`."""
        served = self._served(resource)
        try:
            return await self._call(
                "read", resource, namespace, name, lambda: self._store.get(served, namespace, name)
            )
        except NotThere:
            return None

    async def list(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[Object]:
        """See `Kube.list`."""
        for item in await self._list("list", resource, namespace):
            yield item

    async def list_metadata(
        self, resource: Resource, namespace: str | None = None
    ) -> AsyncIterator[Object]:
        """See `Kube.list_metadata`."""
        for item in await self._list("list_metadata", resource, namespace):
            yield {"metadata": item["metadata"]}

    async def probe(self, resource: Resource, namespace: str | None = None) -> None:
        """See `Kube.probe`."""
        await self._list("probe", resource, namespace)

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
        """See `Kube.patch_status`."""
        fence = {"resourceVersion": resource_version} | ({"uid": uid} if uid else {})
        patch = {"metadata": fence, "status": dict(status)}
        written = await self._patch("patch_status", resource, namespace, name, patch, "status")
        self._on_status(resource, written)
        return written

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
        """See `Kube.patch_metadata`."""
        if finalizers is not None and resource_version is None:
            raise ValueError("a list of finalizers is only replaced under a resourceVersion")
        metadata: dict[str, Any] = {"uid": uid}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        if finalizers is not None:
            metadata["finalizers"] = [*finalizers]
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        return await self._patch(
            "patch_metadata", resource, namespace, name, {"metadata": metadata}, ""
        )

    async def read_secret(self, namespace: str, name: str) -> SecretData | None:
        """See `Kube.read_secret`."""
        body = await self.read(SECRETS, namespace, name)
        if body is None:
            return None
        metadata = body["metadata"]
        return SecretData(
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            labels=metadata.get("labels") or {},
            data={k: base64.b64decode(v) for k, v in (body.get("data") or {}).items()},
        )

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """See `Kube.create`."""
        served, name = self._served(resource), body["metadata"]["name"]
        return await self._call(
            "create",
            resource,
            namespace,
            name,
            lambda: self._store.create(served, namespace, body),
            write=True,
        )

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Object
    ) -> Object:
        """See `Kube.replace`."""
        served = self._served(resource)
        return await self._call(
            "replace",
            resource,
            namespace,
            name,
            lambda: self._store.update(served, namespace, name, body),
            write=True,
        )

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object
    ) -> Object:
        """See `Kube.merge`."""
        return await self._patch("merge", resource, namespace, name, patch, "")

    def _served(self, resource: Resource) -> Served:
        return self._store.resource(resource.group, resource.version, resource.plural)

    async def _list(self, verb: str, resource: Resource, namespace: str | None) -> Sequence[Object]:
        served = self._served(resource)
        page = await self._call(
            verb,
            resource,
            namespace,
            "",
            lambda: {"items": self._store.list(served, namespace).items},
        )
        found: Sequence[Object] = page["items"]
        return found

    async def _patch(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Object,
        subresource: str,
    ) -> Object:
        served = self._served(resource)

        def apply() -> Any:
            return self._store.patch(served, namespace, name, patch, subresource=subresource)

        try:
            return await self._call(verb, resource, namespace, name, apply, write=True)
        except Invalid as exc:
            if "metadata.uid" in str(exc):  # deleted and made anew, as KubeClient tells it
                raise Conflict(str(exc), code=exc.code, reason=exc.reason) from None
            raise

    async def _call(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str,
        effect: Callable[[], Any],
        *,
        write: bool = False,
    ) -> Object:
        subject = f"{namespace}/{name}" if namespace else name
        what = f"{verb} {resource.plural}"

        def tried() -> Any:
            try:
                return effect()
            except ApiError as exc:
                raise _error(what, exc) from None

        try:
            answer: Object = await self._line.carry("kube", what, subject, tried, write=write)
            return answer
        except AnswerLost:
            raise Unavailable(f"{what}: no answer") from None
        except Answered as exc:
            blow = exc.blow
            raise error_for(blow.http, blow.code, f"{what}: {blow.code}") from None


def _error(what: str, exc: ApiError) -> KubeError:
    return error_for(exc.code, exc.reason, f"{what}: {exc.code} {exc}")
