"""The command `sysdisk`, which kubectl also finds as `kubectl sysdisk`: a list of its commands.

A command's module imports what it needs when it is called, not when it is listed here: the help
text and the shell's completion must not wait for the ECS SDK.
"""

from __future__ import annotations

import contextlib
import os
import sys

import typer

from sysdisk.cli import (
    annotate,
    approve,
    cluster,
    colour,
    crd,
    plan,
    ram_policy,
    run,
    sandbox,
    version,
)

app = typer.Typer(
    name="sysdisk",
    help="Keeps the system disk of Alibaba Cloud ECS instances as declared.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("approve")(approve.approve)
app.command("retry")(annotate.retry)
app.command("suspend")(annotate.suspend)
app.command("resume")(annotate.resume)
app.command("release")(annotate.release)
app.command("crd")(crd.crd)
app.command("ram-policy")(ram_policy.ram_policy)
app.command("sandbox")(sandbox.sandbox)
app.command("demo")(sandbox.demo)
app.command("version")(version.version)


@app.callback()
def sysdisk(context: typer.Context) -> None:
    """Keeps the system disk of Alibaba Cloud ECS instances as declared."""
    colour.switch(context)


def main() -> None:
    """Run the command line; exit 0 if it went well, 1 on an error, 2 on wrong usage."""
    try:
        app()
    except OSError as exc:  # a full disk under stdout, say
        _give_up_stdout()
        with contextlib.suppress(OSError):
            cluster.say(f"Error: {exc.strerror or exc}", colour=typer.colors.RED)
        raise SystemExit(cluster.FAILED) from None


def _give_up_stdout() -> None:
    """Have what could not be written dropped: Python would try once more at the very end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
