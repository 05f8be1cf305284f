"""`sysdisk crd`: the CustomResourceDefinitions, for `kubectl apply -f -`."""

from __future__ import annotations

from typing import Annotated

import typer

from sysdisk.cli.output import Document, as_json


def crd(
    output: Annotated[
        Document,
        typer.Option("--output", "-o", envvar="SYSDISK_OUTPUT", help="How to print them."),
    ] = Document.YAML,
) -> None:
    """Print the CRDs, for `kubectl apply -f -`."""
    from sysdisk.api import crd as definitions

    if output is Document.YAML:
        typer.echo("---\n".join(definitions.render().values()), nl=False)
    else:
        items = definitions.crds()
        typer.echo(as_json({"apiVersion": "v1", "kind": "List", "items": items}))
