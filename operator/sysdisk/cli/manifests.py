"""SystemDiskSpecs from a file of manifests, for commands that do not apply them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sysdisk.api import meta
from sysdisk.cli.cluster import Failed

_LISTS: Final = ("List", f"{meta.KIND}List")


class _Loader(yaml.SafeLoader):
    """Reads a time as the text that it is, as kubectl does: JSON has no times."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One SystemDiskSpec as somebody wrote it, unchecked: what is right, the API server says.

    Its metadata is a mapping, and so are annotations and labels where they are given.
    """

    namespace: str
    name: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def read_manifests(file: Path, namespace: str) -> list[Manifest]:
    """Return the SystemDiskSpecs in `file` (`-`: the standard input); other kinds are left out.

    `namespace` is that of manifests that name none. Raises Failed where there are none, or where
    one has no name, a shape that is none of ours, or another version.
    """
    source = "the standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, _Loader))
    except (OSError, UnicodeDecodeError) as exc:
        raise Failed(f"{source} cannot be read: {exc}") from None
    except yaml.YAMLError as exc:
        raise Failed(f"{source} is not YAML: {_where(exc)}") from None
    found = [_manifest(body, namespace) for body in _flat(documents, source) if _is_ours(body)]
    if not found:
        raise Failed(f"{source} holds no {meta.KIND}")
    return found


def _where(exc: yaml.YAMLError) -> str:
    """Return the line, the column and what is wrong there, in one line."""
    if not isinstance(exc, yaml.MarkedYAMLError) or exc.problem_mark is None:
        return " ".join(str(exc).split())
    mark, context = exc.problem_mark, f", {exc.context}" if exc.context else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {exc.problem}{context}"


def _flat(documents: list[Any], source: str) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and document.get("kind") in _LISTS:
            items = document.get("items") or []
            if not isinstance(items, list):
                raise Failed(f"{source}: the items of a {document['kind']} are not a list")
            yield from items
        else:
            yield document


def _is_ours(body: Any) -> bool:
    """Whether `body` is a SystemDiskSpec. Raises Failed for one of another version."""
    if not isinstance(body, dict) or body.get("kind") != meta.KIND:
        return False
    version = body.get("apiVersion")
    if version == meta.API_VERSION:
        return True
    if version is None or str(version).partition("/")[0] == meta.GROUP:
        named = f"of {version}" if version else "without apiVersion"
        raise Failed(
            f"{meta.KIND} {_name(body)} is one {named}; this command reads {meta.API_VERSION}"
        )
    return False


def _name(body: dict[str, Any]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def _manifest(body: dict[str, Any], namespace: str) -> Manifest:
    metadata, name = body.get("metadata"), _name(body)
    if not isinstance(metadata, dict) or not name:
        raise Failed(f"a {meta.KIND} has no metadata.name")
    found = Manifest(str(metadata.get("namespace") or namespace), name, body)
    for words in ("annotations", "labels"):
        if not isinstance(metadata.get(words) or {}, dict):
            raise Failed(f"{found}: metadata.{words} is not a mapping")
    try:
        json.dumps(body)
    except (TypeError, ValueError, RecursionError):
        raise Failed(f"{found} holds something that JSON cannot say") from None
    return found
