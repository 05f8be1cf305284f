"""The judge of a simulated world: the safety invariants, held to effects and not to intentions.

It sees what no process sees: every write as it leaves, every object as it is stored, everything
that became true in the cloud. It never steers.
"""

from __future__ import annotations

import base64
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from sysdisk.api import meta
from sysdisk.kube.port import Object
from sysdisk.kube.resources import ACCOUNTS, SPECS, Resource
from sysdisk.sandbox.ecs_state import Effect
from sysdisk.sandbox.kube_log import WatchEvent
from sysdisk.sandbox.sim_ecs import EcsWrite

if TYPE_CHECKING:
    from tests.support.world import World

FENCE: Final = 5.0
STEP_OF: Final = {
    "CreateSnapshot": "Backup",
    "StopInstance": "Stop",
    "ReplaceSystemDisk": "Replace",
    "StartInstance": "Start",
    "ApplyAutoSnapshotPolicy": "Finish",
}
TOLD: Final = 60
FLAPS: Final = 60
FLAPS_WITHIN: Final = 10.0
"""So many writes of one object within so many seconds: somebody undoes what somebody does."""


@dataclass(slots=True)
class _Intent:
    """A status with an operation, as the process that wrote it knows it."""

    operation: dict[str, Any]
    known_at: float
    used: bool = False


@dataclass(slots=True)
class Judge:
    """`violations` is empty as long as every invariant has held."""

    world: World
    violations: list[str] = field(default_factory=list)
    chronicle: list[str] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    """How many operations were opened for each plan."""
    struck_at_work: int = 0
    """How many faults fell between an intent to stop and its Finish."""
    _at_work: bool = False
    _intents: dict[tuple[str, str], _Intent] = field(default_factory=dict)
    _orphans: set[str] = field(default_factory=set)
    """Instances whose object is gone."""
    _plans: dict[str, str] = field(default_factory=dict)
    _accepted: dict[str, int] = field(default_factory=dict)
    _disks: dict[str, int] = field(default_factory=dict)
    _effects_seen: int = 0
    _secrets: set[str] = field(default_factory=set)
    _written: defaultdict[tuple[str, str], deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=FLAPS))
    )
    _grant_lost_at: float | None = None
    grant_tolerance: float = 5.0
    """Seconds for which a process may not know yet that its grant is gone."""

    # -- what it is told -----------------------------------------------------------------------

    def keep_secret(self, value: str) -> None:
        """From now on `value` may stand nowhere, in no usual form."""
        raw = value.encode()
        self._secrets |= {value, quote(value, safe=""), quote_plus(value)}
        self._secrets |= {base64.b64encode(raw).decode()}

    def status_known(self, actor: str, resource: Resource, written: Object) -> None:
        """A process has the answer to its write of a status."""
        if resource is not SPECS:
            return
        operation = (written.get("status") or {}).get("operation")
        instance_id = written["spec"]["instanceId"]
        if operation is not None:
            self._intents[actor, instance_id] = _Intent(operation, self.world.now)
        else:
            self._intents.pop((actor, instance_id), None)

    def note(self, what: str) -> None:
        """Keep a line for the story."""
        self._tell(what)

    def fault(self) -> None:
        """Something goes wrong now."""
        self.struck_at_work += self._at_work

    def write_left(self, write: EcsWrite) -> None:
        """A process sends a write to ECS (I2, I7)."""
        instance_id = self._instance_of(write)
        self._tell(f"{write.actor} sends {write.action} {write.token[:10]}")
        intent = self._intents.get((write.actor, instance_id))
        if intent is None:
            return self._accuse("I2", f"{write.action} without a recorded intent")
        if instance_id in self._orphans and write.action == "StartInstance":
            return None  # who recorded an intent may make its stop good when the record is gone
        if intent.used:
            self._accuse("I2", f"{write.action} on an intent that another write has used")
        intent.used = True
        age, operation = write.at - intent.known_at, intent.operation
        if age > FENCE:
            self._accuse("I2", f"{write.action} left {age:.1f} s after its intent")
        if operation["step"] != STEP_OF[write.action]:
            self._accuse("I2", f"{write.action} in step {operation['step']}")
        recorded = "snapshotToken" if write.action == "CreateSnapshot" else "clientToken"
        if write.token and write.token != operation[recorded]:
            self._accuse("I1", "a token that is not the recorded one")
        if write.action in ("StopInstance", "ReplaceSystemDisk"):
            self._is_saved(operation)
        lost = self._grant_lost_at
        since = write.at - lost if lost is not None else 0.0
        if write.action != "StartInstance" and since > self.grant_tolerance:
            self._accuse("I7", f"{write.action} {since:.1f} s after the grant went")
        return None

    def committed(self, resource: Resource, event: WatchEvent) -> None:
        """An object was stored."""
        self._look_for_secrets(resource, event.object)
        self._flaps(resource, event.object["metadata"]["name"])
        if resource is ACCOUNTS:
            self._note_grant(event)
        if resource is not SPECS:
            return
        instance_id = event.object["spec"]["instanceId"]
        change = self._orphans.add if event.type == "DELETED" else self._orphans.discard
        change(instance_id)
        now = (event.object.get("status") or {}).get("operation")
        old = event.old or {}
        was = (old.get("status") or {}).get("operation")
        self._narrate(event, was, now)
        self._at_work = now is not None and now["step"] != "Backup" and event.type != "DELETED"
        if now is None or event.type == "DELETED":
            return
        self._plans[now["clientToken"]] = now["planId"]
        if was is None:
            self._begins(event.object, old, now)
        if now.get("firstTryAt") and not (was or {}).get("firstTryAt"):
            self._asks(event.object, now)

    def look(self) -> None:
        """Judge what became true in the cloud since the last look (I1)."""
        effects = self.world.cloud.effects
        for effect in effects[self._effects_seen :]:
            self._tell(f"cloud: {effect.kind} {_details(effect)}", effect.at)
            if effect.kind == "replacement_accepted":
                self._replaces(effect)
            if effect.kind == "replacement_failed":
                self._disks.clear()  # of the one instance that a story is about: nothing was lost
                self._accepted.clear()
        self._effects_seen = len(effects)

    # -- the invariants ------------------------------------------------------------------------

    def _begins(self, body: Any, old: Any, operation: Any) -> None:
        """I4: a valid, unspent plan; nobody has said no."""
        plan = body["status"].get("plan") or {}
        ours = operation.get("ending") == "StrayStop"
        if ours:
            return
        self.begun[operation["planId"]] += 1
        if plan.get("id") != operation["planId"]:
            self._accuse("I4", f"an operation without its plan: {operation['planId']}")
        before = (old.get("status") or {}).get("plan") or {}
        if before.get("id") == plan.get("id") and before.get("spent") and plan.get("spent"):
            self._accuse("I4", f"plan {plan['id']} is spent, and begun again")
        self._nobody_said_no(body, operation, "begins")

    def _is_saved(self, operation: Any) -> None:
        """I4: a finished backup of the old disk, where one is asked for."""
        if "snapshotToken" not in operation or operation.get("backupSkipped"):
            return
        snapshot = self.world.cloud.state.snapshots.get(operation.get("snapshotId", ""))
        saved = snapshot is not None and snapshot.status == "accomplished"
        if not saved or snapshot is None or snapshot.disk_id != operation["oldDiskId"]:
            self._accuse("I4", f"disk {operation['oldDiskId']} is not saved")

    def _asks(self, body: Any, operation: Any) -> None:
        self._nobody_said_no(body, operation, "asks for a new disk")

    def _nobody_said_no(self, body: Any, operation: Any, what: str) -> None:
        metadata, spec = body["metadata"], body["spec"]
        annotations = metadata.get("annotations") or {}
        if metadata.get("deletionTimestamp"):
            self._accuse("I12", f"it {what} although the object is being deleted")
        if annotations.get(meta.ANNOTATION_PROTECT) == "true":
            self._accuse("I4", f"it {what} although the object is protected")
        if spec.get("suspend") or annotations.get(meta.ANNOTATION_SUSPEND) == "true":
            self._accuse("I4", f"it {what} although the object is suspended")
        if spec.get("imageId") not in (None, operation["inputs"].get("imageId")):
            self._accuse("I4", f"it {what} for another image than the spec's")

    def _replaces(self, effect: Effect) -> None:
        token, disk = effect.details["token"], effect.details["old_disk_id"]
        plan = self._plans.get(token)
        if plan is None:
            return self._accuse("I1", f"a disk is replaced under token {token}, never recorded")
        self._accepted[plan] = self._accepted.get(plan, 0) + 1
        self._disks[disk] = self._disks.get(disk, 0) + 1
        if self._accepted[plan] > 1 or self._disks[disk] > 1:
            self._accuse("I1", f"disk {disk} replaced again (plan {plan})")
        return None

    def _flaps(self, resource: Resource, name: str) -> None:
        """I8: nothing is written again and again, whatever two operators believe."""
        times, now = self._written[resource.plural, name], self.world.now
        if len(times) == FLAPS and now - times[0] < FLAPS_WITHIN:
            self._accuse("I8", f"{resource.plural} {name} is written {FLAPS} times in a moment")
            times.clear()
        times.append(now)

    def _look_for_secrets(self, resource: Resource, body: Any) -> None:
        if not self._secrets:
            return
        text = str(body)
        if any(secret in text for secret in self._secrets):
            self._accuse("I6", f"a secret stands in {resource.plural} {body['metadata']['name']}")

    def _note_grant(self, event: WatchEvent) -> None:
        spec = event.object["spec"]
        names = spec.get("allowedNamespaces", {}).get("names", ())
        granted = "shop" in names and bool(spec.get("allowedInstances"))
        if granted:
            self._grant_lost_at = None
        elif self._grant_lost_at is None:
            self._grant_lost_at = self.world.now

    # -- telling -------------------------------------------------------------------------------

    def told(self, headline: str) -> str:
        """Return the story so far for people: what was violated, and the last that happened."""
        self.look()
        struck = [
            f"{call} {side}: {blow.kind} {blow.code} {blow.seconds:.0f} s"
            for call, side, blow in self.world.traffic.struck
        ]
        parts = [headline, *self.violations, "struck:", *struck[-TOLD:], "happened:"]
        return "\n  ".join([*parts, *self.chronicle[-TOLD:]])

    def _accuse(self, invariant: str, what: str) -> None:
        self.violations.append(f"{invariant} violated at {self.world.now:.1f} s: {what}")
        self._tell(f"!!! {invariant}: {what}")

    def _tell(self, what: str, at: float | None = None) -> None:
        from tests.support.world import EPOCH

        now = self.world.now if at is None else at - EPOCH
        self.chronicle.append(f"{now:9.2f} {what}")

    def _narrate(self, event: WatchEvent, was: Any, now: Any) -> None:
        status = event.object.get("status") or {}
        ready: dict[str, Any] = next(
            (c for c in status.get("conditions", ()) if c["type"] == "Ready"), {}
        )
        step = f"{now['step']} try {now['tries']} {now.get('outcome', '')}" if now else "at rest"
        ending = f" ending {now['ending']}" if now and now.get("ending") else ""
        if now and now.get("lastError"):
            ending += f" error {now['lastError']['code']}"
        name = event.object["metadata"]["name"]
        self._tell(f"{event.type} {name}: {step}{ending}; {ready.get('reason')}")

    def _instance_of(self, write: EcsWrite) -> str:
        """Return what the write is about; one that names a disk is about that disk's operation."""
        for (actor, instance_id), intent in self._intents.items():
            disks = (intent.operation["oldDiskId"], intent.operation.get("newDiskId"))
            if actor == write.actor and write.instance_id in disks:
                return instance_id
        return write.instance_id


def _details(effect: Effect) -> str:
    kept = ("by", "old_disk_id", "new_disk_id", "token", "reason")
    return " ".join(f"{k}={str(v)[:12]}" for k, v in effect.details.items() if k in kept)
