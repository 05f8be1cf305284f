"""Where the API server is and how to prove who we are: one answer for our client and for kopf.

Order: an explicit kubeconfig, else the pod's ServiceAccount, else `$KUBECONFIG`, else
`~/.kube/config`. In a pod the token file is read again every minute, because kubelet rotates it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import (
    ConfigException,
    load_incluster_config,
    load_kube_config,
)

from sysdisk.kube.errors import KubeError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet mounts a pod's identity. Source: Kubernetes, "Accessing the API from a Pod"."""


class NotConfigured(KubeError):
    """There is no usable kubeconfig, and this is not a pod."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a second HTTP client needs to be the same user. The repr hides token and password."""

    server: str
    ca_file: str | None = None
    ca_data: str | bytes | None = None
    insecure: bool = False
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = field(default=None)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """A loaded configuration. `own_namespace` is the pod's, None outside a cluster."""

    configuration: Configuration
    own_namespace: str | None = None

    async def connection(self) -> Connection:
        """Return how to connect right now, with a token that was just refreshed where it can be."""
        config = self.configuration
        bearer = await config.get_api_key_with_prefix("BearerToken", alias="authorization")
        return Connection(
            server=config.host,
            ca_file=config.ssl_ca_cert or None,
            ca_data=config.ca_cert_data or None,
            insecure=not config.verify_ssl,
            cert_file=config.cert_file or None,
            key_file=config.key_file or None,
            username=config.username or None,
            password=config.password or None,
            token=bearer.split(" ", 1)[-1].strip() if bearer else None,
            proxy=config.proxy or None,
        )


async def load(kubeconfig: str | None = None) -> Access:
    """Return access to the cluster, see the order above; raises NotConfigured with the reason."""
    config = Configuration()
    if kubeconfig:
        await _from_file(config, kubeconfig)
        return Access(config)
    try:
        load_incluster_config(client_configuration=config)  # type: ignore[no-untyped-call]
    except ConfigException:
        await _from_file(config, None)
        return Access(config)
    return Access(config, own_namespace=_pod_namespace())


async def _from_file(config: Configuration, path: str | None) -> None:
    _must_exist(path)
    try:
        await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=path, client_configuration=config, persist_config=False
        )
    except (ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as exc:
        where = path or "$KUBECONFIG or ~/.kube/config"
        raise NotConfigured(f"cannot use the kubeconfig {where}: {_first_line(exc)}") from None


def _must_exist(path: str | None) -> None:
    """Raise NotConfigured where no file is there: the client library only says "invalid" then."""
    given = path or os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [Path(name).expanduser() for name in given.split(os.pathsep) if name]
    if not any(file.exists() for file in files):
        missing = ", ".join(str(file) for file in files)
        how = "" if path else "; name a kubeconfig with --kubeconfig or $KUBECONFIG"
        raise NotConfigured(f"cannot use the kubeconfig: file does not exist: {missing}{how}")


def _pod_namespace() -> str | None:
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _first_line(exc: Exception) -> str:
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__
