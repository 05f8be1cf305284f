"""The page of the commands is current, and every flag has its variable."""

from pathlib import Path

import typer

from sysdisk.cli.main import app
from sysdisk.cli.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(), "run `make generate`"


def test_every_flag_has_the_variable_of_its_name() -> None:
    for command in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined]
        for flag in command.params:
            if flag.param_type_name == "option" and flag.name != "help":
                long = flag.opts[0].removeprefix("--").replace("-", "_").upper()
                assert flag.envvar == f"SYSDISK_{long}"
                assert flag.help.endswith((".", "$KUBECONFIG", "`default`")), flag.opts
