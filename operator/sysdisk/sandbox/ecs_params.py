"""The flat parameters of the wire, read as what they mean.

Every function takes the mapping of a request and raises `EcsFault` where ECS would refuse.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sysdisk.sandbox.ecs_faults import EcsFault

__all__ = [
    "flag",
    "json_ids",
    "listed",
    "need",
    "number",
    "numbered_page",
    "optional_flag",
    "tags",
    "token_page",
]

Params = Mapping[str, str]
T = TypeVar("T")

_TAG = re.compile(r"Tag\.(\d+)\.(?:Tag)?(Key|Value)")
TAG_CHARACTERS = 128
"""The most that a key or a value of a tag may hold."""


def need(params: Params, name: str) -> str:
    """Return a mandatory parameter. Raises MissingParameter."""
    value = params.get(name, "")
    if not value:
        text = (
            f'The input parameter "{name}" that is mandatory for processing this request is not '
            "supplied."
        )
        raise EcsFault(400, "MissingParameter", text)
    return value


def invalid(name: str, code: str = "InvalidParameter") -> EcsFault:
    """Return the refusal of a malformed parameter."""
    return EcsFault(400, code, f'The specified parameter "{name}" is not valid.')


def flag(params: Params, name: str, default: bool = False) -> bool:
    """Return a boolean, in any capitalisation. Raises InvalidParameter."""
    value = optional_flag(params, name)
    return default if value is None else value


def optional_flag(params: Params, name: str) -> bool | None:
    """Return a boolean, None where it is absent or empty. Raises InvalidParameter."""
    raw = params.get(name, "").lower()
    if raw not in ("", "true", "false"):
        raise invalid(name)
    return None if raw == "" else raw == "true"


def number(params: Params, name: str, default: int) -> int:
    """Return a whole number. Raises InvalidParameter."""
    raw = params.get(name, "")
    if not raw:
        return default
    if not re.fullmatch(r"-?\d{1,9}", raw):
        raise invalid(name)
    return int(raw)


def json_ids(params: Params, name: str, at_most: int = 100) -> tuple[str, ...] | None:
    """Return the ids of a JSON text such as `["i-1","i-2"]`, None where it is absent."""
    raw = params.get(name, "")
    if not raw:
        return None
    try:
        ids = json.loads(raw)
    except ValueError:
        ids = None
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise invalid(name, f"Invalid{name}.Malformed")
    if len(ids) > at_most:
        raise EcsFault(
            400, "InvalidParameter", f'The parameter "{name}" holds more than {at_most} ids.'
        )
    return tuple(ids)


def listed(params: Params, name: str, at_most: int = 100) -> tuple[str, ...]:
    """Return `Name.1`, `Name.2`, ... by number. Raises InvalidParameter for too many."""
    found = sorted(
        (int(key[len(name) + 1 :]), value)
        for key, value in params.items()
        if key.startswith(f"{name}.") and key[len(name) + 1 :].isdigit()
    )
    if len(found) > at_most:
        raise EcsFault(
            400, "InvalidParameter", f'The parameter "{name}" holds more than {at_most} entries.'
        )
    return tuple(value for _, value in found)


def tags(params: Params) -> dict[str, str | None]:
    """Return `Tag.N.Key` and `Tag.N.Value`; None for a key without a value.

    The older SDK spells them the same way; `Tag.N.TagKey` is taken too.
    """
    keys: dict[int, str] = {}
    values: dict[int, str] = {}
    for name, value in params.items():
        if match := _TAG.fullmatch(name):
            (keys if match[2] == "Key" else values)[int(match[1])] = value
    if len(keys) > 20:
        raise EcsFault(400, "InvalidParameter", "At most 20 tags can be given.")
    if any(not 1 <= len(key) <= TAG_CHARACTERS for key in keys.values()):
        raise invalid("Tag.Key", "InvalidTagKey.Malformed")
    if any(len(value) > TAG_CHARACTERS for value in values.values()):
        raise invalid("Tag.Value", "InvalidTagValue.Malformed")
    return {key: values.get(n) for n, key in sorted(keys.items())}


def has_tags(mine: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    """Whether all wanted tags are there; None accepts any value."""
    return all(k in mine and (v is None or mine[k] == v) for k, v in wanted.items())


def token_page(params: Params, items: Sequence[T], at_most: int) -> tuple[Sequence[T], str]:
    """Return one page by MaxResults and NextToken, and the next token ("" at the end).

    MaxResults is 10 by default, and any value below 10 counts as 10: a trap of the real API.
    """
    size = max(10, number(params, "MaxResults", 10))
    if size > at_most:
        raise invalid("MaxResults")
    start = _offset(params.get("NextToken", ""))
    page = items[start : start + size]
    more = start + size < len(items)
    return page, _next_token(start + size) if more else ""


def numbered_page(
    params: Params, items: Sequence[T], at_most: int = 100
) -> tuple[Sequence[T], int, int]:
    """Return one page by PageNumber and PageSize (default 10), and those two numbers."""
    page, size = number(params, "PageNumber", 1), number(params, "PageSize", 10)
    if page < 1:
        raise invalid("PageNumber")
    if not 1 <= size <= at_most:
        raise invalid("PageSize")
    return items[(page - 1) * size : page * size], page, size


def _next_token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"next:{offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, offset = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if word == "next":
            return int(offset)
    except ValueError:
        pass
    raise EcsFault(400, "InvalidNextToken", "The specified NextToken is not valid.")
