"""The custom resource of these contract tests: one of everything that the operator's CRDs use."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

GROUP = "contract.sysdisk.dev"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

_SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "x-kubernetes-validations": [
        {"rule": "!(has(self.image) && has(self.family))", "message": "image or family, not both"},
        {"rule": "has(self.region) == has(oldSelf.region)", "message": "region is fixed"},
    ],
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 20,
            "pattern": "^[a-z0-9-]+$",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "id is fixed"}],
        },
        "size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 40},
        "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
        "image": {"type": "string", "maxLength": 50},
        "family": {"type": "string", "maxLength": 50},
        "region": {"type": "string", "maxLength": 50},
        "note": {"type": "string", "nullable": True},
        "power": {
            "type": "object",
            "properties": {
                "timeout": {
                    "type": "string",
                    "maxLength": 20,
                    "default": "5m",
                    "x-kubernetes-validations": [
                        {
                            "rule": "duration(self) >= duration('1s')",
                            "messageExpression": "'too short: ' + self",
                        }
                    ],
                },
                "tags": {
                    "type": "array",
                    "maxItems": 3,
                    "x-kubernetes-list-type": "set",
                    "items": {"type": "string", "maxLength": 10},
                },
            },
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "port": {"x-kubernetes-int-or-string": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "zone": {
            "type": "string",
            "maxLength": 50,
            "x-kubernetes-validations": [
                {
                    "rule": "timestamp('2026-03-01T22:30:00Z').getHours(self) == 6",
                    "message": "it is not six there",
                }
            ],
        },
        "when": {"type": "string", "format": "date-time"},
    },
}
_STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "phase": {"type": "string", "enum": ["Up", "Down"]},
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
            },
        },
    },
}


def definition(plural: str = "widgets", kind: str = "Widget", short: str = "wd") -> dict[str, Any]:
    """Return the CustomResourceDefinition, for the caller to change at will."""
    ready = '.status.conditions[?(@.type=="Ready")].status'
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": [short]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                        {"name": "Ready", "type": "string", "jsonPath": ready},
                        {
                            "name": "Color",
                            "type": "string",
                            "jsonPath": ".spec.color",
                            "priority": 1,
                        },
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "required": ["spec"],
                            "properties": deepcopy({"spec": _SPEC, "status": _STATUS}),
                        }
                    },
                }
            ],
        },
    }


def widget(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Widget; its id is `x` unless given."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"id": "x", **spec},
    }
