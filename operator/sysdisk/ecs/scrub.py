"""Keeps secret values out of every text: exceptions, messages of ECS, log lines.

The SDK carries parameters in URLs, so a password can come back plain, URL-encoded, form-encoded,
JSON-escaped or in base64. A `Scrubber` knows the secrets that are in use and masks all those forms.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Shorter values are not masked: every text would be full of holes, and no password is shorter."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Scrubber:
    """Masks secret values in texts. Safe to use from any thread."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._patterns: tuple[re.Pattern[str], ...] = ()

    def add(self, *values: str | None) -> None:
        """Mask `values` from now on until they are dropped as often as they were added."""
        with self._lock:
            self._held.update(v for v in values if v and len(v) >= SHORTEST)
            self._arrange()

    def drop(self, *values: str | None) -> None:
        """Take back one `add` of each value."""
        with self._lock:
            for value in filter(None, values):
                if value in self._held:
                    self._held[value] -= 1
                    if self._held[value] <= 0:
                        del self._held[value]
            self._arrange()

    @contextmanager
    def holding(self, *values: str | None) -> Iterator[None]:
        """Mask `values` while the block runs."""
        self.add(*values)
        try:
            yield
        finally:
            self.drop(*values)

    def scrub(self, text: str) -> str:
        """Return `text` with every form of every known secret replaced by `***`."""
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text

    def knows(self, text: str) -> bool:
        """Whether `text` holds a known secret in any form."""
        return any(pattern.search(text) for pattern in self._patterns)

    def _arrange(self) -> None:
        """Longer secrets first: a short one may be part of a long one."""
        self._patterns = tuple(map(_pattern, sorted(self._held, key=len, reverse=True)))


class ScrubbingFilter(logging.Filter):
    """Masks secrets in whatever a handler is about to write: message, traceback and fields."""

    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True always; the record is clean afterwards."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} {record.args}"
        if self._scrubber.knows(message):
            record.msg, record.args = self._scrubber.scrub(message), ()
        self._scrub_traceback(record)
        for name, value in list(vars(record).items()):
            if name not in _STANDARD and self._scrubber.knows(str(value)):
                setattr(record, name, self._scrub_value(value))
        return True

    def _scrub_traceback(self, record: logging.LogRecord) -> None:
        text = record.exc_text or ""
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
        if text and self._scrubber.knows(text):
            record.exc_text, record.exc_info = self._scrubber.scrub(text), None
        if record.stack_info:
            record.stack_info = self._scrubber.scrub(record.stack_info)

    def _scrub_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._scrub_value(k): self._scrub_value(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._scrub_value(v) for v in value]
        return self._scrubber.scrub(str(value))


def install(scrubber: Scrubber) -> ScrubbingFilter:
    """Put a filter on every handler that exists now and return it, for handlers made later."""
    filter_ = ScrubbingFilter(scrubber)
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for logger in loggers:
        for handler in logger.handlers:
            handler.addFilter(filter_)
    return filter_


@lru_cache(maxsize=1024)
def _pattern(value: str) -> re.Pattern[str]:
    longest_first = sorted(forms(value), key=lambda form: (-len(form), form))
    return re.compile("|".join(map(_matcher, longest_first)))


def forms(value: str) -> frozenset[str]:
    """Return the ways in which `value` may be spelled in a text, itself among them."""
    url, form = quote(value, safe=""), quote_plus(value)
    found = {value, url, form, quote(value), quote(value, safe="~"), quote(url, safe="")}
    found |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    found |= {json.dumps(json.dumps(value)[1:-1])[1:-1], repr(value)[1:-1]}
    found |= {html.escape(value), html.escape(value, quote=False)}
    for text in (value, url, form, quote(value)):
        found |= _in_base64(text)
    return frozenset(f for f in found if len(f) >= SHORTEST)


def _in_base64(value: str) -> set[str]:
    """Return base64 of `value`, alone and at each of its three offsets in a longer text."""
    raw = value.encode()
    found = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode()
        start = (0, 2, 3)[offset]  # characters that also depend on the bytes before
        end = 8 * (offset + len(raw)) // 6  # the next one depends on the bytes after
        middle = text[start:end]
        if len(middle) >= 8:
            found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {f.rstrip("=") for f in found}


def _matcher(form: str) -> str:
    """Return the pattern of one form; the hex digits of URL escapes may have either case."""
    return re.sub("%[0-9A-F]{2}", lambda escape: f"(?i:{escape[0]})", re.escape(form))
