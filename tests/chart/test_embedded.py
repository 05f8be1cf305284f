"""What the chart renders is taken by the embedded Kubernetes API, from an unmodified kubectl."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from sysdisk.sandbox.kube_crd import serve_definitions
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from tests.chart.kubectl import Kubectl
from tests.chart.rendering import ACCOUNT, NAMESPACE, Object, rendered


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    store = KubeStore()
    serve_definitions(store)
    async with KubeServer(store) as server:
        kubeconfig = server.write_kubeconfig(tmp_path / "kubeconfig")
        yield Kubectl(kubeconfig, tmp_path / "cache")


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def served(objects: list[Object]) -> list[Object]:
    """Return what the embedded API has a kind for: it enforces no policy, and says so."""
    return [o for o in objects if not o["apiVersion"].startswith("admissionregistration.k8s.io/")]


async def apply(kubectl: Kubectl, objects: list[Object]) -> list[str]:
    text = yaml.safe_dump_all(objects)
    printed = await asyncio.to_thread(kubectl, "apply", "--filename=-", given=text)
    return printed.splitlines()


@pytest.mark.parametrize(
    "values", [{}, {"watchNamespaces": ["shop"]}], ids=["defaults", "one namespace"]
)
async def test_the_rendering_is_applied_and_applied_again(kubectl: Kubectl, values: Object) -> None:
    await apply(kubectl, [namespace(NAMESPACE), namespace("shop")])
    objects = served(rendered(values))
    assert len(await apply(kubectl, objects)) == len(objects)
    again = await apply(kubectl, objects)
    assert [line for line in again if not line.endswith(" unchanged")] == []


async def test_the_account_of_the_chart_is_one_that_the_kind_takes(kubectl: Kubectl) -> None:
    await apply(kubectl, [namespace(NAMESPACE)])
    objects = served(rendered({"defaultAccount": ACCOUNT}))
    first = [document for document in objects if document["kind"] != "EcsAccount"]
    await apply(kubectl, first)
    await apply(kubectl, [document for document in objects if document["kind"] == "EcsAccount"])
    found = await asyncio.to_thread(kubectl.object, "ecsaccount/default")
    assert found["spec"]["credentials"]["secretRef"]["namespace"] == NAMESPACE


async def test_kustomize_installs_without_helm(kubectl: Kubectl) -> None:
    built = await asyncio.to_thread(kubectl, "kustomize", "manifests/install")
    objects = served(list(yaml.safe_load_all(built)))
    assert len(await apply(kubectl, objects)) == len(objects)
    deployment = await asyncio.to_thread(
        kubectl.object, "deployment/sysdisk-operator", "--namespace=sysdisk-system"
    )
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
