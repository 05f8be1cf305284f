"""What a sandbox tells the person who started it: manifests to apply, and what to try."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from sysdisk.sandbox.stage import TEAM, Stage, secret, spec_manifest

PASSWORD: Final = "Sandbox-2026"  # noqa: S105 - for a simulated machine


def write_manifests(stage: Stage) -> dict[str, Path]:
    """Write manifests for the seeded fleet into the sandbox's folder; return them by name."""
    images, vms = stage.seeded.images, stage.seeded.instances
    linux = [vm for vm in vms if vm.os_type == "linux" and vm.image_id == images["ubuntu-22"].id]
    fresh, grown, refused = (linux[n % len(linux)] for n in range(3))
    manifests: dict[str, list[dict[str, Any]]] = {
        "web-1": [spec_manifest("web-1", instanceId=fresh.id, imageId=images["ubuntu-24"].id)],
        "web-2": [
            secret(TEAM, "web-2-login", password=PASSWORD),
            spec_manifest(
                "web-2",
                instanceId=grown.id,
                imageId=images["ubuntu-24"].id,
                size=80,
                login={"passwordSecretRef": {"name": "web-2-login", "key": "password"}},
            ),
        ],
        "refused": [
            spec_manifest("refused", instanceId=refused.id, imageId=images["with-data"].id)
        ],
    }
    found = {}
    for name, documents in manifests.items():
        path = stage.directory / f"{name}.yaml"
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        found[name] = path
    return found


def kubectl() -> str:
    """Return how to call kubectl: from the path, else the one beside our own interpreter."""
    beside = Path(sys.executable).with_name("kubectl")
    if shutil.which("kubectl") is None and beside.exists():
        return str(beside)
    return "kubectl"


def guide(stage: Stage, backend: str, manifests: dict[str, Path], log: Path | None) -> str:
    """Return the text that is printed when everything runs."""
    k = kubectl()
    path = {name: shlex.quote(str(where)) for name, where in manifests.items()}
    operator = f"log in {log}" if log else "none: start your own with `sysdisk run`"
    return f"""
A sandbox is running: {len(stage.seeded.instances)} simulated instances, {backend} Kubernetes API.
  Kubernetes   {stage.kubeconfig}
  ECS          {stage.ecs.url}   (time runs {stage.time_scale:g} times as fast)
  operator     {operator}

In another terminal:

  export KUBECONFIG={shlex.quote(str(stage.kubeconfig))}

1. Give an instance a new image, and watch it go through the steps:
     {k} apply -f {path["web-1"]}
     {k} get sds -A -w
2. One that grows to 80 GiB, with a password from a Secret:
     {k} apply -f {path["web-2"]}
     {k} -n {TEAM} wait --for=condition=Ready sds/web-2 --timeout=60s
3. One that is refused before anything is stopped, with its reason:
     {k} apply -f {path["refused"]}
     {k} -n {TEAM} describe sds refused

What the cloud did, as opposed to what it was asked:
     curl -s {stage.ecs.url}/_control/effects

Ctrl-C ends everything and removes it."""
