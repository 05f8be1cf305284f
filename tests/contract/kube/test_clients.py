"""kopf and the Kubernetes client, as the operator uses them, against both backends."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any

import kopf
import pytest
from kubernetes.aio import client as kube
from kubernetes.aio import config as kube_config

from tests.contract.kube.client import Api
from tests.contract.kube.widget import GROUP, widget
from tests.support.kube_fixture import KubeBackend


@pytest.fixture
async def official(kube_backend: KubeBackend) -> Any:
    """Yield an ApiClient of the Kubernetes client."""
    settings = kube.Configuration()
    load: Any = kube_config.load_kube_config
    await load(config_file=str(kube_backend.kubeconfig), client_configuration=settings)
    async with kube.ApiClient(settings) as made:
        yield made


async def test_the_kubernetes_client_reads_and_writes_custom_objects(
    official: Any, widgets: str, namespace: str
) -> None:
    custom: Any = kube.CustomObjectsApi(official)
    where = (GROUP, "v1", namespace, "widgets")
    made = await custom.create_namespaced_custom_object(*where, widget("a"))
    patch = {
        "metadata": {"resourceVersion": made["metadata"]["resourceVersion"]},
        "status": {"phase": "Up"},
    }
    merge = {"_content_type": "application/merge-patch+json"}
    await custom.patch_namespaced_custom_object_status(*where, "a", patch, **merge)
    with pytest.raises(kube.ApiException) as refused:
        await custom.patch_namespaced_custom_object_status(*where, "a", patch, **merge)
    assert refused.value.status == 409
    listed = await custom.list_namespaced_custom_object(*where)
    assert [each["status"] for each in listed["items"]] == [{"phase": "Up"}]


async def test_the_kubernetes_client_reads_secrets_and_takes_leases(
    official: Any, namespace: str
) -> None:
    core = kube.CoreV1Api(official)
    body = kube.V1Secret(metadata=kube.V1ObjectMeta(name="s"), string_data={"p": "a%b"})
    await core.create_namespaced_secret(namespace, body)
    assert (await core.read_namespaced_secret("s", namespace)).data == {"p": "YSVi"}
    leases: Any = kube.CoordinationV1Api(official)
    spec = kube.V1LeaseSpec(holder_identity="me", lease_duration_seconds=15)
    lease = kube.V1Lease(metadata=kube.V1ObjectMeta(name="l"), spec=spec)
    made = await leases.create_namespaced_lease(namespace, lease)
    made.spec.holder_identity = "you"
    now = await leases.replace_namespaced_lease("l", namespace, made)
    assert now.spec.holder_identity == "you"


async def test_kopf_sees_what_is_there_and_what_happens(
    kube_backend: KubeBackend, api: Api, widgets: str, namespace: str, monkeypatch: Any
) -> None:
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(kube_backend.kubeconfig))
    logging.getLogger("kopf").setLevel(logging.ERROR)
    registry = kopf.OperatorRegistry()
    seen: list[tuple[str | None, str]] = []

    @kopf.on.login(registry=registry)
    def login(**given: Any) -> Any:
        return kopf.login_with_kubeconfig(**given)

    @kopf.on.event(GROUP, "v1", "widgets", registry=registry)
    async def event(type: str | None, body: kopf.Body, **_: Any) -> None:
        seen.append((type, str(body["metadata"]["name"])))

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    await api.ask("POST", widgets, widget("before"))
    stop = asyncio.Event()
    running = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, namespaces=[namespace], stop_flag=stop)
    )
    try:
        await _until(lambda: (None, "before") in seen)
        await api.ask("POST", widgets, widget("after"))
        await _until(lambda: ("ADDED", "after") in seen)
        await api.ask("DELETE", f"{widgets}/after")
        await _until(lambda: ("DELETED", "after") in seen)
    finally:
        stop.set()
        await running
    untouched = await api.ask("GET", f"{widgets}/before")
    assert "annotations" not in untouched.body["metadata"]


async def _until(holds: Any) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.02)
