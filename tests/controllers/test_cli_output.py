"""How the command talks: colour on a terminal that wants it, and no traceback for a full disk."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from sysdisk.cli.colour import paint
from tests.support.command import COMMAND, environment


def on_a_terminal(*arguments: str, **variables: str) -> str:
    """Return what a command prints to a terminal, stdout and stderr together."""
    ours, theirs = pty.openpty()
    plain = {k: v for k, v in environment().items() if k not in ("NO_COLOR", "TERM")}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            done = subprocess.run(
                [*COMMAND, *arguments],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=plain | variables,
            )
        finally:
            os.close(theirs)
        assert done.returncode == 1
        printed = b""
        try:
            while part := terminal.read(4096):
                printed += part
        except OSError:  # EIO: so Linux says that the other end is closed
            return printed.decode()
    return printed.decode()


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_a_terminal_gets_colour_unless_it_wants_none(
    tmp_path: Path, variables: dict[str, str], coloured: bool
) -> None:
    missing = str(tmp_path / "none")
    printed = on_a_terminal("plan", "web", "--kubeconfig", missing, **variables)
    assert "Error: " in printed
    assert ("\x1b[31m" in printed) is coloured
    assert ("\x1b" in printed) is coloured


def test_what_has_no_colour_has_no_codes() -> None:
    assert paint("text") == "text"
    assert paint("text", "red") != "text"


@pytest.mark.parametrize("command", ["crd", "version", "ram-policy"])
def test_a_full_disk_is_told_in_a_line(command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, command], stdout=full, stderr=subprocess.PIPE, env=environment()
        )
    assert (done.returncode, done.stderr) == (1, b"Error: No space left on device\n")


def test_nothing_to_talk_to_is_no_traceback_either() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, "crd"], stdout=full, stderr=full, env=environment())
    assert done.returncode == 1
