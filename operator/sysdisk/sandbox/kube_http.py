"""HTTP requests of the Kubernetes API: what a path, a query and an Accept header ask for."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml
from aiohttp import web

from sysdisk.sandbox import kube_errors as errors
from sysdisk.sandbox import kube_protobuf
from sysdisk.sandbox.kube_errors import ApiError, bad_request
from sysdisk.sandbox.kube_patches import JSON_PATCH, MERGE, STRATEGIC
from sysdisk.sandbox.kube_resources import Resource
from sysdisk.sandbox.kube_selectors import Selector, field_selector, label_selector
from sysdisk.sandbox.kube_tables import partial, table

Json = Mapping[str, Any]
_PATCHES = (JSON_PATCH, MERGE, STRATEGIC)


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a type's collection, or one object, or a subresource of it."""

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> Target:
    """Return what `path` names. Raises ApiError 404 for other paths."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise errors.no_such_path()
    namespace = None
    if rest[0] == "namespaces" and len(rest) >= 3 and not _is_namespace_part(group, rest):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        raise errors.no_such_path()
    plural, name, subresource = (*rest, "", "")[:3]
    return Target(group, version, plural, namespace, name, subresource)


def _is_namespace_part(group: str, rest: list[str]) -> bool:
    return group == "" and len(rest) == 3 and rest[2] in ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Shape:
    """The form in which objects are asked for: as they are, as metadata, or as a table."""

    form: str = "object"
    yaml: bool = False

    @property
    def content_type(self) -> str:
        """Return the Content-Type of a single answer."""
        return "application/yaml" if self.yaml else "application/json"


def negotiate(accept: str) -> Shape:
    """Return the first form in `accept` that is served. Raises ApiError 406 if there is none."""
    if not accept:
        return Shape()
    for offer in accept.split(","):
        kind, *parameters = [part.strip() for part in offer.split(";")]
        wanted = dict(part.split("=", 1) for part in parameters if "=" in part)
        if kind not in ("application/json", "application/yaml", "*/*", "application/*"):
            continue
        form = _form(wanted)
        if form is not None:
            return Shape(form, kind == "application/yaml")
    raise ApiError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    )


def _form(wanted: Mapping[str, str]) -> str | None:
    match wanted.get("as"):
        case None:
            return "object"
        case "Table":
            return "table" if wanted.get("v") in ("v1", "v1beta1") else None
        case "PartialObjectMetadata" | "PartialObjectMetadataList":
            return "metadata" if wanted.get("v") in ("v1", "v1beta1") else None
    return None


def shaped(shape: Shape, resource: Resource, obj: Json, now: datetime, include: str) -> Json:
    """Return one object in the form that was asked for."""
    if shape.form == "metadata":
        return partial(obj)
    if shape.form == "table":
        version = obj["metadata"].get("resourceVersion", "")
        return table(resource, [obj], now, include=include, metadata={"resourceVersion": version})
    return obj


def respond(body: Json, shape: Shape | None = None, status: int = 200) -> web.Response:
    """Return the HTTP answer with `body`, as JSON or YAML."""
    if shape is not None and shape.yaml:
        text = yaml.safe_dump(json.loads(json.dumps(body)), sort_keys=False)
        return web.Response(text=text, status=status, content_type="application/yaml")
    return web.Response(body=encode(body), status=status, content_type="application/json")


def encode(body: Json) -> bytes:
    """Return `body` as one line of JSON."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


async def read_body(request: web.Request) -> Any:
    """Return the decoded body, None if there is none. Raises ApiError 400 or 415."""
    raw = await request.read()
    if not raw:
        return None
    kind = request.content_type
    if kind == kube_protobuf.CONTENT_TYPE:
        return kube_protobuf.decode(raw)
    try:
        if kind in ("application/yaml", "application/apply-patch+yaml"):
            return yaml.safe_load(raw)
        if kind not in ("application/json", "application/octet-stream", *_PATCHES):
            raise errors.unsupported_media_type(("application/json", "application/yaml"))
        return json.loads(raw, parse_float=_number)
    except (ValueError, yaml.YAMLError) as exc:
        raise bad_request(f"the object provided is unrecognized: {exc}") from exc


def _number(text: str) -> float | int:
    """Return 5 for `5.0`, as Go's decoder for unstructured objects does."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def patch_type(request: web.Request) -> str:
    """Return the kind of patch. Raises ApiError 415 for one that is not served."""
    if request.content_type not in _PATCHES:
        raise errors.unsupported_media_type(_PATCHES)
    return request.content_type


def selector_of(resource: Resource, query: Mapping[str, str]) -> Selector:
    """Return the predicate of `labelSelector` and `fieldSelector`. Raises ApiError 400."""
    labels = label_selector(query.get("labelSelector", ""))
    fields = field_selector(query.get("fieldSelector", ""), resource.field_labels)
    return lambda obj: labels(obj) and fields(obj)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return a boolean parameter: present and not false."""
    return query.get(name, "false").lower() not in ("false", "0")


def number(query: Mapping[str, str], name: str) -> int:
    """Return a numeric parameter, 0 if absent. Raises ApiError 400."""
    try:
        return int(query.get(name) or 0)
    except ValueError as exc:
        raise bad_request(f"invalid {name}: {query[name]!r}") from exc


def dry_run(query: Mapping[str, str]) -> bool:
    """Return whether nothing is to be stored. Raises ApiError 422 for anything but `All`."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        why = errors.cause("FieldValueNotSupported", "dryRun", value, 'supported values: "All"')
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", [why])
    return value == "All"


def encode_token(token: tuple[int, int]) -> str:
    """Return a continue token as it is sent."""
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode()


def decode_token(text: str) -> tuple[int, int] | None:
    """Return a continue token, None for no text. Raises ApiError 400."""
    if not text:
        return None
    try:
        snapshot, start = json.loads(base64.urlsafe_b64decode(text))
        return int(snapshot), int(start)
    except (ValueError, TypeError, binascii.Error) as exc:
        raise bad_request("continue key is not valid: illegal base64 or JSON") from exc
