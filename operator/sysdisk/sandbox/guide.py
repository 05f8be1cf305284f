"""What a sandbox tells the person who started it: manifests to apply, and what to try."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from sysdisk.sandbox.borrowed import labelled
from sysdisk.sandbox.child import Operator
from sysdisk.sandbox.stage import ENVTEST, LOGIN, TEAM, Stage, secret, spec_manifest

PASSWORD: Final = "Sandbox-2026"  # noqa: S105 - for a simulated machine

SHOWN: Final = 5
OFFERED: Final = ("ubuntu-24", "big", "arm-new", "windows-new")


def write_manifests(stage: Stage) -> dict[str, Path]:
    """Write manifests for the seeded fleet into the sandbox's folder; return them by name."""
    images, vms = stage.seeded.images, stage.seeded.instances
    linux = [vm for vm in vms if vm.os_type == "linux" and vm.image_id == images["ubuntu-22"].id]
    fresh, grown, refused, asked = (linux[n % len(linux)] for n in range(4))
    manifests: dict[str, list[dict[str, Any]]] = {
        "web-1": [spec_manifest("web-1", instanceId=fresh.id, imageId=images["ubuntu-24"].id)],
        "web-2": [
            secret(TEAM, LOGIN, password=PASSWORD),
            spec_manifest(
                "web-2",
                instanceId=grown.id,
                imageId=images["ubuntu-24"].id,
                size=80,
                login={"passwordSecretRef": {"name": LOGIN, "key": "password"}},
            ),
        ],
        "refused": [
            spec_manifest("refused", instanceId=refused.id, imageId=images["with-data"].id)
        ],
        "web-4": [
            spec_manifest(
                "web-4",
                instanceId=asked.id,
                imageId=images["ubuntu-24"].id,
                approval="Manual",
            )
        ],
    }
    found = {}
    for name, documents in manifests.items():
        path = stage.directory / f"{name}.yaml"
        text = yaml.safe_dump_all([labelled(each) for each in documents], sort_keys=False)
        path.write_text(text)
        found[name] = path
    return found


def kubectl() -> str:
    """Return how to call kubectl: from the path, else the one beside our own interpreter."""
    return _command("kubectl")


def _command(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    if shutil.which(name) is None and beside.exists():
        return str(beside)
    return name


def guide(stage: Stage, manifests: dict[str, Path], operator: Operator | None) -> str:
    """Return the text that is printed when everything runs."""
    k, s, url = kubectl(), _command("sysdisk"), stage.ecs.url
    path = {name: shlex.quote(str(where)) for name, where in manifests.items()}
    backend = stage.kube if stage.own else "your"
    first = stage.seeded.instances[0].id
    return f"""
A sandbox is running: {len(stage.seeded.instances)} simulated instances, {backend} Kubernetes API.
  Kubernetes   {stage.kubeconfig}
  ECS          {url}   (time runs {stage.time_scale:g} times as fast)
  operator     {_operator(stage, operator)}

{_fleet(stage)}

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
4. One that waits for you: see what would be done, apply it, let it begin:
     {s} plan -f {path["web-4"]}
     {k} apply -f {path["web-4"]}
     {s} approve -n {TEAM} web-4
   A plan that failed after the stop is tried again only by `{s} retry -n {TEAM} NAME`.

What the cloud did, as opposed to what it was asked; and what there is:
     curl -s {url}/_control/effects
     curl -s {url}/_control/instances      (or images, requests, state)
Lock a machine as ECS does; its spec shows it within 30 s:
     curl -s {url}/_control/change -H 'Content-Type: application/json' \\
       -d '{{"what": "lock", "instance_id": "{first}", "reason": "security"}}'

{ending(stage)}"""


def _operator(stage: Stage, operator: Operator | None) -> str:
    if operator is None:
        only = "" if stage.own else f" --namespace {TEAM}"
        return f"none: start your own with `{_command('sysdisk')} run{only}`"
    return (
        f"PID {operator.pid}, log in {operator.log}\n"
        "               Kill it when you like (kill -9): it is started again, and goes on."
    )


def ending(stage: Stage) -> str:
    """Return the last lines: what this Kubernetes API cannot do, and what Ctrl-C does."""
    if stage.kube == ENVTEST:
        return (
            "No controller runs beside this kube-apiserver: a namespace that is deleted stays\n"
            "Terminating, and `kubectl delete namespace` waits in vain unless --wait=false is "
            "given.\n"
            "Ctrl-C ends everything and removes it."
        )
    if stage.own:
        return (
            "This Kubernetes API knows no server-side apply (kubectl's --server-side).\n"
            "Ctrl-C ends everything and removes it."
        )
    return (
        "Ctrl-C ends everything, and removes from your cluster what the sandbox made there:\n"
        f"its namespaces with all that is in them, the account, every spec in {TEAM}, the CRDs."
    )


def _fleet(stage: Stage) -> str:
    names = {image.id: name for name, image in stage.seeded.images.items()}
    lines = ["Some of the instances, and images to give them:"]
    for vm in stage.seeded.instances[:SHOWN]:
        size = stage.cloud.disk_of(vm.id).size_gib
        lines.append(f"  {vm.id}   {vm.name}   {names[vm.image_id]}, {size} GiB")
    lines += [f"  {stage.seeded.images[name].id}   {name}" for name in OFFERED]
    return "\n".join(lines)
