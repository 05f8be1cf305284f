"""CEL validation rules of structural schemas (`x-kubernetes-validations`).

Rules run on the Rust library `common-expression-language`; compiled programs are cached. What a
kube-apiserver has and this has not: a type check when the CRD is created (a rule that names an
undeclared field fails when it runs), cost limits, the libraries for URLs, IPs, quantities and
formats. `size` of a string counts code points here as there (the library counts bytes).
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import cel

Json = Mapping[str, Any]

_RESERVED = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for"),
        *("function", "if", "import", "let", "loop", "package", "namespace", "return"),
        *("var", "void", "while"),
    }
)
_LITERAL_OR_OURS = re.compile(
    r"""(?P<literal>[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))"""
    r"""|(?P<size>\bsize\b(?=\s*\())"""
    r"""|(?P<getter>\bget[A-Z][A-Za-z]+\b(?=\s*\(\s*[^\s)]))""",
    re.DOTALL,
)
_CHAIN = re.compile(r"\b(?:self|oldSelf)((?:\.[A-Za-z_]\w*\b(?!\s*\())+)")
_DURATION = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_RAISED = re.compile(r"Python function call failed: \w+: (.*)\. Check function arguments")
"""How the library says what a function of ours raised."""
_OFFSET = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


# The library warns of each function of ours that raises; the refusal says it already.
logging.getLogger("cel").setLevel(logging.ERROR)


class CelError(Exception):
    """A rule that does not compile, or cannot be evaluated on a value."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression and the variables that it names."""

    source: str
    program: Any
    variables: frozenset[str]

    @property
    def is_transition(self) -> bool:
        """Return whether the expression speaks of `oldSelf`."""
        return "oldSelf" in self.variables


@lru_cache(maxsize=4096)
def compiled(source: str) -> Expression:
    """Return the compiled expression. Raises CelError with the position of a syntax error."""
    text = _LITERAL_OR_OURS.sub(_by_our_name, source)
    try:
        program = cel.compile(text)
        variables = frozenset(program.variables())
    except ValueError as exc:
        raise CelError(str(exc).partition(": ")[2] or str(exc)) from exc
    return Expression(source, program, variables)


def _by_our_name(hit: re.Match[str]) -> str:
    """Return a call by the name that it has in `_FUNCTIONS`, where the library has another sense
    for it: `size` counts bytes there, and the getters of timestamps know no zone."""
    if hit["getter"]:
        return f"{hit['getter']}In"
    return hit["literal"] or "sizeOf"


def evaluate(expression: Expression, values: Mapping[str, Any]) -> Any:
    """Return the value of the expression. Raises CelError where CEL has no value for it."""
    context = cel.Context(variables=dict(values), functions=dict(_FUNCTIONS))
    try:
        return expression.program.execute(context)
    except KeyError as exc:
        raise CelError(f"no such key: {exc.args[0]}") from exc
    except (ValueError, TypeError, RuntimeError, IndexError, OverflowError) as exc:
        ours = _RAISED.search(str(exc))
        raise CelError(ours[1] if ours else str(exc)) from exc


def optional(value: Any, *, present: bool) -> Any:
    """Return a CEL optional: `oldSelf` of a rule with `optionalOldSelf`."""
    return cel.OptionalValue.of(value) if present else cel.OptionalValue.none()


def to_cel(schema: Json, value: Any) -> Any:
    """Return `value` as CEL sees it: numbers, times and durations typed, property names escaped."""
    if isinstance(value, Mapping):
        return _mapping_to_cel(schema, value)
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [to_cel(items, item) for item in value]
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (read := _FORMATS.get(schema.get("format", ""))):
        return read(value)
    return value


def _mapping_to_cel(schema: Json, value: Json) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    inside = extra if isinstance(extra, Mapping) else {}
    if schema.get("x-kubernetes-embedded-resource"):
        inside = {}
    return {
        (escape(key) if key in properties else key): to_cel(properties.get(key, inside), item)
        for key, item in value.items()
    }


def escape(name: str) -> str:
    """Return a property name as a CEL identifier: `__dot__`, `__dash__`, `__in__` and so on."""
    if name in _RESERVED:
        return f"__{name}__"
    name = name.replace("__", "__underscores__")
    return name.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")


def undeclared_fields(schema: Json, source: str, *, root: bool = False) -> list[str]:
    """Return the fields that a rule reads from `self` or `oldSelf` and that the schema lacks.

    Follows plain chains such as `self.a.b` through objects with declared properties. With `root`
    the fields that every object has count as declared.
    """
    missing: list[str] = []
    for chain in _CHAIN.findall(_LITERAL_OR_OURS.sub(lambda hit: "''", source)):
        at: Json = schema
        for name in chain.strip(".").split("."):
            properties = {escape(key): inside for key, inside in _declared(at, root=root).items()}
            if not properties:
                break
            if name not in properties:
                missing.append(name)
                break
            at, root = properties[name], False
    return missing


def _declared(schema: Json, *, root: bool) -> dict[str, Any]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {}
    declared = dict(schema.get("properties") or {})
    if root and declared:
        declared |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return declared


def _datetime(text: str) -> Any:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text


def duration(text: str) -> timedelta:
    """Return a Go duration such as `1h30m` or `-5s`. Raises ValueError."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return timedelta()
    parts = _DURATION.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"invalid duration {text!r}")
    return sign * timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _duration_or_text(text: str) -> Any:
    try:
        return duration(text)
    except ValueError:
        return text


def _bytes(text: str) -> Any:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text


_FORMATS: dict[str, Callable[[str], Any]] = {
    "date-time": _datetime,
    "date": _datetime,
    "duration": _duration_or_text,
    "byte": _bytes,
}


def _index_of(whole: Any, part: Any, start: int = 0) -> int:
    if isinstance(whole, str):
        return whole.find(part, start)
    return next((n for n, item in enumerate(whole) if item == part), -1)


def _last_index_of(whole: Any, part: Any) -> int:
    if isinstance(whole, str):
        return whole.rfind(part)
    return max((n for n, item in enumerate(whole) if item == part), default=-1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise ValueError(f"index out of range: {start}, {stop}")
    return text[start:stop]


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [hit[0] for hit in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator == "":
        return list(text)
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _is_sorted(items: list[Any]) -> bool:
    return all(left <= right for left, right in pairwise(items))


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(char) if char.isascii() else char for char in text)


def _zone(name: str) -> tzinfo:
    """Return the zone of a name or an offset such as `+08:00`. Raises ValueError in Go's words."""
    if offset := _OFFSET.fullmatch(name):
        sign, hours, minutes = offset.groups()
        length = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-length if sign == "-" else length)
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):  # OSError: of a directory, such as Asia
        raise ValueError(f"unknown time zone {name}") from None


def _local(read: Callable[[datetime], int]) -> Callable[[datetime, str], int]:
    """Return a getter of timestamps in a zone that is given."""
    return lambda when, zone: read(when.astimezone(_zone(zone)))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sizeOf": len,
    "charAt": lambda text, at: text[at : at + 1],
    "find": _find,
    "findAll": _find_all,
    "getDateIn": _local(lambda at: at.day),
    "getDayOfMonthIn": _local(lambda at: at.day - 1),
    "getDayOfWeekIn": _local(lambda at: at.isoweekday() % 7),
    "getDayOfYearIn": _local(lambda at: at.timetuple().tm_yday - 1),
    "getFullYearIn": _local(lambda at: at.year),
    "getHoursIn": _local(lambda at: at.hour),
    "getMillisecondsIn": _local(lambda at: at.microsecond // 1000),
    "getMinutesIn": _local(lambda at: at.minute),
    "getMonthIn": _local(lambda at: at.month - 1),
    "getSecondsIn": _local(lambda at: at.second),
    "indexOf": _index_of,
    "isSorted": _is_sorted,
    "join": lambda items, separator="": separator.join(items),
    "lastIndexOf": _last_index_of,
    "lowerAscii": _ascii(str.lower),
    "replace": _replace,
    "split": _split,
    "substring": _substring,
    "sum": sum,
    "trim": str.strip,
    "upperAscii": _ascii(str.upper),
}
