"""Durations and times as the API writes them: `1h30m` and `2026-03-01T12:00:00Z`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
    "µs": timedelta(microseconds=1),
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|h|m|s)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Return the length of time that a Go duration names, such as `90s`, `1h30m` or `1.5h`.

    Units are h, m, s, ms and us; never negative, and `0` is zero. Raises ValueError with a
    text for people otherwise (nanoseconds included: a timedelta cannot hold them).
    """
    if text == "0":
        return timedelta(0)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 90s, 10m or 1h30m")
    try:
        return sum((float(n) * _UNITS[unit] for n, unit in _PART.findall(text)), timedelta(0))
    except OverflowError:
        raise ValueError(f"{text!r} is too long for a duration") from None


def format_duration(length: timedelta) -> str:
    """Return `length` as the shortest Go duration: `10m`, `1h30m`, `0s`, `300ms`.

    `parse_duration` reads it back unchanged. Raises ValueError for a negative length.
    """
    if length < timedelta(0):
        raise ValueError("a duration cannot be negative")
    seconds, micros = length.days * 86400 + length.seconds, length.microseconds
    parts = [
        (seconds // 3600, "h"),
        (seconds % 3600 // 60, "m"),
        (seconds % 60, "s"),
        (micros // 1000, "ms"),
        (micros % 1000, "us"),
    ]
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"


def parse_time(text: str) -> datetime:
    """Return the aware UTC time that an RFC 3339 text names, cut to whole seconds.

    Raises ValueError where the text is no time or has no offset.
    """
    return to_second(datetime.fromisoformat(text))


def format_time(when: datetime) -> str:
    """Return `when` as RFC 3339 in UTC with second precision: `2026-03-01T12:00:00Z`.

    Raises ValueError for a naive datetime.
    """
    return to_second(when).strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)


def to_second(when: datetime) -> datetime:
    """Return `when` in UTC, cut to whole seconds, as it reads back from the API.

    Raises ValueError for a naive datetime: it does not say when.
    """
    if when.tzinfo is None:
        raise ValueError("a time needs an offset, such as Z")
    return when.astimezone(UTC).replace(microsecond=0)
