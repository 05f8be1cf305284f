"""Data to stdout in the format that was asked for; talk goes to stderr."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", envvar="SYSDISK_OUTPUT", help="How to print data.")
]


def as_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)


def as_yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100).rstrip("\n")


def as_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of columns as kubectl prints them: upper-case header, three spaces between."""
    lines = [tuple(name.upper() for name in header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
