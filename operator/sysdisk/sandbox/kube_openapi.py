"""OpenAPI v3: enough for kubectl to see that field validation and dry-run happen on the server,
and for `kubectl explain` of custom resources.

For `/openapi/v2` see kube_openapi_v2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sysdisk.sandbox.kube_resources import Resource

Json = Mapping[str, Any]
_QUERY = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")
# The strategic merge patch is served but not announced: announced, kubectl would compute it from
# the schemas here, which do not describe built-in kinds; so it uses the types that it knows itself.
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json")
_PLAIN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def index(resources: Iterable[Resource]) -> dict[str, Any]:
    """Return the answer of `/openapi/v3`: a document per group and version, with its hash."""
    known = list(resources)
    paths: dict[str, Any] = {}
    for path in sorted({_prefix(each) for each in known}):
        text = json.dumps(document(known, path), sort_keys=True)
        digest = hashlib.sha512(text.encode()).hexdigest().upper()
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def document(resources: Iterable[Resource], path: str) -> dict[str, Any] | None:
    """Return the document of `api/v1` or `apis/{group}/{version}`, None if there is none."""
    served = [each for each in resources if _prefix(each) == path]
    if not served:
        return None
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for resource in served:
        paths.update(_paths(resource, path))
        schemas[_component(resource)] = _schema(resource)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "sysdisk-sandbox"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _prefix(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else "api/v1"


def _component(resource: Resource) -> str:
    if resource.custom:
        reversed_group = ".".join(reversed(resource.group.split(".")))
        return f"{reversed_group}.{resource.version}.{resource.kind}"
    return f"io.k8s.api.{resource.group or 'core'}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def _schema(resource: Resource) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": dict(_PLAIN),
    }
    base: dict[str, Any] = {"type": "object"}
    if resource.schema is not None:
        base = {key: value for key, value in resource.schema.items() if key != "properties"}
        properties = {**properties, **(resource.schema.get("properties") or {})}
        properties["metadata"] = dict(_PLAIN)
    else:
        base["x-kubernetes-preserve-unknown-fields"] = True
    return {
        **base,
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(resource)],
    }


def _paths(resource: Resource, prefix: str) -> dict[str, Any]:
    middle = "namespaces/{namespace}/" if resource.namespaced else ""
    base = f"/{prefix}/{middle}{resource.plural}"
    body = {"schema": {"$ref": f"#/components/schemas/{_component(resource)}"}}
    answer = {"200": {"description": "OK", "content": {"application/json": body}}}

    def operation(action: str, content: Iterable[str]) -> dict[str, Any]:
        return {
            "parameters": [_query(name) for name in _QUERY],
            "requestBody": {"content": dict.fromkeys(content, body)},
            "responses": answer,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": _gvk(resource),
        }

    return {
        base: {"post": operation("post", ("application/json",))},
        f"{base}/{{name}}": {
            "patch": operation("patch", _PATCH_TYPES),
            "put": operation("put", ("application/json",)),
        },
    }


def _query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
