"""`sysdisk plan`: what would be done, for names or for manifests; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sysdisk.cli.cluster import (
    A_WHILE,
    DUE,
    FAILED,
    NOTHING_DUE,
    Cluster,
    KubeconfigOption,
    Named,
    NamespaceOption,
    WaitOption,
    connect,
    duration,
    finish,
    say,
    unless_named,
)
from sysdisk.cli.output import Format, OutputOption, as_json, as_yaml
from sysdisk.cli.plan_text import described

if TYPE_CHECKING:
    from sysdisk.api.status import SystemDiskSpecStatus


def plan(
    context: typer.Context,
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
    wait: WaitOption = A_WHILE,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show what would be done. Exit 0: nothing is due, 10: something is, 2: wrong usage.

    1: an error, a spec for which a person must act first (its reason is shown), or one that was
    changed and that no operator has planned since.

    For manifests the API server checks them by a dry run, and the rest is read with your own
    rights: create and update of systemdiskspecs, list of them in all namespaces, get of the
    EcsAccount and of the Secret that it names. Without those, apply with `approval: Manual` and
    give the name.
    """
    file = unless_named(context, names, "file", file)
    if bool(names) == (file is not None):
        raise typer.BadParameter("give either names or --filename FILE")

    within = duration(wait, "--wait")

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            if file is not None:
                found = await _of_file(cluster, file)
            else:
                named = await cluster.find_current(names or [], within)
                found = [_of_name(each) for each in named]
        _print(found, output)
        if any(each.stuck for each in found):
            return FAILED
        return DUE if any(each.due for each in found) else NOTHING_DUE

    raise finish(work())


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to say of one spec."""

    name: str
    status: SystemDiskSpecStatus
    unplanned: str = ""
    """Why `status` says nothing of the spec as it is now; empty where it does."""

    @property
    def due(self) -> bool:
        """Whether something would be done, or is being done."""
        return self.status.plan is not None or self.status.operation is not None

    @property
    def stuck(self) -> bool:
        """Whether a person must act first, or nothing is known: neither "due" nor "nothing due"."""
        if self.unplanned:
            return True
        stalled, ready = self.status.condition("Stalled"), self.status.condition("Ready")
        if stalled is not None and stalled.status == "True":
            return True
        return not self.due and (ready is None or ready.status != "True")


def _of_name(found: Named) -> Answer:
    """Return the answer for what is applied: no plan of an earlier spec passes for the present."""
    status = found.status()
    if found.current():
        return Answer(str(found), status)
    old = status.replace(plan=None, conditions=())
    return Answer(str(found), old, found.unplanned())


async def _of_file(cluster: Cluster, file: Path) -> list[Answer]:
    from sysdisk.cli.manifests import read_manifests
    from sysdisk.cli.rehearsal import rehearsing

    manifests = read_manifests(file, cluster.namespace)
    async with rehearsing(cluster.kube) as rehearsal:
        found = [Answer(str(each), await rehearsal.of(each)) for each in manifests]
    if not rehearsal.whole:
        say(
            "Owners elsewhere were not looked for: you may not list systemdiskspecs in all "
            "namespaces. An older spec there would keep its instance."
        )
    return found


def _print(found: list[Answer], output: Format) -> None:
    match output:
        case Format.TABLE:
            texts = [described(each.name, each.status, each.unplanned) for each in found]
            typer.echo("\n\n".join(texts))
            stuck = sum(each.stuck for each in found)
            due = sum(each.due and not each.stuck for each in found)
            cannot = f", {stuck} that cannot go on" if stuck else ""
            say(f"\n{due} to do, {len(found) - due - stuck} with nothing due{cannot}.")
        case Format.JSON:
            typer.echo(as_json([_data(each) for each in found]))
        case Format.YAML:
            typer.echo(as_yaml([_data(each) for each in found]))


def _data(answer: Answer) -> dict[str, Any]:
    ready = answer.status.condition("Ready")
    whole = answer.status.to_api()
    return {
        "name": answer.name,
        "observedGeneration": answer.status.observed_generation,
        "due": None if answer.unplanned else answer.due,
        "reason": ready.reason if ready else None,
        "message": answer.unplanned or (ready.message if ready else None),
        "plan": whole.get("plan"),
        "operation": whole.get("operation"),
    }
