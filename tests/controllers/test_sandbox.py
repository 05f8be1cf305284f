"""The sandbox: in somebody's cluster, when its operator is killed, and when it is killed itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from sysdisk.kube.client import KubeClient
from sysdisk.kube.connection import load
from sysdisk.kube.errors import KubeError
from sysdisk.kube.resources import ACCOUNTS, NAMESPACES, SECRETS, SPECS
from sysdisk.sandbox.borrowed import CRD_NAMES, CRDS, Borrowed, NotFree, is_loopback
from sysdisk.sandbox.guide import ending
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.stage import TEAM, Stage, spec_manifest

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 60.0
FINALIZER: Final = "sysdisk.dev/operation"


class Cluster:
    """Somebody's cluster: a kubeconfig and a client."""

    def __init__(self, kubeconfig: Path, client: KubeClient) -> None:
        self.kubeconfig = kubeconfig
        self.client = client

    async def names(self) -> set[str]:
        """Return what is there of what a sandbox could make."""
        found = {name for name in CRD_NAMES if await self.client.read(CRDS, None, name)}
        for place in (TEAM, "sysdisk-system"):
            if await self.client.read(NAMESPACES, None, place):
                found.add(place)
        if len(found) >= len(CRD_NAMES):
            for kind in (ACCOUNTS, SPECS):
                with contextlib.suppress(KubeError):
                    found |= {body["metadata"]["name"] async for body in self.client.list(kind)}
        return found

    def borrow(self, server: str) -> Borrowed:
        return Borrowed(self.client, server, namespaces=(TEAM,), secrets=(), patience=1.0)


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    server = KubeServer(complete(KubeStore(lambda: datetime.now(UTC))))
    await server.start()
    kubeconfig = server.write_kubeconfig(tmp_path / "kubeconfig")
    async with KubeClient(await load(str(kubeconfig))) as client:
        yield Cluster(kubeconfig, client)
    await server.stop()


def stage_in(cluster: Cluster) -> Stage:
    return Stage(kube=str(cluster.kubeconfig), time_scale=100)


async def test_a_sandbox_removes_from_a_cluster_all_that_it_made(cluster: Cluster) -> None:
    stage = stage_in(cluster)
    async with stage:
        made = spec_manifest("web-1", instanceId="i-1", imageId="m-1")
        made["metadata"]["finalizers"] = [FINALIZER]
        await cluster.client.create(SPECS, TEAM, made)
        assert await cluster.names() == {*CRD_NAMES, TEAM, "sysdisk-system", "default", "web-1"}
        assert "--namespace" in stage.operator_arguments
    assert stage.left == []
    assert await cluster.names() == set()


async def test_what_was_there_before_stays(cluster: Cluster) -> None:
    mine = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}
    await cluster.client.create(NAMESPACES, None, mine)
    async with stage_in(cluster):
        pass
    assert await cluster.names() == {TEAM}


async def test_what_a_killed_sandbox_left_is_replaced_by_the_next_one(cluster: Cluster) -> None:
    killed = stage_in(cluster)
    await killed.start()
    killed.borrowed = None  # as a killed one, it removes nothing
    left = spec_manifest("left", instanceId="i-1", imageId="m-1")
    left["metadata"]["finalizers"] = [FINALIZER]
    await cluster.client.create(SPECS, TEAM, left)
    await killed.stop()
    async with stage_in(cluster) as stage:
        account = await cluster.client.read(ACCOUNTS, None, "default")
        assert account is not None
        assert account["spec"]["endpoint"] == stage.ecs.url
        assert "left" not in await cluster.names()
    assert await cluster.names() == set()


async def test_a_sandbox_does_not_move_in_where_somebody_has_specs(cluster: Cluster) -> None:
    async with stage_in(cluster) as first:
        first.borrowed = None
    mine = spec_manifest("mine", namespace="default", instanceId="i-1", imageId="m-1")
    made = await cluster.client.create(SPECS, "default", mine)
    before = await cluster.names()
    with pytest.raises(NotFree, match="SystemDiskSpec default/mine"):
        await stage_in(cluster).start()
    assert await cluster.names() == before
    assert await cluster.client.read(SPECS, "default", "mine") == made


async def test_crds_stay_while_somebody_uses_them_and_that_is_said(cluster: Cluster) -> None:
    stage = stage_in(cluster)
    async with stage:
        mine = spec_manifest("mine", namespace="default", instanceId="i-1", imageId="m-1")
        await cluster.client.create(SPECS, "default", mine)
    assert stage.left == ["the CRDs, because of SystemDiskSpec default/mine"]
    assert await cluster.names() == {*CRD_NAMES, "mine"}


async def test_crds_that_no_sandbox_installed_are_refused_off_this_machine(
    cluster: Cluster,
) -> None:
    async with stage_in(cluster) as stage:
        stage.borrowed = None
    for name in CRD_NAMES:
        crd = await cluster.client.read(CRDS, None, name)
        assert crd is not None
        del crd["metadata"]["labels"]
        await cluster.client.replace(CRDS, None, name, crd)
    account = await cluster.client.read(ACCOUNTS, None, "default")
    assert account is not None
    await cluster.client.delete(ACCOUNTS, None, "default", uid=account["metadata"]["uid"])
    with pytest.raises(NotFree, match="not on this machine"):
        await cluster.borrow("https://cluster.example.com:6443").move_in()
    await cluster.borrow("https://127.0.0.1:6443").move_in()


async def test_a_secret_of_somebody_is_not_overwritten(cluster: Cluster) -> None:
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sysdisk-system"}}
    mine = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ecs-credentials"}}
    await cluster.client.create(NAMESPACES, None, place)
    made = await cluster.client.create(SECRETS, "sysdisk-system", mine)
    with pytest.raises(NotFree, match="Secret ecs-credentials"):
        await stage_in(cluster).start()
    assert await cluster.client.read(SECRETS, "sysdisk-system", "ecs-credentials") == made
    assert await cluster.names() == {"sysdisk-system"}


@pytest.mark.parametrize(
    ("server", "here"),
    [
        ("https://127.0.0.1:6443", True),
        ("https://[::1]:6443", True),
        ("https://localhost:6443", True),
        ("https://10.0.0.1", False),
        ("https://localhost.example.com", False),
    ],
)
def test_only_a_loopback_address_is_this_machine(server: str, here: bool) -> None:
    assert is_loopback(server) is here


class Playing:
    """`sysdisk sandbox` as a process of its own; what it says is in a file."""

    def __init__(self, process: asyncio.subprocess.Process, said: Path, scratch: Path) -> None:
        self.process = process
        self._said = said
        self.scratch = scratch

    @property
    def text(self) -> str:
        return self._said.read_text()

    def pids(self) -> list[int]:
        """Return the operators that it told of, in order."""
        return [int(pid) for pid in re.findall(r"PID (\d+)", self.text)]

    def folders(self) -> list[Path]:
        return list(self.scratch.glob("sysdisk-sandbox-*"))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so; fail with what the sandbox said."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, self.text
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def playing(tmp_path: Path) -> AsyncIterator[Playing]:
    said = tmp_path / "said"
    scratch = Path(tempfile.mkdtemp(dir=tmp_path))
    with said.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sysdisk", "sandbox", "--kube", "embedded", "--fleet", "4"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "TMPDIR": str(scratch)},
        )
    playing = Playing(process, said, scratch)
    try:
        await playing.until(lambda: "Ctrl-C" in playing.text or process.returncode is not None)
        yield playing
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await playing.until(lambda: playing.folders() == [])


@pytest.mark.parametrize(
    ("kube", "told"),
    [
        ("embedded", "knows no server-side apply"),
        ("envtest", "a namespace that is deleted stays\nTerminating"),
        ("/somebody/kubeconfig", "removes from your cluster what the sandbox made there"),
    ],
)
def test_a_sandbox_says_what_its_kubernetes_api_cannot_do(kube: str, told: str) -> None:
    assert told in ending(Stage(kube=kube))


async def test_a_killed_operator_is_started_again_and_ctrl_c_ends_all(playing: Playing) -> None:
    (first,) = playing.pids()
    os.kill(first, signal.SIGKILL)
    await playing.until(lambda: len(playing.pids()) == 2)
    assert "was killed by SIGKILL" in playing.text
    playing.process.send_signal(signal.SIGINT)
    assert await playing.process.wait() == 0, playing.text
    assert playing.folders() == []


async def test_a_killed_sandbox_leaves_no_folder_and_no_operator(playing: Playing) -> None:
    (operator,) = playing.pids()
    assert len(playing.folders()) == 1
    playing.process.kill()
    await playing.until(lambda: playing.folders() == [] and not _runs(operator))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
