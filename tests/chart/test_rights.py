"""The operator may do what its code does, and nothing more; teams never get at the record."""

import ast
from collections.abc import Iterator
from typing import Any, Final

import pytest

from sysdisk.api import meta
from sysdisk.kube import resources
from sysdisk.kube.leases import Terms
from sysdisk.kube.resources import Resource
from tests.chart.rendering import COMBINATIONS, NAMESPACE, ROOT, Object, of_kind, rendered

EVERYWHERE: Final = "*"

Right = tuple[str, str, str, str]
"""Namespace (or EVERYWHERE), API group, resource (with subresource, or with =NAME), verb."""

ACCOUNTS: Final = [
    (EVERYWHERE, "sysdisk.dev", "ecsaccounts", "get"),
    (EVERYWHERE, "sysdisk.dev", "ecsaccounts", "list"),
    (EVERYWHERE, "sysdisk.dev", "ecsaccounts", "watch"),
    (EVERYWHERE, "sysdisk.dev", "ecsaccounts", "patch"),
    (EVERYWHERE, "sysdisk.dev", "ecsaccounts/status", "patch"),
    *(
        (EVERYWHERE, "admissionregistration.k8s.io", f"{kind}=approve.sysdisk.dev", "get")
        for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    ),
]
LEASE: Final = [
    (NAMESPACE, "coordination.k8s.io", "leases", "create"),
    (NAMESPACE, "coordination.k8s.io", "leases=sysdisk-operator", "get"),
    (NAMESPACE, "coordination.k8s.io", "leases=sysdisk-operator", "update"),
]


def events(namespace: str) -> list[Right]:
    return [(namespace, "", "events", "create"), (namespace, "", "events", "patch")]


def specs(namespace: str) -> list[Right]:
    return [
        (namespace, "sysdisk.dev", "systemdiskspecs", "get"),
        (namespace, "sysdisk.dev", "systemdiskspecs", "list"),
        (namespace, "sysdisk.dev", "systemdiskspecs", "watch"),
        (namespace, "sysdisk.dev", "systemdiskspecs", "patch"),
        (namespace, "sysdisk.dev", "systemdiskspecs/status", "patch"),
        (namespace, "", "namespaces", "get"),
        *events(namespace),
    ]


def secrets(namespace: str) -> list[Right]:
    return [(namespace, "", "secrets", "get")]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, [*ACCOUNTS, *LEASE, *specs("*"), *secrets("*"), *secrets(NAMESPACE)]),
        (
            {"rbac": {"loginSecretNamespaces": ["shop"]}},
            [*ACCOUNTS, *LEASE, *specs("*"), *secrets("shop"), *secrets(NAMESPACE)],
        ),
        (
            {"watchNamespaces": ["shop", "bank"]},
            [
                *ACCOUNTS,
                *LEASE,
                *(right for name in ("shop", "bank") for right in specs(name) + secrets(name)),
                *secrets(NAMESPACE),
                *events("default"),
            ],
        ),
        (
            {"accountSecretNamespaces": ["vault"], "leaderElection": {"enabled": False}},
            [*ACCOUNTS, *specs("*"), *secrets("*"), *secrets("vault")],
        ),
        ({"rbac": {"create": False}}, []),
    ],
    ids=["defaults", "login Secrets", "two namespaces", "account Secrets", "none"],
)
def test_the_operator_has_exactly_these_rights(values: Object, wanted: list[Right]) -> None:
    assert sorted(granted(values)) == sorted(wanted)


def test_the_chart_grants_what_the_code_does_and_what_kopf_does_for_it() -> None:
    everywhere = {
        (group, resource.partition("=")[0], verb) for _, group, resource, verb in granted({})
    }
    watched = {
        (meta.GROUP, plural, verb)
        for plural in (meta.PLURAL, meta.ACCOUNT_PLURAL)
        for verb in ("list", "watch")
    }
    assert set(used_by_the_code()) | watched == everywhere


def test_the_guide_names_everything_that_is_granted() -> None:
    guide = (ROOT / "docs" / "install.md").read_text()
    rows = [line.split("|")[1:3] for line in guide.splitlines() if line.startswith("| ")]
    told = {name.strip(): verbs for names, verbs in rows for name in names.split(",")}
    for _, _, resource, verb in granted({}):
        assert verb in told.get(resource.partition("=")[0], ""), (resource, verb)


def test_the_lease_that_is_granted_is_the_one_that_is_taken() -> None:
    assert Terms(namespace="any").name == "sysdisk-operator"


@pytest.mark.parametrize("values", list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def test_secrets_are_never_listed_and_nothing_is_granted_by_wildcard(values: Object) -> None:
    for role in roles(values):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("view", {"get", "list", "watch"}),
        (
            "edit",
            {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"},
        ),
        (
            "admin",
            {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"},
        ),
    ],
)
def test_teams_get_their_specs_through_the_roles_of_the_cluster(role: str, verbs: set[str]) -> None:
    rules = aggregated(f"rbac.authorization.k8s.io/aggregate-to-{role}")
    assert {
        verb for rule in rules if "systemdiskspecs" in rule["resources"] for verb in rule["verbs"]
    } == verbs


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_teams_never_get_at_a_status_a_secret_or_a_grant(role: str) -> None:
    rules = aggregated(f"rbac.authorization.k8s.io/aggregate-to-{role}")
    assert rules
    for rule in rules:
        assert not [name for name in rule["resources"] if "/" in name]
        assert set(rule["resources"]) <= {meta.PLURAL, meta.ACCOUNT_PLURAL}
        if meta.ACCOUNT_PLURAL in rule["resources"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_without_aggregation_the_roles_of_the_cluster_stay_as_they_are() -> None:
    made = of_kind("ClusterRole", rendered({"rbac": {"aggregate": False}}))
    assert not [role for role in made if "aggregate-to" in str(role["metadata"]["labels"])]


def roles(values: Object) -> list[Object]:
    objects = rendered(values)
    return of_kind("ClusterRole", objects) + of_kind("Role", objects)


def aggregated(label: str) -> list[dict[str, Any]]:
    made = of_kind("ClusterRole", rendered())
    return [
        rule
        for role in made
        if role["metadata"]["labels"].get(label) == "true"
        for rule in role["rules"]
    ]


def granted(values: Object) -> Iterator[Right]:
    """Yield what the bindings give, one right at a time: a right given twice comes twice."""
    objects = rendered(values)
    by_name = {
        (role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]): role
        for role in of_kind("ClusterRole", objects) + of_kind("Role", objects)
    }
    for binding in of_kind("ClusterRoleBinding", objects) + of_kind("RoleBinding", objects):
        namespace = binding["metadata"].get("namespace")
        reference = binding["roleRef"]
        role = by_name[reference["kind"], namespace, reference["name"]]
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", [None]):
                        for verb in rule["verbs"]:
                            shown = resource if name is None else f"{resource}={name}"
                            yield namespace or EVERYWHERE, group, shown, verb


VERBS: Final = {
    "read": ("", "get"),
    "list": ("", "list"),
    "list_metadata": ("", "list"),
    "create": ("", "create"),
    "replace": ("", "update"),
    "merge": ("", "patch"),
    "patch_metadata": ("", "patch"),
    "patch_status": ("/status", "patch"),
}
"""What a method of the Kubernetes port is on the wire: subresource and verb."""


def used_by_the_code() -> Iterator[tuple[str, str, str]]:
    """Yield group, resource and verb of each call to the Kubernetes port that names its kind."""
    for folder in ("kube", "controllers"):
        for path in sorted((ROOT / "operator" / "sysdisk" / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if node.func.attr == "read_secret":
                    yield "", "secrets", "get"
                kind = constant(node.args[0]) if node.args else None
                if kind is not None and node.func.attr in VERBS:
                    subresource, verb = VERBS[node.func.attr]
                    yield kind.group, kind.plural + subresource, verb


def constant(argument: ast.expr) -> Resource | None:
    """Return the resource that an argument names, such as `EVENTS` or `resources.EVENTS`."""
    name = getattr(argument, "id", None) or getattr(argument, "attr", None)
    found = getattr(resources, name, None) if name else None
    return found if isinstance(found, Resource) else None
