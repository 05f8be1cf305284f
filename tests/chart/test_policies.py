"""The admission policies on a real kube-apiserver: who approves, who writes status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pytest
import yaml

from sysdisk.api import meta
from sysdisk.controllers.enforcement import enforced
from sysdisk.sandbox.envtest import Envtest, find_assets
from tests.chart.kubectl import Kubectl
from tests.chart.rendering import COMBINATIONS, NAMESPACE, RELEASE, Object, of_kind, rendered, the

OPERATOR: Final = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-sysdisk-operator"
PLAN: Final = "p1-0123456789abcdef"
EDIT: Final = "--as=ed"
APPROVER: Final = "--as=ann"
KINDS: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def spec(name: str, **annotations: str) -> str:
    ours = {f"sysdisk.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    return json.dumps(
        {
            "apiVersion": meta.API_VERSION,
            "kind": meta.KIND,
            "metadata": {"name": name, "namespace": "shop", "annotations": ours},
            "spec": {"instanceId": f"i-{name}", "imageId": "m-1"},
        }
    )


STATUS_ROLE: Final[Object] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "any-status"},
    "rules": [
        {
            "apiGroups": ["sysdisk.dev"],
            "resources": ["systemdiskspecs/status", "ecsaccounts/status"],
            "verbs": ["get", "update", "patch"],
        }
    ],
}
"""Lets a user write every status, as far as RBAC goes."""


def binding(user: str, role: str) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{user}:{role}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
    }


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    if find_assets() is None:
        pytest.skip(
            "no kube-apiserver: neither in $KUBEBUILDER_ASSETS nor in /usr/local/kubebuilder/bin"
        )
    folder = tmp_path_factory.mktemp("policies")
    with Envtest() as envtest:
        kubectl = Kubectl(envtest.write_kubeconfig(folder / "kubeconfig"), folder / "cache")
        install(kubectl)
        yield kubectl


def install(kubectl: Kubectl) -> None:
    """Install what the chart renders, people, and wait until the policies are in force."""
    for namespace in ("shop", NAMESPACE):
        kubectl("create", "namespace", namespace)
    made = [o for o in rendered() if o["kind"] not in ("Deployment", "Service")]
    crds = of_kind("CustomResourceDefinition", made)
    apply(kubectl, crds)
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    apply(kubectl, [o for o in made if o not in crds])
    edit = f"{NAMESPACE}:{RELEASE}-sysdisk-operator-edit"
    approve = f"{NAMESPACE}:{RELEASE}-sysdisk-operator-approve"
    view = f"{NAMESPACE}:{RELEASE}-sysdisk-operator-view"
    people = [binding("ed", edit), binding("ed", view), binding("ann", approve)]
    # kubectl reads a status before it patches it, which the operator does not.
    writers = [STATUS_ROLE, binding("eve", "any-status"), binding(OPERATOR, "any-status")]
    apply(kubectl, [*people, *writers])
    apply(kubectl, [json.loads(spec("probe"))])
    in_force(kubectl)


def apply(kubectl: Kubectl, objects: list[Object]) -> None:
    kubectl("apply", "--server-side", "--filename=-", given=yaml.safe_dump_all(objects))


def in_force(kubectl: Kubectl) -> None:
    """Return when both policies deny: the API server takes them up a moment after they came."""
    approval = '{"metadata":{"annotations":{"sysdisk.dev/approve":"N"}}}'
    for subresource, patch in (("", approval), ("status", '{"status":{"phase":"N"}}')):
        command = ["patch", "sds/probe", "-n=shop", "--type=merge", f"--subresource={subresource}"]
        for n in range(200):
            if kubectl.run(*command, f"-p={patch.replace('N', str(n))}").returncode != 0:
                break
        else:
            pytest.fail(f"no policy comes into force: {command}")


def made(kubectl: Kubectl, name: str) -> str:
    kubectl("create", "--filename=-", given=spec(name))
    return f"sds/{name}"


def annotate(kubectl: Kubectl, who: str, target: str, *pairs: str) -> tuple[int, str]:
    done = kubectl.run("annotate", target, "-n=shop", "--overwrite", who, *pairs)
    return done.returncode, done.stderr


def approvals(kubectl: Kubectl, target: str) -> dict[str, str]:
    found: dict[str, str] = kubectl.object(target, "-n=shop")["metadata"].get("annotations", {})
    return {k: v for k, v in found.items() if k.startswith("sysdisk.dev/")}


BOTH: Final = (f"sysdisk.dev/approve={PLAN}", "sysdisk.dev/approved-by=ann")
envtest = pytest.mark.envtest
slow = pytest.mark.slow


@envtest
@slow
def test_who_has_the_verb_approves_in_his_own_name(kubectl: Kubectl) -> None:
    target = made(kubectl, "own-name")
    assert annotate(kubectl, APPROVER, target, *BOTH)[0] == 0
    assert approvals(kubectl, target) == {
        "sysdisk.dev/approve": PLAN,
        "sysdisk.dev/approved-by": "ann",
    }


@envtest
@slow
def test_who_lacks_the_verb_cannot_approve_and_is_told_which_one(kubectl: Kubectl) -> None:
    target = made(kubectl, "no-verb")
    pairs = (f"sysdisk.dev/approve={PLAN}", "sysdisk.dev/approved-by=ed")
    code, said = annotate(kubectl, EDIT, target, *pairs)
    assert code != 0
    assert "user ed may not approve plans here" in said
    assert approvals(kubectl, target) == {}


@envtest
@slow
@pytest.mark.parametrize(
    "pairs",
    [
        (f"sysdisk.dev/approve={PLAN}", "sysdisk.dev/approved-by=bob"),
        (f"sysdisk.dev/approve={PLAN}",),
        ("sysdisk.dev/approved-by=bob",),
    ],
    ids=["for another", "for nobody", "a name alone"],
)
def test_nobody_approves_in_another_name(kubectl: Kubectl, pairs: tuple[str, ...]) -> None:
    target = made(kubectl, f"another-{abs(hash(pairs))}")
    code, said = annotate(kubectl, APPROVER, target, *pairs)
    assert code != 0
    assert "must be the caller, ann" in said


@envtest
@slow
def test_an_administrator_approves_in_no_other_name_either(kubectl: Kubectl) -> None:
    target = made(kubectl, "administrator")
    done = kubectl.run("annotate", target, "-n=shop", *BOTH)
    assert done.returncode != 0
    assert "must be the caller" in done.stderr


@envtest
@slow
@pytest.mark.parametrize("who", [EDIT, APPROVER])
def test_an_object_is_not_created_with_an_approval_of_somebody_elses(
    kubectl: Kubectl, who: str
) -> None:
    born = spec(f"born-{who[-2:]}", approve=PLAN, approved_by="bob")
    done = kubectl.run("create", "--filename=-", EDIT, given=born)
    assert done.returncode != 0
    assert "may not approve" in done.stderr


@envtest
@slow
def test_an_approval_stands_while_others_change_the_rest_and_can_be_withdrawn(
    kubectl: Kubectl,
) -> None:
    target = made(kubectl, "stands")
    assert annotate(kubectl, APPROVER, target, *BOTH)[0] == 0
    assert annotate(kubectl, EDIT, target, "sysdisk.dev/suspend=true")[0] == 0
    patch = '-p={"spec":{"imageId":"m-2"}}'
    kubectl("patch", target, "-n=shop", "--type=merge", patch, EDIT)
    code, said = annotate(kubectl, EDIT, target, "sysdisk.dev/approve=p1-other")
    assert code != 0
    assert "may not approve" in said
    gone = ("sysdisk.dev/approve-", "sysdisk.dev/approved-by-")
    assert annotate(kubectl, EDIT, target, *gone)[0] == 0
    assert approvals(kubectl, target) == {"sysdisk.dev/suspend": "true"}


@envtest
@slow
def test_who_approved_is_not_rewritten_by_others(kubectl: Kubectl) -> None:
    target = made(kubectl, "rewritten")
    assert annotate(kubectl, APPROVER, target, *BOTH)[0] == 0
    assert annotate(kubectl, EDIT, target, "sysdisk.dev/approved-by=ed")[0] != 0
    assert annotate(kubectl, EDIT, target, "sysdisk.dev/approved-by-")[0] != 0
    assert annotate(kubectl, EDIT, target, "sysdisk.dev/approve-")[0] == 0


STATUS: Final = ("--subresource=status", "--type=merge", '-p={"status":{"phase":"Ready"}}')


@envtest
@slow
@pytest.mark.parametrize("who", [["--as=eve"], []], ids=["a user with the rights", "the admin"])
def test_nobody_but_the_operator_writes_the_status_of_a_spec(
    kubectl: Kubectl, who: list[str]
) -> None:
    target = made(kubectl, f"status-{len(who)}")
    done = kubectl.run("patch", target, "-n=shop", *STATUS, *who)
    assert done.returncode != 0
    assert "only its ServiceAccount writes it" in done.stderr


@envtest
@slow
def test_the_operator_writes_status_and_takes_a_used_approval_off(kubectl: Kubectl) -> None:
    target = made(kubectl, "operator")
    assert annotate(kubectl, APPROVER, target, *BOTH)[0] == 0
    as_operator = f"--as={OPERATOR}"
    kubectl("patch", target, "-n=shop", *STATUS, as_operator)
    gone = dict.fromkeys((meta.ANNOTATION_APPROVE, meta.ANNOTATION_APPROVED_BY))
    taken = {"metadata": {"annotations": gone, "finalizers": [meta.FINALIZER]}}
    kubectl("patch", target, "-n=shop", "--type=merge", f"-p={json.dumps(taken)}", as_operator)
    assert approvals(kubectl, target) == {}
    assert kubectl.object(target, "-n=shop")["status"] == {"phase": "Ready"}


@envtest
@slow
def test_nobody_but_the_operator_writes_the_status_of_an_account(kubectl: Kubectl) -> None:
    account = {
        "apiVersion": meta.API_VERSION,
        "kind": meta.ACCOUNT_KIND,
        "metadata": {"name": "default"},
        "spec": {"regionId": "cn-hangzhou", "credentials": {"chain": True}},
    }
    kubectl("create", "--filename=-", given=json.dumps(account))
    patch = ("--subresource=status", "--type=merge", '-p={"status":{"conditions":[]}}')
    assert kubectl.run("patch", "ecsa/default", *patch).returncode != 0
    kubectl("patch", "ecsa/default", *patch, f"--as={OPERATOR}")


@envtest
@slow
def test_the_api_server_finds_no_fault_in_the_policies(kubectl: Kubectl) -> None:
    for name in ("approve.sysdisk.dev", "status.sysdisk.dev"):
        found = kubectl.object(f"validatingadmissionpolicy/{name}")
        assert not found.get("status", {}).get("typeChecking", {}).get("expressionWarnings")


# -- the rendering ----------------------------------------------------------------------------


@pytest.mark.parametrize("values", list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def test_every_policy_denies_and_fails_closed(values: Object) -> None:
    objects = rendered(values)
    policies = of_kind("ValidatingAdmissionPolicy", objects)
    bindings = of_kind("ValidatingAdmissionPolicyBinding", objects)
    assert {p["metadata"]["name"] for p in policies} == {meta.APPROVAL_POLICY, "status.sysdisk.dev"}
    assert {p["spec"]["failurePolicy"] for p in policies} == {"Fail"}
    assert [b["spec"] for b in bindings] == [
        {"policyName": p["metadata"]["name"], "validationActions": ["Deny"]} for p in policies
    ]


def test_the_writer_of_status_is_the_account_that_the_pod_runs_as() -> None:
    objects = rendered({"serviceAccount": {"create": False, "name": "mine"}})
    pod = the("Deployment", objects)["spec"]["template"]["spec"]
    (status,) = [p for p in objects if p["metadata"]["name"] == "status.sysdisk.dev"][:1]
    expression = status["spec"]["validations"][0]["expression"]
    assert expression.endswith(
        json.dumps([f"system:serviceaccount:{NAMESPACE}:{pod['serviceAccountName']}"])
    )


def test_the_status_of_both_kinds_is_guarded() -> None:
    (status,) = [p for p in rendered() if p["metadata"]["name"] == "status.sysdisk.dev"][:1]
    (rule,) = status["spec"]["matchConstraints"]["resourceRules"]
    assert set(rule["resources"]) == {"systemdiskspecs/status", "ecsaccounts/status"}
    assert set(rule["operations"]) >= {"UPDATE"}


def test_further_writers_are_those_that_are_named() -> None:
    objects = rendered({"policies": {"statusWriters": ["velero"]}})
    (status,) = [p for p in objects if p["metadata"]["name"] == "status.sysdisk.dev"][:1]
    assert '"velero"' in status["spec"]["validations"][0]["expression"]


def test_the_policies_can_be_left_to_another_release() -> None:
    objects = rendered({"policies": {"enabled": False}})
    assert not [o for o in objects if o["kind"] in KINDS]


def approval_policy() -> tuple[Object, Object]:
    """Return the policy of approvals and its binding, as the chart renders them."""
    named = [o for o in rendered() if o["metadata"]["name"] == meta.APPROVAL_POLICY]
    policy, binding = (the(kind, named) for kind in KINDS)
    return json.loads(json.dumps(policy)), json.loads(json.dumps(binding))


def test_the_operator_takes_the_charts_policy_as_enforced() -> None:
    assert enforced(*approval_policy())


@pytest.mark.parametrize(
    ("which", "change"),
    [
        (0, {"failurePolicy": "Ignore"}),
        (0, {"validations": []}),
        (0, {"matchConditions": [{"name": "never", "expression": "false"}]}),
        (0, {"matchConstraints": {}}),
        (1, {"validationActions": ["Audit", "Warn"]}),
        (1, {"policyName": "another"}),
        (1, {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}),
    ],
)
def test_a_policy_that_is_weakened_is_taken_as_missing(which: int, change: Object) -> None:
    both = approval_policy()
    both[which]["spec"] |= change
    assert not enforced(*both)


@pytest.mark.parametrize("missing", ["CREATE", "UPDATE"])
def test_a_policy_that_lets_an_operation_through_is_taken_as_missing(missing: str) -> None:
    policy, binding = approval_policy()
    policy["spec"]["matchConstraints"]["resourceRules"][0]["operations"].remove(missing)
    assert not enforced(policy, binding)


def test_a_policy_that_is_being_deleted_is_taken_as_missing() -> None:
    policy, binding = approval_policy()
    policy["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert not enforced(policy, binding)


@envtest
@slow
def test_what_the_api_server_stores_of_the_policy_is_taken_as_enforced(kubectl: Kubectl) -> None:
    policy, binding = (kubectl.object(f"{kind.lower()}/{meta.APPROVAL_POLICY}") for kind in KINDS)
    assert enforced(policy, binding)
