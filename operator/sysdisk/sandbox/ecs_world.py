"""The ground that all calls of the simulated cloud stand on: state, time, ids, work, effects.

There is no I/O and no clock here: time is what the `now` it was given says, and asynchronous work
is kept with the moment it is due and settled when somebody looks.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sysdisk.sandbox.ecs_faults import EcsFault, row_fault
from sysdisk.sandbox.ecs_state import Disk, Effect, Image, Instance, Region, State, Timings, Work

__all__ = ["Answer", "Call", "Handler", "World", "iso", "iso_minute"]

Answer = dict[str, Any]
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_REGION_MARKS = {
    "cn-hangzhou": "bp1",
    "cn-beijing": "2ze",
    "cn-shanghai": "uf6",
    "cn-shenzhen": "wz9",
    "cn-hongkong": "j6c",
    "ap-southeast-1": "t4n",
    "us-west-1": "rj9",
    "eu-central-1": "gw8",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks for what, where. `arn` and `account` name the caller."""

    action: str
    params: Mapping[str, str]
    region: str
    account: str
    arn: str = ""

    def get(self, name: str) -> str:
        """Return a parameter, "" where it is absent."""
        return self.params.get(name, "")


class World:
    """State with the few verbs that every call needs.

    `now` is the clock of the machines, which may run fast; `wall` is that of the callers, by which
    credentials expire (default: the same). Both in seconds since the epoch.
    """

    def __init__(
        self,
        now: Callable[[], float],
        timings: Timings | None = None,
        seed: int = 0,
        state: State | None = None,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self.now = now
        self.wall = wall or now
        self.timings = timings or Timings()
        self.seed = seed
        self.state = state or State()
        self.moment = now()

    # Ids: a hash over the seed and a counter, so that equal histories give equal ids.

    def new_id(self, prefix: str, region: str) -> str:
        """Return a fresh id of the real shape: `i-bp1` and 17 letters or digits."""
        mark = _REGION_MARKS.get(region) or self._letters(f"region/{region}", 3)
        return f"{prefix}-{mark}{self._letters(self._tick(prefix), 17)}"

    def new_hex(self, kind: str) -> str:
        """Return 32 fresh hexadecimal digits."""
        text = f"{self.seed}/{self._tick(kind)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def request_id(self) -> str:
        """Return a fresh request id in the shape of a UUID."""
        h = self.new_hex("request").upper()
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def _tick(self, kind: str) -> str:
        self.state.counters[kind] += 1
        return f"{kind}/{self.state.counters[kind]}"

    def _letters(self, text: str, count: int) -> str:
        value = int.from_bytes(hashlib.sha256(f"{self.seed}/{text}".encode()).digest(), "big")
        out = []
        for _ in range(count):
            value, digit = divmod(value, 36)
            out.append(_LETTERS[digit])
        return "".join(out)

    # Work and effects

    def begin(self, kind: str, ref: str, seconds: float, work: int = 0) -> float:
        """Let work of that kind end in `seconds`; return when that is."""
        self.state.counters["work"] += 1
        due = self.moment + seconds
        heapq.heappush(self.state.work, Work(due, self.state.counters["work"], kind, ref, work))
        return due

    def begin_for(self, vm: Instance, kind: str, seconds: float) -> float:
        """Begin work on an instance, which overtakes what was at work on it before."""
        vm.work += 1
        return self.begin(kind, vm.id, seconds, vm.work)

    def effect(self, kind: str, instance_id: str = "", **details: Any) -> None:
        """Write down that something became true."""
        self.state.effects.append(Effect(self.moment, kind, instance_id, details))

    def hold(self, work: Work) -> None:
        """Keep work of a frozen instance until it is thawed."""
        self.state.held.append(work)

    def release_held(self, instance_id: str) -> None:
        """Let the held work of an instance go on, not before now."""
        mine = [w for w in self.state.held if w.ref == instance_id]
        self.state.held = [w for w in self.state.held if w.ref != instance_id]
        for work in mine:
            heapq.heappush(self.state.work, replace(work, due=max(work.due, self.moment)))

    # Look-ups, which refuse in the API's words

    def region(self, name: str) -> Region:
        """Return a region. Raises InvalidRegionId.NotFound."""
        found = self.state.regions.get(name)
        if found is None:
            raise EcsFault(
                404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."
            )
        return found

    def instance(self, call: Call, instance_id: str) -> Instance:
        """Return the caller's instance in the call's region. Raises InvalidInstanceId.NotFound."""
        vm = self.state.instances.get(instance_id)
        if vm is None or (vm.region, vm.account) != (call.region, call.account):
            raise row_fault(80)
        return vm

    def disk(self, call: Call, disk_id: str) -> Disk:
        """Return the caller's disk in the call's region. Raises InvalidDiskId.NotFound."""
        disk = self.state.disks.get(disk_id)
        if disk is None or (disk.region, disk.account) != (call.region, call.account):
            raise EcsFault(404, "InvalidDiskId.NotFound", "The specified disk does not exist.")
        return disk

    def system_disk(self, vm: Instance) -> Disk | None:
        """Return the system disk of an instance, None for one without."""
        return self.state.disks.get(vm.system_disk_id)

    def alias(self, image: Image, account: str) -> str:
        """Return how `account` sees an image: self, system, marketplace, others; "": not at all."""
        if image.owner in ("system", "marketplace"):
            return image.owner
        if image.owner == "self" and image.account == account:
            return "self"
        return "others" if image.public or account in image.shared_with else ""

    def image(self, call: Call, image_id: str) -> Image | None:
        """Return an image that the caller may use in the call's region, else None."""
        found = self.state.images.get(image_id)
        if found is None or found.region != call.region or not self.alias(found, call.account):
            return None
        return found

    def snapshot_running(self, disk_id: str) -> bool:
        """Whether a snapshot of that disk is being made."""
        return any(
            s.disk_id == disk_id and s.status == "progressing"
            for s in self.state.snapshots.values()
        )

    def drop_disk(self, disk: Disk) -> None:
        """Take a disk out of the world, its automatic snapshots too where it says so."""
        self.state.disks.pop(disk.id, None)
        self.effect("disk_released", disk.instance_id, disk_id=disk.id)
        if not disk.delete_auto_snapshot:
            return
        for snap in [s for s in self.state.snapshots.values() if s.disk_id == disk.id]:
            if snap.automatic:
                del self.state.snapshots[snap.id]
                self.effect("snapshot_deleted", disk.instance_id, snapshot_id=snap.id)


Handler = Callable[[World, Call], Answer]


def iso(at: float) -> str:
    """Return a moment as ECS writes it for images and snapshots."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_minute(at: float) -> str:
    """Return a moment as ECS writes it for instances: to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")
