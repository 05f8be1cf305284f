"""What the embedded Kubernetes API serves: resource types, and the catalogue of built-in ones.

Built-in kinds are stored as they are sent, without the behaviour of their controllers: a
Deployment makes no Pods here. Field names and flags follow k8s.io/kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sysdisk.sandbox.kube_errors import Cause

Json = Mapping[str, Any]


class Strategy(Protocol):
    """What a resource type asks of its objects. Both methods are pure."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with defaults set and unknown fields dropped; may raise ApiError."""
        ...

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return the reasons to refuse `obj`; `old` is the stored object, None on creation."""
        ...


class Converter(Protocol):
    """How objects of one version are kept under another one. Both methods are pure."""

    def to_stored(self, obj: Json) -> dict[str, Any]:
        """Return the object as it is stored."""
        ...

    def from_stored(self, obj: Json) -> dict[str, Any]:
        """Return the object in the version that is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """One printed column: a JSONPath, or a name that kube_tables computes (`path` empty)."""

    name: str
    type: str = "string"
    path: str = ""
    priority: int = 0
    format: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource type in one version, for example `secrets` in core/v1.

    `store_as` is the (group, plural) under which objects are kept: versions of one type share it.
    `subresource_status` switches the two halves of an object apart, as for custom resources.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = (
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    )
    subresource_status: bool = False
    counts_generation: bool = False
    unconditional_update: bool = True
    custom: bool = False
    store_as: tuple[str, str] = ("", "")
    columns: tuple[Column, ...] = ()
    selectable: frozenset[str] = frozenset()
    schema: Mapping[str, Any] | None = field(default=None, compare=False)
    strategy: Strategy | None = field(default=None, compare=False)
    converter: Converter | None = field(default=None, compare=False)

    @property
    def api_version(self) -> str:
        """Return `group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        """Return the kind of a list of these objects."""
        return f"{self.kind}List"

    @property
    def key(self) -> tuple[str, str]:
        """Return the (group, plural) under which objects are kept."""
        return self.store_as if self.store_as != ("", "") else (self.group, self.plural)

    @property
    def singular_name(self) -> str:
        """Return the singular name, by default the kind in lower case."""
        return self.singular or self.kind.lower()

    @property
    def field_labels(self) -> frozenset[str]:
        """Return the paths that a field selector may name."""
        base = {"metadata.name", "metadata.namespace"} if self.namespaced else {"metadata.name"}
        return self.selectable | base


_EVENT_FIELDS = frozenset(
    {
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion")),
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    }
)
_AGE = Column("Age", path=".metadata.creationTimestamp", type="date")


def _plain(group: str, version: str, kind: str, plural: str, **more: Any) -> Resource:
    return Resource(group=group, version=version, kind=kind, plural=plural, **more)


def builtin_resources() -> tuple[Resource, ...]:
    """Return the catalogue of built-in types, without their strategies."""
    rbac, apps, policy = "rbac.authorization.k8s.io", "apps", "admissionregistration.k8s.io"
    running: dict[str, Any] = {"subresource_status": True, "counts_generation": True}
    return (
        _plain(
            "",
            "v1",
            "Namespace",
            "namespaces",
            namespaced=False,
            short_names=("ns",),
            subresource_status=True,
            selectable=frozenset({"status.phase", "name"}),
        ),
        _plain("", "v1", "Secret", "secrets", selectable=frozenset({"type"})),
        _plain("", "v1", "ConfigMap", "configmaps", short_names=("cm",)),
        _plain(
            "",
            "v1",
            "Event",
            "events",
            short_names=("ev",),
            selectable=_EVENT_FIELDS,
        ),
        _plain(
            "events.k8s.io",
            "v1",
            "Event",
            "events",
            short_names=("ev",),
            store_as=("", "events"),
            selectable=_EVENT_FIELDS,
        ),
        _plain("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",)),
        _plain(
            "",
            "v1",
            "Service",
            "services",
            short_names=("svc",),
            categories=("all",),
            subresource_status=True,
        ),
        _plain(
            "",
            "v1",
            "Pod",
            "pods",
            short_names=("po",),
            categories=("all",),
            **running,
        ),
        _plain(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            short_names=("pvc",),
            subresource_status=True,
        ),
        _plain(
            "",
            "v1",
            "Node",
            "nodes",
            namespaced=False,
            short_names=("no",),
            subresource_status=True,
        ),
        _plain(
            apps,
            "v1",
            "Deployment",
            "deployments",
            short_names=("deploy",),
            categories=("all",),
            **running,
        ),
        _plain(
            apps,
            "v1",
            "StatefulSet",
            "statefulsets",
            short_names=("sts",),
            categories=("all",),
            **running,
        ),
        _plain(
            apps,
            "v1",
            "DaemonSet",
            "daemonsets",
            short_names=("ds",),
            categories=("all",),
            **running,
        ),
        _plain(
            apps,
            "v1",
            "ReplicaSet",
            "replicasets",
            short_names=("rs",),
            categories=("all",),
            **running,
        ),
        _plain("batch", "v1", "Job", "jobs", categories=("all",), **running),
        _plain(
            "batch",
            "v1",
            "CronJob",
            "cronjobs",
            short_names=("cj",),
            categories=("all",),
            **running,
        ),
        _plain(
            "coordination.k8s.io",
            "v1",
            "Lease",
            "leases",
            unconditional_update=False,
        ),
        _plain(rbac, "v1", "Role", "roles"),
        _plain(rbac, "v1", "RoleBinding", "rolebindings"),
        _plain(rbac, "v1", "ClusterRole", "clusterroles", namespaced=False),
        _plain(rbac, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        _plain(
            policy,
            "v1",
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            namespaced=False,
            **running,
        ),
        _plain(
            policy,
            "v1",
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            namespaced=False,
            counts_generation=True,
        ),
        _plain(
            policy,
            "v1",
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            namespaced=False,
            counts_generation=True,
        ),
        _plain(
            policy,
            "v1",
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            namespaced=False,
            counts_generation=True,
        ),
        _plain(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            short_names=("pdb",),
            **running,
        ),
        _plain(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
            short_names=("netpol",),
            counts_generation=True,
        ),
        _plain(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            "priorityclasses",
            namespaced=False,
            short_names=("pc",),
            counts_generation=True,
        ),
        _plain(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            namespaced=False,
            short_names=("crd", "crds"),
            categories=("api-extensions",),
            unconditional_update=False,
            **running,
        ),
    )
