"""The operator as a process of its own, beside a stage: what is tried is what will be installed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

GRACE: Final = 20.0
"""Seconds that `sysdisk run` may take to end; then it is killed."""


class Operator:
    """`sysdisk run` for a kubeconfig, its log in a file. It ends when we do, however that is."""

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._kubeconfig = kubeconfig
        self.log = log
        self._arguments = arguments
        self._environment = environment or {}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. Raises OSError where that is not possible."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sysdisk.sandbox.guarded",
                "run",
                "--kubeconfig",
                str(self._kubeconfig),
                "--listen",
                "127.0.0.1:0",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={
                    **_environment(),
                    "PYTHONUNBUFFERED": "1",
                    "TMPDIR": str(self.log.parent),  # its client's key files go when the log goes
                    **self._environment,
                },
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process ID. Raises RuntimeError before `start`."""
        if self._process is None:
            raise RuntimeError("the operator is not running")
        return self._process.pid

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int | None:
        """End it in order, by force after a while; return the exit code. May be called twice."""
        if self._process is None:
            return None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(GRACE):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        return self._process.returncode

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _environment() -> dict[str, str]:
    """Return ours without the variables that are flags of `sysdisk`: they were meant for us."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SYSDISK_")}
