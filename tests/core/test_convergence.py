"""I8 on a toy cloud: from any state, with faults stopped, it converges; nothing is done twice.

The loop is the controller's in small: look, decide, record (as it reads back), act, learn, record.
Faults cut it before or after any effect, change the cloud and the spec, and let time jump.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import (
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    VM,
    accepted,
    account,
    disk,
    image,
    refused,
    seen,
    spec,
    stored,
    subject,
    unknown,
    vm,
)

from sysdisk.api.meta import ANNOTATION_PROTECT
from sysdisk.api.status import Operation, Outcome, Step
from sysdisk.core.answers import Answer, NotSent
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    AddFinalizer,
    ApplyAutoSnapshotPolicy,
    Decision,
    EcsWrite,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import is_news, learn
from sysdisk.core.tell import tell
from sysdisk.core.world import Grant, Instance, Lock, Observed

BUSY_FOR = timedelta(seconds=8)


@dataclass
class Cloud:
    """One instance. What is asked for becomes true `BUSY_FOR` later."""

    now: datetime = NOW
    power: str = "Running"
    image: str = OLD_IMAGE
    disk: str = OLD_DISK
    policy: str = "sp-1"
    locks: tuple[Lock, ...] = ()
    due: list[tuple[datetime, str, str]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    replacements: list[tuple[str, str]] = field(default_factory=list)
    stops: int = 0

    def wait(self, length: timedelta) -> None:
        self.now += length
        for entry in sorted(self.due):
            if entry[0] <= self.now:
                self.due.remove(entry)
                if entry[1] == "power":
                    self.power = entry[2]
                else:
                    image_id, self.disk = entry[2].split(" ")
                    self.image, self.locks, self.policy = image_id, (), ""

    def later(self, kind: str, value: str) -> None:
        self.due.append((self.now + BUSY_FOR, kind, value))

    def write(self, action: EcsWrite) -> Answer:
        match action:
            case StopInstance():
                if self.power != "Running":
                    return refused("IncorrectInstanceStatus", "wait")
                self.power, self.stops = "Stopping", self.stops + 1
                self.later("power", "Stopped")
            case StartInstance():
                if self.power != "Stopped" or self.locks:
                    return refused("IncorrectInstanceStatus", "wait")
                self.power = "Starting"
                self.later("power", "Running")
            case ApplyAutoSnapshotPolicy(disk_id=disk_id, policy_id=policy_id):
                assert disk_id == self.disk
                self.policy = policy_id
            case ReplaceSystemDisk(inputs=inputs, token=token):
                return self.replace(inputs.image_id or "", token)
        return accepted("")

    def replace(self, image_id: str, token: str) -> Answer:
        if token in self.tokens:
            return accepted(self.tokens[token])
        if image_id == "m-unpaid":
            return refused()
        if self.power != "Stopped" or self.locks:
            return refused("IncorrectInstanceStatus", "wait")
        new = f"d-{len(self.replacements) + 2}"
        self.tokens[token], self.locks = new, (Lock("InstanceReplacing"),)
        self.replacements.append((self.disk, new))
        self.later("disk", f"{image_id} {new}")
        return accepted(new)

    def seen(self, **fields: Any) -> Observed:
        present: Instance = vm(self.power, image_id=self.image, locks=self.locks)
        disks = (disk(self.disk, auto_snapshot_policy_id=self.policy),)
        images = (image(OLD_IMAGE), image(), image("m-3"), image("m-unpaid"))
        return seen(**{"instance": present, "system_disks": disks, "images": images, **fields})


@dataclass
class Operator:
    """The controller in small. `cut` ends a pass at that point, as SIGKILL would.

    `note` is what it keeps in memory of an answer that is not worth a write.
    """

    cloud: Cloud
    subject: Subject
    note: tuple[Operation, Operation] | None = None
    gone: bool = False
    writes: int = 0
    world: dict[str, Any] = field(default_factory=dict)

    def run(self, cut: str | None = None) -> timedelta:
        if cut is not None or (self.note and self.note[0] != self.subject.status.operation):
            self.note = None
        for _ in range(4):
            decision = decide(self.known(), self.cloud.seen(**self.world), self.cloud.now)
            assert not isinstance(decision.action, Look), decision.action
            if not isinstance(decision.action, AddFinalizer):
                break
            self.subject = replace(self.subject, has_finalizer=True)
            if cut == "finalizer":
                return timedelta(seconds=1)
        return self.perform(decision, cut)

    def known(self) -> Subject:
        if self.note is None:
            return self.subject
        status = self.subject.status.replace(operation=self.note[1])
        return replace(self.subject, status=status)

    def record(self, decision: Decision, before: Subject | None = None) -> None:
        """Write nothing where nothing changed, as the recorder does."""
        if decision.status == (before or self.subject).status:
            return
        status = stored(decision.status)
        self.writes += status != self.subject.status
        self.subject = replace(self.subject, status=status)

    def perform(self, decision: Decision, cut: str | None) -> timedelta:
        known = self.known()
        before = known.status.operation
        if cut == "record":
            return timedelta(seconds=1)
        self.record(decision, known)
        action, intent = decision.action, decision.status.operation
        if isinstance(action, Nothing) or cut == "send":
            return decision.look_again
        if isinstance(action, RemoveFinalizer):
            self.subject = replace(self.subject, has_finalizer=False)
            self.gone = self.subject.deleting
            return decision.look_again
        assert isinstance(
            action, StopInstance | ReplaceSystemDisk | StartInstance | ApplyAutoSnapshotPolicy
        )
        assert intent is not None
        was = before or intent.replace(outcome=None, first_try_at=None, last_try_at=None)
        answer: Answer = NotSent("held") if cut == "held" else self.cloud.write(action)
        if cut == "answer":
            return decision.look_again
        if cut == "lost":
            answer = unknown()
        learned = learn(was, intent, action, VM, answer, self.cloud.now)
        if is_news(intent, learned, action):
            decision = tell(self.subject, decision.reason, intent, learned, self.cloud.now)
            self.record(decision)
        else:
            self.note = (intent, learned)
        return decision.look_again

    def settle(self, passes: int = 400) -> None:
        """Run without faults until nothing moves any more."""
        quiet = 0
        for _ in range(passes):
            was = (self.writes, self.cloud.power, self.cloud.disk, len(self.cloud.due))
            pause = self.run()
            if self.gone:
                return
            self.cloud.wait(min(max(pause, timedelta(seconds=1)), timedelta(minutes=5)))
            same = was == (self.writes, self.cloud.power, self.cloud.disk, len(self.cloud.due))
            quiet = quiet + 1 if same and self.subject.status.operation is None else 0
            if quiet > 12:
                return
        raise AssertionError(f"it does not settle: {self.subject.status}")


CUTS = ["finalizer", "record", "send", "held", "answer", "lost"]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("wanted", [NEW_IMAGE, "m-unpaid"])
@pytest.mark.parametrize("power", ["Running", "Stopped"])
def test_one_replacement_or_none_whichever_pass_is_cut(
    cut: str, at: int, wanted: str, power: str
) -> None:
    operator = Operator(Cloud(power=power), subject(imageId=wanted))
    for n in range(at + 1):
        operator.cloud.wait(min(operator.run(cut if n == at else None), timedelta(seconds=3)))
    operator.settle()
    done = wanted == NEW_IMAGE
    assert (len(operator.cloud.replacements), operator.cloud.power) == (int(done), power)
    assert operator.subject.status.phase == ("Ready" if done else "Stalled")
    assert not operator.subject.has_finalizer
    assert operator.cloud.policy == "sp-1"


MOVES = st.one_of(
    st.sampled_from([None, None, None, *CUTS]).map(lambda cut: ("run", cut)),
    st.sampled_from([1, 10, 31, 300, 3700]).map(lambda s: ("wait", s)),
    st.sampled_from(["Running", "Stopped"]).map(lambda power: ("power", power)),
    st.sampled_from([(), (Lock("security"),), (Lock("odd"),)]).map(lambda k: ("locks", k)),
    st.sampled_from([OLD_IMAGE, NEW_IMAGE, "m-3", "m-unpaid"]).map(lambda i: ("image", i)),
    st.booleans().map(lambda on: ("suspend", on)),
    st.booleans().map(lambda on: ("protect", on)),
    st.booleans().map(lambda on: ("grant", on)),
    st.booleans().map(lambda on: ("failure", on)),
    st.just(("delete", None)),
    st.sampled_from([2, 300]).map(lambda minutes: ("clock", minutes)),
)


def move(operator: Operator, kind: str, value: Any) -> None:
    """Let the world, or a person, do something; or the operator take one pass."""
    cloud, now = operator.cloud, operator.subject
    match kind:
        case "run":
            cloud.wait(min(operator.run(value), timedelta(seconds=5)))
        case "wait":
            cloud.wait(timedelta(seconds=value))
        case "power" if not cloud.due:
            cloud.power = value
        case "locks" if not cloud.due:
            cloud.locks = value
        case "image":
            wanted = spec(imageId=value, suspend=now.spec.suspend)
            operator.subject = replace(now, spec=wanted, generation=now.generation + 1)
        case "suspend":
            wanted = spec(imageId=now.spec.image_id, suspend=value)
            operator.subject = replace(now, spec=wanted, generation=now.generation + 1)
        case "protect":
            on = {ANNOTATION_PROTECT: "true"} if value else {}
            operator.subject = replace(now, annotations=on)
        case "grant":
            operator.world["account"] = account() if value else account(grant=Grant())
        case "failure":
            operator.world["failure"] = "Throttling: slow down" if value else ""
        case "clock":
            cloud.now -= timedelta(minutes=value)
            cloud.due = [(cloud.now + BUSY_FOR, kind, then) for _, kind, then in cloud.due]
        case "delete" if now.has_finalizer:
            operator.subject = replace(now, deleting=True)


@settings(max_examples=150, deadline=None)
@given(moves=st.lists(MOVES, max_size=40), power=st.sampled_from(["Running", "Stopped"]))
def test_from_any_state_with_faults_stopped_it_converges(
    moves: list[tuple[str, Any]], power: str
) -> None:
    operator = Operator(Cloud(power=power), subject())
    for kind, value in moves:
        if operator.gone:
            break
        move(operator, kind, value)
        check(operator)
    heal(operator)
    operator.settle()
    check(operator)
    status = operator.subject.status
    if operator.gone:
        return
    assert (status.operation, operator.subject.has_finalizer) == (None, False)
    assert status.phase in ("Ready", "Stalled", "Waiting", "Drifted")
    if status.phase == "Ready":
        assert operator.cloud.image == operator.subject.spec.image_id
    if status.phase == "Stalled":
        assert status.plan is not None
        assert status.plan.spent


def heal(operator: Operator) -> None:
    """Stop the faults: what may be waited for is lifted, and nobody holds anything back."""
    cloud = operator.cloud
    operator.world.clear()
    cloud.locks = tuple(lock for lock in cloud.locks if lock.reason == "InstanceReplacing")
    now = operator.subject
    operator.subject = replace(now, annotations={}, spec=spec(imageId=now.spec.image_id))


def check(operator: Operator) -> None:
    """What holds at any time: no disk twice, no plan twice, an unknown outcome keeps its token."""
    replaced = [old for old, _ in operator.cloud.replacements]
    assert len(replaced) == len(set(replaced))
    done = [e.plan_id for e in operator.subject.status.history if e.new_disk_id]
    assert len(done) == len(set(done))
    op = operator.subject.status.operation
    if op is not None and op.step is Step.REPLACE and op.outcome is Outcome.UNKNOWN:
        assert op.first_try_at is not None
        assert op.ending is None


@settings(max_examples=80, deadline=None)
@given(moves=st.lists(MOVES, max_size=25))
def test_a_machine_that_the_operator_stopped_runs_again_whatever_happens(
    moves: list[tuple[str, Any]],
) -> None:
    """I3: nobody else touches the power here, so it must be running at the end."""
    operator = Operator(Cloud(), subject())
    for kind, value in moves:
        if operator.gone:
            break
        if kind != "power":
            move(operator, kind, value)
    gone = operator.gone
    heal(operator)
    if not gone:
        operator.settle()
    operator.cloud.wait(timedelta(minutes=1))
    assert operator.cloud.power == "Running"
