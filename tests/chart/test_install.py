"""The chart on a real kube-apiserver: installed, upgraded and removed by Helm; RBAC enforced."""

import json
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest
import yaml

from sysdisk.sandbox.envtest import Envtest, find_assets
from tests.chart.kubectl import Kubectl
from tests.chart.rendering import ACCOUNT, CHART, NAMESPACE, RELEASE, ROOT, Object, rendered, the

pytestmark = [pytest.mark.envtest, pytest.mark.slow]

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-sysdisk-operator"
SPEC: Object = {
    "apiVersion": "sysdisk.dev/v1alpha1",
    "kind": "SystemDiskSpec",
    "metadata": {"name": "web-1", "namespace": "shop"},
    "spec": {"instanceId": "i-bp67acfmxazb4ph0001", "imageId": "m-bp67acfmxazb4ph0009"},
}


class Cluster:
    """A kube-apiserver without controllers, with Helm and kubectl pointed at it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubectl = Kubectl(kubeconfig, folder / "cache")
        self._kubeconfig = kubeconfig

    def helm(self) -> helm_python.Config:
        """Return what a new `helm` process would know: nothing is cached between two of them."""
        return helm_python.Config(kubeconfig_path=self._kubeconfig, namespace=NAMESPACE)

    def install(self, values: Object) -> None:
        with self.helm() as helm:
            done = helm.install(
                CHART, RELEASE, values, create_namespace=True, wait="hookOnly", timeout=60
            )
        assert done["status"] == "deployed"

    def upgrade(self, values: Object) -> None:
        with self.helm() as helm:
            done = helm.upgrade(CHART, RELEASE, values, wait="hookOnly", timeout=60)
        assert done["status"] == "deployed"

    def uninstall(self) -> None:
        with self.helm() as helm:
            helm.uninstall(RELEASE, wait="hookOnly", timeout=60)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if find_assets() is None:
        pytest.skip(
            "no kube-apiserver: neither in $KUBEBUILDER_ASSETS nor in /usr/local/kubebuilder/bin"
        )
    with Envtest() as envtest:
        yield Cluster(envtest.write_kubeconfig(tmp_path / "kubeconfig"), tmp_path)


def test_the_account_survives_upgrades_and_goes_with_the_chart_while_records_stay(
    cluster: Cluster,
) -> None:
    values: Object = {"defaultAccount": ACCOUNT}
    cluster.install(values)
    first = cluster.kubectl.object("ecsaccount/default")
    assert first["spec"]["allowedNamespaces"] == {"names": ["shop"]}
    cluster.kubectl("create", "namespace", "shop")
    cluster.kubectl("apply", "--filename=-", given=json.dumps(SPEC))

    cluster.upgrade(values | {"log": {"level": "debug"}})
    cluster.upgrade(values)
    second = cluster.kubectl.object("ecsaccount/default")
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert "helm.sh/hook" not in second["metadata"]["annotations"]

    cluster.uninstall()
    assert "NotFound" in cluster.kubectl.run("get", "ecsaccount/default").stderr
    assert (
        "NotFound"
        in cluster.kubectl.run("get", f"clusterrole/{NAMESPACE}:{RELEASE}-sysdisk-operator").stderr
    )
    kept = cluster.kubectl.object("systemdiskspec/web-1", "--namespace=shop")
    assert kept["spec"]["imageId"] == SPEC["spec"]["imageId"]

    cluster.install({})  # over the CRDs that stayed
    again = cluster.kubectl.object("systemdiskspec/web-1", "--namespace=shop")
    assert again["metadata"]["uid"] == kept["metadata"]["uid"]


def test_an_upgrade_by_one_caller_never_makes_the_account_anew(cluster: Cluster) -> None:
    # Helm's library keeps the capabilities that it saw before the CRDs came.
    values: Object = {"defaultAccount": ACCOUNT}
    with cluster.helm() as helm:
        helm.install(CHART, RELEASE, values, create_namespace=True, wait="hookOnly", timeout=60)
        before = cluster.kubectl.object("ecsaccount/default")["metadata"]["uid"]
        helm.upgrade(CHART, RELEASE, values, wait="hookOnly", timeout=60)
    assert cluster.kubectl.object("ecsaccount/default")["metadata"]["uid"] == before


def test_an_account_that_the_kind_refuses_is_refused(cluster: Cluster) -> None:
    cluster.install({})
    spec = ACCOUNT["spec"] | {"endpoint": "http://ecs.example.com"}
    with pytest.raises(helm_python.HelmError, match="plain http"):
        cluster.upgrade({"defaultAccount": ACCOUNT | {"spec": spec}})


def test_rbac_lets_the_operator_do_its_work_and_nothing_else(cluster: Cluster) -> None:
    cluster.install({})
    can = cluster.kubectl.can
    allowed = [
        ("list", "systemdiskspecs.sysdisk.dev", None),
        ("watch", "systemdiskspecs.sysdisk.dev", None),
        ("patch", "systemdiskspecs.sysdisk.dev/status", "shop"),
        ("watch", "ecsaccounts.sysdisk.dev", None),
        ("patch", "ecsaccounts.sysdisk.dev/status", None),
        ("get", "secrets/login", "shop"),
        ("create", "events", "default"),
        ("get", "namespaces/shop", None),
        ("create", "leases.coordination.k8s.io", NAMESPACE),
        ("update", "leases.coordination.k8s.io/sysdisk-operator", NAMESPACE),
    ]
    refused = [
        ("list", "secrets", "shop"),
        ("watch", "secrets", NAMESPACE),
        ("update", "systemdiskspecs.sysdisk.dev", "shop"),
        ("delete", "systemdiskspecs.sysdisk.dev", "shop"),
        ("create", "ecsaccounts.sysdisk.dev", None),
        ("update", "leases.coordination.k8s.io/another", NAMESPACE),
        ("create", "leases.coordination.k8s.io", "shop"),
        ("list", "customresourcedefinitions.apiextensions.k8s.io", None),
        ("list", "namespaces", None),
        ("create", "pods", NAMESPACE),
    ]
    wrong = [right for right in allowed if not can(OPERATOR, *right)]
    wrong += [right for right in refused if can(OPERATOR, *right)]
    assert wrong == []


def test_rbac_keeps_the_operator_in_the_namespaces_that_it_watches(cluster: Cluster) -> None:
    for name in ("shop", "bank"):
        cluster.kubectl("create", "namespace", name)
    cluster.install({"watchNamespaces": ["shop"]})
    can = cluster.kubectl.can
    for verb, resource in [
        ("list", "systemdiskspecs.sysdisk.dev"),
        ("patch", "systemdiskspecs.sysdisk.dev/status"),
        ("get", "secrets/login"),
        ("create", "events"),
        ("get", "namespaces"),
    ]:
        assert can(OPERATOR, verb, resource, "shop"), (verb, resource)
        assert not can(OPERATOR, verb, resource, "bank"), (verb, resource)
    assert can(OPERATOR, "create", "events", "default")
    assert can(OPERATOR, "watch", "ecsaccounts.sysdisk.dev", None)


@pytest.mark.parametrize("values", [{}, {"rrsa": {"enabled": True}}], ids=["defaults", "RRSA"])
def test_a_restricted_namespace_takes_the_pod(cluster: Cluster, values: Object) -> None:
    namespace = (ROOT / "manifests" / "install" / "namespace.yaml").read_text()
    cluster.kubectl("apply", "--filename=-", given=namespace)
    template = the("Deployment", rendered(values))["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {"name": "operator", "namespace": "sysdisk-system"}
    cluster.kubectl("create", "--dry-run=server", "--filename=-", given=json.dumps(pod))
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = True
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = cluster.kubectl.run("create", "--dry-run=server", "--filename=-", given=json.dumps(pod))
    assert "violates PodSecurity" in done.stderr


def test_kustomize_installs_the_same_and_twice_changes_nothing(cluster: Cluster) -> None:
    apply = ["apply", "--server-side", "--kustomize=manifests/install"]
    first = cluster.kubectl(*apply).splitlines()
    versions = cluster.kubectl("get", "deployment,role", "-n=sysdisk-system", "-o=yaml")
    second = cluster.kubectl(*apply).splitlines()
    assert len(first) == len(second) > 10
    again = cluster.kubectl("get", "deployment,role", "-n=sysdisk-system", "-o=yaml")
    assert yaml.safe_load(versions) == yaml.safe_load(again)
