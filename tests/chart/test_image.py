"""What can be known of the image and the workflow without a container engine or a runner.

The image is not built here. That what the Dockerfile copies exists and reaches it, and that it
runs as the chart expects, can be read.
"""

import fnmatch
import re
import tomllib
from pathlib import PurePosixPath
from typing import Final

import pytest
import yaml

from tests.chart.rendering import ROOT, container, rendered, the

DOCKERFILE: Final = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*)$", DOCKERFILE, re.MULTILINE)


def sources() -> list[str]:
    """Return what is copied from the repository."""
    return [
        source
        for copied in instructions("COPY")
        if not copied.startswith("--from=")
        for source in copied.split()[:-1]
    ]


def is_sent(path: str) -> bool:
    """Return whether .dockerignore lets a path through; the last matching line decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        parents = [path, *(str(parent) for parent in PurePosixPath(path).parents)]
        if any(fnmatch.fnmatchcase(candidate, pattern) for candidate in parents):
            sent = line.startswith("!")
    return sent


def test_the_lock_of_the_build_holds_what_the_project_is_built_with() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    listed = (ROOT / "requirements" / "build.in").read_text().splitlines()
    named = {re.split(r"[<>=~! ;]", line)[0] for line in wanted}
    assert named == {line for line in listed if not line.startswith("#")}
    locked = (ROOT / "requirements" / "build.lock").read_text()
    assert all(re.search(rf"^{name}==", locked, re.MULTILINE) for name in named)


@pytest.mark.parametrize("source", sources())
def test_what_the_image_copies_exists_and_reaches_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    assert is_sent(source)


def test_the_image_gets_nothing_but_what_it_copies() -> None:
    for path in (".git/config", ".venv/bin/python", "tests/__init__.py", "requirements/dev.lock"):
        assert not is_sent(path), path
    assert len(sources()) >= 4


def test_every_dependency_is_checked_by_hash_and_no_index_is_named() -> None:
    fetching = [
        command
        for run in instructions("RUN")
        for command in run.split("&&")
        if re.search(r"pip (install|wheel|download)", command)
    ]
    locked = [command for command in fetching if "--no-index" not in command]
    assert len(locked) == 2
    assert all("--require-hashes --requirement " in command for command in locked)
    built = [command for command in fetching if command not in locked]
    assert all("--no-deps" in command for command in built)
    assert all("--no-build-isolation" in command for command in built if "pip wheel" in command)
    assert not re.search(r"index-url|trusted-host|https?://", DOCKERFILE)


def test_the_image_runs_as_the_user_of_the_chart() -> None:
    security = the("Deployment", rendered())["spec"]["template"]["spec"]["securityContext"]
    assert instructions("USER")[-1] == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_the_arguments_of_the_chart_fit_the_entry_point_of_the_image() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert instructions("ENTRYPOINT") == ['["sysdisk"]']
    assert "sysdisk" in scripts
    assert container()["args"][0] == "run"
    (port,) = container()["ports"]
    assert instructions("EXPOSE") == [str(port["containerPort"])]


def test_the_version_of_the_image_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"VERSION={project['version']}" in instructions("ARG")


def test_the_base_image_can_be_chosen() -> None:
    assert instructions("ARG")[0].startswith("BASE=")
    assert {stage.split()[0] for stage in instructions("FROM")} == {"${BASE}"}


def test_the_workflow_runs_what_a_developer_runs_on_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = "\n".join(step.get("run", "") for step in steps)
    for command in ("make lint", "make test", "make generate", "git diff --exit-code"):
        assert command in commands
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = [
        classifier.rsplit(" ", 1)[1]
        for classifier in project["classifiers"]
        if re.search(r"Python :: 3\.\d+$", classifier)
    ]
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
    assert workflow["permissions"] == {"contents": "read"}


def test_pre_commit_needs_no_other_host() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
