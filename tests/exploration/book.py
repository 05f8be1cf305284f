"""The real core as a table: statuses are numbered, and each question is asked once.

A status in a state of the exploration is *bare*: times count from a `now` that stands still (time
that passes makes everything recorded older), those too old to matter are all the same, and what no
rule reads (texts, request IDs, durations) is left out. So the states are finitely many.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sysdisk.api.meta import ANNOTATION_PROTECT
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import LastError, Operation, Outcome, Plan, Step, SystemDiskSpecStatus
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
from sysdisk.core.backoff import backoff
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    AddFinalizer,
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
    Supply,
)
from tests.exploration.cloud import Ask, Reply

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
AGED: Final = NOW - timedelta(hours=4)
"""Older than every span that a rule looks back."""

VM: Final = "i-1"
KEYS: Final = (Key("shop", "web-1"), Key("lab", "web-9"))
_PAST: Final = (
    "started_at",
    "step_at",
    "outcome_at",
    "first_try_at",
    "last_try_at",
    "unlocked_since",
)
IMAGES: Final = ("m-1", "m-2", "m-3", "m-9")
NO_ANSWER: Final = Failure("NoAnswer", "", ErrorClass.RETRY)


class Record(NamedTuple):
    """What the API server stores of one SystemDiskSpec; `status` is a number of the book."""

    image: str
    suspended: bool = False
    protected: bool = False
    generation: int = 1
    deleting: bool = False
    finalizer: bool = False
    status: int = 0


class Seen(NamedTuple):
    """What a pass sees. `rival`: whether the other spec's claim is under way; None: no claim."""

    power: str
    locked: bool
    disk: str
    image: str
    secret: int
    rival: bool | None = None


class Verdict(NamedTuple):
    """A decision, in numbers. `kind` is `nothing`, `add`, `end`, or `write` with an `ask`."""

    kind: str
    status: int
    reason: Reason
    ask: Ask | None = None


class Book:
    """Numbers of statuses, and what the core says of them."""

    def __init__(self, *, secret: bool) -> None:
        self._secret = secret
        self._numbers: dict[SystemDiskSpecStatus, int] = {}
        self._statuses: list[SystemDiskSpecStatus] = []
        self._older: dict[tuple[int, int], int] = {}
        self._decided: dict[tuple[int, Record, Seen], Verdict] = {}
        self._learned: dict[tuple[int, int, str, Reply | str], tuple[int, bool]] = {}
        self._told: dict[tuple[int, Record, Reason, int, int], int] = {}
        self._due: dict[int, tuple[int, ...]] = {}
        self._sights: dict[tuple[int, Seen], Observed] = {}
        self._specs: dict[tuple[str, bool], SystemDiskSpecSpec] = {}
        self.number(SystemDiskSpecStatus())

    # -- statuses ------------------------------------------------------------------------------

    def number(self, status: SystemDiskSpecStatus) -> int:
        """Return the number of `status`, made bare."""
        return self._intern(_bare(status))

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

    def only(self, op: Operation) -> int:
        """Return the number of a status that holds `op` alone: how memories keep an operation."""
        return self.number(SystemDiskSpecStatus().model_copy(update={"operation": op}))

    def with_op(self, number: int, op: int) -> int:
        """Return the number of the status with the operation of `op`."""
        return self.number(self.status(number).model_copy(update={"operation": self.op(op)}))

    def older(self, number: int, seconds: int) -> int:
        """Return the number of the status when `seconds` have passed."""
        key = (number, seconds)
        found = self._older.get(key)
        if found is None:
            found = self._intern(_older(self.status(number), timedelta(seconds=seconds)))
            self._older[key] = found
        return found

    def due(self, number: int) -> tuple[int, ...]:
        """Return after how many seconds a rule may see the status in another light, ascending."""
        found = self._due.get(number)
        if found is None:
            times = {t for t in _deadlines(self.status(number)) if t > NOW}
            found = tuple(sorted(int((t - NOW).total_seconds()) for t in times))
            self._due[number] = found
        return found

    # -- the core ------------------------------------------------------------------------------

    def decide(self, key: int, record: Record, seen: Seen) -> Verdict:
        """Return what the core decides about `record` of spec `key` in view of `seen`."""
        question = (key, record, seen)
        found = self._decided.get(question)
        if found is None:
            subject = self._subject(key, record)
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
            case StopInstance() | StartInstance() | ReplaceSystemDisk():
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
        owed = self._known(sent).replace(step_at=NOW, last_try_at=NOW)
        return self.number(stray_stop(self.status(status), owed))

    def _known(self, number: int) -> Operation:
        op = self.op(number)
        assert op is not None
        return op

    def _subject(self, key: int, record: Record) -> Subject:
        return Subject(
            key=KEYS[key],
            uid=f"uid-{key}",
            resource_version="1",
            generation=record.generation,
            created_at=_born(key),
            spec=self._spec(record),
            status=self.status(record.status),
            deleting=record.deleting,
            has_finalizer=record.finalizer,
            annotations={ANNOTATION_PROTECT: "true"} if record.protected else {},
        )

    def _spec(self, record: Record) -> SystemDiskSpecSpec:
        wanted = (record.image, record.suspended)
        found = self._specs.get(wanted)
        if found is None:
            given: dict[str, Any] = {"instanceId": VM, "imageId": record.image}
            given |= {"suspend": record.suspended, "backup": {"enabled": False}}
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
            snapshot_running=False,
            in_transfer=False,
            supply=Supply("", "t"),
            cpu_architecture="X86",
            claims=claims,
        )


def _born(key: int) -> datetime:
    return NOW - timedelta(days=9 - key)


def _answer(reply: Reply | str) -> Answer:
    if isinstance(reply, str):
        return NotSent("the fence fell") if reply == "NotSent" else Unknown(NO_ANSWER)
    if reply.kind is None:
        return Accepted(disk_id=reply.disk)
    return Refused(Failure(reply.code, "", reply.kind, 403))


def _action(ask: Ask, op: Operation) -> EcsWrite:
    match ask.verb:
        case "Stop":
            return StopInstance(VM, force=False, stopped_mode=op.inputs.stopped_mode)
        case "Start":
            return StartInstance(VM)
        case _:
            return ReplaceSystemDisk(VM, op.inputs, op.client_token)


# -- making a status bare ---------------------------------------------------------------------


def _bare(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return `status` without what no rule reads."""
    plain = {"message": "", "last_transition_time": NOW}
    entry: dict[str, Any] = {"started_at": NOW, "ended_at": NOW, "message": None}
    entry |= {"steps": (), "request_ids": ()}
    plan, op, settled = status.plan, status.operation, status.settled
    return status.model_copy(
        update={
            "conditions": tuple(c.model_copy(update=plain) for c in status.conditions),
            "observed_at": NOW if status.observed_at else None,
            "plan": _bare_plan(plan) if plan else None,
            "operation": _bare_op(op) if op else None,
            "history": tuple(h.model_copy(update=entry) for h in status.history),
            "settled": settled.model_copy(update={"at": NOW}) if settled else None,
        }
    )


def _bare_plan(plan: Plan) -> Plan:
    rest = plan.rest_until
    return plan.model_copy(
        update={
            "made_at": NOW,
            "changes": (),
            "destroys": (),
            "warnings": (),
            "policy": None,
            "downtime_seconds": None,
            "rest_until": max(rest, NOW) if rest else None,
            "last_error": _bare_error(plan.last_error),
        }
    )


def _bare_op(op: Operation) -> Operation:
    nothing: dict[str, Any] = {"request_ids": (), "steps": ()}
    return _older_op(op, timedelta(0)).model_copy(
        update={**nothing, "last_error": _bare_error(op.last_error)}
    )


def _older(status: SystemDiskSpecStatus, passed: timedelta) -> SystemDiskSpecStatus:
    """Return a bare `status` when `passed` is over: times of what is recorded move back."""
    plan, op = status.plan, status.operation
    moved: dict[str, Any] = {}
    if plan is not None and plan.rest_until is not None:
        rest = max(plan.rest_until - passed, NOW)
        moved["plan"] = plan.model_copy(update={"rest_until": rest})
    if op is not None:
        moved["operation"] = _older_op(op, passed)
    return status.model_copy(update=moved) if moved else status


def _older_op(op: Operation, passed: timedelta) -> Operation:
    times: dict[str, Any] = {}
    for name in _PAST:
        time = getattr(op, name)
        if time is not None:
            times[name] = max(time - passed, AGED)
    if op.give_back_by is not None:
        times["give_back_by"] = max(op.give_back_by - passed, NOW)
    return op.model_copy(update=times)


def _bare_error(error: LastError | None) -> LastError | None:
    if error is None:
        return None
    return LastError(code=error.code, class_=error.class_)


def _deadlines(status: SystemDiskSpecStatus) -> Iterator[datetime]:
    """Yield every time at which a rule may change its mind about `status`."""
    if status.plan is not None and status.plan.rest_until is not None:
        yield status.plan.rest_until
    op = status.operation
    if op is None:
        return
    patience = op.inputs.stop_timeout
    yield from (op.step_at + patience, op.step_at + 2 * patience)
    yield from (op.step_at + operate.VERIFY_OVERDUE, op.step_at + operate.START_OVERDUE)
    if op.give_back_by is not None:
        yield op.give_back_by
    if op.first_try_at is not None:
        yield op.first_try_at + operate.TOKEN_LIFE
    if op.unlocked_since is not None:
        yield op.unlocked_since + operate.WATCH
    if op.last_try_at is not None:
        pauses = {backoff(op.tries), backoff(op.tries, operate.LOST_START)}
        pauses |= {backoff(op.tries, timedelta(seconds=15)), operate.STOP_AGAIN}
        pauses |= {operate.STOP_SETTLES, operate.WATCH}
        yield from (op.last_try_at + pause for pause in pauses)


def unknown(op: Operation) -> bool:
    """Whether a ReplaceSystemDisk of `op` may have been done, and nobody knows."""
    return op.step is Step.REPLACE and op.outcome is Outcome.UNKNOWN


def watched(op: Operation) -> bool:
    """Whether the old disk was watched for so long that nothing can have been done."""
    since = op.unlocked_since
    return since is not None and max(since, op.last_try_at or since) + operate.WATCH <= NOW
