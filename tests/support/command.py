"""The command `sysdisk` against a sandbox without an operator, and specs as one left them."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from sysdisk.cli.main import app
from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.stage import TEAM, Stage, spec_manifest

COMMAND: Final = (sys.executable, "-m", "sysdisk")
_SOURCES: Final = Path(__file__).resolve().parents[2] / "operator"
_NUMBERS = itertools.count(1)
PLAN: Final[dict[str, Any]] = {
    "id": "p1-0123456789abcdef",
    "madeAt": "2026-03-01T12:00:00Z",
    "changes": ["~ imageId m-1 -> m-2", "- disk d-1 and its data are destroyed", "! restart"],
    "destroys": ["disk d-1 (40 GiB) and all data on it"],
    "policy": {"approval": "Manual", "backup": {"enabled": True, "retentionDays": 7}},
}


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a process that runs `COMMAND`."""
    return {**os.environ, "PYTHONPATH": str(_SOURCES), **more}


def fresh_name() -> str:
    """Return a name that nothing has yet."""
    return f"web-{next(_NUMBERS)}"


async def sysdisk(
    stage: Stage, *arguments: str, given: str = "", **variables: str
) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command, run in a thread as a process would be."""
    done = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        arguments,
        input=given,
        env={"SYSDISK_KUBECONFIG": str(stage.kubeconfig), "COLUMNS": "200"} | variables,
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


async def planned(
    stage: Stage, name: str, more: Mapping[str, Any] | None = None, **plan: Any
) -> None:
    """Create a spec and write a status with a plan, and `more`, as the operator would."""
    made = await stage.client.create(
        SPECS, TEAM, spec_manifest(name, instanceId=f"i-{name}", imageId="m-2")
    )
    await stage.client.patch_status(
        SPECS,
        TEAM,
        name,
        resource_version=made["metadata"]["resourceVersion"],
        status={"observedGeneration": 1, "plan": PLAN | plan, **(more or {})},
    )


async def annotated(stage: Stage, name: str) -> dict[str, str]:
    """Return the annotations of a spec as it is now."""
    body = await stage.client.read(SPECS, TEAM, name)
    assert body is not None
    found: dict[str, str] = body["metadata"].get("annotations", {})
    return found
