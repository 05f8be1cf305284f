"""The chart, rendered by the real Helm engine, as parsed objects."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "sysdisk-operator"
RELEASE: Final = "disks"
NAMESPACE: Final = "disk-system"

Object = dict[str, Any]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

ACCOUNT: Final[Object] = {
    "create": True,
    "spec": {
        "regionId": "cn-hangzhou",
        "credentials": {"secretRef": {"name": "ecs-access-key"}},
        "allowedNamespaces": {"names": ["shop"]},
        "allowedInstances": {"tags": {"sysdisk/namespace": "$(namespace)"}},
    },
}
"""Values of a default account that can be installed."""

COMBINATIONS: Final[dict[str, Object]] = {
    "defaults": {},
    "no CRDs": {"crds": {"enabled": False}},
    "CRDs that go with the chart": {"crds": {"keep": False}},
    "two namespaces": {"watchNamespaces": ["shop", "bank"]},
    "a namespace named twice would be two equal roles": {
        "watchNamespaces": ["shop"],
        "rbac": {"loginSecretNamespaces": ["shop"]},
        "accountSecretNamespaces": ["shop"],
    },
    "login Secrets of one namespace": {"rbac": {"loginSecretNamespaces": ["shop"]}},
    "account Secrets elsewhere": {"accountSecretNamespaces": ["vault"]},
    "no RBAC": {"rbac": {"create": False}},
    "no aggregation": {"rbac": {"aggregate": False}},
    "a ServiceAccount of one's own": {"serviceAccount": {"create": False, "name": "mine"}},
    "pod identity by webhook": {
        "serviceAccount": {"annotations": {"pod-identity.alibabacloud.com/role-name": "disks"}}
    },
    "RRSA": {"rrsa": {"enabled": True, "expirationSeconds": 7200}},
    "default account": {"defaultAccount": ACCOUNT},
    "account by instance role": {
        "defaultAccount": {
            "create": True,
            "spec": {"regionId": "cn-beijing", "credentials": {"ecsRamRole": {"name": "disks"}}},
        }
    },
    "account by chain": {
        "defaultAccount": {
            "create": True,
            "spec": {"regionId": "cn-beijing", "credentials": {"chain": True}},
        }
    },
    "account by RRSA": {
        "rrsa": {"enabled": True},
        "defaultAccount": {
            "create": True,
            "annotations": {"owner": "platform"},
            "spec": {
                "regionId": "cn-beijing",
                "credentials": {
                    "rrsa": {
                        "roleArn": "acs:ram::1:role/disks",
                        "oidcProviderArn": "acs:ram::1:oidc-provider/ack",
                    },
                    "assumeRole": {"roleArn": "acs:ram::2:role/disks"},
                },
                "limits": {"requestsPerSecond": {"DescribeDisks": 5}, "stopAfterFailures": 1},
                "require": {"approval": "Manual", "loginSecretLabel": True},
            },
        },
    },
    "an image by digest": {"image": {"digest": "sha256:" + "0" * 64, "pullPolicy": "Always"}},
    "an image by tag": {"image": {"tag": "1.2.3", "pullSecrets": [{"name": "registry"}]}},
    "flags and environment": {
        "extraArgs": ["--resync-interval=10m", "--threads=4"],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "rrsa": {"enabled": True},
    },
    "placement": {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}
                    ]
                }
            }
        },
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"note": "true"},
        "podLabels": {"team": "platform"},
    },
    "quiet and alone": {
        "log": {"format": "text", "level": "warning"},
        "leaderElection": {"enabled": False},
        "service": {"enabled": False},
        "dryRun": True,
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}},
    },
    "images of a registry with a port": {
        "image": {"repository": "registry.example.com:5000/team_a/sys--disk/operator.v1"}
    },
    "marks that repeat ours": {
        "podLabels": {"app.kubernetes.io/name": "other", "team": "platform"},
        "podAnnotations": {"kubectl.kubernetes.io/default-container": "other", "note": "1"},
    },
    "names that YAML takes for something else": {
        "fullnameOverride": "true",
        "nameOverride": "1",
        "watchNamespaces": ["123", "null"],
        "accountSecretNamespaces": ["0x1"],
        "serviceAccount": {"name": "1.5"},
        "priorityClassName": "2026-03-01",
        "rrsa": {"enabled": True, "audience": "a: b"},
        "defaultAccount": {**ACCOUNT, "name": "123"},
    },
    "names": {"fullnameOverride": "keeper", "nameOverride": "keeper"},
}
"""Values that people use, by what they are for."""


def rendered(values: Mapping[str, Any] | None = None, *, release: str = RELEASE) -> list[Object]:
    """Return the objects that Helm makes of the chart; no cluster is asked for anything."""
    return [document for _, document in documents(values, release=release)]


def documents(
    values: Mapping[str, Any] | None = None, *, release: str = RELEASE
) -> Iterator[tuple[str, Object]]:
    """Yield the template's file name and the object, for every object of the rendering."""
    for template, text in sorted(texts(values, release=release).items()):
        if template.endswith(".yaml"):
            for document in yaml.load_all(text, Loader=_LOADER):
                if document:
                    yield Path(template).name, document


def texts(values: Mapping[str, Any] | None = None, *, release: str = RELEASE) -> dict[str, str]:
    """Return the rendering of each template, the notes among them, by its path in the chart."""
    return dict(_texts(json.dumps(values or {}, sort_keys=True), release))


@cache
def _texts(values: str, release: str) -> dict[str, str]:
    with helm_python.Chart.load(CHART) as chart:
        made: dict[str, str] = chart.render(json.loads(values), name=release, namespace=NAMESPACE)
    return made


def of_kind(kind: str, objects: list[Object]) -> list[Object]:
    """Return the objects of one kind, in order."""
    return [document for document in objects if document["kind"] == kind]


def the(kind: str, objects: list[Object]) -> Object:
    """Return the only object of a kind."""
    (only,) = of_kind(kind, objects)
    return only


def container(values: Mapping[str, Any] | None = None) -> Object:
    """Return the operator's container for `values`."""
    pod = the("Deployment", rendered(values))["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    found: Object = only
    return found
