"""`sysdisk run`: the operator. Every flag has a variable `SYSDISK_<FLAG>`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from sysdisk.settings import Address, LogFormat, LogLevel, RunSettings


def run(
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            envvar="SYSDISK_KUBECONFIG",
            help="Path. Default: the pod's ServiceAccount, else $KUBECONFIG, else ~/.kube/config.",
        ),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SYSDISK_NAMESPACE",
            metavar="NS",
            help="Serve this namespace; may be repeated (in the variable: by spaces or commas). "
            "Default: all.",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            envvar="SYSDISK_LISTEN",
            metavar="HOST:PORT",
            help="Where /healthz, /readyz and /metrics are served.",
        ),
    ] = "127.0.0.1:8080",
    log_format: Annotated[
        LogFormat, typer.Option(envvar="SYSDISK_LOG_FORMAT", help="How to log to stderr.")
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="SYSDISK_LOG_LEVEL", help="From which level on.")
    ] = LogLevel.INFO,
    poll_interval: Annotated[
        str,
        typer.Option(
            envvar="SYSDISK_POLL_INTERVAL",
            metavar="DURATION",
            help="The longest time between two looks while something is under way; ten times as "
            "long while a backup is made.",
        ),
    ] = "3s",
    resync_interval: Annotated[
        str,
        typer.Option(
            envvar="SYSDISK_RESYNC_INTERVAL",
            metavar="DURATION",
            help="Between two looks at an instance at rest.",
        ),
    ] = "5m",
    threads: Annotated[
        int,
        typer.Option(
            envvar="SYSDISK_THREADS",
            min=1,
            max=256,
            help="Threads for reads from ECS, for each EcsAccount; writes have their own.",
        ),
    ] = 16,
    leader_elect: Annotated[
        bool,
        typer.Option(
            envvar="SYSDISK_LEADER_ELECT", help="Work only while holding a Lease: for replicas."
        ),
    ] = False,
    account_secret_namespaces: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SYSDISK_ACCOUNT_SECRET_NAMESPACES",
            metavar="NS",
            help="Where the Secret of an EcsAccount may be; may be repeated. Default: anywhere "
            "outside a cluster, the operator's own namespace inside.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(envvar="SYSDISK_DRY_RUN", help="Plan, and never write to ECS.")
    ] = False,
) -> None:
    """Run the operator, until SIGTERM or Ctrl-C."""
    settings = RunSettings(
        kubeconfig=kubeconfig,
        namespaces=_names(namespace),
        listen=_address(listen),
        log_format=log_format,
        log_level=log_level,
        poll_interval=_duration(poll_interval, "--poll-interval"),
        resync_interval=_duration(resync_interval, "--resync-interval"),
        threads=threads,
        leader_elect=leader_elect,
        account_secret_namespaces=_names(account_secret_namespaces) or None,
        dry_run=dry_run,
    )
    raise typer.Exit(_serve(settings))


def _serve(settings: RunSettings) -> int:
    _end_at_a_signal()
    import asyncio

    from sysdisk import logs
    from sysdisk.controllers.run import serve
    from sysdisk.controllers.services import build
    from sysdisk.ecs.scrub import Scrubber, ScrubbingFilter

    scrubber = Scrubber()
    logs.configure(settings.log_format, settings.log_level, ScrubbingFilter(scrubber))
    code = asyncio.run(serve(settings, build, scrubber=scrubber))
    _leave_if_held_up(code)
    return code


def _end_at_a_signal() -> None:
    """Have SIGTERM and SIGINT end the process with 0 until the operator takes them itself.

    Loading it takes a second. Meanwhile Python would die of the one (as PID 1 not even that: the
    kernel drops it) and tell the other as a traceback. Nothing has begun that must be ended.
    """
    import os
    import signal

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _number, _frame: os._exit(0))


def _leave_if_held_up(code: int) -> None:
    """Leave at once if a thread is left: an ECS read that nobody waits for may last 15 s more."""
    import logging
    import os
    import threading

    left = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if left:
        logging.shutdown()
        os._exit(code)


def _names(given: list[str] | None) -> tuple[str, ...]:
    """Return the names once each, in the order given; commas separate as repetition does."""
    names = (name.strip() for text in given or () for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--listen") from None


def _duration(text: str, flag: str) -> timedelta:
    from sysdisk.cli.cluster import duration

    length = duration(text, flag)
    if length < timedelta(milliseconds=100):
        raise typer.BadParameter("must be at least 100ms", param_hint=flag)
    return length
