"""Colour in one place: on a terminal, unless NO_COLOR is set or the terminal knows none."""

from __future__ import annotations

import os

import typer


def switch(context: typer.Context) -> None:
    """Have everything that the commands below `context` print keep to the one rule.

    Source: https://no-color.org (set and not empty), terminfo (`dumb`). Whether a stream is a
    terminal, typer looks at for each; here only what forbids colour on every one.
    """
    forbidden = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    context.color = False if forbidden else None


def paint(text: str, colour: str | None = None, *, bold: bool = False) -> str:
    """Return `text` with the codes of a colour; as it is where there is nothing to paint."""
    return typer.style(text, fg=colour, bold=bold or None) if colour or bold else text
