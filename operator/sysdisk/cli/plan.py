"""`sysdisk plan`: what would be done, for names or for manifests; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sysdisk.cli.cluster import (
    DUE,
    FAILED,
    NOTHING_DUE,
    Cluster,
    KubeconfigOption,
    NamespaceOption,
    connect,
    finish,
    say,
)
from sysdisk.cli.output import Format, OutputOption, as_json, as_yaml
from sysdisk.cli.plan_text import described

if TYPE_CHECKING:
    from sysdisk.api.status import SystemDiskSpecStatus


def plan(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="SystemDiskSpecs.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--filename",
            "-f",
            envvar="SYSDISK_FILENAME",
            help="Manifests that are not applied yet; `-` is the standard input.",
            allow_dash=True,
        ),
    ] = None,
    output: OutputOption = Format.TABLE,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show what would be done. Exit 0: nothing is due, 10: something is, 2: wrong usage.

    1: an error, or a spec for which a person must act first (its reason is shown). For manifests
    the API server checks them by a dry run, which needs the right to create or update them.
    """
    if bool(names) == (file is not None):
        raise typer.BadParameter("give either names or --filename FILE")

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            if file is not None:
                found = await _of_file(cluster, file)
            else:
                found = [(str(s), s.status()) for s in await cluster.find_all(names or [])]
        _print(found, output)
        if any(_stuck(status) for _, status in found):
            return FAILED
        return DUE if any(_due(status) for _, status in found) else NOTHING_DUE

    raise finish(work())


def _stuck(status: SystemDiskSpecStatus) -> bool:
    """Whether a person must act first, or nothing is known: neither "due" nor "nothing due"."""
    stalled, ready = status.condition("Stalled"), status.condition("Ready")
    if stalled is not None and stalled.status == "True":
        return True
    return not _due(status) and (ready is None or ready.status != "True")


def _due(status: SystemDiskSpecStatus) -> bool:
    return status.plan is not None or status.operation is not None


async def _of_file(cluster: Cluster, file: Path) -> list[tuple[str, SystemDiskSpecStatus]]:
    from sysdisk.cli.manifests import read_manifests
    from sysdisk.cli.rehearsal import rehearse

    return [
        (f"{manifest.namespace}/{manifest.name}", await rehearse(cluster.kube, manifest))
        for manifest in read_manifests(file, cluster.namespace)
    ]


def _print(found: list[tuple[str, SystemDiskSpecStatus]], output: Format) -> None:
    match output:
        case Format.TABLE:
            typer.echo("\n\n".join(described(name, status) for name, status in found))
            stuck = sum(_stuck(status) for _, status in found)
            due = sum(_due(status) and not _stuck(status) for _, status in found)
            cannot = f", {stuck} that cannot go on" if stuck else ""
            say(f"\n{due} to do, {len(found) - due - stuck} with nothing due{cannot}.")
        case Format.JSON:
            typer.echo(as_json([_data(name, status) for name, status in found]))
        case Format.YAML:
            typer.echo(as_yaml([_data(name, status) for name, status in found]))


def _data(name: str, status: SystemDiskSpecStatus) -> dict[str, Any]:
    ready = status.condition("Ready")
    whole = status.to_api()
    return {
        "name": name,
        "due": _due(status),
        "reason": ready.reason if ready else None,
        "message": ready.message if ready else None,
        "plan": whole.get("plan"),
        "operation": whole.get("operation"),
    }
