"""An unmodified kubectl against both backends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.kube.client import Api
from tests.contract.kube.widget import widget
from tests.support.kube_fixture import KubeBackend
from tests.support.kubectl_process import Kubectl

_EDITOR = {"KUBE_EDITOR": "sed -i /size:/s/40$/44/"}


class TellingKubectl(Kubectl):
    """Tells stdout and stderr of a command together, and expects the exit code that is named."""

    async def __call__(self, *arguments: str, given: object = None, code: int = 0) -> str:
        said = await self.run(*arguments, given=given, environment=_EDITOR)
        assert said.code == code, said.out + said.err
        return said.out + said.err


@pytest.fixture
def kubectl(kube_backend: KubeBackend, namespace: str, tmp_path: Path) -> TellingKubectl:
    """Return a kubectl for the new namespace."""
    return TellingKubectl(kube_backend.kubeconfig, tmp_path, namespace)


async def test_apply_says_created_unchanged_and_configured(kubectl: TellingKubectl) -> None:
    said = [
        await kubectl("apply", "-f", "-", given=given)
        for given in (widget("a"), widget("a"), widget("a", size=50))
    ]
    assert [text.split()[-1] for text in said] == ["created", "unchanged", "configured"]
    assert "warning" not in "".join(said).lower()


async def test_the_first_namespaces_are_active(kubectl: TellingKubectl) -> None:
    names = ("default", "kube-public", "kube-system")
    lines = (await kubectl("get", "ns", *names, "--no-headers")).splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "Active"] for name in names]


async def test_built_in_kinds_are_applied_twice_without_a_change(kubectl: TellingKubectl) -> None:
    labels = {"app": "x"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    items: list[Any] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "r"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
        },
    ]
    everything = {"apiVersion": "v1", "kind": "List", "items": items}
    await kubectl("apply", "-f", "-", given=everything)
    again = await kubectl("apply", "-f", "-", given=everything)
    assert [line.split()[-1] for line in again.splitlines()] == ["unchanged"] * 4


async def test_a_wrong_manifest_is_refused_with_its_rule(kubectl: TellingKubectl) -> None:
    said = await kubectl("apply", "-f", "-", given=widget("a", image="i", family="f"), code=1)
    assert "spec: Invalid value: image or family, not both" in said
    typo = await kubectl("apply", "-f", "-", given=widget("a", sise=1), code=1)
    assert 'unknown field "spec.sise"' in typo


async def test_get_prints_columns_yaml_and_paths(kubectl: TellingKubectl) -> None:
    await kubectl("create", "-f", "-", given=widget("a"))
    narrow = (await kubectl("get", "wd")).splitlines()
    assert narrow[0].split() == ["NAME", "SIZE", "READY", "AGE"]
    assert narrow[1].split()[:2] == ["a", "40"]
    wide = await kubectl("get", "widgets", "-o", "wide")
    assert "COLOR" in wide
    assert await kubectl("get", "wd", "-o", "name") == "widget.contract.sysdisk.dev/a\n"
    assert await kubectl("get", "wd", "a", "-o", "jsonpath={.spec.size}") == "40"
    assert "size: 40" in await kubectl("get", "wd", "a", "-o", "yaml")
    assert "a" in await kubectl("get", "wd", "-A")


async def test_label_annotate_patch_edit_and_replace_change_the_object(
    kubectl: TellingKubectl,
) -> None:
    await kubectl("create", "-f", "-", given=widget("a"))
    await kubectl("label", "wd", "a", "tier=web")
    await kubectl("annotate", "wd", "a", "sysdisk.dev/protect=true")
    await kubectl("edit", "wd", "a")
    path = "jsonpath={.items[*].spec.size}"
    assert await kubectl("get", "wd", "-l", "tier=web", "-o", path) == "44"
    await kubectl("patch", "wd", "a", "--type=merge", "-p", '{"spec":{"size":51}}')
    operations = '[{"op":"replace","path":"/spec/color","value":"green"}]'
    await kubectl("patch", "wd", "a", "--type=json", "-p", operations)
    state = '{"status":{"phase":"Up"}}'
    await kubectl("patch", "wd", "a", "--subresource=status", "--type=merge", "-p", state)
    now = json.loads(await kubectl("get", "wd", "a", "-o", "json"))
    assert (now["spec"]["size"], now["spec"]["color"]) == (51, "green")
    assert now["status"] == {"phase": "Up"}
    assert now["metadata"]["annotations"] == {"sysdisk.dev/protect": "true"}
    now["spec"]["size"] = 52
    assert "replaced" in await kubectl("replace", "-f", "-", given=now)


async def test_wait_sees_conditions_paths_and_deletion(
    kubectl: TellingKubectl, api: Api, widgets: str
) -> None:
    await kubectl("create", "-f", "-", given=widget("a"))
    waits = [
        asyncio.create_task(kubectl("wait", "wd/a", "--timeout=30s", option))
        for option in ("--for=condition=Ready", "--for=jsonpath={.status.phase}=Up")
    ]
    ready = {"phase": "Up", "conditions": [{"type": "Ready", "status": "True"}]}
    await api.merge(f"{widgets}/a/status", {"status": ready})
    for said in await asyncio.gather(*waits):
        assert "condition met" in said
    deleted = asyncio.create_task(kubectl("wait", "wd/a", "--timeout=30s", "--for=delete"))
    await kubectl("delete", "wd", "a")
    await deleted
    assert "NotFound" in await kubectl("get", "wd", "a", code=1)


async def test_describe_shows_the_events_of_the_object(
    kubectl: TellingKubectl, api: Api, namespace: str
) -> None:
    await kubectl("create", "-f", "-", given=widget("a"))
    made = json.loads(await kubectl("get", "wd", "a", "-o", "json"))
    about = {"kind": "Widget", "name": "a", "namespace": namespace, "uid": made["metadata"]["uid"]}
    event = {
        "metadata": {"name": "a.1"},
        "involvedObject": {**about, "apiVersion": made["apiVersion"]},
        "reason": "Replaced",
        "message": "the disk was replaced",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "sysdisk"},
    }
    assert (await api.ask("POST", f"/api/v1/namespaces/{namespace}/events", event)).code == 201
    said = await kubectl("describe", "wd", "a")
    assert "the disk was replaced" in said
    assert "Size:" in said


async def test_create_makes_secrets_maps_accounts_and_namespaces(
    kubectl: TellingKubectl, namespace: str
) -> None:
    await kubectl("create", "secret", "generic", "s", "--from-literal=p=a%b&c+d")
    assert await kubectl("get", "secret", "s", "-o", "jsonpath={.data.p}") == "YSViJmMrZA=="
    await kubectl("create", "configmap", "c", "--from-literal=k=v")
    assert await kubectl("get", "cm", "c", "-o", "jsonpath={.data.k}") == "v"
    await kubectl("create", "serviceaccount", "operator")
    assert (await kubectl("create", "token", "operator", "--duration=10m")).strip()
    assert "created" in await kubectl("create", "namespace", f"{namespace}-two")
    assert "deleted" in await kubectl("delete", "secret", "s")


async def test_who_asks_learns_what_there_is(kubectl: TellingKubectl) -> None:
    assert "widgets" in await kubectl("api-resources", "--api-group=contract.sysdisk.dev")
    assert (await kubectl("auth", "can-i", "create", "widgets")).strip().endswith("yes")
    assert "Server Version: v1.36" in await kubectl("version")
