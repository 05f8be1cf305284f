"""The Kube port over `kubernetes.aio`: raw JSON, one connection pool, a timeout on every call.

The models of the client library are left out on purpose: parsing them costs more than the call,
and an object that passes through them loses the fields that they do not know.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.rest import RESTResponse

from sysdisk.kube.connection import Access
from sysdisk.kube.errors import Conflict, Invalid, KubeError, NotThere, Unavailable, error_for
from sysdisk.kube.port import Object, SecretData
from sysdisk.kube.resources import SECRETS, Resource
from sysdisk.version import VERSION

PAGE_SIZE = 500
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 20.0
LIST_SECONDS = 60.0

_JSON = "application/json"
_TRIAL = {"dryRun": "All", "fieldValidation": "Strict"}
_MERGE = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class KubeClient:
    """Implements `kube.port.Kube`. Close it, or use it as an async context manager."""

    def __init__(self, access: Access, *, total_seconds: float = TOTAL_SECONDS) -> None:
        self._api = ApiClient(configuration=access.configuration)
        self._headers = {"User-Agent": f"sysdisk/{VERSION}", "Accept": _JSON}
        self._total_seconds = total_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]  # partly typed library

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        try:
            return await self._call("GET", resource.path(namespace, name))
        except NotThere:
            return None

    def list(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[Object]:
        return self._pages(resource, namespace, _JSON)

    def list_metadata(
        self, resource: Resource, namespace: str | None = None
    ) -> AsyncIterator[Object]:
        return self._pages(resource, namespace, _METADATA)

    async def probe(self, resource: Resource, namespace: str | None = None) -> None:
        await self._call("GET", resource.path(namespace), query={"limit": "1"}, accept=_METADATA)

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
        return await self._patch(resource.path(namespace, name, "status"), patch)

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
        if finalizers is not None and resource_version is None:
            raise ValueError("a list of finalizers is only replaced under a resourceVersion")
        metadata: dict[str, Any] = {"uid": uid}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        if finalizers is not None:
            metadata["finalizers"] = [*finalizers]
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        return await self._patch(resource.path(namespace, name), {"metadata": metadata})

    async def read_secret(self, namespace: str, name: str) -> SecretData | None:
        body = await self.read(SECRETS, namespace, name)
        if body is None:
            return None
        metadata = body.get("metadata", {})
        return SecretData(
            uid=metadata.get("uid", ""),
            resource_version=metadata.get("resourceVersion", ""),
            labels=metadata.get("labels") or {},
            data={key: _decoded(key, value) for key, value in (body.get("data") or {}).items()},
        )

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        return await self._call("POST", resource.path(namespace), body=body)

    async def try_create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """Return what `create` would store, defaults included; stores nothing.

        The server applies schema, CEL rules and admission, and refuses unknown fields.
        """
        return await self._call("POST", resource.path(namespace), query=_TRIAL, body=body)

    async def try_replace(
        self, resource: Resource, namespace: str | None, name: str, body: Object
    ) -> Object:
        """Return what `replace` would store; stores nothing. As strict as `try_create`."""
        return await self._call("PUT", resource.path(namespace, name), query=_TRIAL, body=body)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str
    ) -> None:
        """Delete the very object with this uid. One that is gone already is well deleted."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            await self._call("DELETE", resource.path(namespace, name), body=options)
        except NotThere:
            return

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Object
    ) -> Object:
        return await self._call("PUT", resource.path(namespace, name), body=body)

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object
    ) -> Object:
        return await self._call("PATCH", resource.path(namespace, name), body=patch, kind=_MERGE)

    async def version(self) -> str:
        """Return the server's version, such as `v1.36.0`: also the cheapest proof of life."""
        return str((await self._call("GET", "/version")).get("gitVersion", ""))

    async def _patch(self, path: str, patch: Object) -> Object:
        try:
            return await self._call("PATCH", path, body=patch, kind=_MERGE)
        except Invalid as exc:
            # A uid that differs in a patch is refused as an immutable field, with 422: the object
            # was deleted and made anew, which callers know as a conflict.
            if "metadata.uid" in str(exc):
                raise Conflict(str(exc), code=exc.code, reason=exc.reason) from None
            raise

    async def _pages(
        self, resource: Resource, namespace: str | None, accept: str
    ) -> AsyncIterator[Object]:
        query = {"limit": str(PAGE_SIZE)}
        while True:
            page = await self._call(
                "GET", resource.path(namespace), query=query, accept=accept, seconds=LIST_SECONDS
            )
            items = page.get("items")
            if items is None and "items" not in page:
                raise Unavailable(f"the list of {resource.plural} has no items")
            for item in items or ():
                yield item
            following = page.get("metadata", {}).get("continue")
            if not following:
                return
            query = {"limit": str(PAGE_SIZE), "continue": following}

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        kind: str = _JSON,
        accept: str = _JSON,
        seconds: float | None = None,
    ) -> Object:
        headers = self._headers | {"Accept": accept, "Content-Type": kind}
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        timeout = aiohttp.ClientTimeout(
            total=seconds or self._total_seconds, sock_connect=CONNECT_SECONDS
        )
        what = f"{method} {path}"
        try:
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
            response = await self._api.rest_client.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=body, _request_timeout=timeout
            )
            return await _answer(response, what)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            server = self._api.configuration.host
            raise Unavailable(f"{what}: no answer from {server} ({type(exc).__name__})") from exc


async def _answer(response: RESTResponse, what: str) -> Object:
    """Return the decoded object of a 2xx; raise the error that any other answer stands for."""
    text = await response.read()  # type: ignore[no-untyped-call]
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if 200 <= response.status < 300:
            raise Unavailable(f"{what}: the answer is not a JSON object", code=response.status)
        body = {}
    if 200 <= response.status < 300:
        return body
    message = body.get("message") or response.reason or "no message"
    raise error_for(
        response.status,
        str(body.get("reason", "")),
        f"{what}: {response.status} {message}",
        _seconds(response.headers.get("Retry-After")),
    )


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def _decoded(key: str, value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise KubeError(f"the value of key {key!r} is not base64") from None
