"""Every kind of waiting and refusal, as `kubectl get sds -o wide` and `describe` show it.

    python -m tests.e2e.gallery [WORD...] [--kube envtest]

A world like that of the end-to-end stories is brought into each of these states, one after the
other; what is printed is for reading aloud: what is so, why, and what to do. Words choose the
scenes whose title holds one of them. It ends with 1 where a state does not come about.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from sysdisk.sandbox.stage import EMBEDDED, ENVTEST
from tests.e2e.gallery_scenes import DRY, SCENES, Shown
from tests.support.e2e import Object, World, condition, open_world

Scene = Callable[[World], Awaitable[Shown]]
PATIENCE: Final = 60.0


async def show(world: World, title: str, scene: Scene) -> bool:
    """Bring one state about and print it; return whether it came about."""
    print(f"\n=== {title}", flush=True)
    try:
        shown = await scene(world)
        await world.until(shown.name, lambda o: _stands(o, shown.reason), PATIENCE)
    except (TimeoutError, AssertionError) as exc:
        print(f"!!! it did not come about: {exc}")
        return False
    print(f"$ kubectl get sds {shown.name} -o wide")
    print(await world.kubectl("get", "sds", shown.name, "--output=wide"), end="")
    print(f"$ kubectl describe sds {shown.name}   (its conditions)")
    print(_conditions(await world.kubectl("describe", "sds", shown.name)))
    for undo in shown.undo:
        undo()
    return True


def _stands(found: Object, reason: str) -> bool:
    """Whether Ready says so, and what has ended is told to its end."""
    ended = "ending" in found.get("status", {}).get("operation", {})
    over = reason in ("BackupFailed", "PlanSpent", "Resting")
    return condition(found, "Ready").get("reason") == reason and not (ended and over)


def _conditions(described: str) -> str:
    """Return the conditions out of what describe prints, without the times."""
    kept: list[str] = []
    inside = False
    for line in described.splitlines():
        depth = len(line) - len(line.lstrip())
        if line.strip() == "Conditions:":
            inside = True
        elif inside and depth <= 2:
            break
        if inside and not line.strip().startswith(("Last Transition", "Observed Generation")):
            kept.append(line)
    return "\n".join(kept)


async def main(words: list[str], backend: str) -> int:
    """Show the scenes that `words` choose, all by default; return the exit code."""
    chosen = [s for s in SCENES if not words or any(w.lower() in s[0].lower() for w in words)]
    good = True
    with tempfile.TemporaryDirectory() as directory:
        async with open_world(backend, Path(directory)) as world:
            await world.operator.start()
            for title, scene in chosen:
                good &= await show(world, title, scene)
            if not words:
                async with world.without_operator(), world.another("--dry-run"):
                    good &= await show(world, *DRY)
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--kube", choices=[EMBEDDED, ENVTEST], default=EMBEDDED)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.words, given.kube)))
