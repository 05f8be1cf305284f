"""SystemDiskSpecs from a file of manifests, for commands that do not apply them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sysdisk.api import meta
from sysdisk.cli.cluster import Failed


@dataclass(frozen=True, slots=True)
class Manifest:
    """One SystemDiskSpec as somebody wrote it, unchecked: what is right, the API server says."""

    namespace: str
    name: str
    body: dict[str, Any]


def read_manifests(file: Path, namespace: str) -> list[Manifest]:
    """Return the SystemDiskSpecs in `file` (`-`: the standard input); other kinds are left out.

    `namespace` is that of manifests that name none. Raises Failed where there are none, or where
    one has no name.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise Failed(f"{file} cannot be read: {str(exc).splitlines()[0]}") from None
    found = [_manifest(body, namespace) for body in _flat(documents) if _is_ours(body)]
    if not found:
        raise Failed(f"{file} holds no {meta.KIND}")
    return found


def _flat(documents: list[Any]) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or []
        else:
            yield document


def _is_ours(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    return body.get("kind") == meta.KIND and body.get("apiVersion") == meta.API_VERSION


def _manifest(body: dict[str, Any], namespace: str) -> Manifest:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise Failed(f"a {meta.KIND} has no metadata.name")
    return Manifest(str(metadata.get("namespace") or namespace), str(metadata["name"]), body)
