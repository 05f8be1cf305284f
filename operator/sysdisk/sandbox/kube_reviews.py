"""Reviews and tokens: questions that clients ask about themselves. Everyone may do everything."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from sysdisk.sandbox import kube_errors as errors
from sysdisk.sandbox import kube_http as http
from sysdisk.sandbox.kube_discovery import REVIEWS
from sysdisk.sandbox.kube_store import KubeStore, timestamp

Json = Mapping[str, Any]
_USER = {"username": "sandbox-admin", "groups": ["system:masters", "system:authenticated"]}
_KINDS = {(group, version, plural): kind for group, version, kind, plural, _ in REVIEWS}


async def review(request: web.Request, target: http.Target) -> web.Response | None:
    """Return the answer to a review, None if the request is none."""
    kind = _KINDS.get((target.group, target.version, target.plural))
    if kind is None:
        return None
    if request.method != "POST":
        raise errors.method_not_allowed()
    # kubectl sends reviews as protobuf; the answer does not depend on what is asked.
    is_protobuf = request.content_type == "application/vnd.kubernetes.protobuf"
    asked = {} if is_protobuf else (await http.read_body(request) or {})
    answer = {
        "kind": kind,
        "apiVersion": f"{target.group}/{target.version}",
        "metadata": {"creationTimestamp": None},
        "spec": asked.get("spec") or {},
        "status": _status(kind),
    }
    return http.respond(answer, status=201)


def _status(kind: str) -> dict[str, Any]:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    match kind:
        case "TokenReview":
            return {"authenticated": True, "user": _USER}
        case "SelfSubjectReview":
            return {"userInfo": _USER}
        case "SelfSubjectRulesReview":
            anywhere = {"verbs": ["*"], "nonResourceURLs": ["*"]}
            return {
                "resourceRules": [everything],
                "nonResourceRules": [anywhere],
                "incomplete": False,
            }
    return {"allowed": True, "reason": "the sandbox enforces no RBAC"}


async def token_request(
    request: web.Request, store: KubeStore, target: http.Target
) -> web.Response:
    """Return a token for a service account; it is worth nothing but to be sent. Raises ApiError."""
    if (target.plural, target.subresource, request.method) != ("serviceaccounts", "token", "POST"):
        raise errors.no_such_path()
    accounts = store.resource("", "v1", "serviceaccounts")
    store.get(accounts, target.namespace, target.name)
    asked = await http.read_body(request) or {}
    seconds = (asked.get("spec") or {}).get("expirationSeconds") or 3600
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {**(asked.get("spec") or {}), "expirationSeconds": seconds},
        "status": {
            "token": f"sandbox-{secrets.token_urlsafe(24)}",
            "expirationTimestamp": timestamp(store.now() + timedelta(seconds=seconds)),
        },
    }
    return http.respond(answer, status=201)
