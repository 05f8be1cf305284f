"""Trials: a copy of the tree, one wrong change in it, and the tests that are to notice.

A `Ground` is a copy for one trial after the other, each with a pytest process of its own. The
package is installed editable from the repository, so the copy is put before it on the path, and
`witness` holds that it came first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.sabotage.change import Change, OutOfDate
from tests.sabotage.witness import FAILED, ROOT

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TEST_SECONDS: Final = 120
TRIAL_SECONDS: Final = 900


class Verdict(StrEnum):
    """How a trial ended; all but the first are failures."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    OUT_OF_DATE = "OUT OF DATE"
    BROKEN = "BROKEN"
    """The tests did not run at all: that proves nothing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a change. `by`: the first test that failed; `told`: what went wrong."""

    change: Change
    verdict: Verdict
    by: str = ""
    told: str = ""
    seconds: float = 0.0


class Ground:
    """A copy of what Git knows, or would add, as it is in the working tree, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self._failed = folder / "failed"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (REPOSITORY / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPOSITORY / name, self.root / name)

    def tried(self, change: Change) -> Trial:
        """Return what the tests say of `change`, applied alone; the copy is then as it was."""
        began = time.monotonic()
        path = self.root / change.file
        try:
            before = path.read_text(encoding="utf-8")
            self._put(path, change.applied(before))
        except (OutOfDate, OSError) as exc:
            return Trial(change, Verdict.OUT_OF_DATE, told=str(exc))
        self._failed.unlink(missing_ok=True)
        try:
            verdict, why = self._judged(change.tests)
        finally:
            self._put(path, before)
        by = ""
        if self._failed.exists():
            first = self._failed.read_text(encoding="utf-8").partition("\n")[0]
            by, _, why = first.partition("\t")
        return Trial(change, verdict, by, why, time.monotonic() - began)

    @staticmethod
    def _put(path: Path, text: str) -> None:
        """Write `text`, and drop the byte code: within a second it could be taken for current."""
        path.write_text(text, encoding="utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()

    def _judged(self, tests: tuple[str, ...]) -> tuple[Verdict, str]:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "--timeout"]
        command += [str(TEST_SECONDS), "-p", "tests.sabotage.witness", "-p", "no:randomly"]
        command += ["-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
        paths = os.pathsep.join([str(self.root / "operator"), str(self.root)])
        env = {**os.environ, "PYTHONPATH": paths, ROOT: str(self.root), FAILED: str(self._failed)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            ended = subprocess.run(
                command,
                cwd=self.root,
                env=env,
                capture_output=True,
                text=True,
                timeout=TRIAL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict.BROKEN, f"the tests did not end within {TRIAL_SECONDS} s"
        if ended.returncode == 0:
            return Verdict.SURVIVED, ""
        if self._failed.exists():
            return Verdict.CAUGHT, ""
        return Verdict.BROKEN, "\n".join((ended.stdout + ended.stderr).splitlines()[-20:])


def trials(changes: Iterable[Change], jobs: int) -> Iterator[Trial]:
    """Yield the trials of `changes`, in their order, `jobs` at once, each job on its own ground."""
    with tempfile.TemporaryDirectory(prefix="sysdisk-sabotage-") as folder:
        grounds: SimpleQueue[Ground] = SimpleQueue()
        for number in range(jobs):
            grounds.put(Ground(Path(folder) / str(number)))

        def tried(change: Change) -> Trial:
            ground = grounds.get()
            try:
                return ground.tried(change)
            finally:
                grounds.put(ground)

        with ThreadPoolExecutor(jobs) as threads:
            yield from threads.map(tried, changes)
