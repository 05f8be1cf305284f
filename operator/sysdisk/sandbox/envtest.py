"""A real kube-apiserver and etcd on this machine, for tests and the sandbox.

The binaries are looked for where envtest of controller-runtime looks for them: in
`$KUBEBUILDER_ASSETS`, else in /usr/local/kubebuilder/bin. There are no controllers: namespaces
that are deleted stay Terminating, Deployments make no Pods, no ServiceAccount is made by itself.
RBAC is enforced; the kubeconfig that `write_kubeconfig` writes is an administrator's.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sysdisk.sandbox.envtest_certs import Certificates, make_certificates
from sysdisk.sandbox.kube_config import kubeconfig, write_private
from sysdisk.sandbox.ports import free_ports

AUDIT_LOG: Final = "audit.log"
AUDIT: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["patch"], "resources": [{"group": "sysdisk.dev"}]},
        {"level": "None"},
    ],
}
"""Every patch of our kinds is noted: what the operator writes is counted by it."""

_BINARIES = ("etcd", "kube-apiserver")
_CONVENTION = Path("/usr/local/kubebuilder/bin")

# Runs a program, and ends it and removes the directory when our end of its stdin is closed, which
# the kernel does however we end. PR_SET_PDEATHSIG would end it with the thread that started it.
# On SIGTERM it ends the program and then itself: the program's port is free when the guard is gone.
_GUARD = """
directory=$1; shift
exec 3<&0 </dev/null
trap 'told=1; kill -KILL $child 2>/dev/null' TERM
"$@" 3<&- &
child=$!
( trap - TERM; read -r _ <&3; kill -KILL $child; sleep 0.2; rm -rf "$directory" ) >/dev/null 2>&1 &
exec 3<&-
[ -z "$told" ] || kill -KILL $child
wait $child
wait $child
"""


def find_assets() -> Path | None:
    """Return the directory that holds etcd and kube-apiserver, None if there is none."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    directory = Path(named) if named else _CONVENTION
    found = all(os.access(directory / name, os.X_OK) for name in _BINARIES)
    return directory if found else None


class EnvtestError(Exception):
    """A server that did not start, with the end of its log."""


class _EndedEarly(EnvtestError):
    """A server that ended while it started, as it does when its port is taken."""


class _Process:
    """One guarded program, its output in a file."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self.log = directory / f"{Path(command[0]).name}.log"
        with self.log.open("ab") as output:
            self._guard = subprocess.Popen(  # noqa: S603 - our own binaries and arguments
                ["/bin/sh", "-c", _GUARD, "guard", str(directory), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Return whether the program runs."""
        return self._guard.poll() is None

    def kill(self) -> None:
        """End the program and its guard, and wait for both."""
        with contextlib.suppress(ProcessLookupError):
            if self.running:
                self._guard.terminate()
                self._guard.wait()
            os.killpg(self._guard.pid, signal.SIGKILL)
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def tail(self) -> str:
        """Return the end of the program's output."""
        return self.log.read_text(errors="replace")[-2000:]


class Envtest:
    """etcd and kube-apiserver: `with Envtest() as env:` runs them, at `env.url`.

    All calls block, for up to `patience` seconds; use a thread where that matters. Raises
    EnvtestError when the binaries are missing or a server does not become ready.
    """

    def __init__(self, assets: Path | None = None, *, patience: float = 90.0) -> None:
        found = assets or find_assets()
        if found is None:
            raise EnvtestError(
                f"etcd and kube-apiserver are neither in $KUBEBUILDER_ASSETS nor in {_CONVENTION}"
            )
        self._assets = found
        self._patience = patience
        self._directory: Path | None = None
        self._etcd: _Process | None = None
        self._apiserver: _Process | None = None
        self._certificates: Certificates | None = None
        self._etcd_port = self._peer_port = self._port = 0

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start both servers and wait until the API is ready.

        Another process may take a port between our choice and its use: tried three times.
        """
        for _ in range(2):
            with contextlib.suppress(_EndedEarly):
                return self._start()
        return self._start()

    def _start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="sysdisk-envtest-"))
        try:
            self._certificates = make_certificates(self._directory)
            self._etcd_port, self._peer_port, self._port = free_ports(3)
            self._etcd = _Process(self._etcd_command(), self._directory)
            self.start_apiserver()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End both servers and remove what they left. May be called twice."""
        self.stop_apiserver()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def start_apiserver(self) -> None:
        """Start the kube-apiserver, at the same port as before, and wait until it is ready."""
        if self._directory is None:
            raise EnvtestError("etcd is not running")
        self._apiserver = _Process(self._apiserver_command(), self._directory)
        self._wait_until_ready(self._apiserver)

    def stop_apiserver(self) -> None:
        """Kill the kube-apiserver; etcd keeps running, objects stay."""
        if self._apiserver is not None:
            self._apiserver.kill()
            self._apiserver = None

    def restart_apiserver(self) -> None:
        """Kill the kube-apiserver and start it again, at the same port."""
        self.stop_apiserver()
        self.start_apiserver()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- what clients need ------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Return the address of the kube-apiserver."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca(self) -> bytes:
        """Return the certificate authority, PEM."""
        return self._made().ca

    def write_kubeconfig(self, path: Path, *, token: str | None = None) -> Path:
        """Write a kubeconfig, mode 0600: the administrator's, or one with `token`."""
        made = self._made()
        if token is not None:
            return write_private(
                path, kubeconfig(self.url, name="envtest", token=token, ca=made.ca)
            )
        admin = kubeconfig(
            self.url,
            name="envtest",
            ca=made.ca,
            client_cert=made.admin_cert,
            client_key=made.admin_key,
        )
        return write_private(path, admin)

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS context of the administrator."""
        made = self._made()
        context = ssl.create_default_context(cadata=made.ca.decode())
        context.load_cert_chain(made.admin_cert_file, made.admin_key_file)
        return context

    def written(self, plural: str) -> Counter[str]:
        """Return how often each object of that kind of ours was patched, by its name."""
        found: Counter[str] = Counter()
        for line in self._in(AUDIT_LOG).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            about, code = entry["objectRef"], entry["responseStatus"]["code"]
            if entry["verb"] == "patch" and about["resource"] == plural and code < 300:
                found[about["name"]] += 1
        return found

    # -- commands ---------------------------------------------------------------------------

    def _made(self) -> Certificates:
        if self._certificates is None:
            raise EnvtestError("not started")
        return self._certificates

    def _in(self, name: str) -> Path:
        if self._directory is None:
            raise EnvtestError("not started")
        return self._directory / name

    def _etcd_command(self) -> list[str]:
        client = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        return [
            str(self._assets / "etcd"),
            f"--data-dir={self._directory}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def _apiserver_command(self) -> list[str]:
        made = self._made()
        return [
            str(self._assets / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={made.server_cert_file}",
            f"--tls-private-key-file={made.server_key_file}",
            f"--client-ca-file={made.ca_file}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={made.account_public_file}",
            f"--service-account-signing-key-file={made.account_key_file}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
            f"--audit-policy-file={write_private(self._in('audit.yaml'), AUDIT)}",
            f"--audit-log-path={self._in(AUDIT_LOG)}",
        ]

    def _wait_until_ready(self, apiserver: _Process) -> None:
        end = time.monotonic() + self._patience
        context = self.ssl_context()
        while time.monotonic() < end:
            for process in (self._etcd, apiserver):
                if process is not None and not process.running:
                    raise _EndedEarly(f"{process.log.stem} ended: {process.tail()}")
            if all(
                _answers(self._port, context, path)
                for path in ("/readyz", "/api/v1/namespaces/default")
            ):
                return
            time.sleep(0.1)
        raise EnvtestError(f"kube-apiserver is not ready: {apiserver.tail()}")


def _answers(port: int, context: ssl.SSLContext, path: str) -> bool:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
