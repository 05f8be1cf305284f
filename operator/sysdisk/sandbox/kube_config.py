"""Kubeconfig files: written whole, readable by their owner alone."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def kubeconfig(
    server: str,
    *,
    name: str = "sysdisk-sandbox",
    token: str | None = None,
    ca: bytes | None = None,
    client_cert: bytes | None = None,
    client_key: bytes | None = None,
    namespace: str = "default",
) -> dict[str, Any]:
    """Return a kubeconfig with one context, called `name`. Certificates are PEM."""
    cluster: dict[str, Any] = {"server": server}
    user: dict[str, Any] = {}
    if ca:
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    if token:
        user["token"] = token
    if client_cert and client_key:
        user["client-certificate-data"] = base64.b64encode(client_cert).decode()
        user["client-key-data"] = base64.b64encode(client_key).decode()
    context = {"cluster": name, "user": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": context}],
    }


def write_private(path: Path, content: Mapping[str, Any]) -> Path:
    """Write `content` as YAML with mode 0600, in one step; return `path`.

    A reader sees the old file or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
