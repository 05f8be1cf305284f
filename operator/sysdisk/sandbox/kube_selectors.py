"""Label and field selectors: which objects a list or a watch is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sysdisk.sandbox.kube_errors import ApiError, bad_request

Json = Mapping[str, Any]
Selector = Callable[[Json], bool]

_SET = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,()]*)\s*$")
_NUMBER = re.compile(r"^\s*(?P<key>[^\s!=,()<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)\s*$")
_EXISTS = re.compile(r"^\s*(?P<op>!?)\s*(?P<key>[^\s!=,()]+)\s*$")


def everything(_: Json) -> bool:
    """Return True: the empty selector."""
    return True


def label_selector(text: str) -> Selector:
    """Return the predicate for a label selector such as `a=b,c in (d,e),!f`.

    Raises ApiError 400 for a text that is no selector.
    """
    if not text.strip():
        return everything
    rules = [_label_rule(part) for part in re.split(r",(?![^(]*\))", text)]

    def matches(obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(rule(labels) for rule in rules)

    return matches


def _label_rule(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(part):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _NUMBER.match(part):
        return _numeric_rule(found["key"], found["op"], int(found["value"]))
    if found := _EXISTS.match(part):
        key, absent = found["key"], found["op"] == "!"
        return lambda labels: (key in labels) is not absent
    raise bad_request(f"unable to parse requirement: found {part.strip()!r}")


def _numeric_rule(key: str, op: str, bound: int) -> Callable[[Mapping[str, str]], bool]:
    def rule(labels: Mapping[str, str]) -> bool:
        try:
            value = int(labels[key])
        except (KeyError, ValueError):
            return False
        return value > bound if op == ">" else value < bound

    return rule


def field_selector(text: str, supported: frozenset[str]) -> Selector:
    """Return the predicate for a field selector such as `metadata.name=x,type!=Warning`.

    `supported` holds the field paths that the resource can be selected by; another one is an
    ApiError 400, as on a real server.
    """
    if not text.strip():
        return everything
    rules = [_field_rule(part, supported) for part in text.split(",")]
    return lambda obj: all(rule(obj) for rule in rules)


def _field_rule(part: str, supported: frozenset[str]) -> Selector:
    found = _EQUAL.match(part)
    if not found:
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    path, op, wanted = found["key"], found["op"], found["value"]
    if path not in supported:
        raise _unsupported_field(path)
    steps = path.split(".")

    def rule(obj: Json) -> bool:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        return (("" if value is None else str(value)) == wanted) is (op != "!=")

    return rule


def _unsupported_field(path: str) -> ApiError:
    return bad_request(f"field label not supported: {path}")
