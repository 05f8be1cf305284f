"""An unmodified kubectl against one API server, for tests that have no event loop."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import ROOT
from tests.support.kubectl_process import find_kubectl


class Kubectl:
    """Runs kubectl with one kubeconfig, as its user or as somebody else."""

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        self._command = [find_kubectl(), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}"]

    def __call__(self, *arguments: str, given: str | None = None) -> str:
        """Return what a command prints; it must succeed."""
        done = self.run(*arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def run(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Return the ended command, whatever came of it."""
        return subprocess.run(
            [*self._command, *arguments], input=given, cwd=ROOT, capture_output=True, text=True
        )

    def object(self, *arguments: str) -> dict[str, Any]:
        """Return the object that a `get` with these arguments finds."""
        found: dict[str, Any] = yaml.safe_load(self("get", *arguments, "--output=yaml"))
        return found

    def can(self, who: str, verb: str, resource: str, namespace: str | None) -> bool:
        """Return whether `who` may do `verb`; without a namespace, in the whole cluster."""
        where = ["--all-namespaces"] if namespace is None else [f"--namespace={namespace}"]
        done = self.run("auth", "can-i", verb, resource, f"--as={who}", *where)
        assert done.stdout.strip() in {"yes", "no"}, done.stderr
        return done.stdout.strip() == "yes"
