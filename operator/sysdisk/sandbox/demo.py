"""`make demo`: four machines, four ends, told while they happen, and then held against the cloud.

The story ends well only if the *effects* are what was declared: what the cloud did, not what it was
asked or what a status claims.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from sysdisk.kube.errors import KubeError
from sysdisk.kube.resources import SECRETS, SPECS
from sysdisk.sandbox.child import Operator
from sysdisk.sandbox.ecs_state import Instance
from sysdisk.sandbox.envtest import EnvtestError
from sysdisk.sandbox.guide import PASSWORD, kubectl
from sysdisk.sandbox.stage import LOGIN, TEAM, Stage, default_backend, secret, spec_manifest

PATIENCE: Final = 120.0
"""Seconds until the story must have ended."""

UNPAID: Final = "INST_HAS_UNPAID_ORDER"


@dataclass(frozen=True, slots=True)
class Scene:
    """One machine of the story, and what must be true of it in the end."""

    name: str
    title: str
    vm: Instance
    spec: Mapping[str, Any]
    ends: str
    """The reason of its Ready condition at the end."""
    replaced: bool
    image: str
    size: int
    key_pair: str = ""
    stopped: bool = True
    """Whether it is saved, and then stopped, on the way."""


def tell(*, kube: str, time_scale: float, log_level: str) -> int:
    """Tell the story; return 0 if the cloud did what was declared, and nothing else."""
    console = Console(highlight=False, soft_wrap=True)
    stage = Stage(kube=kube or default_backend(), time_scale=time_scale, fleet=12)
    try:
        return asyncio.run(_tell(stage, log_level, console))
    except (KubeError, EnvtestError, OSError, TimeoutError) as exc:
        console.print(f"[red]The demo broke off:[/red] {exc or 'it took too long'}")
        return 1
    except asyncio.CancelledError:
        return 130


async def _tell(stage: Stage, log_level: str, console: Console) -> int:
    task = asyncio.current_task()
    assert task is not None
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    console.print("Starting a simulated cloud, a Kubernetes API and the operator ...")
    async with stage:
        scenes = _scenes(stage)
        child = Operator(
            stage.kubeconfig,
            stage.directory / "operator.log",
            arguments=(*stage.operator_arguments, "--log-level", log_level),
        )
        await child.start()
        try:
            await _play(stage, scenes, child, console)
        finally:
            await child.stop()
        await _final_table(stage, console)
        code = _verdict(stage, scenes, console)
    for left in stage.left:
        console.print(f"[red]Could not be removed:[/red] {left}")
    return 1 if stage.left else code


def _scenes(stage: Stage) -> list[Scene]:
    images = stage.seeded.images
    old, new = images["ubuntu-22"].id, images["ubuntu-24"].id
    linux = [vm for vm in stage.seeded.instances if vm.image_id == old]
    pair = stage.seeded.key_pair
    return [
        Scene(
            "web-1",
            f"a new image; its key pair {pair} is kept",
            linux[0],
            {"imageId": new},
            "UpToDate",
            True,
            new,
            40,
            key_pair=pair,
        ),
        Scene(
            "web-2",
            "grows from 40 to 80 GiB, with a password from a Secret",
            linux[1],
            {
                "imageId": new,
                "size": 80,
                "login": {"passwordSecretRef": {"name": LOGIN, "key": "password"}},
            },
            "UpToDate",
            True,
            new,
            80,
        ),
        Scene(
            "web-3",
            "refused before the stop: an image for another architecture",
            linux[2],
            {"imageId": images["arm-new"].id},
            "PreflightFailed",
            False,
            old,
            40,
            key_pair=pair,
            stopped=False,
        ),
        Scene(
            "web-4",
            "refused after the stop: an unpaid order, which no read shows",
            linux[3],
            {"imageId": new},
            "PlanSpent",
            False,
            old,
            40,
            key_pair=pair,
        ),
    ]


async def _play(stage: Stage, scenes: list[Scene], child: Operator, console: Console) -> None:
    stage.cloud.faults.error("ReplaceSystemDisk", UNPAID, instance_id=scenes[3].vm.id)
    await stage.ensure(SECRETS, TEAM, secret(TEAM, LOGIN, password=PASSWORD))
    console.print()
    for scene in scenes:
        console.print(f"  [bold]{scene.name}[/bold]  {scene.vm.id}  {scene.title}")
        manifest = spec_manifest(scene.name, instanceId=scene.vm.id, **scene.spec)
        await stage.ensure(SPECS, TEAM, manifest)
    console.print()
    ended = asyncio.create_task(child.ended())
    following = asyncio.create_task(_follow(stage, scenes, console))
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({ended, following}, return_when=asyncio.FIRST_COMPLETED)
    if not following.done():
        following.cancel()
        raise OSError(f"the operator ended by itself:\n{child.tail()}")
    ended.cancel()
    with suppress(asyncio.CancelledError):
        await ended
    following.result()


async def _follow(stage: Stage, scenes: list[Scene], console: Console) -> None:
    """Print every change of every spec, until each has come to its end."""
    loop = asyncio.get_running_loop()
    begun, said, open_ = loop.time(), dict[str, str](), {scene.name for scene in scenes}
    saved = set[str]()
    ends = {scene.name: scene.ends for scene in scenes}
    while open_:
        async for body in stage.client.list(SPECS, TEAM):
            name = body["metadata"]["name"]
            phase, reason, message = _state(body)
            if name in ends and name not in saved and (shown := _saved(stage, body)):
                saved.add(name)
                console.print(f"{loop.time() - begun:6.1f} s  {name}  {shown}")
            if name in ends and reason and said.get(name) != reason:
                said[name] = reason
                colour = {"Ready": "green", "Stalled": "red"}.get(phase, "yellow")
                shown = f"[{colour}]{phase:<10}[/{colour}] {reason}"
                console.print(f"{loop.time() - begun:6.1f} s  {name}  {shown}", end="  ")
                console.print(_short(message), markup=False, style="dim")
            if reason == ends.get(name) and not body.get("status", {}).get("operation"):
                open_.discard(name)
        await asyncio.sleep(0.1)


def _state(body: Mapping[str, Any]) -> tuple[str, str, str]:
    status = body.get("status", {})
    ready: Mapping[str, Any] = next(
        (c for c in status.get("conditions", ()) if c["type"] == "Ready"), {}
    )
    return status.get("phase", ""), ready.get("reason", ""), ready.get("message", "")


def _saved(stage: Stage, body: Mapping[str, Any]) -> str:
    """Return what the finished backup of the operation under way is; empty: there is none yet."""
    conditions = body.get("status", {}).get("conditions", ())
    done = any(c["type"] == "BackedUp" and c["status"] == "True" for c in conditions)
    snapshot = body.get("status", {}).get("operation", {}).get("snapshotId", "")
    found = stage.cloud.state.snapshots.get(snapshot) if done else None
    if found is None:
        return ""
    tags = ", ".join(f"{name}={value}" for name, value in found.tags.items())
    return (
        f"[green]Saved[/green]      disk {found.disk_id} as snapshot {found.id}, kept "
        f"{found.retention_days} days, tagged {tags}"
    )


def _short(message: str, limit: int = 400) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"


async def _final_table(stage: Stage, console: Console) -> None:
    console.print("\n[bold]kubectl get sds -o wide[/bold]")
    process = await asyncio.create_subprocess_exec(
        kubectl(),
        "--kubeconfig",
        str(stage.kubeconfig),
        "--cache-dir",
        str(stage.directory / "kubectl"),
        "-n",
        TEAM,
        "get",
        "sds",
        "-o",
        "wide",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    console.print(output.decode(errors="replace").rstrip(), markup=False)
    if process.returncode:
        raise OSError("kubectl failed")


def _verdict(stage: Stage, scenes: list[Scene], console: Console) -> int:
    """Hold the effects against the story; print both."""
    table = Table(title="What the cloud did", title_justify="left")
    for column in ("", "saved", "stops", "replaced", "starts", "now", "image", "GiB", "ok"):
        table.add_column(column, overflow="fold")
    names = {image.id: name for name, image in stage.seeded.images.items()}
    faults: list[str] = []
    for scene in scenes:
        found = _faults(stage, scene)
        faults += [f"{scene.name}: {fault}" for fault in found]
        count = _counter(stage, scene)
        vm = stage.cloud.look(scene.vm.id)
        disk = stage.cloud.disk_of(scene.vm.id)
        table.add_row(
            scene.name,
            str(count("snapshot_created")),
            str(count("instance_stopped")),
            str(count("disk_replaced")),
            str(count("instance_started")),
            vm.status,
            names.get(vm.image_id, vm.image_id),
            str(disk.size_gib),
            "[red]NO[/red]" if found else "[green]yes[/green]",
        )
    console.print()
    console.print(table)
    for fault in faults:
        console.print(f"[red]{fault}[/red]")
    replaced = len(stage.cloud.effects_of("disk_replaced"))
    running = sum(vm.status == "Running" for vm in stage.cloud.state.instances.values())
    saved = len(stage.cloud.effects_of("snapshot_created"))
    console.print(
        f"{saved} disks saved, {replaced} replaced, "
        f"{running} of {len(stage.seeded.instances)} machines running."
    )
    if sys.stdout.isatty():
        console.print("Next: `make sandbox`, and try it yourself.")
    return 1 if faults else 0


def _counter(stage: Stage, scene: Scene) -> Callable[[str], int]:
    return lambda kind: len(stage.cloud.effects_of(kind, scene.vm.id))


def _faults(stage: Stage, scene: Scene) -> list[str]:
    """Return in what the cloud is not as the scene declares."""
    count, vm = _counter(stage, scene), stage.cloud.look(scene.vm.id)
    disk = stage.cloud.disk_of(scene.vm.id)
    stops = int(scene.stopped)
    expected: dict[str, tuple[object, object]] = {
        "disks replaced": (count("disk_replaced"), int(scene.replaced)),
        "snapshots": (count("snapshot_created"), stops),
        "stops": (count("instance_stopped"), stops),
        "starts": (count("instance_started"), stops),
        "status": (vm.status, "Running"),
        "image": (vm.image_id, scene.image),
        "size": (disk.size_gib, scene.size),
        "key pair": (vm.key_pair, scene.key_pair),
    }
    return [
        f"{what}: {have}, not {want}" for what, (have, want) in expected.items() if have != want
    ]
