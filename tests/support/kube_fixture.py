"""A Kubernetes API for a whole test session: the embedded one, and a real one where it is found.

`kube_backend` runs every test that asks for it on both. Import it into a conftest.py:
`from tests.support.kube_fixture import kube_backend as kube_backend`, and `kube_backends` too.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from sysdisk.sandbox.envtest import Envtest, find_assets
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore

T = TypeVar("T")
NO_ASSETS = "no etcd and kube-apiserver in $KUBEBUILDER_ASSETS or /usr/local/kubebuilder/bin"
BACKENDS: Final = [
    pytest.param("embedded", marks=pytest.mark.xdist_group("embedded")),
    pytest.param("envtest", marks=[pytest.mark.envtest, pytest.mark.xdist_group("envtest")]),
]
"""Parameters of a fixture: what runs on one of them runs in one process, which starts it once."""


@dataclass(frozen=True)
class KubeBackend:
    """A Kubernetes API: its name, `embedded` or `envtest`, its address, a kubeconfig for it."""

    name: str
    url: str
    kubeconfig: Path


class ServerThread:
    """An embedded server with an event loop of its own, so that it outlives those of tests."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.server = KubeServer(complete(KubeStore()), bookmark_every=0.2)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def do(self, work: Callable[[], T]) -> T:
        """Call `work` on the server's loop and return its result."""

        async def run() -> T:
            return work()

        return self.call(run())

    def __enter__(self) -> ServerThread:
        self._thread.start()
        self.call(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class _Backends:
    """Backends that are started when first asked for, and run until the session ends.

    The parametrised fixture cannot hold them: in random order pytest would set it up again
    whenever the parameter changes.
    """

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self._running: dict[str, KubeBackend] = {}

    def get(self, name: str) -> KubeBackend:
        """Return the running backend of this name."""
        if name not in self._running:
            kubeconfig = self._directory / name / "kubeconfig"
            server: KubeServer | Envtest
            if name == "embedded":
                server = self._stack.enter_context(ServerThread()).server
            else:
                server = self._stack.enter_context(Envtest())
            server.write_kubeconfig(kubeconfig)
            self._running[name] = KubeBackend(name, server.url, kubeconfig)
        return self._running[name]


@pytest.fixture(scope="session")
def kube_backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Backends]:
    """Yield the backends of this session; none is started yet."""
    with contextlib.ExitStack() as stack:
        yield _Backends(tmp_path_factory.mktemp("kube"), stack)


@pytest.fixture(params=BACKENDS)
def kube_backend(request: pytest.FixtureRequest, kube_backends: _Backends) -> KubeBackend:
    """Return the embedded API, then a real kube-apiserver; the latter is skipped if not found."""
    if request.param == "envtest" and find_assets() is None:
        pytest.skip(NO_ASSETS)
    return kube_backends.get(request.param)
