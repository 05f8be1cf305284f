"""The CustomResourceDefinitions, made from the models.

`python -m sysdisk.api.crd DIRECTORY` writes one file per kind. The schemas are structural:
references are put in place, `null` is left to the API server, every list has a list type. The
rules that hold for people's manifests are not repeated for status, which only the operator
writes: there they could only lose a record.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sysdisk.api import meta
from sysdisk.api.account import EcsAccountSpec, EcsAccountStatus
from sysdisk.api.base import LABEL_PATTERN, RULES, Json, rule
from sysdisk.api.durations import format_duration
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import SystemDiskSpecStatus

_KEPT = (
    "type", "format", "description", "enum", "pattern", "minLength", "maxLength", "minimum",
    "exclusiveMinimum", "maximum", "maxItems", "maxProperties", "required",
)  # fmt: skip
_ROOT = {
    "apiVersion": "Version of the API that this object is written in.",
    "kind": "Kind of this object.",
}


def crds() -> list[Json]:
    """Return the CustomResourceDefinition of each kind, SystemDiskSpec first."""
    return [_system_disk_spec(), _ecs_account()]


def render() -> dict[str, str]:
    """Return the YAML text of each CRD by file name, the same text every time."""
    return {
        f"{meta.GROUP}_{crd['spec']['names']['plural']}.yaml": yaml.safe_dump(
            crd, sort_keys=False, allow_unicode=True, width=100
        )
        for crd in crds()
    }


def write(directory: Path) -> list[Path]:
    """Write the CRDs into `directory` and return the paths, in the order of `crds`."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in render().items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


class _Generator(GenerateJsonSchema):
    """Writes default durations as the API does; pydantic's own way is ISO 8601, `PT10M`."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def schema_of(model: type[BaseModel], *, written_by_people: bool) -> Json:
    """Return the structural schema of `model`, with `description` from its docstring.

    `written_by_people` keeps CEL rules, patterns and least lengths, and the defaults.
    """
    whole = model.model_json_schema(schema_generator=_Generator)
    return _structural(whole, whole.get("$defs", {}), written_by_people)


def _structural(node: Json, defs: Json, people: bool) -> Json:
    """Return `node` with references in place and only the keys that a CRD knows."""
    flat = _flatten(node, defs)
    made: Json = {key: flat[key] for key in _KEPT if key in flat}
    if not people:
        made.pop("pattern", None)
        made.pop("minLength", None)
    if people and flat.get("default") not in (None, False, []):
        made["default"] = {} if isinstance(flat["default"], dict) else flat["default"]
    if made.get("default") == {} and not _has_default(flat, defs):
        del made["default"]
    if flat.get("type") == "integer":
        made["format"] = "int64"
    if "items" in flat:
        made |= _list_type(flat) | {"items": _structural(flat["items"], defs, people)}
    if "properties" in flat:
        made["properties"] = {
            name: _structural(child, defs, people) for name, child in flat["properties"].items()
        }
    if isinstance(flat.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(flat["additionalProperties"], defs, people)
    if people and RULES in flat:
        made[RULES] = flat[RULES]
    return made


def _flatten(node: Json, defs: Json) -> Json:
    """Return `node` merged with what it refers to; a field's own keys win, rules add up."""
    inner: Json = {}
    if "$ref" in node:
        inner = _flatten(defs[node["$ref"].rpartition("/")[2]], defs)
    for branch in node.get("anyOf", ()):
        if branch.get("type") != "null":
            inner = _flatten(branch, defs)
    own_rules = [*inner.get(RULES, []), *node.get(RULES, [])]
    merged = inner | {k: v for k, v in node.items() if k not in ("$ref", "anyOf", RULES)}
    return merged | ({RULES: own_rules} if own_rules else {})


def _has_default(flat: Json, defs: Json) -> bool:
    """Return whether an object has fields that the schema fills in."""
    children = (_flatten(child, defs) for child in flat.get("properties", {}).values())
    return any(child.get("default") not in (None, False, [], {}) for child in children)


def _list_type(flat: Json) -> Json:
    """Return the list type: conditions merge by their type, every other list is one value."""
    items: Json = flat["items"]
    if items.get("$ref", "").endswith("/Condition"):
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {"x-kubernetes-list-type": "atomic"}


def _column(
    name: str, path: str, description: str, *, wide: bool = False, type_: str = "string"
) -> Json:
    made: Json = {"name": name, "type": type_, "jsonPath": path, "description": description}
    return made | ({"priority": 1} if wide else {})


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


def _system_disk_spec() -> Json:
    columns = [
        _column("Instance", ".spec.instanceId", "The instance."),
        _column("Image", ".status.imageId", "Its present image."),
        _column("Size", ".status.size", "Its present system disk, in GiB.", type_="integer"),
        _column("Disk", ".status.diskId", "Its present system disk."),
        _column("Phase", ".status.phase", "What is going on."),
        _column("Locked", ".status.locked", "Whether ECS holds a lock on it.", type_="boolean"),
        _column("Ready", _ready("status"), "Whether it is as declared."),
        _column("Previous-Disk", ".status.previousDiskId", "The disk before.", wide=True),
        _column("Plan", ".status.plan.id", "What is to be done.", wide=True),
        _column("Message", _ready("message"), "Why, and what to do.", wide=True),
        _column("Age", ".metadata.creationTimestamp", "Since when it is declared.", type_="date"),
    ]
    names = {
        "kind": meta.KIND,
        "listKind": f"{meta.KIND}List",
        "plural": meta.PLURAL,
        "singular": meta.SINGULAR,
        "shortNames": [meta.SHORT_NAME],
        "categories": [meta.CATEGORY],
    }
    root = _root(
        "Keeps the system disk of one Alibaba Cloud ECS instance as declared.",
        SystemDiskSpecSpec,
        SystemDiskSpecStatus,
    )
    return _crd(names, "Namespaced", root, columns)


def _ecs_account() -> Json:
    columns = [
        _column("Region", ".spec.regionId", "Region of specs that name none."),
        _column("Ready", _ready("status"), "Whether the account works."),
        _column("Reason", _ready("reason"), "Why, in one word."),
        _column("Identity", ".status.identity.arn", "Who the credentials are."),
        _column("Message", _ready("message"), "Why, and what to do.", wide=True),
        _column("Age", ".metadata.creationTimestamp", "Since when it is there.", type_="date"),
    ]
    names = {
        "kind": meta.ACCOUNT_KIND,
        "listKind": f"{meta.ACCOUNT_KIND}List",
        "plural": meta.ACCOUNT_PLURAL,
        "singular": meta.ACCOUNT_SINGULAR,
        "shortNames": [meta.ACCOUNT_SHORT_NAME],
        "categories": [meta.CATEGORY],
    }
    root = _root(
        "An identity in Alibaba Cloud, and the guard rails around what it may do.",
        EcsAccountSpec,
        EcsAccountStatus,
    )
    root[RULES] = [
        rule(
            f"size(self.metadata.name) <= 63 && self.metadata.name.matches('{LABEL_PATTERN}')",
            "the name of an EcsAccount must be a DNS label: at most 63 lower case letters, digits "
            "and dashes",
        )
    ]
    return _crd(names, "Cluster", root, columns)


def _root(description: str, spec: type[BaseModel], status: type[BaseModel]) -> Json:
    """Return the schema of a whole object; only `spec` must be there."""
    texts = {name: {"type": "string", "description": text} for name, text in _ROOT.items()}
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            **texts,
            "metadata": {"type": "object"},  # the API server allows no description here
            "spec": schema_of(spec, written_by_people=True),
            "status": schema_of(status, written_by_people=False),
        },
    }


def _crd(names: Json, scope: str, root: Json, columns: list[Json]) -> Json:
    version: dict[str, Any] = {
        "name": meta.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": root},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{meta.GROUP}"},
        "spec": {"group": meta.GROUP, "names": names, "scope": scope, "versions": [version]},
    }


if __name__ == "__main__":
    for written in write(Path(sys.argv[1] if len(sys.argv) > 1 else "crds")):
        sys.stdout.write(f"{written}\n")
