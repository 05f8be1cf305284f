"""What an API server would say to an object of ours: pruning, defaults, schema and CEL rules."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sysdisk.api.crd import crds
from sysdisk.sandbox.kube_rules import rule_causes
from sysdisk.sandbox.kube_schema import default, prune, validate

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests" / "samples"


@cache
def schema(kind: str) -> Json:
    """Return the schema of a kind, `SystemDiskSpec` or `EcsAccount`."""
    found = next(crd for crd in crds() if crd["spec"]["names"]["kind"] == kind)
    made: Json = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return made


def admitted(manifest: Mapping[str, Any]) -> Json:
    """Return `manifest` as the server stores it: unknown fields gone, defaults filled in."""
    shape = schema(manifest["kind"])
    stored: Json = default(shape, prune(shape, manifest, []))
    return stored


def refusals(manifest: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[str]:
    """Return why the server refuses `manifest`, as it writes it; empty if it does not."""
    shape, stored = schema(manifest["kind"]), admitted(manifest)
    old = None if before is None else admitted(before)
    return [str(cause) for cause in rule_causes(shape, stored, old, validate(shape, stored))]


def unknown_fields(manifest: Mapping[str, Any]) -> list[str]:
    """Return the paths of the fields that the schema does not know."""
    unknown: list[str] = []
    prune(schema(manifest["kind"]), manifest, unknown)
    return unknown


def samples() -> list[tuple[str, Json]]:
    """Return every object of `manifests/samples` of our kinds, with its file name."""
    return [
        (path.name, document)
        for path in sorted(SAMPLES.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if document["apiVersion"] == "sysdisk.dev/v1alpha1"
    ]
