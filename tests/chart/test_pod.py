"""The pod passes the restricted Pod Security Standard, whatever is set."""

from typing import Any

import pytest

from tests.chart.rendering import COMBINATIONS, Object, container, rendered, the

ALLOWED_VOLUMES = {"emptyDir", "projected"}


@pytest.mark.parametrize("values", list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def test_the_pod_is_restricted(values: Object) -> None:
    pod: dict[str, Any] = the("Deployment", rendered(values))["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= ALLOWED_VOLUMES
    assert container(values)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not [port for port in container(values)["ports"] if "hostPort" in port]


def test_what_the_operator_writes_has_a_place_with_an_end() -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    pod = the("Deployment", rendered())["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes[mounts["/tmp"]]["emptyDir"]["sizeLimit"] == "64Mi"


def test_only_the_pod_gets_the_token_of_the_service_account() -> None:
    objects = rendered()
    pod = the("Deployment", objects)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is True
    assert the("ServiceAccount", objects)["automountServiceAccountToken"] is False


def test_memory_is_bounded_and_cpu_is_not_throttled() -> None:
    resources = container()["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
