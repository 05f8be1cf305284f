"""A sandbox from its start to Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sysdisk.kube.errors import KubeError
from sysdisk.sandbox.child import Operator
from sysdisk.sandbox.envtest import EnvtestError
from sysdisk.sandbox.guide import guide, write_manifests
from sysdisk.sandbox.stage import EMBEDDED, ENVTEST, Stage, default_backend

Say = Callable[[str], None]

REST: Final = 3.0
"""Seconds before an operator that was killed is started again: long enough to look around."""
DEATHS: Final = 5
WITHIN: Final = 60.0
"""After so many deaths within so many seconds it is given up."""


def play(
    *, kube: str, time_scale: float, fleet: int, operator: bool, log_level: str, say: Say
) -> int:
    """Run a sandbox until SIGINT, SIGTERM or SIGHUP; return the exit code.

    `say` takes lines for people.
    """
    backend = kube or default_backend()
    if backend not in (EMBEDDED, ENVTEST) and not Path(backend).expanduser().is_file():
        say(f"--kube {backend}: neither embedded nor envtest nor a kubeconfig that exists")
        return 2
    stage = Stage(kube=backend, time_scale=time_scale, fleet=fleet)
    try:
        return asyncio.run(_play(stage, operator, log_level, _undisturbed(say)))
    except (KubeError, EnvtestError, OSError) as exc:
        say(f"The sandbox could not start: {exc}")
        return 1


def _undisturbed(say: Say) -> Say:
    """Return a `say` that a closed terminal does not stop: what was made is still removed."""

    def told(text: str) -> None:
        with suppress(OSError):
            say(text)

    return told


async def _play(stage: Stage, operator: bool, log_level: str, say: Say) -> int:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    say("Starting the sandbox ...")
    async with stage:
        arguments = (*stage.operator_arguments, "--log-level", log_level)
        child = Operator(stage.kubeconfig, stage.directory / "operator.log", arguments=arguments)
        if operator:
            await child.start()
        try:
            say(guide(stage, write_manifests(stage), child if operator else None))
            code = await (_keep(child, stop, say) if operator else _wait(stop))
        finally:
            say("Stopping ...")
            await child.stop()
    for left in stage.left:
        say(f"Could not be removed: {left}")
    return 1 if stage.left else code


async def _wait(stop: asyncio.Event) -> int:
    await stop.wait()
    return 0


async def _keep(child: Operator, stop: asyncio.Event, say: Say) -> int:
    """Keep the operator alive until `stop`; return 1 where it fails, or dies again and again."""
    now = asyncio.get_running_loop().time
    deaths = deque[float](maxlen=DEATHS)
    while (code := await _ended(child, stop)) is not None:
        deaths.append(now())
        often = len(deaths) == DEATHS and now() - deaths[0] < WITHIN
        if code > 0 or often:
            say(f"The operator {_how(code)}{', again and again' if often else ''}:\n{child.tail()}")
            return 1
        say(f"The operator {_how(code)}. The world goes on; it is started again in {REST:g} s.")
        if await _within(REST, stop):
            return 0
        await child.start()
        say(f"The operator runs again, with PID {child.pid}.")
    return 0


async def _ended(child: Operator, stop: asyncio.Event) -> int | None:
    """Return the operator's exit code when it ends, None when `stop` comes first."""
    ending, stopping = asyncio.create_task(child.ended()), asyncio.create_task(stop.wait())
    await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    stopping.cancel()
    return None if stop.is_set() else await ending


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _how(code: int) -> str:
    if code >= 0:
        return f"has ended by itself with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
