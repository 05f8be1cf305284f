"""A wrong value is refused before anything is installed, by a message that names it."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart.rendering import ACCOUNT, CHART, COMBINATIONS, ROOT, Object, rendered

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())


def account(**spec: Any) -> Object:
    return {"defaultAccount": {"create": True, "spec": ACCOUNT["spec"] | spec}}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 2}, "replicas"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"image": {"digest": "0123"}}, "digest"),
        ({"image": {"tag": "a b"}}, "tag"),
        ({"crds": {"enabled": "yes"}}, "enabled"),
        ({"log": {"level": "loud"}}, "level"),
        ({"watchNamespaces": "shop"}, "watchNamespaces"),
        ({"watchNamespaces": ["Shop"]}, "watchNamespaces"),
        ({"watchNamespaces": ["shop", "shop"]}, "watchNamespaces"),
        ({"extraArgs": ["threads=4"]}, "extraArgs"),
        ({"extraEnv": [{"value": "x"}]}, "extraEnv"),
        ({"service": {"port": 70000}}, "port"),
        ({"rrsa": {"expirationSeconds": 60}}, "expirationSeconds"),
        ({"serviceAccount": {"annotations": {"a": 1}}}, "annotations"),
        ({"defaultAccount": {"create": True}}, "regionId"),
        ({"defaultAccount": {**ACCOUNT, "name": "a.b"}}, "name"),
        ({"defaultAccount": {**ACCOUNT, "name": "a" * 64}}, "name"),
        ({"nameOverride": "A b"}, "nameOverride"),
        ({"fullnameOverride": "a b"}, "fullnameOverride"),
        ({"fullnameOverride": "a-"}, "fullnameOverride"),
        ({"serviceAccount": {"name": "Bad_Name"}}, "serviceAccount"),
        ({"priorityClassName": "Bad Name"}, "priorityClassName"),
        ({"image": {"repository": "a b"}}, "repository"),
        ({"image": {"repository": "registry.example.com/a:1.0"}}, "repository"),
        ({"image": {"pullSecrets": [{"name": "a b"}]}}, "pullSecrets"),
        ({"extraEnv": [{"name": "A B", "value": "x"}]}, "extraEnv"),
        ({"extraEnv": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]}, "extraEnv"),
        (account(credentials={}), "credentials"),
        (account(credentials={"chain": True, "ecsRamRole": {"name": "r"}}), "credentials"),
        (account(credentials={"secretRef": {}}), "name"),
        (account(regionID="cn-hangzhou"), "regionID"),
        (account(limits={"concurrentReplacements": 0}), "concurrentReplacements"),
        (account(require={"approval": "Sometimes"}), "approval"),
    ],
)
def test_a_wrong_value_is_refused_and_named(values: Object, named: str) -> None:
    with pytest.raises(helm_python.HelmError, match=named):
        rendered(values)


@pytest.mark.parametrize("values", list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def test_what_people_use_is_allowed(values: Object) -> None:
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)


def parts(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    for name, part in schema.get("properties", {}).items():
        yield f"{path}{name}", part
        yield from parts(part, f"{path}{name}.")


def test_every_value_is_described_and_no_group_takes_unknown_names() -> None:
    for path, part in parts(SCHEMA):
        assert part.get("description", "").endswith("."), path
        if "properties" in part:
            assert part["additionalProperties"] is False, path


def test_every_value_has_a_default_in_the_values_file() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for path, part in parts(SCHEMA):
        # The spec of the account is empty, global is Helm's, claims are seldom.
        if path.startswith(("defaultAccount.spec.", "global", "resources.claims")):
            continue
        if "properties" not in part:
            value = defaults
            for name in path.split("."):
                assert name in value, path
                value = value[name]


def test_the_account_of_the_chart_has_the_fields_of_the_kind() -> None:
    crd = yaml.safe_load((ROOT / "crds" / "sysdisk.dev_ecsaccounts.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    kind = {path for path, _ in parts(schema["properties"]["spec"])}
    chart = {
        path for path, _ in parts(SCHEMA["properties"]["defaultAccount"]["properties"]["spec"])
    }
    assert chart == kind


def test_the_chart_is_of_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]
    assert chart["kubeVersion"] == ">=1.30.0-0"
