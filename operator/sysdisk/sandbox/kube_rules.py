"""CEL rules along a structural schema: where each one applies, what it says when it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sysdisk.sandbox.kube_cel import CelError, compiled, evaluate, optional, to_cel
from sysdisk.sandbox.kube_errors import Cause, cause
from sysdisk.sandbox.kube_schema import child, type_name

Json = Mapping[str, Any]
_ABSENT = object()

# Causes that keep the rules from being tried; source: hasBlockingErr in apiextensions-apiserver
# pkg/registry/customresource/strategy.go.
_BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_NOT_CHECKED = Cause(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was "
    "invalid; correct the existing errors to complete validation",
)


def rule_causes(schema: Json, value: Any, old: Any, found: list[Cause]) -> list[Cause]:
    """Return `found` plus what the rules say; with serious errors they are not tried.

    `old` is None on creation.
    """
    if not has_rules(schema):
        return found
    if any(each.reason in _BLOCKING for each in found):
        return [*found, _NOT_CHECKED]
    return [*found, *_walk(schema, value, _ABSENT if old is None else old, "")]


def has_rules(schema: Any) -> bool:
    """Return whether there is a rule anywhere in the schema."""
    if isinstance(schema, Mapping):
        if schema.get("x-kubernetes-validations"):
            return True
        return any(has_rules(part) for part in schema.values())
    return isinstance(schema, list) and any(has_rules(part) for part in schema)


def _walk(schema: Json, value: Any, old: Any, path: str) -> Iterator[Cause]:
    if value is None:
        return
    rules = schema.get("x-kubernetes-validations") or ()
    if rules:
        yield from _apply(schema, rules, value, old, path)
    if isinstance(value, Mapping):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for key, item in value.items():
            inside = properties.get(key, extra)
            if isinstance(inside, Mapping):
                before = old.get(key, _ABSENT) if isinstance(old, Mapping) else _ABSENT
                yield from _walk(inside, item, before, child(path, key))
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for n, item in enumerate(value):
            before = _matching(schema, item, old)
            yield from _walk(schema["items"], item, before, f"{path}[{n}]")


def _matching(schema: Json, item: Any, old: Any) -> Any:
    """Return the old element that is the same by its map keys; other lists have no such thing."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return _ABSENT
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    name = [item.get(key) for key in keys]
    return next((each for each in old if [each.get(key) for key in keys] == name), _ABSENT)


def _apply(schema: Json, rules: list[Json], value: Any, old: Any, path: str) -> Iterator[Cause]:
    values = {"self": to_cel(schema, value)}
    for rule in rules:
        expression = compiled(rule["rule"])
        if expression.is_transition:
            present = old is not _ABSENT and old is not None
            if rule.get("optionalOldSelf"):
                before = to_cel(schema, old) if present else None
                values["oldSelf"] = optional(before, present=present)
            elif present:
                values["oldSelf"] = to_cel(schema, old)
            else:
                continue
        try:
            refusal = _judge(rule, values)
        except CelError as exc:
            text = f"{exc} evaluating rule: {rule.get('message') or _one_line(rule['rule'])}"
            yield cause("FieldValueInvalid", path, type_name(value), text)
        else:
            if refusal is not None:
                yield _cause(rule, refusal, value, path)


def _judge(rule: Json, values: Mapping[str, Any]) -> str | None:
    """Return None if the rule holds, else the message. Raises CelError."""
    if evaluate(compiled(rule["rule"]), values) is True:
        return None
    message = rule.get("message") or f"failed rule: {_one_line(rule['rule'])}"
    if "messageExpression" in rule:
        try:
            text = evaluate(compiled(rule["messageExpression"]), values)
        except CelError:
            return str(message)
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text
    return str(message)


def _one_line(rule: str) -> str:
    return " ".join(rule.split())


def _cause(rule: Json, message: str, value: Any, path: str) -> Cause:
    where = path + str(rule.get("fieldPath", "")) if path else rule.get("fieldPath", "").lstrip(".")
    # Objects and lists are left out: `Invalid value: the message`.
    if isinstance(value, Mapping | list):
        return Cause(where, rule.get("reason", "FieldValueInvalid"), f"Invalid value: {message}")
    reason = rule.get("reason", "FieldValueInvalid")
    if reason in ("FieldValueRequired", "FieldValueForbidden"):
        return cause(reason, where, "", message)
    if reason == "FieldValueDuplicate":
        return cause(reason, where, value)
    return cause("FieldValueInvalid", where, value, message)
