"""The verbs of the Kubernetes API over a store: list, get, create, update, patch, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sysdisk.sandbox import kube_errors as errors
from sysdisk.sandbox import kube_http as http
from sysdisk.sandbox.kube_errors import ApiError, bad_request
from sysdisk.sandbox.kube_patches import (
    JSON_PATCH,
    STRATEGIC,
    json_patch,
    merge_patch,
    strategic_merge,
)
from sysdisk.sandbox.kube_resources import Resource
from sysdisk.sandbox.kube_reviews import review, token_request
from sysdisk.sandbox.kube_store import KubeStore, Preconditions
from sysdisk.sandbox.kube_strict import refuse_unknown, unknown_fields, warning_header
from sysdisk.sandbox.kube_tables import partial, table
from sysdisk.sandbox.kube_watch import WatchRequest, stream

Json = Mapping[str, Any]


class KubeApi:
    """Answers one request at a time; every write is a single synchronous step of the store."""

    def __init__(self, store: KubeStore, bookmark_every: float) -> None:
        self.store = store
        self.bookmark_every = bookmark_every

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the answer to a request about resources. Raises ApiError."""
        target = http.parse_path(request.path)
        if (done := await review(request, target)) is not None:
            return done
        resource = self.store.resource(target.group, target.version, target.plural)
        _check_scope(resource, target)
        if target.subresource not in ("", "status"):
            return await token_request(request, self.store, target)
        if target.subresource == "status" and not resource.subresource_status:
            raise errors.no_such_path()
        if target.name:
            return await self._one(request, resource, target)
        return await self._many(request, resource, target)

    async def _many(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.StreamResponse:
        match request.method:
            case "GET" if http.flag(request.query, "watch"):
                return await self._watch(request, resource, target)
            case "GET":
                return self._list(request, resource, target)
            case "POST":
                return await self._create(request, resource, target)
            case "DELETE":
                return await self._delete_all(request, resource, target)
        raise errors.method_not_allowed()

    async def _one(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.StreamResponse:
        match request.method:
            case "GET":
                obj = self.store.get(resource, target.namespace, target.name)
                return self._respond(request, resource, obj)
            case "PUT":
                return await self._update(request, resource, target)
            case "PATCH":
                return await self._patch(request, resource, target)
            case "DELETE" if not target.subresource:
                return await self._delete(request, resource, target)
        raise errors.method_not_allowed()

    def _respond(
        self, request: web.Request, resource: Resource, obj: Json, status: int = 200
    ) -> web.Response:
        shape = http.negotiate(request.headers.get("Accept", ""))
        include = request.query.get("includeObject", "Metadata")
        body = http.shaped(shape, resource, obj, self.store.now(), include)
        return http.respond(body, shape, status)

    # -- reading ----------------------------------------------------------------------------

    def _list(self, request: web.Request, resource: Resource, target: http.Target) -> web.Response:
        query = request.query
        _check_version(query, self.store.version)
        page = self.store.list(
            resource,
            target.namespace,
            selector=http.selector_of(resource, query),
            limit=http.number(query, "limit"),
            token=http.decode_token(query.get("continue", "")),
        )
        meta: dict[str, Any] = {"resourceVersion": str(page.resource_version)}
        if page.next_token is not None:
            meta["continue"] = http.encode_token(page.next_token)
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                meta["remainingItemCount"] = page.remaining
        shape = http.negotiate(request.headers.get("Accept", ""))
        return http.respond(self._shaped_list(request, shape, resource, page.items, meta), shape)

    def _shaped_list(
        self,
        request: web.Request,
        shape: http.Shape,
        resource: Resource,
        items: tuple[Json, ...],
        meta: Json,
    ) -> dict[str, Any]:
        if shape.form == "table":
            include = request.query.get("includeObject", "Metadata")
            return table(resource, items, self.store.now(), include=include, metadata=meta)
        if shape.form == "metadata":
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": [partial(obj) for obj in items],
            }
        return {
            "kind": resource.list_kind,
            "apiVersion": resource.api_version,
            "metadata": meta,
            "items": list(items) if resource.custom else [_headless(obj) for obj in items],
        }

    async def _watch(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.StreamResponse:
        asked = WatchRequest(
            resource,
            target.namespace,
            http.selector_of(resource, request.query),
            http.negotiate(request.headers.get("Accept", "")),
            request.query,
        )
        return await stream(request, self.store, asked, self.bookmark_every)

    # -- writing ----------------------------------------------------------------------------

    async def _create(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.Response:
        obj = _checked_head(resource, await http.read_body(request))
        unknown = unknown_fields(resource, obj)
        refuse_unknown(resource, request.query, unknown)
        stored = self.store.create(
            resource, target.namespace, obj, dry_run=http.dry_run(request.query)
        )
        return self._written(request, resource, stored, unknown, 201)

    async def _update(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.Response:
        obj = _checked_head(resource, await http.read_body(request))
        unknown = unknown_fields(resource, obj)
        refuse_unknown(resource, request.query, unknown)
        stored = self.store.update(
            resource,
            target.namespace,
            target.name,
            obj,
            subresource=target.subresource,
            dry_run=http.dry_run(request.query),
        )
        return self._written(request, resource, stored, unknown)

    async def _patch(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.Response:
        kind = http.patch_type(request)
        if kind == STRATEGIC and resource.custom:
            raise errors.unsupported_media_type((JSON_PATCH, "application/merge-patch+json"))
        change = await http.read_body(request)
        if kind != JSON_PATCH and not isinstance(change, Mapping):
            raise bad_request("error decoding patch: a patch of this type is an object")
        unknown: list[str] = []

        def changed(old: Json) -> Any:
            new = _patched(kind, old, change)
            if isinstance(new, Mapping):
                unknown.extend(unknown_fields(resource, new))
                refuse_unknown(resource, request.query, unknown, patch=change)
            return new

        stored = self.store.patch(
            resource,
            target.namespace,
            target.name,
            changed,
            subresource=target.subresource,
            dry_run=http.dry_run(request.query),
        )
        return self._written(request, resource, stored, unknown)

    def _written(
        self,
        request: web.Request,
        resource: Resource,
        obj: Json,
        unknown: list[str],
        status: int = 200,
    ) -> web.Response:
        response = self._respond(request, resource, obj, status)
        if request.query.get("fieldValidation", "Warn") == "Warn":
            for field_path in unknown:
                response.headers.add("Warning", warning_header(field_path))
        return response

    async def _delete(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.Response:
        options = await http.read_body(request) or {}
        given = options.get("preconditions") or {}
        wanted = Preconditions(given.get("uid"), given.get("resourceVersion"))
        trial = http.dry_run(request.query) or "All" in (options.get("dryRun") or ())
        obj, is_gone = self.store.delete(
            resource, target.namespace, target.name, wanted, dry_run=trial
        )
        if not is_gone or resource.key == ("", "namespaces"):
            return self._respond(request, resource, obj)
        details = {"name": target.name, "kind": resource.plural, "uid": obj["metadata"]["uid"]}
        if resource.group:
            details["group"] = resource.group
        return http.respond(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            }
        )

    async def _delete_all(
        self, request: web.Request, resource: Resource, target: http.Target
    ) -> web.Response:
        options = await http.read_body(request) or {}
        trial = http.dry_run(request.query) or "All" in (options.get("dryRun") or ())
        page = self.store.list(
            resource, target.namespace, selector=http.selector_of(resource, request.query)
        )
        for obj in page.items:
            meta = obj["metadata"]
            self.store.delete(resource, meta.get("namespace"), meta["name"], dry_run=trial)
        return http.respond(
            {
                "kind": resource.list_kind,
                "apiVersion": resource.api_version,
                "metadata": {"resourceVersion": str(self.store.version)},
                "items": list(page.items),
            }
        )


def _headless(obj: Json) -> dict[str, Any]:
    """Return an item of a list of built-in objects: these do not repeat apiVersion and kind."""
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}


def _check_scope(resource: Resource, target: http.Target) -> None:
    if target.namespace is not None and not resource.namespaced:
        raise errors.no_such_path()
    if resource.namespaced and target.namespace is None and target.name:
        raise errors.no_such_path()


def _check_version(query: Mapping[str, str], present: int) -> None:
    wanted = http.number(query, "resourceVersion")
    if wanted > present:
        raise ApiError(
            504,
            "Timeout",
            f"Too large resource version: {wanted}, current: {present}",
            {"retryAfterSeconds": 1},
        )


def _patched(kind: str, old: Json, change: Any) -> Any:
    if kind == JSON_PATCH:
        return json_patch(old, change)
    if kind == STRATEGIC:
        return strategic_merge(old, change)
    return merge_patch(old, change)


def _checked_head(resource: Resource, obj: Any) -> dict[str, Any]:
    """Return the body if it is an object of this type. Raises ApiError 400."""
    if not isinstance(obj, dict):
        raise bad_request("the body of the request is no object")
    for head in ("kind", "apiVersion"):
        if resource.custom and not obj.get(head):
            raise bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind}): "
                f"Object '{head[0].upper()}{head[1:]}' is missing"
            )
    if obj.get("apiVersion", resource.api_version) != resource.api_version:
        raise bad_request(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API "
            f"version ({resource.api_version})"
        )
    if obj.get("kind", resource.kind) != resource.kind:
        if not resource.custom:
            raise bad_request(f"a {obj['kind']} cannot be handled as a {resource.kind}")
        why = errors.cause("FieldValueInvalid", "kind", obj["kind"], f"must be {resource.kind}")
        raise errors.invalid(resource.group, resource.kind, "", [why])
    if not isinstance(obj.setdefault("metadata", {}), Mapping):
        raise bad_request("metadata must be an object")
    return obj
