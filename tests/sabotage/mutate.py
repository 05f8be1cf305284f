"""`python -m tests.sabotage.mutate`: small slips in the core and the recorder, each to be noticed.

The tests are collected once, and run once to see which functions each of them calls. Then every
mutant has a forked process: it exchanges the code in place and runs the tests that call it, those
first that caught others of its module before, then the quick ones, until one fails. A survivor is a
hole in the tests, or it is listed in survivors/MODULE.toml with the reason why it may live.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import signal
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from tests.sabotage.infect import function_code, infect
from tests.sabotage.mutants import MODULE, Mutant, mutants_of

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors")
PACKAGE: Final = REPOSITORY / "operator" / "sysdisk"
MUTANT_SECONDS: Final = 120
CORE_TESTS: Final = (
    "tests/core/operation",
    "tests/core/at_rest",
    *(
        f"tests/core/test_{name}.py"
        for name in (
            *("answers", "endings", "backup", "wishes", "approval", "policy"),
            *("preflight", "preflight_looks", "windows", "convergence", "properties"),
        )
    ),
)
BROAD: Final = ("tests/core/test_convergence.py", "tests/core/test_properties.py")
"""They call everything and take long: not rehearsed, and run last, for every mutant."""

RECORDER_TESTS: Final = (
    "tests/controllers/test_recorder.py",
    "tests/simulation/test_guard_rails.py",
    "tests/simulation/test_cuts.py::test_without_faults_each_write_to_ecs_is_sent_once",
    "tests/simulation/test_two_operators.py",
)


def paths(names: Iterable[str]) -> dict[str, Path]:
    """Return the modules that can be mutated, by their plain names; `names` empty: all."""
    found = {p.stem: p for p in sorted((PACKAGE / "core").glob("[a-z]*.py"))}
    found["recorder"] = PACKAGE / "controllers" / "recorder.py"
    if unknown := set(names) - set(found):
        raise SystemExit(f"no such module: {', '.join(sorted(unknown))}")
    return {name: path for name, path in found.items() if not names or name in names}


def explained(folder: Path = SURVIVORS) -> dict[tuple[str, str, str], str]:
    """Return why each known survivor may live, by its name; one file for each module.

    Raises ValueError for one without a reason.
    """
    reasons: dict[tuple[str, str, str], str] = {}
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", []):
            if not entry.get("because"):
                raise ValueError(f"a survivor without a reason: {path.stem}: {entry}")
            reasons[path.stem, entry["where"], entry["change"]] = entry["because"]
    return reasons


def sampled(mutants: list[Mutant], count: int | None, seed: int) -> list[Mutant]:
    """Return `count` of `mutants`, drawn by `seed`, in their order; None: all."""
    if count is None or count >= len(mutants):
        return mutants
    drawn = set(random.Random(seed).sample(range(len(mutants)), count))
    return [mutant for number, mutant in enumerate(mutants) if number in drawn]


@dataclass(slots=True)
class Hunt:
    """A pytest plugin in the place of its loop: `survivors` are the mutants that nothing caught."""

    mutants: list[Mutant]
    jobs: int = 2
    survivors: list[Mutant] = field(default_factory=list)
    broad: bool = True
    """Whether the tests that call everything hunt as well."""
    caught: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How many mutants of each module each test caught."""
    seconds: dict[int, float] = field(default_factory=dict)
    """How long each test takes without any change."""
    healthy: bool = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Let properties keep no examples: children would fight over them."""
        from hypothesis import settings  # not before pytest has its hooks in place

        settings.register_profile("mutants", settings.get_profile("shared machine"), database=None)
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, then each mutant."""
        callers = self._rehearsed(session.items)
        if not self.healthy:
            return True
        running: dict[int, tuple[Mutant, int]] = {}
        for mutant in self.mutants:
            if len(running) >= self.jobs:
                self._wait(running)
            running.update([self._begun(mutant, self._chosen(mutant, callers, session.items))])
        while running:
            self._wait(running)
        return True

    def _rehearsed(self, items: list[pytest.Item]) -> dict[CodeType, set[int]]:
        """Return which tests call each function. All must pass: else `healthy` stays False."""
        callers: defaultdict[CodeType, set[int]] = defaultdict(set)
        called: set[CodeType] = set()
        ours = str(PACKAGE)

        def profile(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(ours):
                called.add(frame.f_code)

        for number, item in enumerate(items):
            if item.nodeid.startswith(BROAD):
                continue
            called.clear()
            begun = time.perf_counter()
            sys.setprofile(profile)
            try:
                failed = _fails(item)
            finally:
                sys.setprofile(None)
            self.seconds[number] = time.perf_counter() - begun
            if failed:
                print(f"fails without any change: {item.nodeid}", file=sys.stderr)
                return callers
            for code in called:
                callers[code].add(number)
        self.healthy = True
        return callers

    def _chosen(
        self, mutant: Mutant, callers: dict[CodeType, set[int]], items: list[pytest.Item]
    ) -> list[int]:
        """Return the numbers of the tests to run, those first that have caught most."""
        broad = {n for n, item in enumerate(items) if item.nodeid.startswith(BROAD)}
        known = set(range(len(items))) - broad
        if mutant.where != MODULE:
            known = callers.get(function_code(_module(mutant), mutant.where), set())
        chosen = known | broad if self.broad else known
        slow = float("inf")
        return sorted(
            chosen,
            key=lambda n: (-self.caught[mutant.module, n], self.seconds.get(n, slow), n),
        )

    def _begun(self, mutant: Mutant, numbers: list[int]) -> tuple[int, tuple[Mutant, int]]:
        """Fork a process for `mutant`; it writes the number of the test that failed, or nothing."""
        reads, writes = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.close(writes)
            return child, (mutant, reads)
        os.close(reads)
        try:
            self._in_child(mutant, numbers, writes)
        finally:
            os._exit(0)

    def _in_child(self, mutant: Mutant, numbers: list[int], writes: int) -> None:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MUTANT_SECONDS)
        infect(_module(mutant), mutant)
        items = [_session_items[n] for n in numbers]
        for n, item in zip(numbers, items, strict=True):
            if _fails(item):
                os.write(writes, str(n).encode())
                return

    def _wait(self, running: dict[int, tuple[Mutant, int]]) -> None:
        child, status = os.waitpid(-1, 0)
        mutant, reads = running.pop(child)
        with os.fdopen(reads, "rb") as pipe:
            number = pipe.read().decode()
        if number:
            self.caught[mutant.module, int(number)] += 1
        elif not os.WIFSIGNALED(status):  # else it did not come to an end: that is noticed, too
            self.survivors.append(mutant)
            print(f"SURVIVED {_told(mutant)}", flush=True)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        _session_items[:] = session.items


_session_items: list[pytest.Item] = []


def _module(mutant: Mutant) -> Any:
    folder = mutant.path.parent.name
    return importlib.import_module(f"sysdisk.{folder}.{mutant.path.stem}")


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def _told(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.line} {mutant.where}: {mutant.change}"


def hunted(mutants: list[Mutant], tests: tuple[str, ...], jobs: int, *, broad: bool = True) -> Hunt:
    """Return what became of `mutants` under `tests`."""
    hunt = Hunt(mutants, jobs, broad=broad)
    quiet = ["-qq", "--no-header", "-p", "no:randomly", "-p", "no:cacheprovider"]
    pytest.main([*quiet, "-o", "timeout=0", "--hypothesis-seed=0", *tests], plugins=[hunt])
    return hunt


def _summary(mutants: list[Mutant], survivors: list[Mutant]) -> Iterator[str]:
    known = explained()
    total, lived = Counter(m.module for m in mutants), Counter(m.module for m in survivors)
    excused = Counter(m.module for m in survivors if m.name in known)
    yield f"{'module':20} mutants caught explained unexplained"
    for module, count in [*total.items(), ("all", total.total())]:
        alive = lived[module] if module != "all" else lived.total()
        fine = excused[module] if module != "all" else excused.total()
        yield f"{module:20} {count:7} {count - alive:6} {fine:9} {alive - fine:11}"


def main() -> int:
    """Hunt as the command line says. Return 0 where every survivor is explained."""
    words = argparse.ArgumentParser(prog="mutate", description=__doc__)
    words.add_argument("modules", nargs="*", help="plain names, such as operate; none: all")
    words.add_argument("--sample", type=int, help="so many mutants, drawn by the seed")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--jobs", type=int, default=2, choices=(1, 2))
    words.add_argument(
        "--focused",
        action="store_true",
        help="leave out the tests that call everything: more survive, in a fraction of the time",
    )
    asked = words.parse_args()
    every = [m for name, path in paths(asked.modules).items() for m in mutants_of(path, name)]
    mutants = sampled(every, asked.sample, asked.seed)
    survivors: list[Mutant] = []
    for tests, ours in ((CORE_TESTS, False), (RECORDER_TESTS, True)):
        part = [m for m in mutants if (m.module == "recorder") is ours]
        if not part:
            continue
        hunt = hunted(part, tests, asked.jobs, broad=not asked.focused)
        if not hunt.healthy:
            return 2
        survivors += hunt.survivors
    known = explained()
    stale = [n for n in known if n not in {m.name for m in every} and n[0] in paths(asked.modules)]
    print("\n".join(_summary(mutants, survivors)))
    for name in stale:
        print(f"OUT OF DATE in survivors: {' '.join(name)}")
    unexplained = [m for m in survivors if m.name not in known]
    print("".join(f"\nUNEXPLAINED {_told(m)}" for m in unexplained))
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
