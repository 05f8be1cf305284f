"""Structural schemas: pruning, defaulting and validation of custom resources.

Follows k8s.io/apiextensions-apiserver `pkg/apiserver/schema` and the messages of
`k8s.io/kube-openapi/pkg/validation`. Values are never changed: what comes back shares what stayed
the same. Ratcheting (leaving old mistakes alone on update) is not done.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sysdisk.sandbox.kube_cel import duration
from sysdisk.sandbox.kube_errors import Cause, cause, show
from sysdisk.sandbox.kube_metadata import FIELDS as METADATA_FIELDS

Json = Mapping[str, Any]
_ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def child(path: str, key: str) -> str:
    """Return the path of a property, as field errors write it."""
    return f"{path}.{key}" if path else key


# -- pruning ------------------------------------------------------------------------------------


def prune(
    schema: Json, value: Any, unknown: list[str], path: str = "", *, root: bool = True
) -> Any:
    """Return `value` without the fields that the schema does not know; they go to `unknown`."""
    if isinstance(value, list):
        return _prune_list(schema, value, unknown, path)
    if not isinstance(value, Mapping):
        return value
    root = root or bool(schema.get("x-kubernetes-embedded-resource"))
    kept: dict[str, Any] = {}
    changed = False
    for key, item in value.items():
        inside = _schema_of(schema, key)
        if root and key in _ROOT_FIELDS:
            kept[key] = item
            continue
        if inside is None:
            if schema.get("x-kubernetes-preserve-unknown-fields"):
                kept[key] = item
            else:
                unknown.append(child(path, key))
                changed = True
            continue
        kept[key] = prune(inside, item, unknown, child(path, key), root=False)
        changed = changed or kept[key] is not item
    return kept if changed else value


def _prune_list(schema: Json, value: list[Any], unknown: list[str], path: str) -> list[Any]:
    items = schema.get("items")
    if items is None:
        return value
    kept = [prune(items, item, unknown, f"{path}[{n}]", root=False) for n, item in enumerate(value)]
    return kept if any(new is not old for new, old in zip(kept, value, strict=True)) else value


def _schema_of(schema: Json, key: str) -> Json | None:
    properties = schema.get("properties") or {}
    if key in properties:
        found: Json = properties[key]
        return found
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        return extra
    return {"x-kubernetes-preserve-unknown-fields": True} if extra is True else None


# -- defaulting ---------------------------------------------------------------------------------


def default(schema: Json, value: Any) -> Any:
    """Return `value` with the schema's defaults in the place of absent fields.

    A null where null is not allowed counts as absent: it gives way to the default, or goes.
    """
    if isinstance(value, list):
        items = schema.get("items")
        if items is None:
            return value
        new_items = [default(items, item) for item in value]
        same = all(new is old for new, old in zip(new_items, value, strict=True))
        return value if same else new_items
    if not isinstance(value, Mapping):
        return value
    filled: dict[str, Any] = dict(value)
    changed = _fill(schema.get("properties") or {}, filled)
    extra = schema.get("additionalProperties")
    for key in [key for key, item in filled.items() if item is None]:
        inside = (schema.get("properties") or {}).get(key, extra)
        if isinstance(inside, Mapping) and not inside.get("nullable"):
            del filled[key]
            changed = True
    for key, item in filled.items():
        inside = (schema.get("properties") or {}).get(key)
        inside = extra if inside is None else inside
        if isinstance(inside, Mapping):
            filled[key] = default(inside, item)
            changed = changed or filled[key] is not item
    return filled if changed else value


def _fill(properties: Json, filled: dict[str, Any]) -> bool:
    changed = False
    for key, inside in properties.items():
        if "default" not in inside:
            continue
        if key not in filled or (filled[key] is None and not inside.get("nullable")):
            filled[key] = inside["default"]
            changed = True
    return changed


# -- validation ---------------------------------------------------------------------------------


def validate(schema: Json, value: Any, path: str = "") -> list[Cause]:
    """Return every way in which `value` does not follow the schema, CEL rules apart."""
    return list(_validate(schema, value, path, root=not path))


def _validate(schema: Json, value: Any, path: str, *, root: bool = False) -> Iterator[Cause]:
    if value is None:  # counts as absent, nullable or not; `required` speaks of it
        return
    if (wrong := _type_cause(schema, value, path)) is not None:
        yield wrong
        if schema.get("type") == "integer" and isinstance(value, float):
            text = f"Checked value must be of type integer (default format) in {path}"
            yield cause("FieldValueInvalid", "", "", text)
        return
    yield from _enum(schema, value, path)
    yield from _formats(schema, value, path)
    if isinstance(value, str):
        yield from _string(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, path)
    elif isinstance(value, list):
        yield from _list(schema, value, path)
    elif isinstance(value, Mapping):
        root = root or bool(schema.get("x-kubernetes-embedded-resource"))
        yield from _object(schema, value, path, root=root)
    yield from _junctors(schema, value, path)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
}


def type_name(value: Any) -> str:
    """Return the JSON Schema type of a JSON value."""
    if value is None:
        return "null"
    order = ("boolean", "integer", "number", "string", "array", "object")
    return next(name for name in order if _TYPES[name](value))


def _type_cause(schema: Json, value: Any, path: str) -> Cause | None:
    if schema.get("x-kubernetes-int-or-string"):
        if _TYPES["string"](value) or _TYPES["integer"](value):
            return None
        return _wrong_type("integer,string", value, path)
    wanted = schema.get("type")
    if not wanted or _TYPES[wanted](value):
        return None
    return _wrong_type(wanted, value, path)


def _wrong_type(wanted: str, value: Any, path: str) -> Cause:
    found = type_name(value)
    detail = f'{path or "<nil>"} in body must be of type {wanted}: "{found}"'
    return cause("FieldValueTypeInvalid", path, found, detail)


def _enum(schema: Json, value: Any, path: str) -> Iterator[Cause]:
    choices = schema.get("enum")
    if choices and value not in choices:
        listed = ", ".join(show(each) for each in choices)
        yield cause("FieldValueNotSupported", path, value, f"supported values: {listed}")


def _body(path: str, text: str) -> str:
    return f"{path} in body {text}"


def _string(schema: Json, value: str, path: str) -> Iterator[Cause]:
    length = len(value)
    if (most := schema.get("maxLength")) is not None and length > most:
        yield cause("FieldValueTooLong", path, value, f"may not be more than {most} bytes")
        return
    if (least := schema.get("minLength")) is not None and length < least:
        text = _body(path, f"should be at least {least} chars long")
        yield cause("FieldValueInvalid", path, value, text)
        return
    pattern = schema.get("pattern")
    if pattern and not regex(pattern).search(value):
        text = _body(path, f"should match '{pattern}'")
        yield cause("FieldValueInvalid", path, value, text)


@lru_cache(maxsize=512)
def regex(pattern: str) -> re.Pattern[str]:
    """Return an RE2 pattern compiled by Python: `$` is the very end, `\\d` and `\\w` are ASCII."""
    return re.compile(_end_anchors(pattern), re.ASCII)


def _end_anchors(pattern: str) -> str:
    out: list[str] = []
    in_class = escaped = False
    for char in pattern:
        if not escaped and char == "[" and not in_class:
            in_class = True
        elif not escaped and char == "]" and in_class and out[-1:] != ["["]:
            in_class = False
        out.append(r"\Z" if char == "$" and not in_class and not escaped else char)
        escaped = char == "\\" and not escaped
    return "".join(out)


def _number(schema: Json, value: float, path: str) -> Iterator[Cause]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        strict = bool(schema.get("exclusiveMinimum"))
        if value < low or (strict and value == low):
            text = "should be greater than" + ("" if strict else " or equal to")
            yield cause("FieldValueInvalid", path, value, _body(path, f"{text} {low}"))
    if high is not None:
        strict = bool(schema.get("exclusiveMaximum"))
        if value > high or (strict and value == high):
            text = "should be less than" + ("" if strict else " or equal to")
            yield cause("FieldValueInvalid", path, value, _body(path, f"{text} {high}"))
    factor = schema.get("multipleOf")
    if factor and abs(value / factor - round(value / factor)) > 1e-9:
        text = _body(path, f"should be a multiple of {factor}")
        yield cause("FieldValueInvalid", path, value, text)


def _list(schema: Json, value: list[Any], path: str) -> Iterator[Cause]:
    yield from _counts(schema, len(value), path, "Items", "items")
    items = schema.get("items") or {}
    for n, item in enumerate(value):
        yield from _validate(items, item, f"{path}[{n}]")
    if schema.get("uniqueItems") or schema.get("x-kubernetes-list-type") == "set":
        yield from _duplicates(value, value, path)
    elif schema.get("x-kubernetes-list-type") == "map":
        keys = schema.get("x-kubernetes-list-map-keys") or []
        shown = [
            {key: item.get(key) for key in keys if key in item}
            for item in value
            if isinstance(item, Mapping)
        ]
        yield from _duplicates(shown, shown, path)


def _duplicates(values: Sequence[Any], shown: Sequence[Any], path: str) -> Iterator[Cause]:
    seen: list[Any] = []
    for n, item in enumerate(values):
        if item in seen:
            yield cause("FieldValueDuplicate", f"{path}[{n}]", shown[n])
        seen.append(item)


def _counts(schema: Json, count: int, path: str, suffix: str, noun: str) -> Iterator[Cause]:
    """Yield what is wrong with a number of items or properties; too many are always `items`."""
    most, least = schema.get(f"max{suffix}"), schema.get(f"min{suffix}")
    if most is not None and count > most:
        yield cause("FieldValueTooMany", path, count, f"{count}: must have at most {most} items")
    if least is not None and count < least:
        text = _body(path, f"should have at least {least} {noun}")
        yield cause("FieldValueInvalid", path, count, text)


def _object(schema: Json, value: Json, path: str, *, root: bool) -> Iterator[Cause]:
    yield from _counts(schema, len(value), path, "Properties", "properties")
    for name in schema.get("required") or ():
        if value.get(name) is None and not _nullable(schema, name):
            yield cause("FieldValueRequired", child(path, name), "")
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for key, item in value.items():
        if root and key in METADATA_ROOT:
            continue
        if key in properties:
            yield from _validate(properties[key], item, child(path, key))
        elif isinstance(extra, Mapping):
            yield from _validate(extra, item, child(path, key))


def _nullable(schema: Json, name: str) -> bool:
    return bool((schema.get("properties") or {}).get(name, {}).get("nullable"))


METADATA_ROOT = frozenset({"metadata"})


def _junctors(schema: Json, value: Any, path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        yield from _validate(part, value, path)
    shown = f'"{path}"'
    choices = schema.get("anyOf")
    if choices and not any(_fits(part, value, path) for part in choices):
        text = f"{shown} must validate at least one schema (anyOf)"
        yield cause("FieldValueInvalid", path, _outline(value), text)
    if choices := schema.get("oneOf"):
        hits = sum(_fits(part, value, path) for part in choices)
        if hits != 1:
            end = "Found none valid" if hits == 0 else f"Found {hits} valid alternatives"
            text = f"{shown} must validate one and only one schema (oneOf). {end}"
            yield cause("FieldValueInvalid", path, _outline(value), text)
    if (inverse := schema.get("not")) is not None and _fits(inverse, value, path):
        text = f"{shown} must not validate the schema (not)"
        yield cause("FieldValueInvalid", path, _outline(value), text)


def _fits(schema: Json, value: Any, path: str) -> bool:
    return next(_validate(schema, value, path), None) is None


def _outline(value: Any) -> Any:
    return value if not isinstance(value, Mapping | list) else type_name(value)


# -- formats ------------------------------------------------------------------------------------


def _fails(check: Callable[[str], object]) -> Callable[[str], bool]:
    def fails(text: str) -> bool:
        try:
            check(text)
        except (ValueError, binascii.Error):
            return True
        return False

    return fails


def _rfc3339(text: str) -> None:
    if not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d", text) or not re.search(
        r"([Zz]|[+-]\d\d:\d\d)$", text
    ):
        raise ValueError(text)
    datetime.fromisoformat(text)


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _fails(_rfc3339),
    "date": _fails(date.fromisoformat),
    "duration": _fails(duration),
    "byte": _fails(lambda text: base64.b64decode(text, validate=True)),
    "ipv4": _fails(ipaddress.IPv4Address),
    "ipv6": _fails(ipaddress.IPv6Address),
    "cidr": _fails(lambda text: ipaddress.ip_network(text, strict=False)),
    "uuid": lambda text: not re.fullmatch(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", text),
}
_RANGES = {"int32": 2**31, "int64": 2**63}


def _formats(schema: Json, value: Any, path: str) -> Iterator[Cause]:
    name = schema.get("format")
    if name is None:
        return
    if isinstance(value, str) and (fails := _FORMATS.get(name)) and fails(value):
        text = _body(path, f'must be of type {name}: "{value}"')
        yield cause("FieldValueTypeInvalid", path, value, text)
    elif (
        isinstance(value, int) and name in _RANGES and not (-_RANGES[name] <= value < _RANGES[name])
    ):
        text = f"Checked value must be of type integer with format {name}"
        yield cause("FieldValueInvalid", path, value, text)


__all__ = ["METADATA_FIELDS", "child", "default", "prune", "regex", "type_name", "validate"]
