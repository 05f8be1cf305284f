"""`sysdisk sandbox`: a cloud, a Kubernetes API and the operator, to try and to rehearse with."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from sysdisk.settings import LogLevel

KubeOption = Annotated[
    str,
    typer.Option(
        envvar="SYSDISK_KUBE",
        metavar="embedded|envtest|KUBECONFIG",
        help="Which Kubernetes API: the embedded one, a real kube-apiserver from "
        "$KUBEBUILDER_ASSETS or /usr/local/kubebuilder/bin, or that of a kubeconfig. "
        "Default: envtest where its binaries are found, else embedded.",
    ),
]
TimeScaleOption = Annotated[
    float,
    typer.Option(
        envvar="SYSDISK_TIME_SCALE",
        min=0.1,
        max=1000,
        help="How many times as fast the simulated cloud works.",
    ),
]

LogLevelOption = Annotated[
    LogLevel, typer.Option(envvar="SYSDISK_LOG_LEVEL", help="Of the operator's log.")
]


def sandbox(
    kube: KubeOption = "",
    time_scale: TimeScaleOption = 5.0,
    fleet: Annotated[
        int,
        typer.Option(envvar="SYSDISK_FLEET", min=4, max=20000, help="How many instances."),
    ] = 10,
    no_operator: Annotated[
        bool,
        typer.Option(
            "--no-operator",
            envvar="SYSDISK_NO_OPERATOR",
            help="Leave the operator out: run your own.",
        ),
    ] = False,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Start a sandbox: a simulated cloud, a Kubernetes API, and the operator. Ctrl-C ends it."""
    require_sandbox()
    from sysdisk.sandbox.play import play

    code = play(
        kube=kube,
        time_scale=time_scale,
        fleet=fleet,
        operator=not no_operator,
        log_level=log_level,
        say=lambda text: typer.echo(text, err=True),
    )
    raise typer.Exit(code)


def demo(
    kube: KubeOption = "embedded",
    time_scale: TimeScaleOption = 8.0,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Watch the main job on a sandbox: four machines, two of them refused. Exit 0 if all is so."""
    require_sandbox()
    from sysdisk.sandbox.demo import tell

    raise typer.Exit(tell(kube=kube, time_scale=time_scale, log_level=log_level))


def require_sandbox() -> None:
    """End with a word on how to install it where the extra `sandbox` is missing."""
    missing = [name for name in ("cel", "jsonschema", "cryptography") if not _there(name)]
    if missing:
        typer.echo("The sandbox is not installed: pip install 'sysdisk[sandbox]'", err=True)
        raise typer.Exit(1)


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
