"""Logging to stderr: a constant message and facts as fields, as text or as one JSON object a line.

Libraries are kept quiet: what they log per call or per event says nothing here, and what some of
them log at DEBUG holds whole requests. A scrubbing filter sits on the one handler there is.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from sysdisk.settings import LogFormat, LogLevel

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_FOREIGN: Final = frozenset({"k8s_ref", "k8s_skip", "settings", "taskName"})
"""Fields that kopf and asyncio put on records."""

_QUIET: Final = {
    "kopf": logging.WARNING,
    "kopf.objects": logging.ERROR,
    # Says at every start that it runs outside the main thread: on purpose, signals are ours.
    "kopf._core.reactor.running": logging.ERROR,
    "aiohttp.access": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "urllib3": logging.WARNING,
    "kubernetes": logging.WARNING,
    "alibabacloud_credentials": logging.CRITICAL,
    "alibabacloud-tea": logging.CRITICAL,
    "Tea": logging.CRITICAL,
}


def configure(
    log_format: LogFormat,
    level: LogLevel,
    *filters: logging.Filter,
    stream: TextIO | None = None,
) -> logging.Handler:
    """Send all logging of the process through one handler with `filters`; return that handler.

    Calling it again replaces the handler of the last call.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    for each in filters:
        handler.addFilter(each)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(floor, root.level))
    logging.captureWarnings(True)
    return handler


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that came with `extra`, in the order given, None left out."""
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in _FOREIGN and value is not None
    }


class TextFormatter(logging.Formatter):
    """`2026-03-01T12:00:00.123Z INFO sysdisk.controllers.run: message key=shop/web-1`."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_stamp(record)} {record.levelname} {record.name}: {_one_line(record)}"
        fields = "".join(f" {name}={_plain(value)}" for name, value in facts(record).items())
        return head + fields + _trace(self, record)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, then the facts; `trace` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _one_line(record),
        }
        for name, value in facts(record).items():
            line[name if name not in line else f"{name}_"] = value
        trace = _trace(self, record).lstrip("\n")
        if trace:
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


def _stamp(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(record: logging.LogRecord) -> str:
    """The message without line breaks: a text from outside must not forge a second line."""
    return record.getMessage().replace("\r", "\\r").replace("\n", "\\n")


def _plain(value: object) -> str:
    text = str(value)
    bare = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if bare else json.dumps(text, ensure_ascii=False)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    # The cached text comes first: a scrubbing filter leaves the clean traceback there.
    text = record.exc_text or ""
    if not text and record.exc_info:
        text = formatter.formatException(record.exc_info)
    return f"\n{text}" if text else ""
