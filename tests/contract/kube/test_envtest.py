"""The harness for a real kube-apiserver: it restarts, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sysdisk.sandbox.envtest import Envtest, EnvtestError, find_assets
from tests.support.kube_fixture import NO_ASSETS

needs_assets = pytest.mark.skipif(find_assets() is None, reason=NO_ASSETS)

_PARENT = """
import sys, time
from pathlib import Path
from sysdisk.sandbox.envtest import Envtest
env = Envtest()
env.start()
print(env.write_kubeconfig(Path(sys.argv[1])), flush=True)
time.sleep(600)
"""


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


@pytest.mark.envtest
@needs_assets
def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "kubeconfig")],
        env=environment,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        children = psutil.Process(parent.pid).children(recursive=True)
        assert {"etcd", "kube-apiserver"} <= {each.name() for each in children}
        parent.send_signal(signal.SIGKILL)
    _until(lambda: not any(each.is_running() for each in children))
    _until(lambda: not list(tmp_path.glob("sysdisk-envtest-*")))


@pytest.mark.envtest
@needs_assets
def test_the_port_is_free_when_the_apiserver_is_stopped() -> None:
    with Envtest() as env:
        address = ("127.0.0.1", int(env.url.rsplit(":", 1)[1]))
        for _ in range(2):
            env.stop_apiserver()
            with socket.create_server(address):
                pass
            env.start_apiserver()


@pytest.mark.envtest
@needs_assets
def test_a_restart_keeps_address_and_objects(tmp_path: Path) -> None:
    with Envtest() as env:
        url = env.url
        env.restart_apiserver()
        assert env.url == url
        assert env.write_kubeconfig(tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_missing_binaries_are_an_error_that_names_the_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert find_assets() is None
    with pytest.raises(EnvtestError, match="KUBEBUILDER_ASSETS"):
        Envtest()
