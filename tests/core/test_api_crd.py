"""The CRDs: current, structural, described, bounded, and strict with people's manifests."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.crd_check import ROOT, admitted, refusals, samples, schema, unknown_fields
from tests.support.wrong_manifests import (
    WRONG_MANIFESTS,
    WrongManifest,
    account_manifest,
    spec_manifest,
)

from sysdisk.api.account import ECS_ACTIONS, EcsAccountSpec
from sysdisk.api.base import quoted
from sysdisk.api.crd import crds, render, write
from sysdisk.api.reference import render_reference
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.sandbox.kube_crd import CrdStrategy

KINDS = ("SystemDiskSpec", "EcsAccount")


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every schema below `node`, itself included, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from nodes(node[key], f"{path}{mark}")


def all_nodes() -> list[tuple[str, dict[str, Any]]]:
    """Return every schema of both kinds, but for metadata, which is the API server's."""
    found = [pair for kind in KINDS for pair in nodes(schema(kind), kind)]
    return [(path, node) for path, node in found if not path.endswith(".metadata")]


def test_the_committed_crds_are_current() -> None:
    committed = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    assert committed == render(), "run `make generate`"


def test_the_committed_reference_is_current() -> None:
    committed = (ROOT / "docs" / "api.md").read_text()
    assert committed == render_reference(), "run `make generate`"


def test_writing_the_crds_gives_one_file_per_kind(tmp_path: Path) -> None:
    assert [path.read_text() for path in write(tmp_path / "new")] == list(render().values())


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["metadata"]["name"])
def test_a_definition_is_accepted_by_an_api_server(crd: dict[str, Any]) -> None:
    prepared = CrdStrategy().prepare(crd, None)
    assert [str(cause) for cause in CrdStrategy().validate(prepared, None)] == []


def test_every_field_has_a_description() -> None:
    fields = [(path, node) for path, node in all_nodes() if not path.endswith(("[]", "{}"))]
    assert [path for path, node in fields if not node.get("description", "").endswith(".")] == []


def test_every_list_is_atomic_but_conditions() -> None:
    lists = {path: node for path, node in all_nodes() if node["type"] == "array"}
    merged = {path for path, node in lists.items() if node["x-kubernetes-list-type"] == "map"}
    assert merged == {f"{kind}.status.conditions" for kind in KINDS}
    assert all(
        node["x-kubernetes-list-map-keys"] == ["type"]
        for path, node in lists.items()
        if path in merged
    )
    others = {node["x-kubernetes-list-type"] for path, node in lists.items() if path not in merged}
    assert others == {"atomic"}


def test_everything_has_a_type_and_a_bound() -> None:
    unbounded = [
        path
        for path, node in all_nodes()
        if (node["type"] == "string" and not {"maxLength", "enum", "format"} & node.keys())
        or (node["type"] == "array" and "maxItems" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unbounded == [f"{kind}.{field}" for kind in KINDS for field in ("apiVersion", "kind")]


def test_no_bound_is_a_fraction_which_servers_cut_for_integers() -> None:
    bounds = [
        (path, node[key])
        for path, node in all_nodes()
        for key in ("minimum", "maximum")
        if key in node
    ]
    assert bounds
    assert [path for path, bound in bounds if bound != int(bound)] == []


def test_every_pattern_is_said_in_words_too() -> None:
    patterns = [(path, node) for path, node in all_nodes() if "pattern" in node]
    assert patterns
    for path, node in patterns:
        said = node["x-kubernetes-validations"][0]
        assert said["rule"] == f"self.matches('{quoted(node['pattern'])}')", path


def test_no_rule_stands_in_status_or_relates_spec_to_it() -> None:
    key = "x-kubernetes-validations"
    ruled = [(path, node[key]) for path, node in all_nodes() if key in node]
    assert ruled
    assert [path for path, _ in ruled if ".status" in path] == []
    assert [r["rule"] for _, rules in ruled for r in rules if "status" in r["rule"]] == []


def test_what_an_account_may_default_has_no_default_in_the_schema() -> None:
    spec = schema("SystemDiskSpec")["properties"]["spec"]["properties"]
    for name in ("approval", "backup", "maintenanceWindows"):
        assert [path for path, node in nodes(spec[name], name) if "default" in node] == []


def test_defaults_are_filled_in_where_nothing_is_said() -> None:
    assert admitted(spec_manifest())["spec"] == {
        "instanceId": "i-bp1wrong000000001",
        "imageId": "m-bp1wrong000000001",
        "accountRef": {"name": "default"},
        "driftPolicy": "Report",
        "power": {
            "stopTimeout": "5m",
            "forceStop": "Never",
            "stoppedMode": "KeepCharging",
            "startAfter": "IfItWasRunning",
            "giveBackAfter": "10m",
        },
    }


def test_the_defaults_of_the_schema_are_those_of_the_models() -> None:
    bare, account = spec_manifest(), account_manifest()
    assert SystemDiskSpecSpec.from_api(admitted(bare)["spec"]) == SystemDiskSpecSpec.from_api(
        bare["spec"]
    )
    assert EcsAccountSpec.from_api(admitted(account)["spec"]) == EcsAccountSpec.from_api(
        account["spec"]
    )


@pytest.mark.parametrize("wrong", WRONG_MANIFESTS, ids=lambda wrong: wrong.name)
def test_a_wrong_manifest_is_refused_by_naming_field_and_rule(wrong: WrongManifest) -> None:
    if wrong.before is not None:
        assert refusals(wrong.before) == []
    said = refusals(wrong.manifest, wrong.before)
    path = f"{wrong.field}:" if wrong.field else ""
    assert [line for line in said if line.startswith(path) and wrong.message in line], said


@pytest.mark.parametrize("wrong", WRONG_MANIFESTS, ids=lambda wrong: wrong.name)
def test_a_refusal_says_the_rule_and_not_how_it_came_to_fail(wrong: WrongManifest) -> None:
    failed = [line for line in refusals(wrong.manifest, wrong.before) if "evaluating rule" in line]
    assert [line for line in failed if "unknown time zone" not in line] == []


def test_wrong_manifests_have_different_names() -> None:
    names = [wrong.name for wrong in WRONG_MANIFESTS]
    assert sorted(names) == sorted(set(names))


def test_an_unchanged_spec_with_a_region_is_accepted_again() -> None:
    manifest = spec_manifest({"regionId": "cn-hangzhou"})
    assert refusals(manifest, manifest) == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "ecs.cn-hangzhou.aliyuncs.com",
        "https://ecs-vpc.cn-hangzhou.aliyuncs.com",
        "https://proxy.internal:8443/",
        "https://[2001:db8::1]:8443",
        "http://127.0.0.1:8081",
        "http://127.1.2.3",
        "http://localhost:8081/",
        "http://[::1]:8081",
    ],
)
def test_an_endpoint_with_https_or_on_loopback_is_accepted(endpoint: str) -> None:
    assert refusals(account_manifest({"endpoint": endpoint})) == []


PIECES = ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", "evil.com", "1", ".", "@", ":", "80", "/"]
ENDPOINTS = st.lists(st.sampled_from([*PIECES, "?", "#", "\\", "%00", " "]), min_size=1, max_size=4)


@given(host=ENDPOINTS.map("".join))
@example(host="127.0.0.1:80/")
def test_plain_http_goes_nowhere_but_to_loopback(host: str) -> None:
    endpoint = f"http://{host}"
    accepted = not refusals(account_manifest({"endpoint": endpoint}))
    if accepted:
        name = urlsplit(endpoint).hostname or ""
        assert name == "localhost" or ip_address(name).is_loopback
    assert accepted or host not in ("127.0.0.1", "localhost", "[::1]", "127.0.0.1:80/")


@pytest.mark.parametrize(
    "changes",
    [
        {"imageId": "aliyun_3_x64_20G_alibase_20240528.vhd"},
        {"imageId": None, "imageFamily": "acs:alibaba_cloud_linux_3"},
        {
            "imageId": None,
            "advanced": {"diskId": "d-1", "platform": "Ubuntu", "architecture": "arm64"},
        },
        {"advanced": {}},
        {"advanced": {"arns": [{"roleType": "service"}]}},
        {"size": 1},
        {"size": 2048},
        {"login": {}},
        {"maintenanceWindows": []},
        {"encryption": {"enabled": False}},
        {"power": {"stopTimeout": "1h30m"}},
        {"power": {"giveBackAfter": "24h"}},
        {"maintenanceWindows": [{"schedule": "*/5 0-6,22 1,15 * MON-FRI", "duration": "168h"}]},
        {
            "maintenanceWindows": [
                {
                    "schedule": "0 2 * * 6",
                    "duration": "5m",
                    "timeZone": "America/Argentina/Buenos_Aires",
                },
                {"schedule": "0 2 * * 6", "duration": "4h", "timeZone": "Etc/GMT+8"},
            ]
        },
    ],
    ids=str,
)
def test_a_correct_spec_is_accepted(changes: dict[str, Any]) -> None:
    assert refusals(spec_manifest(changes)) == []


@pytest.mark.parametrize(("file", "manifest"), samples(), ids=lambda part: str(part)[:40])
def test_a_sample_is_accepted_and_has_no_unknown_field(file: str, manifest: dict[str, Any]) -> None:
    assert (refusals(manifest), unknown_fields(manifest)) == ([], []), file


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "ecs-vpc.cn-hangzhou.aliyuncs.com"},
        {"endpoint": "https://proxy.example.com.:65535/"},
        {"endpoint": "https://[2001:db8::1]:8443"},
        {"regionId": "cn-hangzhou-finance-1"},
        {"credentials": {"ecsRamRole": {"name": "KubernetesWorkerRole-0a1b.c_d"}}},
        {
            "credentials": {
                "chain": True,
                "assumeRole": {"roleArn": "acs:ram::1:role/x", "sessionName": "a@b.c-d_e"},
            }
        },
        {
            "allowedNamespaces": {
                "selector": {
                    "matchLabels": {"Team": "", "a.b-c.d/e_f.g": "T.e_a-m"},
                    "matchExpressions": [
                        {"key": "x" * 63, "operator": "NotIn", "values": ["", "v" * 63]},
                        {"key": f"{'p' * 253}/x", "operator": "DoesNotExist"},
                    ],
                }
            }
        },
        {"allowedInstances": {"tags": {"t" * 128: "", "team": "a-$(namespace)-$(namespace)"}}},
        {"limits": {"requestsPerSecond": dict.fromkeys(ECS_ACTIONS, 0.5)}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_correct_account_is_accepted(changes: dict[str, Any]) -> None:
    assert refusals(account_manifest(changes)) == []


def said_paths(value: Any, path: str) -> Iterator[str]:
    """Return the path of every field that `value` holds."""
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from said_paths(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from said_paths(child, f"{path}[]")


def test_the_samples_show_every_field_of_every_spec() -> None:
    shown = {
        path
        for _, manifest in samples()
        for path in said_paths(manifest["spec"], f"{manifest['kind']}.spec")
    }
    fields = {
        path
        for kind in KINDS
        for path, _ in nodes(schema(kind)["properties"]["spec"], f"{kind}.spec")
        if not path.endswith(("[]", "{}"))
    }
    assert fields - shown == set()


def test_the_columns_are_those_of_the_design() -> None:
    shown = {
        crd["spec"]["names"]["kind"]: [
            (column["name"], column.get("priority", 0))
            for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]
        ]
        for crd in crds()
    }
    assert [name for name, priority in shown["SystemDiskSpec"] if not priority] == [
        "Instance", "Image", "Size", "Disk", "Phase", "Locked", "Ready", "Age",
    ]  # fmt: skip
    assert [name for name, priority in shown["SystemDiskSpec"] if priority] == [
        "Previous-Disk", "Plan", "Message",
    ]  # fmt: skip
    assert [name for name, _ in shown["EcsAccount"]] == [
        "Region", "Ready", "Reason", "Identity", "Message", "Age",
    ]  # fmt: skip


def test_kinds_have_their_short_names_scopes_and_status() -> None:
    found = [
        (
            crd["spec"]["names"]["shortNames"],
            crd["spec"]["names"]["categories"],
            crd["spec"]["scope"],
            crd["spec"]["versions"][0]["subresources"],
        )
        for crd in crds()
    ]
    assert found == [
        (["sds"], ["sysdisk"], "Namespaced", {"status": {}}),
        (["ecsa"], ["sysdisk"], "Cluster", {"status": {}}),
    ]
