"""What the commands for people share: a cluster, a namespace, objects by name, exit codes.

They act by annotation alone: what they ask for is asked of the operator, which decides. None
writes a spec, so that nothing in Git is fought over, and none writes a status.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from sysdisk.cli.colour import paint

if TYPE_CHECKING:
    from sysdisk.api.status import Plan, SystemDiskSpecStatus
    from sysdisk.kube.client import KubeClient

NOTHING_DUE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
DUE: Final = 10

KubeconfigOption = Annotated[
    str | None,
    typer.Option(
        envvar="SYSDISK_KUBECONFIG", help="Path. Default: $KUBECONFIG, else ~/.kube/config."
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="SYSDISK_NAMESPACE",
        metavar="NS",
        help="Namespace. Default: that of the kubeconfig's present context, else `default`.",
    ),
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", envvar="SYSDISK_YES", help="Do not ask; for scripts.")
]
WaitOption = Annotated[
    str,
    typer.Option(
        envvar="SYSDISK_WAIT",
        metavar="DURATION",
        help="How long to wait for the operator where a spec was changed just now.",
    ),
]
A_WHILE: Final = "5s"
GLANCE_SECONDS: Final = 0.25
NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME...", help="SystemDiskSpecs.")]


T = TypeVar("T")


class Failed(Exception):
    """Something that a person must hear of; the text is for them."""


@dataclass(frozen=True, slots=True)
class Named:
    """One SystemDiskSpec as the API server has it now."""

    namespace: str
    name: str
    uid: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.body["metadata"].get("annotations") or {}
        return found

    def status(self) -> SystemDiskSpecStatus:
        """Return its status. Raises Failed where this version does not understand it."""
        from sysdisk.api.status import SystemDiskSpecStatus

        try:
            return SystemDiskSpecStatus.from_api(self.body.get("status"))
        except ValueError:
            raise Failed(
                f"{self}: its status was written by another version; use that version's command"
            ) from None

    def plan(self) -> Plan | None:
        return self.status().plan

    def current(self) -> bool:
        """Whether its status speaks of the spec as it is now: it was looked at since."""
        seen = self.status().observed_generation
        return seen is not None and seen == self.body["metadata"].get("generation")

    def unplanned(self) -> str:
        """Return what is to be told where `current` does not hold."""
        if self.status().observed_generation is None:
            return "the spec is not planned yet: no operator has looked at it."
        return "the spec was changed and is not planned yet: no operator has looked at it since."


@dataclass(frozen=True, slots=True)
class Cluster:
    """The API server, and the namespace that names are looked for in."""

    kube: KubeClient
    namespace: str

    async def find(self, name: str) -> Named:
        """Return the SystemDiskSpec `name`. Raises Failed where there is none."""
        from sysdisk.kube.resources import SPECS

        body = await self.kube.read(SPECS, self.namespace, name)
        if body is None:
            raise Failed(f"SystemDiskSpec {name} does not exist in namespace {self.namespace}")
        return Named(self.namespace, name, body["metadata"]["uid"], body)

    async def find_all(self, names: list[str]) -> list[Named]:
        """Return all of `names`, each once, before anything is done about one."""
        return [await self.find(name) for name in dict.fromkeys(names)]

    async def find_current(self, names: list[str], within: timedelta) -> list[Named]:
        """Return all of `names` when all are `current`; as they are then where `within` is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within.total_seconds()
        found = await self.find_all(names)
        while loop.time() < end and not all(each.current() for each in found):
            await asyncio.sleep(min(GLANCE_SECONDS, end - loop.time()))
            found = [f if f.current() else await self.find(f.name) for f in found]
        return found

    async def annotate(self, found: Named, annotations: dict[str, str | None]) -> None:
        """Set annotations of the very object that was read; None removes one."""
        from sysdisk.kube.resources import SPECS

        await self.kube.patch_metadata(
            SPECS,
            found.namespace,
            found.name,
            uid=found.uid,
            resource_version=None,
            annotations=annotations,
        )


@asynccontextmanager
async def connect(kubeconfig: str | None, namespace: str | None) -> AsyncIterator[Cluster]:
    """Yield the cluster of `kubeconfig`. Raises KubeError where there is none to talk to."""
    from sysdisk.kube.client import KubeClient
    from sysdisk.kube.connection import load

    access = await load(kubeconfig)
    async with KubeClient(access) as kube:
        where = namespace or access.own_namespace or _present_namespace(kubeconfig)
        yield Cluster(kube, where)


def _present_namespace(kubeconfig: str | None) -> str:
    from kubernetes.aio.config import ConfigException
    from kubernetes.aio.config.kube_config import list_kube_config_contexts

    try:
        _, present = list_kube_config_contexts(  # type: ignore[no-untyped-call]
            config_file=kubeconfig
        )
    except ConfigException:
        return "default"
    return str(present.get("context", {}).get("namespace") or "default")


def duration(text: str, flag: str) -> timedelta:
    """Return the length of time that `flag` was given. Raises BadParameter."""
    from sysdisk.api.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=flag) from None


def unless_named(
    context: typer.Context, names: list[str] | None, parameter: str, value: T | None
) -> T | None:
    """Return `value` of `parameter`; None where names were given and it is but a variable's."""
    return None if names and from_variable(context, parameter) else value


def from_variable(context: typer.Context, parameter: str) -> bool:
    """Whether a parameter has its value from the environment, which is there for all commands."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "ENVIRONMENT"


def finish(work: Coroutine[Any, Any, int]) -> typer.Exit:
    """Return the end of the command that `work` is: its exit code, or 1 with the reason told."""
    from sysdisk.kube.errors import KubeError

    try:
        return typer.Exit(asyncio.run(work))
    except (Failed, KubeError) as exc:
        say(f"Error: {exc}", colour=typer.colors.RED)
        return typer.Exit(FAILED)


def say(text: str, *, colour: str | None = None) -> None:
    """Talk to the person, on stderr."""
    typer.echo(paint(text, colour), err=True)


def sure(question: str, *, yes: bool) -> bool:
    """Whether the person says yes; without a terminal to ask on, nothing is agreed to."""
    return yes or typer.confirm(question, default=False, err=True)
