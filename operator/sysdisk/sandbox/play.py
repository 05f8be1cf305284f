"""A sandbox from its start to Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sysdisk.kube.errors import KubeError
from sysdisk.sandbox.child import Operator
from sysdisk.sandbox.envtest import EnvtestError
from sysdisk.sandbox.guide import guide, write_manifests
from sysdisk.sandbox.stage import EMBEDDED, ENVTEST, Stage, default_backend

Say = Callable[[str], None]


def play(
    *, kube: str, time_scale: float, fleet: int, operator: bool, log_level: str, say: Say
) -> int:
    """Run a sandbox until SIGINT or SIGTERM; return the exit code. `say` takes lines for people."""
    backend = kube or default_backend()
    if backend not in (EMBEDDED, ENVTEST) and not Path(backend).expanduser().is_file():
        say(f"--kube {backend}: neither embedded nor envtest nor a kubeconfig that exists")
        return 2
    stage = Stage(kube=backend, time_scale=time_scale, fleet=fleet)
    try:
        return asyncio.run(_play(stage, backend, operator, log_level, say))
    except (KubeError, EnvtestError, OSError) as exc:
        say(f"The sandbox could not start: {exc}")
        return 1


async def _play(stage: Stage, backend: str, operator: bool, log_level: str, say: Say) -> int:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    say("Starting the sandbox ...")
    async with stage:
        log = stage.directory / "operator.log"
        child = Operator(stage.kubeconfig, log, arguments=("--log-level", log_level))
        if operator:
            await child.start()
        say(guide(stage, backend, write_manifests(stage), log if operator else None))
        try:
            return await _until(stop, child if operator else None, say)
        finally:
            say("Stopping ...")
            await child.stop()


async def _until(stop: asyncio.Event, child: Operator | None, say: Say) -> int:
    """Wait for `stop`; 1 where the operator ended before."""
    waiting: list[asyncio.Task[int] | asyncio.Task[Literal[True]]] = [
        asyncio.create_task(stop.wait())
    ]
    if child is not None:
        waiting.append(asyncio.create_task(child.ended()))
    done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    if waiting[0] in done:
        return 0
    assert child is not None
    say(f"The operator has ended by itself:\n{child.tail()}")
    return 1
