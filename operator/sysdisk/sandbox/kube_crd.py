"""CustomResourceDefinitions: checking one, and serving the type that it defines.

The check is lighter than a real server's: names, versions, structural schema, defaults that fit,
rules that compile. No conversion between versions: they must have one shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sysdisk.sandbox.kube_cel import CelError, compiled, undeclared_fields
from sysdisk.sandbox.kube_errors import Cause, cause
from sysdisk.sandbox.kube_jsonpath import JsonPathError, json_path
from sysdisk.sandbox.kube_log import WatchEvent
from sysdisk.sandbox.kube_resources import Column, Resource
from sysdisk.sandbox.kube_rules import rule_causes
from sysdisk.sandbox.kube_schema import child, default, prune, validate
from sysdisk.sandbox.kube_store import KubeStore, thaw, timestamp

Json = Mapping[str, Any]
CRD_GROUP = "apiextensions.k8s.io"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


@dataclass(frozen=True, slots=True)
class CustomStrategy:
    """Schema checks of custom resources: prune, default, validate, CEL rules."""

    schema: Json

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` pruned and with defaults."""
        pruned: dict[str, Any] = default(self.schema, prune(self.schema, obj, []))
        return dict(pruned) if pruned is obj else pruned

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return what the schema and its rules have against `obj`."""
        return rule_causes(self.schema, obj, old, validate(self.schema, obj))


class CrdStrategy:
    """What is asked of a CustomResourceDefinition itself."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with the names that may be left out."""
        spec = dict(obj.get("spec") or {})
        names = dict(spec.get("names") or {})
        if names.get("kind"):
            names.setdefault("singular", str(names["kind"]).lower())
            names.setdefault("listKind", f"{names['kind']}List")
        spec["names"] = names
        spec.setdefault("conversion", {"strategy": "None"})
        return {**obj, "spec": spec}

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return what is wrong with the definition."""
        return list(_definition_causes(obj["metadata"]["name"], obj["spec"], old))


def _definition_causes(name: str, spec: Json, old: Json | None) -> Iterator[Cause]:
    for field_name in ("group", "scope"):
        if not spec.get(field_name):
            yield cause("FieldValueRequired", f"spec.{field_name}", "")
    if spec.get("scope") not in (None, "", "Cluster", "Namespaced"):
        detail = 'supported values: "Cluster", "Namespaced"'
        yield cause("FieldValueNotSupported", "spec.scope", spec["scope"], detail)
    for field_name in ("plural", "kind"):
        if not spec["names"].get(field_name):
            yield cause("FieldValueRequired", f"spec.names.{field_name}", "")
    wanted = f"{spec['names'].get('plural')}.{spec.get('group')}"
    if name != wanted:
        detail = 'must be spec.names.plural+"."+spec.group'
        yield cause("FieldValueInvalid", "metadata.name", name, detail)
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        yield cause("FieldValueInvalid", "spec.versions", versions, detail)
    for n, version in enumerate(versions):
        path = "spec.validation" if len(versions) == 1 else f"spec.versions[{n}].schema"
        yield from _version_causes(version, n, f"{path}.openAPIV3Schema")
    if old is not None:
        yield from _immutable_causes(spec, old["spec"])


def _immutable_causes(spec: Json, old: Json) -> Iterator[Cause]:
    for path in (("group",), ("scope",), ("names", "plural"), ("names", "kind")):
        new_value: Any = spec
        old_value: Any = old
        for step in path:
            new_value, old_value = new_value.get(step), old_value.get(step)
        if new_value != old_value:
            field_name = ".".join(("spec", *path))
            yield cause("FieldValueInvalid", field_name, new_value, "field is immutable")


def _version_causes(version: Json, n: int, path: str) -> Iterator[Cause]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        yield cause("FieldValueRequired", path, "", "schemas are required")
        return
    if schema.get("type") != "object":
        detail = "must be object at the root"
        yield cause("FieldValueInvalid", f"{path}.type", schema.get("type", ""), detail)
    yield from _structural_causes(schema, path, root=True)
    for m, column in enumerate(version.get("additionalPrinterColumns") or ()):
        yield from _column_causes(column, f"spec.versions[{n}].additionalPrinterColumns[{m}]")


def _column_causes(column: Json, path: str) -> Iterator[Cause]:
    type_ = column.get("type") or ""
    if type_ not in _COLUMN_TYPES:
        reason = "FieldValueInvalid" if type_ else "FieldValueRequired"
        detail = f"must be one of {','.join(_COLUMN_TYPES)}"
        yield cause(reason, f"{path}.type", type_, detail)
    try:
        json_path(column.get("jsonPath", ""))
    except JsonPathError as exc:
        yield cause("FieldValueInvalid", f"{path}.jsonPath", column.get("jsonPath", ""), str(exc))


def _structural_causes(schema: Any, path: str, *, root: bool = False) -> Iterator[Cause]:
    if not isinstance(schema, Mapping):
        yield cause("FieldValueInvalid", path, schema, "must be a schema")
        return
    open_ended = schema.get("x-kubernetes-int-or-string") or schema.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    type_ = schema.get("type")
    if not type_ and not open_ended:
        where = f"{path}.type"
        yield cause(
            "FieldValueRequired", where, "", "must not be empty for specified object fields"
        )
    if type_ and type_ not in _TYPES:
        known = ", ".join(f'"{each}"' for each in _TYPES)
        detail = f"supported values: {known}"
        yield cause("FieldValueNotSupported", f"{path}.type", type_, detail)
        return
    if "properties" in schema and "additionalProperties" in schema:
        detail = "additionalProperties and properties are mutual exclusive"
        yield cause("FieldValueForbidden", f"{path}.additionalProperties", "", detail)
    yield from _rule_source_causes(schema, path, root=root)
    if "default" in schema:
        for each in validate(schema, default(schema, schema["default"]), "x"):
            detail = each.message.partition(": ")[2]
            yield cause("FieldValueInvalid", f"{path}.default", schema["default"], detail)
    for key, inside in (schema.get("properties") or {}).items():
        if not (root and key == "metadata"):
            yield from _structural_causes(inside, f"{path}.properties[{key}]")
    if schema.get("type") == "array" and "items" not in schema:
        yield cause("FieldValueRequired", f"{path}.items", "", "must be specified")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), Mapping):
            yield from _structural_causes(schema[part], child(path, part))
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get(
        "x-kubernetes-list-map-keys"
    ):
        detail = "must not be empty if x-kubernetes-list-type is map"
        yield cause("FieldValueRequired", f"{path}.x-kubernetes-list-map-keys", "", detail)


def _rule_source_causes(schema: Json, path: str, *, root: bool) -> Iterator[Cause]:
    for n, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{n}]"
        if not str(rule.get("rule", "")).strip():
            yield cause("FieldValueRequired", f"{where}.rule", "", "rule is not specified")
            continue
        for part in ("rule", "messageExpression"):
            if part not in rule:
                continue
            try:
                compiled(rule[part])
            except CelError as exc:
                detail = f"compilation failed: {exc}"
                yield cause("FieldValueInvalid", f"{where}.{part}", rule[part], detail)
            for name in undeclared_fields(schema, rule[part], root=root):
                detail = f"compilation failed: undefined field '{name}'"
                yield cause("FieldValueInvalid", f"{where}.{part}", rule[part], detail)


def served_resources(definition: Json) -> list[Resource]:
    """Return a Resource for every served version of a CustomResourceDefinition."""
    spec, names = definition["spec"], definition["spec"]["names"]
    served: list[Resource] = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        schema = version["schema"]["openAPIV3Schema"]
        selectable = frozenset(
            field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or ()
        )
        served.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                kind=names["kind"],
                plural=names["plural"],
                namespaced=spec["scope"] == "Namespaced",
                singular=names.get("singular", ""),
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresource_status="status" in (version.get("subresources") or {}),
                counts_generation=True,
                unconditional_update=False,
                custom=True,
                columns=tuple(map(_column, version.get("additionalPrinterColumns") or ())),
                selectable=selectable,
                schema=schema,
                strategy=CustomStrategy(schema),
            )
        )
    return served


def _column(column: Json) -> Column:
    return Column(
        name=column["name"],
        type=column["type"],
        path=column["jsonPath"],
        priority=column.get("priority", 0),
        format=column.get("format", ""),
        description=column.get("description", ""),
    )


def serve_definitions(store: KubeStore) -> None:
    """Make the store serve what its CustomResourceDefinitions define, from now on."""
    crds = store.resource(CRD_GROUP, "v1", "customresourcedefinitions")

    def on_commit(owner: KubeStore, event: WatchEvent) -> None:
        definition = event.object
        if event.type == "DELETED":
            _withdraw(owner, definition)
            return
        _publish(owner, definition)
        if event.type == "ADDED":
            status = _established(definition, owner.now())
            name = definition["metadata"]["name"]
            owner.patch(crds, None, name, {"status": status}, subresource="status")

    store.after_commit[crds.key] = on_commit


def _publish(store: KubeStore, definition: Json) -> None:
    served = served_resources(definition)
    group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
    kept = {resource.version for resource in served}
    for resource in _of(store, group, plural):
        if resource.version not in kept:
            store.unregister(resource)
    for resource in served:
        before = store.resources.get((resource.group, resource.version, resource.plural))
        store.register(resource)
        if before is not None and before.schema != resource.schema:
            store.rewrite(resource, partial(default, resource.schema or {}))


def _withdraw(store: KubeStore, definition: Json) -> None:
    group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
    for resource in _of(store, group, plural):
        store.drop(resource)
        store.unregister(resource)


def _of(store: KubeStore, group: str, plural: str) -> list[Resource]:
    return [each for each in store.resources.values() if each.key == (group, plural)]


def _established(definition: Json, now: datetime) -> dict[str, Any]:
    spec = definition["spec"]
    moment = timestamp(now)

    def condition(kind: str, reason: str, message: str) -> dict[str, Any]:
        return {
            "type": kind,
            "status": "True",
            "lastTransitionTime": moment,
            "reason": reason,
            "message": message,
        }

    return {
        "acceptedNames": thaw(spec["names"]),
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition(
                "Established", "InitialNamesAccepted", "the initial names have been accepted"
            ),
        ],
        "storedVersions": [each["name"] for each in spec["versions"] if each.get("storage")],
    }
