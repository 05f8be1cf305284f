"""Clients and namespaces for the contract tests of the Kubernetes API."""

from __future__ import annotations

import base64
import itertools
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.contract.kube.client import Api
from tests.contract.kube.widget import CRDS, GROUP, definition
from tests.support.kube_fixture import KubeBackend
from tests.support.kube_fixture import kube_backend as kube_backend
from tests.support.kube_fixture import kube_backends as kube_backends

_numbers = itertools.count(1)


@pytest.fixture
async def api(kube_backend: KubeBackend, tmp_path: Path) -> AsyncIterator[Api]:
    """Yield a client for the backend, with the widgets' definition in place."""
    config = yaml.safe_load(kube_backend.kubeconfig.read_text())
    async with aiohttp.ClientSession(connector=_connector(config, tmp_path)) as session:
        client = Api(session, kube_backend.url)
        await client.ask("POST", CRDS, definition())
        await client.until(f"/apis/{GROUP}/v1/widgets", lambda answer: answer.code == 200)
        yield client
        await client.close()


def _connector(config: dict[str, Any], tmp_path: Path) -> aiohttp.TCPConnector:
    user = config["users"][0]["user"]
    if "client-certificate-data" not in user:
        return aiohttp.TCPConnector()
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    context = ssl.create_default_context(cadata=authority.decode())
    pair = tmp_path / "admin.pem"
    pair.write_bytes(
        base64.b64decode(user["client-certificate-data"])
        + base64.b64decode(user["client-key-data"])
    )
    context.load_cert_chain(pair)
    return aiohttp.TCPConnector(ssl=context)


@pytest.fixture
async def namespace(api: Api) -> str:
    """Return the name of a new namespace."""
    name = f"t{next(_numbers)}-{time.time_ns()}"
    assert (await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})).code == 201
    return name


@pytest.fixture
def widgets(namespace: str) -> str:
    """Return the path of the widgets in the new namespace."""
    return f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets"
