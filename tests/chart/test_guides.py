"""What the guides tell people to write is what the API and the chart take."""

import asyncio
import re
from pathlib import Path
from typing import Final

import helm_python
import pytest
import yaml

from sysdisk.sandbox.kube_crd import serve_definitions
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from tests.chart.kubectl import Kubectl
from tests.chart.rendering import CHART, ROOT, Object, container, rendered

GUIDES: Final = [
    ROOT / "docs" / "install.md",
    CHART / "README.md",
    ROOT / "manifests" / "README.md",
]


def blocks(guide: Path) -> list[Object]:
    """Return the YAML of a guide, block by block."""
    found = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)
    return [document for text in found for document in yaml.safe_load_all(text)]


async def test_the_manifests_of_the_guide_are_taken(tmp_path: Path) -> None:
    manifests = [block for block in blocks(GUIDES[0]) if "apiVersion" in block]
    assert [manifest["kind"] for manifest in manifests] == ["EcsAccount", "SystemDiskSpec"]
    store = KubeStore()
    serve_definitions(store)
    async with KubeServer(store) as server:
        kubectl = Kubectl(server.write_kubeconfig(tmp_path / "kubeconfig"), tmp_path / "cache")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        await asyncio.to_thread(kubectl, "apply", "--filename=crds")
        text = yaml.safe_dump_all([namespace, *manifests])
        await asyncio.to_thread(kubectl, "apply", "--filename=-", given=text)


def test_the_values_of_the_guide_are_taken() -> None:
    (values,) = blocks(GUIDES[1])
    account = [document for document in rendered(values) if document["kind"] == "EcsAccount"]
    assert len(account) == 1


def test_the_image_that_the_overlay_replaces_is_the_one_that_is_installed() -> None:
    (overlay,) = blocks(GUIDES[2])
    (image,) = overlay["images"]
    assert container()["image"] == f"{image['name']}:{image['newTag']}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_every_file_that_a_guide_names_exists(guide: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", guide.read_text())
    assert [link for link in links if not (guide.parent / link).exists()] == []


def test_helm_packs_the_crds_with_the_chart(tmp_path: Path) -> None:
    packed = helm_python.package(CHART, destination=tmp_path)
    with helm_python.Chart.load(packed) as chart:
        made = chart.render({}, name="packed", namespace="x")
    (crds,) = [text for path, text in made.items() if path.endswith("crds.yaml")]
    assert crds.count("kind: CustomResourceDefinition") == 2
