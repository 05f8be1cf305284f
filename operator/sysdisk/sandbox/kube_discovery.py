"""Discovery: the groups, versions and resources there are, classic and aggregated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sysdisk.sandbox.kube_errors import no_such_path
from sysdisk.sandbox.kube_resources import Resource

Json = Mapping[str, Any]

GIT_VERSION = "v1.36.2+sysdisk-sandbox"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_READ_WRITE = ("get", "patch", "update")

# Types that answer a POST and store nothing: (group, version, kind, plural, namespaced).
REVIEWS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", False),
    ("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", False),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", True),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", False),
    ("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", False),
)


def version() -> dict[str, str]:
    """Return the answer of `/version`."""
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": "sysdisk-sandbox",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "python",
        "platform": "any",
    }


def _groups(resources: Iterable[Resource]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for resource in resources:
        versions = groups.setdefault(resource.group, [])
        if resource.version not in versions:
            versions.append(resource.version)
    for group, one, *_ in REVIEWS:
        versions = groups.setdefault(group, [])
        if one not in versions:
            versions.append(one)
    return groups


def core_versions(address: str) -> dict[str, Any]:
    """Return the answer of `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(resources: Iterable[Resource]) -> dict[str, Any]:
    """Return the answer of `/apis`."""
    groups = [_group(name, versions) for name, versions in _groups(resources).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group(resources: Iterable[Resource], name: str) -> dict[str, Any]:
    """Return the answer of `/apis/{group}`. Raises ApiError 404."""
    versions = _groups(resources).get(name)
    if versions is None or not name:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(resources: Iterable[Resource], name: str, one: str) -> dict[str, Any]:
    """Return the answer of `/apis/{group}/{version}`. Raises ApiError 404."""
    listed = _listed(resources, name, one)
    if not listed:
        raise no_such_path()
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{name}/{one}" if name else one,
        "resources": listed,
    }


def _listed(resources: Iterable[Resource], name: str, one: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for resource in sorted(resources, key=lambda each: each.plural):
        if (resource.group, resource.version) != (name, one):
            continue
        listed.append(_entry(resource))
        if resource.subresource_status:
            listed.append(_sub(resource, f"{resource.plural}/status", resource.kind, _READ_WRITE))
        if resource.key == ("", "serviceaccounts"):
            listed.append(_sub(resource, "serviceaccounts/token", "TokenRequest", ("create",)))
    for group_name, review_version, kind, plural, namespaced in REVIEWS:
        if (group_name, review_version) == (name, one):
            listed.append(
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "namespaced": namespaced,
                    "kind": kind,
                    "verbs": ["create"],
                }
            )
    return listed


def _entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular_name,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _sub(resource: Resource, name: str, kind: str, verbs: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }


def aggregated(resources: Iterable[Resource], *, core: bool) -> dict[str, Any]:
    """Return the aggregated discovery of `/api` (`core`) or `/apis`."""
    known = list(resources)
    items = [
        {
            "metadata": {"name": name or None, "creationTimestamp": None},
            "versions": [
                {
                    "version": one,
                    "resources": _aggregated_resources(known, name, one),
                    "freshness": "Current",
                }
                for one in versions
            ],
        }
        for name, versions in _groups(known).items()
        if (name == "") is core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_resources(resources: list[Resource], name: str, one: str) -> list[dict[str, Any]]:
    listed: dict[str, dict[str, Any]] = {}
    for entry in _listed(resources, name, one):
        plural, _, subresource = entry["name"].partition("/")
        kind = {"group": name, "version": one, "kind": entry["kind"]}
        if subresource:
            listed[plural].setdefault("subresources", []).append(
                {"subresource": subresource, "responseKind": kind, "verbs": entry["verbs"]}
            )
            continue
        listed[plural] = {
            "resource": plural,
            "responseKind": kind,
            "scope": "Namespaced" if entry["namespaced"] else "Cluster",
            "singularResource": entry["singularName"],
            "verbs": entry["verbs"],
            **{key: entry[key] for key in ("shortNames", "categories") if key in entry},
        }
    return list(listed.values())
