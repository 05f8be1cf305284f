"""`sysdisk version`: ours, the Kubernetes client's, the ECS SDK's."""

from __future__ import annotations

from importlib import metadata

import typer

from sysdisk.cli.output import Format, OutputOption, as_json, as_table, as_yaml
from sysdisk.version import VERSION

_PARTS = {
    "kopf": "kopf",
    "kubernetes client": "kubernetes",
    "ECS SDK": "alibabacloud-ecs20140526",
}


def versions() -> dict[str, str]:
    """Return the version of each part by its name, ours first; read without importing them."""
    return {"sysdisk": VERSION} | {name: metadata.version(dist) for name, dist in _PARTS.items()}


def version(output: OutputOption = Format.TABLE) -> None:
    """Print the versions of sysdisk, of the Kubernetes client and of the ECS SDK."""
    found = versions()
    match output:
        case Format.TABLE:
            typer.echo(as_table(("part", "version"), list(found.items())))
        case Format.JSON:
            typer.echo(as_json(found))
        case Format.YAML:
            typer.echo(as_yaml(found))
