"""The real core as a table: statuses are numbered, and each question is asked once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sysdisk.api.meta import ANNOTATION_APPROVE, ANNOTATION_PROTECT
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import Operation, Outcome, Step, SystemDiskSpecStatus
from sysdisk.core import operate
from sysdisk.core.answers import (
    Accepted,
    Answer,
    ErrorClass,
    Failure,
    NotSent,
    Refused,
    Unknown,
)
from sysdisk.core.backup import request
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    AddFinalizer,
    CreateSnapshot,
    Decision,
    EcsWrite,
    Key,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import is_news, learn
from sysdisk.core.stray import stray_stop
from sysdisk.core.tell import tell
from sysdisk.core.world import (
    AccountLook,
    Claim,
    Disk,
    Grant,
    Image,
    Instance,
    Lock,
    Observed,
    SecretLook,
    SecretState,
    Slot,
    Snapshot,
    Supply,
)
from tests.exploration import bare
from tests.exploration.bare import NOW
from tests.exploration.cloud import Ask, Reply
from tests.exploration.state import PLAIN, Record, Seen, Variant

VM: Final = "i-1"
KEYS: Final = (Key("shop", "web-1"), Key("lab", "web-9"))
IMAGES: Final = ("m-1", "m-2", "m-3", "m-9")
NO_ANSWER: Final = Failure("NoAnswer", "", ErrorClass.RETRY)
OPEN_NOW: Final = {"schedule": "0 6 * * *", "duration": "12h", "timeZone": "Etc/UTC"}
LATER: Final = {"schedule": "0 20 * * *", "duration": "4h", "timeZone": "Etc/UTC"}


class Mention(NamedTuple):
    """What a request that may still be sent would name."""

    plan: str
    token: str
    snapshot: str
    secret: str


class Verdict(NamedTuple):
    """A decision, in numbers. `kind` is `nothing`, `add`, `end`, or `write` with an `ask`."""

    kind: str
    status: int
    reason: Reason
    ask: Ask | None = None


class Book:
    """Numbers of statuses, and what the core says of them."""

    def __init__(self, *, secret: bool, variant: Variant = PLAIN) -> None:
        self.variant = variant
        self._secret = secret
        self._numbers: dict[SystemDiskSpecStatus, int] = {}
        self._statuses: list[SystemDiskSpecStatus] = []
        self._older: dict[tuple[int, int], int] = {}
        self._decided: dict[tuple[int, Record, Seen, bool], Verdict] = {}
        self._learned: dict[tuple[int, int, str, Reply | str], tuple[int, bool]] = {}
        self._told: dict[tuple[int, Record, Reason, int, int], int] = {}
        self._due: dict[int, tuple[int, ...]] = {}
        self._sights: dict[tuple[int, Seen], Observed] = {}
        self._specs: dict[tuple[str, bool, bool], SystemDiskSpecSpec] = {}
        self._edited: dict[int, int] = {}
        self._under: dict[int, int] = {}
        self._joined: dict[tuple[int, int], int] = {}
        self._strays: dict[tuple[int, int], int] = {}
        self._only: dict[Operation, int] = {}
        self._memories: dict[int, int] = {}
        self._mentions: dict[int, Mention | None] = {}
        self.number(SystemDiskSpecStatus())

    # -- statuses ------------------------------------------------------------------------------

    def number(self, status: SystemDiskSpecStatus) -> int:
        """Return the number of `status`, made bare."""
        return self._intern(bare.bare(status))

    def _intern(self, plain: SystemDiskSpecStatus) -> int:
        number = self._numbers.setdefault(plain, len(self._statuses))
        if number == len(self._statuses):
            self._statuses.append(plain)
        return number

    def __len__(self) -> int:
        return len(self._statuses)

    def status(self, number: int) -> SystemDiskSpecStatus:
        """Return the status that `number` stands for."""
        return self._statuses[number]

    def op(self, number: int) -> Operation | None:
        """Return its operation."""
        return self._statuses[number].operation

    def under(self, number: int) -> int:
        """Return the number that stands for its operation alone, 0: it has none."""
        found = self._under.get(number)
        if found is None:
            op = self.op(number)
            found = self._under[number] = self.only(op) if op is not None else 0
        return found

    def only(self, op: Operation) -> int:
        """Return the number of a status that holds `op` alone: how memories keep an operation."""
        found = self._only.get(op)
        if found is None:
            found = self.number(SystemDiskSpecStatus().model_copy(update={"operation": op}))
            self._only[op] = found
        return found

    def edited(self, number: int) -> int:
        """Return the number of the status when its spec has become another."""
        found = self._edited.get(number)
        if found is None:
            found = self._edited[number] = self._intern(bare.edited(self.status(number)))
        return found

    def memory(self, intent: int) -> int:
        """Return the number of the intent to stop `intent`, as far as it is of use later."""
        found = self._memories.get(intent)
        if found is None:
            op = self._known(intent).replace(
                step_at=NOW, last_try_at=NOW, tries=1, last_error=None, first_try_at=None
            )
            found = self._memories[intent] = self.only(op)
        return found

    def mention(self, number: int) -> Mention | None:
        """Return what requests of the status would name; None: there will be none."""
        if number not in self._mentions:
            op = self.op(number)
            found = None
            if op is not None and op.step in (Step.BACKUP, Step.STOP, Step.REPLACE):
                ref = op.inputs.password_secret_ref
                version = (ref.resource_version or "") if ref else ""
                found = Mention(op.plan_id, op.client_token, op.snapshot_token or "", version)
            self._mentions[number] = found
        return self._mentions[number]

    def with_op(self, number: int, op: int) -> int:
        """Return the number of the status with the operation of `op`."""
        found = self._joined.get((number, op))
        if found is None:
            joined = self.status(number).model_copy(update={"operation": self.op(op)})
            found = self._joined[number, op] = self.number(joined)
        return found

    def older(self, number: int, seconds: int) -> int:
        """Return the number of the status when `seconds` have passed."""
        key = (number, seconds)
        found = self._older.get(key)
        if found is None:
            found = self._intern(bare.older(self.status(number), timedelta(seconds=seconds)))
            self._older[key] = found
        return found

    def due(self, number: int) -> tuple[int, ...]:
        """Return after how many seconds a rule may see the status in another light, ascending."""
        found = self._due.get(number)
        if found is None:
            times = {t for t in bare.deadlines(self.status(number)) if t > NOW}
            found = tuple(sorted(int((t - NOW).total_seconds()) for t in times))
            self._due[number] = found
        return found

    # -- the core ------------------------------------------------------------------------------

    def decide(self, key: int, record: Record, seen: Seen, taken: bool = False) -> Verdict:
        """Return what the core decides about `record` of spec `key` in view of `seen`.

        `taken`: the annotations that order something are off the object, and hold for this pass.
        """
        question = (key, record, seen, taken)
        found = self._decided.get(question)
        if found is None:
            subject = self._subject(key, record, window=seen.window, taken=taken)
            sight = (key, seen)
            observed = self._sights.get(sight) or self._observed(key, seen)
            self._sights[sight] = observed
            found = self._verdict(subject, decide(subject, observed, NOW))
            self._decided[question] = found
        return found

    def _verdict(self, subject: Subject, decision: Decision) -> Verdict:
        number = self.number(decision.status)
        match decision.action:
            case Nothing():
                return Verdict("nothing", number, decision.reason)
            case AddFinalizer():
                return Verdict("add", number, decision.reason)
            case RemoveFinalizer():
                return Verdict("end", number, decision.reason)
            case CreateSnapshot() | StopInstance() | StartInstance() | ReplaceSystemDisk():
                op = decision.status.operation
                assert op is not None
                assert op != subject.status.operation, "I2: an intent that is not another"
                ask = self.ask(decision.action, op)
                return Verdict("write", number, decision.reason, ask)
            case _:
                raise AssertionError(f"not explored: {decision.action}")

    def ask(self, action: EcsWrite, op: Operation) -> Ask:
        """Return `action` as it goes to the toy cloud."""
        match action:
            case CreateSnapshot(token=token):
                return Ask("Snapshot", token, plan=op.plan_id, old_disk=op.old_disk_id)
            case StopInstance():
                return Ask("Stop")
            case StartInstance():
                return Ask("Start")
            case ReplaceSystemDisk(inputs=inputs, token=token):
                ref = inputs.password_secret_ref
                version = (ref.resource_version or "") if ref else ""
                image = inputs.image_id or ""
                return Ask("Replace", token, image, version, op.plan_id, op.old_disk_id)
            case _:
                raise AssertionError(f"not explored: {action}")

    def learn(self, before: int, intent: int, ask: Ask, reply: Reply | str) -> tuple[int, bool]:
        """Return the operation after the answer, and whether it is to be recorded at once.

        `reply` is `Unknown` or `NotSent` where ECS did not answer.
        """
        question = (before, intent, ask.verb, reply)
        found = self._learned.get(question)
        if found is None:
            meant = self._known(intent)
            was = self.op(before) or meant.replace(
                outcome=None, first_try_at=None, last_try_at=None
            )
            action = _action(ask, meant)
            learned = learn(was, meant, action, VM, _answer(reply), NOW)
            found = self.only(learned), is_news(meant, learned, action)
            self._learned[question] = found
        return found

    def tell(self, key: int, record: Record, reason: Reason, intent: int, learned: int) -> int:
        """Return the status that records what was `learned` onto `record`."""
        question = (key, record, reason, intent, learned)
        found = self._told.get(question)
        if found is None:
            subject = self._subject(key, record)
            told = tell(subject, reason, self._known(intent), self._known(learned), NOW)
            found = self._told[question] = self.number(told.status)
        return found

    def stray(self, status: int, sent: int) -> int:
        """Return the status that takes up a stop which nobody else owes a start for."""
        found = self._strays.get((status, sent))
        if found is None:
            owed = self._known(sent).replace(step_at=NOW, last_try_at=NOW)
            found = self.number(stray_stop(self.status(status), owed))
            self._strays[status, sent] = found
        return found

    def _known(self, number: int) -> Operation:
        op = self.op(number)
        assert op is not None
        return op

    def _subject(
        self, key: int, record: Record, *, window: bool = True, taken: bool = False
    ) -> Subject:
        marks = {ANNOTATION_PROTECT: "true"} if record.protected else {}
        if record.approve:
            marks[ANNOTATION_APPROVE] = record.approve
        return Subject(
            key=KEYS[key],
            uid=f"uid-{key}",
            resource_version="1",
            generation=1,
            created_at=_born(key),
            spec=self._spec(record, window),
            status=self.status(record.status),
            deleting=record.deleting,
            has_finalizer=record.finalizer,
            annotations=marks,
            orders_taken=taken,
        )

    def _spec(self, record: Record, window: bool) -> SystemDiskSpecSpec:
        wanted = (record.image, record.suspended, window)
        found = self._specs.get(wanted)
        if found is None:
            given: dict[str, Any] = {"instanceId": VM, "imageId": record.image}
            given |= {"suspend": record.suspended, "backup": {"enabled": self.variant.backup}}
            if self.variant.approval:
                given["approval"] = "Manual"
            if self.variant.window:
                given["maintenanceWindows"] = [OPEN_NOW if window else LATER]
            if self._secret:
                given["login"] = {"passwordSecretRef": {"name": "login", "key": "password"}}
            found = self._specs[wanted] = SystemDiskSpecSpec.from_api(given)
        return found

    def _observed(self, key: int, seen: Seen) -> Observed:
        """Return everything that could be looked at, as seen by this very pass."""
        disk = Disk(seen.disk, "system", "In_use", 40, VM, category="cloud_essd")
        other = 1 - key
        claims: tuple[Claim, ...] = ()
        if seen.rival is not None:
            name = KEYS[other]
            claims = (Claim(_born(other), f"uid-{other}", name.namespace, name.name, seen.rival),)
        return Observed(
            account=AccountLook("default", region_id="cn-test", grant=Grant(frozenset({VM}))),
            instance=Instance(
                VM,
                seen.power,
                region_id="cn-test",
                image_id=seen.image,
                os_type="linux",
                instance_type="t",
                locks=(Lock("InstanceReplacing"),) if seen.locked else (),
            ),
            instance_seen=True,
            system_disks=(disk,),
            data_disk_ids=frozenset(),
            fresh=True,
            images=tuple(
                Image(i, size=20, status="Available", architecture="x86_64", os_type="linux")
                for i in IMAGES
            ),
            secret=SecretLook(SecretState.OK, "secret-1", str(seen.secret)),
            default_encryption=False,
            snapshot_running=seen.snapping,
            backup=Snapshot("s", seen.backup),
            in_transfer=False,
            supply=Supply(Slot("", "t")),
            cpu_architecture="X86",
            claims=claims,
        )


def _born(key: int) -> datetime:
    return NOW - timedelta(days=9 - key)


def _answer(reply: Reply | str) -> Answer:
    if isinstance(reply, str):
        return NotSent("the fence fell") if reply == "NotSent" else Unknown(NO_ANSWER)
    if reply.kind is None:
        return Accepted(disk_id=reply.disk, snapshot_id=reply.snapshot)
    return Refused(Failure(reply.code, "", reply.kind, 403))


def _action(ask: Ask, op: Operation) -> EcsWrite:
    match ask.verb:
        case "Snapshot":
            return request(op, KEYS[0])
        case "Stop":
            return StopInstance(VM, force=False, stopped_mode=op.inputs.stopped_mode)
        case "Start":
            return StartInstance(VM)
        case _:
            return ReplaceSystemDisk(VM, op.inputs, op.client_token)


def unknown(op: Operation) -> bool:
    """Whether a ReplaceSystemDisk of `op` may have been done, and nobody knows."""
    return op.step is Step.REPLACE and op.outcome is Outcome.UNKNOWN


def watched(op: Operation) -> bool:
    """Whether the old disk was watched for so long that nothing can have been done."""
    since = op.unlocked_since
    return since is not None and max(since, op.last_try_at or since) + operate.WATCH <= NOW
