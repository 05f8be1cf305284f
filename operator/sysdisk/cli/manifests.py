"""SystemDiskSpecs from a file of manifests, for commands that do not apply them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import yaml

from sysdisk.api import meta
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.cli.cluster import Failed


@dataclass(frozen=True, slots=True)
class Manifest:
    """One SystemDiskSpec as somebody wrote it."""

    namespace: str
    name: str
    spec: SystemDiskSpecSpec
    annotations: dict[str, str]


def read_manifests(file: Path, namespace: str) -> list[Manifest]:
    """Return the SystemDiskSpecs in `file` (`-`: the standard input); other kinds are left out.

    `namespace` is that of manifests that name none. Raises Failed where there are none, or where
    one is not understood.
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
    metadata = body.get("metadata") or {}
    name = metadata.get("name")
    if not name:
        raise Failed(f"a {meta.KIND} has no metadata.name")
    try:
        spec = SystemDiskSpecSpec.from_api(body.get("spec"))
    except pydantic.ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        raise Failed(f"{name}: spec.{path}: {first['msg']}") from None
    annotations = {k: str(v) for k, v in (metadata.get("annotations") or {}).items()}
    return Manifest(str(metadata.get("namespace") or namespace), str(name), spec, annotations)
