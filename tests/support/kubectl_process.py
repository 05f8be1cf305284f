"""An unmodified kubectl, run without blocking the loop that the servers under test run on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.support.operator_process import GLANCE, ROOT

PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Said:
    """What an ended command said."""

    code: int
    out: str
    err: str


class Kubectl:
    """Runs kubectl with one kubeconfig, in one namespace unless the arguments name another."""

    def __init__(self, kubeconfig: Path, directory: Path, namespace: str) -> None:
        self._command = (find_kubectl(),)
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(directory),
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(directory / "kubectl-cache"),
        }
        self._namespace = f"--namespace={namespace}"

    async def __call__(self, *arguments: str, given: object = None) -> str:
        """Return what a command prints; it must succeed. `given` goes to its stdin, as JSON."""
        said = await self.run(*arguments, given=given)
        assert said.code == 0, f"kubectl {' '.join(arguments)}: {said.out}{said.err}"
        return said.out

    async def run(
        self,
        *arguments: str,
        given: object = None,
        environment: Mapping[str, str] | None = None,
    ) -> Said:
        """Return the ended command, whatever came of it."""
        process = await self._start(arguments, environment)
        text = None if given is None else documents(given).encode()
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(text)
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def json(self, *arguments: str) -> dict[str, Any]:
        """Return what `get` finds, as an object."""
        found: dict[str, Any] = json.loads(await self("get", *arguments, "--output=json"))
        return found

    def watching(self, *arguments: str) -> Watching:
        """Return a `get` that runs on and prints each change: an async context manager."""
        return Watching(self, arguments)

    async def _start(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            self._namespace,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **(environment or {})},
            cwd=ROOT,
        )


class Watching:
    """`kubectl get --watch` under way; `lines` are those it has printed so far."""

    def __init__(self, kubectl: Kubectl, arguments: Sequence[str]) -> None:
        self._kubectl, self._arguments = kubectl, arguments
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await self._kubectl._start(self._arguments)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # the API server may have ended the watch
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def until(self, count: int) -> None:
        """Return when it has printed so many lines."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while len(self.lines) < count:
            assert asyncio.get_running_loop().time() < end, self.lines
            await asyncio.sleep(GLANCE)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode().rstrip())


def documents(given: object) -> str:
    """Return what kubectl reads from stdin: one manifest, or many, as JSON documents."""
    many = given if isinstance(given, (list, tuple)) else [given]
    return "\n---\n".join(json.dumps(each) for each in many)


def find_kubectl() -> str:
    """Return the path of kubectl, the environment's own first; skips the test without one."""
    found = shutil.which("kubectl", path=str(ROOT / ".venv" / "bin")) or shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl: neither in the environment nor in PATH")
    return found
