"""`docs/cli.md`: every command with its flags and variables, from the commands themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import typer

from sysdisk.cli import cluster
from sysdisk.cli.main import app

EXIT_CODES: Final = {
    cluster.NOTHING_DUE: "It went well. `plan`: nothing is due.",
    cluster.FAILED: "An error; the reason is on stderr. `plan`: a person must act first, or the "
    "spec is not planned yet.",
    cluster.USAGE: "Wrong usage.",
    cluster.DUE: "`plan` alone: something is due, or under way.",
}

_HEAD: Final = """# The command `sysdisk`

<!-- Made by `make generate` from operator/sysdisk/cli/reference.py. -->

`sysdisk COMMAND -h` says the same. kubectl finds it too, as `kubectl sysdisk`. Data goes to stdout,
talk to stderr, colour to terminals alone (never with `NO_COLOR` or `TERM=dumb`). Every flag has a
variable, which counts where the flag is not given: one for all commands that have the flag. Names
that are given win over the variables of what may stand in their place (`SYSDISK_ACCOUNT`,
`SYSDISK_FILENAME`).

| exit code | meaning |
| --- | --- |
"""


def render() -> str:
    """Return the page."""
    parts = [_HEAD, *(f"| {code} | {means} |\n" for code, means in EXIT_CODES.items())]
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        parts.extend(_section(name, command))
    return "".join(parts)


def _section(name: str, command: Any) -> Iterator[str]:
    arguments = "".join(f" {p.metavar}" for p in command.params if p.param_type_name == "argument")
    yield f"\n## `sysdisk {name}{arguments}`\n\n{command.help}\n"
    options = [p for p in command.params if p.param_type_name == "option" and p.envvar]
    if options:
        yield "\n| flag | variable | default | meaning |\n| --- | --- | --- | --- |\n"
        for option in options:
            cells = (_flags(option), f"`{option.envvar}`", _default(option), _help(option))
            yield f"| {' | '.join(cells)} |\n"


def _flags(option: Any) -> str:
    value = "" if option.is_flag else f" {_value(option)}"
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in names)


def _value(option: Any) -> str:
    kind = option.type_descriptor.annotation
    if option.metavar:
        shown = str(option.metavar).strip("[]")
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        shown = "|".join(kind)
    else:
        shown = {int: "NUMBER", float: "NUMBER", Path: "FILE"}.get(kind, "TEXT")
    return shown.replace("|", "\\|")


def _default(option: Any) -> str:
    if option.default in (None, "") or option.is_flag:
        return ""
    return f"`{option.default}`"


def _help(option: Any) -> str:
    text = str(option.help)
    if option.min is None and option.max is None:
        return text
    return f"{text} {option.min} to {option.max}."


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
