"""What people set is what they get."""

from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml
from typer.testing import CliRunner

from sysdisk.cli import run
from sysdisk.cli.main import app
from sysdisk.settings import Address, RunSettings
from tests.chart.rendering import (
    ACCOUNT,
    CHART,
    COMBINATIONS,
    NAMESPACE,
    ROOT,
    Object,
    container,
    of_kind,
    rendered,
    texts,
    the,
)

CLUSTER_SCOPED = {
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "EcsAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}

every_combination = pytest.mark.parametrize(
    "values", list(COMBINATIONS.values()), ids=list(COMBINATIONS)
)


@every_combination
def test_helm_has_nothing_to_complain_about(values: Object) -> None:
    report = helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE)
    told = [message for message in report["messages"] if message["severity"] > 1]
    assert (told, report["errors"], report["total_charts_linted"]) == ([], [], 1)


@every_combination
def test_every_object_has_one_identity_and_says_whose_it_is(values: Object) -> None:
    seen = set()
    for document in rendered(values):
        metadata = document["metadata"]
        key = (document["kind"], metadata.get("namespace"), metadata["name"])
        assert key not in seen
        seen.add(key)
        assert ("namespace" in metadata) == (document["kind"] not in CLUSTER_SCOPED), key
        assert metadata["labels"]["app.kubernetes.io/instance"] == "disks"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, of which others take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice in {node.start_mark}: {keys}"
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


@every_combination
def test_no_key_stands_twice(values: Object) -> None:
    for template, text in texts(values).items():
        if template.endswith(".yaml") and not template.endswith("crds.yaml"):
            list(yaml.load_all(text, Loader=_Strict))


NAMED = {"name", "namespace", "serviceAccountName", "audience", "priorityClassName"}


def named(part: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what an object calls things by, and its labels and annotations."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in NAMED or path.endswith(("labels", "annotations", "matchLabels")):
                yield f"{path}.{key}", value
            yield from named(value, f"{path}.{key}")
    elif isinstance(part, list):
        for value in part:
            yield from named(value, f"{path}[]")


@every_combination
def test_every_name_is_a_text(values: Object) -> None:
    for document in rendered(values):
        if document["kind"] != "CustomResourceDefinition":
            wrong = [found for found in named(document, "") if not isinstance(found[1], str)]
            assert wrong == [], document["kind"]


def test_a_label_or_annotation_of_ours_is_not_overridden() -> None:
    values = COMBINATIONS["marks that repeat ours"]
    metadata = the("Deployment", rendered(values))["spec"]["template"]["metadata"]
    assert metadata["labels"]["app.kubernetes.io/name"] == "sysdisk-operator"
    assert metadata["labels"]["team"] == "platform"
    assert metadata["annotations"] == {
        "kubectl.kubernetes.io/default-container": "operator",
        "note": "1",
    }


def test_a_long_name_leaves_room_for_what_is_put_after_it() -> None:
    (service,) = of_kind("Service", rendered({"fullnameOverride": "a" * 63}))
    assert len(service["metadata"]["name"]) <= 63


@every_combination
def test_service_and_deployment_select_the_pod(values: Object) -> None:
    objects = rendered(values)
    deployment = the("Deployment", objects)
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    for service in of_kind("Service", objects):
        assert service["spec"]["selector"].items() <= labels
        ports = container(values)["ports"]
        assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in ports}


@every_combination
def test_bindings_give_to_the_account_that_the_pod_runs_as(values: Object) -> None:
    objects = rendered(values)
    pod = the("Deployment", objects)["spec"]["template"]["spec"]
    for binding in of_kind("ClusterRoleBinding", objects) + of_kind("RoleBinding", objects):
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (pod["serviceAccountName"], NAMESPACE)


def test_one_pod_writes_and_the_old_one_ends_first() -> None:
    spec = the("Deployment", rendered())["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 20


def test_defaults_start_the_operator_for_all_namespaces() -> None:
    made = container()
    assert made["args"] == [
        "run",
        "--listen=0.0.0.0:8080",
        "--log-format=json",
        "--log-level=info",
        "--leader-elect",
    ]
    assert made["image"] == "sysdisk-operator:0.1.0"
    assert made["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert made["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({"watchNamespaces": ["a", "b"]}, ["--namespace=a", "--namespace=b"]),
        ({"accountSecretNamespaces": ["vault"]}, ["--account-secret-namespaces=vault"]),
        ({"dryRun": True}, ["--dry-run"]),
        ({"log": {"format": "text", "level": "debug"}}, ["--log-format=text", "--log-level=debug"]),
        ({"extraArgs": ["--threads=4"]}, ["--threads=4"]),
    ],
)
def test_values_become_flags(values: Object, arguments: list[str]) -> None:
    assert set(arguments) <= set(container(values)["args"])
    assert not set(arguments) <= set(container()["args"])


def test_without_election_no_lease_is_asked_for() -> None:
    values = {"leaderElection": {"enabled": False}}
    assert "--leader-elect" not in container(values)["args"]
    assert "leases" not in yaml.safe_dump(of_kind("Role", rendered(values)))


def test_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + "a" * 64
    image = {"repository": "registry.example.com/x", "tag": "7", "digest": digest}
    assert container({"image": image})["image"] == f"registry.example.com/x@{digest}"
    image["digest"] = ""
    assert container({"image": image})["image"] == "registry.example.com/x:7"


def test_rrsa_mounts_the_token_that_its_variable_names() -> None:
    values = {"rrsa": {"enabled": True}, "extraEnv": [{"name": "TZ", "value": "UTC"}]}
    made = container(values)
    path = {entry["name"]: entry.get("value") for entry in made["env"]}
    mount = {entry["name"]: entry for entry in made["volumeMounts"]}["rrsa"]
    assert path == {"ALIBABA_CLOUD_OIDC_TOKEN_FILE": f"{mount['mountPath']}/token", "TZ": "UTC"}
    assert mount["readOnly"]
    volumes = the("Deployment", rendered(values))["spec"]["template"]["spec"]["volumes"]
    (source,) = {v["name"]: v for v in volumes}["rrsa"]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "sts.aliyuncs.com"


@pytest.mark.parametrize("keep", [True, False])
def test_crds_stay_behind_only_where_they_are_kept(keep: bool) -> None:
    crds = of_kind("CustomResourceDefinition", rendered({"crds": {"keep": keep}}))
    policies = [crd["metadata"].get("annotations") for crd in crds]
    assert policies == [{"helm.sh/resource-policy": "keep"} if keep else None] * 2


def test_crds_can_be_left_to_somebody_else() -> None:
    assert not of_kind("CustomResourceDefinition", rendered({"crds": {"enabled": False}}))


def test_the_crds_of_the_chart_are_those_of_the_api() -> None:
    made = {crd["metadata"]["name"]: crd for crd in of_kind("CustomResourceDefinition", rendered())}
    sources = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert {name: crd["spec"] for name, crd in made.items()} == {
        source["metadata"]["name"]: source["spec"] for source in sources
    }


def test_no_account_comes_unasked() -> None:
    assert not of_kind("EcsAccount", rendered())


def test_the_default_account_is_the_one_that_specs_use() -> None:
    account = the("EcsAccount", rendered({"defaultAccount": ACCOUNT}))
    assert account["metadata"]["name"] == "default"
    wanted: dict[str, Any] = dict(ACCOUNT["spec"])
    wanted["credentials"] = {"secretRef": {"name": "ecs-access-key", "namespace": NAMESPACE}}
    assert account["spec"] == wanted


def test_an_account_secret_may_lie_elsewhere() -> None:
    reference = {"name": "key", "namespace": "vault"}
    values = {"create": True, "spec": {"regionId": "r", "credentials": {"secretRef": reference}}}
    account = the("EcsAccount", rendered({"defaultAccount": values}))
    assert account["spec"]["credentials"]["secretRef"] == reference


def test_before_its_kind_is_served_the_account_comes_after_the_crds() -> None:
    annotations = the("EcsAccount", rendered({"defaultAccount": ACCOUNT}))["metadata"][
        "annotations"
    ]
    assert annotations == {
        "helm.sh/hook": "post-install,post-upgrade",
        "meta.helm.sh/release-name": "disks",
        "meta.helm.sh/release-namespace": NAMESPACE,
    }


def test_a_service_account_of_ones_own_must_be_named() -> None:
    with pytest.raises(helm_python.HelmError, match=r"serviceAccount\.name"):
        rendered({"serviceAccount": {"create": False}})


def test_two_releases_do_not_share_an_object() -> None:
    def identities(release: str) -> set[tuple[str, str | None, str]]:
        return {
            (d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"])
            for d in rendered(
                {"crds": {"enabled": False}, "policies": {"enabled": release == "one"}},
                release=release,
            )
        }

    assert not identities("one") & identities("two")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "kubectl explain ecsaccounts.spec"),
        ({"defaultAccount": ACCOUNT}, "create secret generic ecs-access-key"),
        ({"defaultAccount": ACCOUNT}, "kubectl get ecsaccounts default"),
        ({"defaultAccount": COMBINATIONS["account by chain"]["defaultAccount"]}, "grants no"),
        ({"dryRun": True}, "nothing is written to ECS"),
        ({"watchNamespaces": ["a", "b"]}, "served: a, b."),
    ],
)
def test_the_notes_say_the_next_step(values: Object, told: str) -> None:
    (notes,) = [text for path, text in texts(values).items() if path.endswith("NOTES.txt")]
    assert told in notes
    assert "kubectl apply" in notes


@every_combination
def test_the_operator_takes_the_arguments_that_the_chart_gives_it(
    values: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[RunSettings] = []

    def serve(settings: RunSettings) -> int:
        taken.append(settings)
        return 0

    monkeypatch.setattr(run, "_serve", serve)
    done = CliRunner().invoke(app, container(values)["args"])
    assert done.exit_code == 0, done.output
    (settings,) = taken
    assert settings.listen == Address("0.0.0.0", 8080)
    assert settings.namespaces == tuple(values.get("watchNamespaces", ()))
    assert settings.account_secret_namespaces == (
        tuple(values.get("accountSecretNamespaces", ())) or None
    )
    assert settings.leader_elect is values.get("leaderElection", {}).get("enabled", True)
    assert settings.dry_run is values.get("dryRun", False)
