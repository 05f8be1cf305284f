"""`sysdisk crd`: the CustomResourceDefinitions, for `kubectl apply -f -`."""

from __future__ import annotations

from typing import Annotated

import typer

from sysdisk.cli.cluster import from_variable
from sysdisk.cli.output import Format, as_json


def crd(
    context: typer.Context,
    output: Annotated[
        Format,
        typer.Option(
            "--output",
            "-o",
            envvar="SYSDISK_OUTPUT",
            metavar="[yaml|json]",
            help="How to print them.",
        ),
    ] = Format.YAML,
) -> None:
    """Print the CRDs, for `kubectl apply -f -`."""
    from sysdisk.api import crd as definitions

    if output is Format.TABLE and not from_variable(context, "output"):
        raise typer.BadParameter("there is no table of CRDs; yaml or json", param_hint="--output")
    if output is not Format.JSON:
        typer.echo("---\n".join(definitions.render().values()), nl=False)
    else:
        items = definitions.crds()
        typer.echo(as_json({"apiVersion": "v1", "kind": "List", "items": items}))
