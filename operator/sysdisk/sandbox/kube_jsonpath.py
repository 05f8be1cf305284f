"""The JSONPath that printer columns use: fields, indices, wildcards, filters by equality."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)"""
    r"""|\[(?P<index>-?\d+)\]"""
    r"""|\[(?P<any>\*)\]"""
    r"""|\[(?P<quoted>'(?:\\.|[^'])*'|"(?:\\.|[^"])*")\]"""
    r"""|\[\?\(@(?P<path>[^=!<>]+?)\s*(?P<op>==|!=)\s*(?P<value>'[^']*'|"[^"]*"|[^)\s]+)\s*\)\]"""
)


class JsonPathError(ValueError):
    """A text that is no JSONPath of the known kinds."""


@lru_cache(maxsize=1024)
def json_path(text: str) -> Callable[[Any], list[Any]]:
    """Return the function that finds all values at the path. Raises JsonPathError."""
    body = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Step] = []
    at = 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        if found is None:
            raise JsonPathError(f"unrecognized JSONPath at {body[at:]!r}")
        steps.append(_step(found))
        at = found.end()
    if not steps:
        raise JsonPathError("a JSONPath begins with a dot")

    def find(value: Any) -> list[Any]:
        values = [value]
        for step in steps:
            values = [after for before in values for after in step(before)]
        return values

    return find


def _step(found: re.Match[str]) -> Step:
    if found["field"] is not None:
        name = re.sub(r"\\(.)", r"\1", found["field"])
        return _every if name == "*" else _field(name)
    if found["quoted"] is not None:
        return _field(re.sub(r"\\(.)", r"\1", found["quoted"][1:-1]))
    if found["index"] is not None:
        return _item(int(found["index"]))
    if found["any"] is not None:
        return _every
    return _filter(json_path(found["path"]), found["op"] == "==", _literal(found["value"]))


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError as exc:
        raise JsonPathError(f"unrecognized value {text!r} in a filter") from exc


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping) and name in value:
            yield value[name]

    return step


def _item(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _filter(find: Callable[[Any], list[Any]], equal: bool, wanted: Any) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for item in _every(value):
            found = find(item)
            if found and (found[0] == wanted) is equal:
                yield item

    return step
