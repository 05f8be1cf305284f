"""The API reference for people, made from the CRDs.

`python -m sysdisk.api.reference FILE` writes it. It says no more than `kubectl explain`, but on
one page and with the rules.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from sysdisk.api.base import Json
from sysdisk.api.crd import crds

_HEAD = """# API reference

Generated from the CRDs by `make generate`; `kubectl explain sds.spec` says the same. A field
without a default may be left out unless it is required. Lists are replaced as a whole, but for
conditions, which are merged by their type. What an API server refuses is listed below each table.
"""


def render_reference() -> str:
    """Return the reference as Markdown, the same text every time."""
    return "\n".join([_HEAD, *(line for crd in crds() for line in _kind(crd))])


def _kind(crd: Json) -> Iterator[str]:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    short = ", ".join(names["shortNames"])
    yield f"## {names['kind']}\n"
    yield f"{schema['description']}\n"
    yield (
        f"`{crd['spec']['group']}/{version['name']}`, {crd['spec']['scope'].lower()}; "
        f"`kubectl get {names['plural']}`, short `{short}`.\n"
    )
    for part in ("spec", "status"):
        node = schema["properties"][part]
        yield f"### {names['kind']} {part}\n"
        yield "| field | type | meaning |\n| --- | --- | --- |"
        yield from (_row(path, child, needed) for path, child, needed in _fields(node, ""))
        yield ""
        refused = [f"- {text}" for text in _messages(node)]
        if refused:
            yield "Refused:\n"
            yield from [*dict.fromkeys(refused), ""]


def _fields(node: Json, path: str) -> Iterator[tuple[str, Json, bool]]:
    """Return path, schema and need of every field below `node`, in order."""
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, child, name in node.get("required", ())
        yield from _fields(child, here)
        if "items" in child:
            yield from _fields(child["items"], f"{here}[]")


def _row(path: str, node: Json, needed: bool) -> str:
    notes = [node["description"].replace("|", "\\|")]
    if "enum" in node:
        notes.append("One of " + ", ".join(f"`{value}`" for value in node["enum"]) + ".")
    if "minimum" in node and "maximum" in node:
        notes.append(f"From {node['minimum']} to {node['maximum']}.")
    if node.get("default") not in (None, {}):
        notes.append(f"Default `{node['default']}`.")
    if needed:
        notes.append("**Required.**")
    return f"| `{path}` | {_type(node)} | {' '.join(notes)} |"


def _type(node: Json) -> str:
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return "time" if node.get("format") == "date-time" else str(node["type"])


def _messages(node: Json) -> Iterator[str]:
    """Return what the rules at and below `node` say."""
    yield from (made["message"] for made in node.get("x-kubernetes-validations", ()))
    for child in node.get("properties", {}).values():
        yield from _messages(child)
    if "items" in node:
        yield from _messages(node["items"])


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api.md").write_text(
        render_reference(), encoding="utf-8"
    )
