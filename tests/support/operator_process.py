"""The operator as users run it: `sysdisk run` in a process of its own, with its log in a file.

The tests end it in every way there is: SIGTERM, SIGKILL, SIGSTOP and SIGCONT. It never outlives
the one who started it: where util-linux is there, the kernel ends it with its parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 120.0
GLANCE: Final = 0.03
"""Seconds between two looks at what is waited for."""


class OperatorProcess:
    """`sysdisk run` for one kubeconfig. An async context manager: runs inside, is gone after.

    `arguments` go to the command as they are. The log of all its lives is in `log_file`.
    """

    def __init__(
        self,
        kubeconfig: Path,
        directory: Path,
        *arguments: str,
        name: str = "operator",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log_file = directory / f"{name}.log"
        self._command = [
            *_with_parent(),
            *(sys.executable, "-m", "sysdisk", "run"),
            f"--kubeconfig={kubeconfig}",
            *("--listen=127.0.0.1:0", "--log-format=json"),
            *arguments,
        ]
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SYSDISK_")},
            "PYTHONPATH": str(ROOT / "operator"),
            "TMPDIR": str(directory),  # its client's key files stay behind when it is killed
            **(environment or {}),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._born_at = 0
        self._address = ""

    # -- life -------------------------------------------------------------------------------

    async def start(self, *, ready: bool = True) -> None:
        """Start it; return when it listens and, with `ready`, when /readyz says so."""
        assert not self.running, f"{self.name} runs already"
        self._born_at = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL,
                env=self._environment, cwd=ROOT,
            )  # fmt: skip
        self._address = await self._until(self._listening, "listens")
        if ready:
            await self._until_ready()

    async def terminate(self) -> int:
        """Send SIGTERM and return its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it by SIGKILL, at once, in the middle of whatever it does."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does; `thaw` lets it go on."""
        self._alive().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self._alive().send_signal(signal.SIGCONT)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            await self.kill()

    @property
    def running(self) -> bool:
        """Whether there is such a process."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process ID; it must run."""
        return self._alive().pid

    # -- what it says -----------------------------------------------------------------------

    @property
    def log(self) -> str:
        """Everything that it, and those before it under this name, have logged."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def records(self, message: str = "") -> list[dict[str, Any]]:
        """Return the log of the present life as objects, all or those with this message."""
        return [r for r in self._records() if message in ("", r.get("message"))]

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its own pages, such as /metrics."""
        timeout = aiohttp.ClientTimeout(total=5)
        url = f"http://{self._address}{path}"
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def metrics(self) -> dict[str, float]:
        """Return its metrics by their full name with labels, as Prometheus reads them."""
        _, text = await self.get("/metrics")
        rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    # -- inside -----------------------------------------------------------------------------

    def _records(self) -> Iterator[dict[str, Any]]:
        with self.log_file.open("rb") as log:
            log.seek(self._born_at)
            for line in log.read().decode(errors="replace").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record

    def _listening(self) -> str:
        return next((str(r["listen"]) for r in self.records("listening")), "")

    def _alive(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        assert self._process.returncode is None, f"{self.name} has ended: {self._tail()}"
        return self._process

    async def _end(self, how: signal.Signals) -> int:
        process = self._alive()
        process.send_signal(how)
        async with asyncio.timeout(PATIENCE):
            return await process.wait()

    async def _until(self, look: Callable[[], str], what: str) -> str:
        end = asyncio.get_running_loop().time() + PATIENCE
        while not (found := look()):
            self._alive()
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"{self.name} does not come to where it {what}: {self._tail()}")
            await asyncio.sleep(GLANCE)
        return found

    async def _until_ready(self) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            self._alive()
            try:
                status, text = await self.get("/readyz")
            except (aiohttp.ClientError, TimeoutError):
                status, text = 0, "no answer"
            if status == 200:
                return
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"{self.name} is not ready: {text} {self._tail()}")
            await asyncio.sleep(GLANCE)

    def story(self) -> str:
        """Return whether it runs, and the end of its log: for a message about what did not come."""
        return f"{self.name} {'runs' if self.running else 'does not run'}: {self._tail()}"

    def _tail(self) -> str:
        return self.log[-4000:]


def _with_parent() -> list[str]:
    """Return what makes the kernel end a command together with us, nothing where it cannot."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL"] if setpriv else []
