"""One pass: read, observe, decide, record the intent, act, record what the answer taught.

A pass may begin at any time, twice, or after an end anywhere. Nothing that it keeps in memory
matters for safety: what it keeps saves a write or gives a machine back sooner.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol, assert_never

from sysdisk.api.conditions import Kind
from sysdisk.api.meta import ANNOTATION_APPROVE, ANNOTATION_APPROVED_BY
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import StoppedMode
from sysdisk.api.status import Operation, SystemDiskSpecStatus
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.observe import Eyes, with_counts
from sysdisk.controllers.pace import Pace
from sysdisk.controllers.recorder import Recorder, Unreadable, read_subject, stand_in
from sysdisk.controllers.stops import STRAY_LOOK, Stops
from sysdisk.controllers.store import AccountKey, AnyKey, Store
from sysdisk.controllers.subjects import Subjects
from sysdisk.core.answers import Accepted, Answer, NotSent
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    POLL,
    RESYNC,
    SETTLE,
    AddFinalizer,
    ApplyAutoSnapshotPolicy,
    CreateSnapshot,
    Decision,
    DropApproval,
    Event,
    Key,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.not_ours import not_understood
from sysdisk.core.orders import ORDERS
from sysdisk.core.outcome import is_news, learn
from sysdisk.core.stray import stray_stop
from sysdisk.core.tell import tell
from sysdisk.core.world import Observed, Power
from sysdisk.ecs.account import RegionClient
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.scrub import Scrubber
from sysdisk.kube.errors import Conflict, KubeError, NotThere
from sysdisk.kube.port import Kube

log = logging.getLogger(__name__)

FENCE_SECONDS: Final = 5.0
"""A write to ECS leaves within this time of the answer to its own status write, or not at all."""

DECISION_HOLDS: Final = 15.0
"""Nor does it leave later than so long after it was decided: the times in its intent are of then,
and others wait by them for a stop that may still come true (found by exploration)."""

RECORD_TRIES: Final = 5
LOOKS_AT_MOST: Final = 12
BLINK: Final = timedelta(seconds=2)
BLINK_SECONDS: Final = 20.0
"""How long ECS may not answer before a spec says so: conditions must not flap with the network."""

HELD_AT_LEAST: Final = 1.0
"""Seconds; a write that has to wait longer for its turn is not recorded yet."""

_ACTIONS: Final = {
    CreateSnapshot: "CreateSnapshot",
    StopInstance: "StopInstance",
    ReplaceSystemDisk: "ReplaceSystemDisk",
    StartInstance: "StartInstance",
    ApplyAutoSnapshotPolicy: "ApplyAutoSnapshotPolicy",
}


class Witness(Protocol):
    """Who is told what a pass decided: events, metrics. Never raises, never waits."""

    def event(self, subject: Subject, event: Event) -> None: ...

    def ended(self, result: str, steps: Mapping[str, int]) -> None: ...


class Reconciler:
    """The passes over specs and accounts, with what they need."""

    def __init__(
        self,
        kube: Kube,
        specs: Store[Key],
        accounts: Accounts,
        witness: Witness,
        *,
        clock: Clock,
        scrubber: Scrubber,
        poll_interval: timedelta,
        resync_interval: timedelta,
        may_act: Callable[[], bool] = lambda: True,
        wake: Callable[[AnyKey], None] = lambda _key: None,
        dry_run: bool = False,
    ) -> None:
        self._kube = kube
        self._specs = specs
        self._accounts = accounts
        self._witness = witness
        self._clock = clock
        self._scrubber = scrubber
        self._resync = resync_interval
        self._may_act = may_act
        self._wake = wake
        self._dry_run = dry_run
        self._recorder = Recorder(kube, specs, wake)
        self._subjects = Subjects(specs)
        self._pace = Pace(poll_interval, clock.monotonic)
        self._notes: dict[Key, tuple[Operation, Operation]] = {}
        self._stops = Stops(accounts, specs, clock.monotonic)
        self._stale: set[Key] = set()
        self._said: dict[Key, Reason] = {}
        self._failing: dict[Key, float] = {}
        self._counted: dict[Key, str] = {}
        """First sights that the account knows and whose intent is not recorded yet."""
        self._watched: dict[Key, tuple[str, str, str]] = {}
        self._watchers: Counter[tuple[str, str, str]] = Counter()

    async def account_pass(self, name: str) -> timedelta | None:
        """Take the account's next step. None: it is gone. Raises KubeError."""
        return await self._accounts.account_pass(name)

    async def reconcile(self, key: Key) -> timedelta | None:
        """Take the next step of `key`; return how long to rest, None if it is gone.

        Raises KubeError (Conflict among them: somebody wrote first, nothing was done) and EcsError.
        """
        try:
            return await self._pass(key)
        except Conflict:
            self._stale.add(key)
            raise
        except NotThere:
            gone = await self._recorder.read_again(key) is None
            return await self._stops.rest_of(key) if gone else timedelta(0)
        finally:
            self._accounts.free(key)

    async def _pass(self, key: Key) -> timedelta | None:
        try:
            subject = await self._read(key)
        except Unreadable as exc:
            return await self._tell_unreadable(key, exc)
        if subject is None:
            self._forget(key)
            return await self._stops.rest_of(key)
        begun = self._clock.monotonic()
        subject = self._noted(subject)
        eyes = Eyes(self._kube, self._accounts, self._specs, begun, dry_run=self._dry_run)
        observed = await eyes.first(subject)
        if observed.account is not None and eyes.region is not None:
            place = (observed.account.name, observed.account.region_id, subject.spec.instance_id)
            self._watch(key, place)
        subject = self._with_policies(subject, observed)
        return await self._step(subject, eyes, observed)

    async def _read(self, key: Key) -> Subject | None:
        """Return the record: the watch's copy, or a fresh one after somebody else wrote.

        Raises Unreadable.
        """
        if key in self._stale:
            await self._recorder.read_again(key)
            self._stale.discard(key)
        return self._subjects.get(key)

    async def _tell_unreadable(self, key: Key, exc: Unreadable) -> timedelta | None:
        """Say in the object that nothing is done about it, and why: a person is needed."""
        body = self._specs.get(key)
        if body is None:
            return None
        subject, record = stand_in(key, body), (body.get("status") or {}).get("operation") or {}
        stopped = bool(record.get("stoppedByUs"))
        decision = not_understood(subject, str(exc), self._clock.now(), stopped=stopped)
        await self._recorder.tell(subject, decision.status)
        self._say(subject, decision)
        return self._resync

    def _forget(self, key: Key) -> None:
        for memory in (self._notes, self._said, self._failing, self._counted):
            memory.pop(key, None)
        self._stale.discard(key)
        self._watch(key, None)

    def _watch(self, key: Key, place: tuple[str, str, str] | None) -> None:
        """Have the instance at `place` (account, region, instance) swept for `key`, no other."""
        was = self._watched.get(key)
        if was == place:
            return
        self._watched.pop(key, None)
        if place is not None:
            self._watched[key] = place
            self._watchers[place] += 1
        if was is None:
            return
        self._watchers[was] -= 1
        if not self._watchers[was]:
            del self._watchers[was]
            account, region_id, instance_id = was
            known = self._accounts.all.get(account)
            region = known.client.regions.get(region_id) if known else None
            if region is not None:
                region.inventory.unregister(instance_id)

    def _noted(self, subject: Subject) -> Subject:
        """Return `subject` with what its last write taught and was not worth recording at once."""
        note = self._notes.get(subject.key)
        op = subject.status.operation
        if note is None or op != note[0]:
            self._notes.pop(subject.key, None)
            return subject
        return replace(subject, status=subject.status.replace(operation=note[1]))

    def _with_policies(self, subject: Subject, observed: Observed) -> Subject:
        spec = self._accounts.spec(observed.account.name) if observed.account else None
        if spec is None:
            return subject
        return replace(subject, defaults=spec.defaults, require=spec.require)

    # -- from the decision to the deed ---------------------------------------------------------

    async def _step(self, subject: Subject, eyes: Eyes, observed: Observed) -> timedelta | None:
        subject, observed = await self._stray(subject, eyes, observed)
        for _ in range(LOOKS_AT_MOST):
            observed = await eyes.account(subject, observed)
            decided = self._clock.monotonic()
            decision = self._decide(subject, _with_turns(observed, eyes.region))
            match decision.action:
                case Look() as look:
                    observed = await eyes.look(subject, observed, look)
                    if observed.failure and self._blinked(subject, observed):
                        return BLINK
                case AddFinalizer():
                    subject = await self._add_finalizer(subject, observed)
                case _:
                    if not observed.failure:
                        self._failing.pop(subject.key, None)
                    return await self._carry_out(subject, decision, eyes, decided)
        log.error("a pass asked for too many looks", extra={"key": str(subject.key)})
        return self._resync

    def _blinked(self, subject: Subject, observed: Observed) -> bool:
        """Whether that ECS could not be asked is nothing to tell yet: at rest, for a while.

        With an operation under way the core decides, by the operation's own times. What only a
        person can cure is told at once.
        """
        if observed.account is not None and observed.refused is None:
            self._accounts.doubt(observed.account.name)
        if subject.status.operation is not None or observed.refused is not None:
            return False
        now = self._clock.monotonic()
        return now - self._failing.setdefault(subject.key, now) < BLINK_SECONDS

    def _decide(self, subject: Subject, observed: Observed) -> Decision:
        """Decide on the account's present count; take a place in it before anything is awaited."""
        account = observed.account
        if account is not None:
            counted = self._accounts.under_way(account.name, subject.key)
            observed = with_counts(observed, account, counted)
        decision = decide(subject, observed, self._clock.now())
        opens = isinstance(decision.action, AddFinalizer) or (
            subject.status.operation is None and decision.status.operation is not None
        )
        if opens and account is not None:
            self._accounts.reserve(account.name, subject.key)
        return decision

    async def _stray(
        self, subject: Subject, eyes: Eyes, observed: Observed
    ) -> tuple[Subject, Observed]:
        """Take up a stop of ours that took effect outside any recorded operation (I3).

        What was sent is remembered until the operation ends in this process, or the machine was
        seen running for so long that no stop can be under way any more.
        """
        sent = self._stops.get(subject.key)
        if sent is None or subject.status.operation is not None:
            return subject, observed
        observed = await eyes.look(subject, observed, Look(fresh=True))
        if observed.instance is None or any(claim.under_way for claim in observed.claims):
            return subject, observed  # another spec's operation has stopped it, and owes the start
        if observed.instance.power is not Power.RUNNING:
            now = self._clock.now()
            owed = sent.intent.replace(step_at=now, last_try_at=now)
            return replace(subject, status=stray_stop(subject.status, owed)), observed
        self._stops.settle(subject.key)
        return subject, observed

    async def _add_finalizer(self, subject: Subject, observed: Observed) -> Subject:
        """Hold account and object, in this order, before the intent; what was ordered goes along:
        it is on record."""
        if observed.account is not None:
            await self._accounts.recorder.hold(observed.account.name)
        used = {order: None for order in ORDERS if order in subject.annotations}
        version = await self._recorder.set_finalizer(subject, True, used or None)
        if version is None:
            raise NotThere("the object is gone", code=404)
        # The orders still hold for this pass: its next decision is the one that obeys them.
        return replace(subject, resource_version=version, has_finalizer=True, orders_taken=True)

    async def _carry_out(
        self, subject: Subject, decision: Decision, eyes: Eyes, decided: float
    ) -> timedelta | None:
        match decision.action:
            case Nothing():
                if decision.status.operation is not None:
                    subject = await self._with_finalizer(subject)
                await self._record(subject, decision)
            case RemoveFinalizer():
                return await self._end(subject, decision)
            case DropApproval():
                await self._drop_approval(await self._record(subject, decision))
            case (
                CreateSnapshot()
                | StopInstance()
                | ReplaceSystemDisk()
                | StartInstance()
                | ApplyAutoSnapshotPolicy()
            ):
                return await self._write(subject, decision, eyes, decided)
            case Look() | AddFinalizer():
                raise AssertionError("handled by the caller")
            case _:
                assert_never(decision.action)
        return self._pause(subject, decision)

    async def _drop_approval(self, subject: Subject) -> None:
        """Take a lapsed approval off, so that a new one can be told from it."""
        both = {ANNOTATION_APPROVE: None, ANNOTATION_APPROVED_BY: None}
        await self._recorder.annotate(subject, both)

    async def _with_finalizer(self, subject: Subject) -> Subject:
        """Put the finalizer back where it is missing under an operation."""
        if subject.has_finalizer or subject.deleting:
            return subject
        version = await self._recorder.set_finalizer(subject, True)
        return replace(
            subject, resource_version=version or subject.resource_version, has_finalizer=True
        )

    async def _record(self, subject: Subject, decision: Decision) -> Subject:
        """Record the decision; nothing is written where nothing changed."""
        version = await self._recorder.record(subject, decision.status, before=subject.status)
        self._say(subject, decision)
        return replace(subject, status=decision.status, resource_version=version)

    def _say(self, subject: Subject, decision: Decision) -> None:
        for event in decision.events:
            self._witness.event(subject, event)
        if self._said.get(subject.key) is not decision.reason:
            self._said[subject.key] = decision.reason
            ready = decision.status.condition(Kind.READY)
            log.info(
                "decided",
                extra={
                    "key": str(subject.key),
                    "instance_id": subject.spec.instance_id,
                    "reason": decision.reason.value,
                    "detail": ready.message if ready else None,
                },
            )

    async def _end(self, subject: Subject, decision: Decision) -> timedelta | None:
        """Record the end, then take the finalizer off, then let go of the account."""
        ended = subject.status.operation
        recorded = await self._record(subject, decision)
        self._stops.settle(subject.key)
        if ended is not None and decision.status.operation is None:
            await self._count(ended, decision.status)
        if subject.has_finalizer:
            version = await self._recorder.set_finalizer(recorded, False)
            if version is None:
                self._forget(subject.key)
                return await self._stops.rest_of(subject.key)
        self._wake(AccountKey(ended.account if ended else subject.spec.account_ref.name))
        if subject.deleting:
            return None
        return self._pause(subject, decision)

    async def _count(self, ended: Operation, status: SystemDiskSpecStatus) -> None:
        entry = status.history[-1]
        if entry.new_disk_id is not None:
            for taken in entry.steps:
                self._pace.learn(taken.step.value, float(taken.seconds))
        self._witness.ended(
            entry.result, {taken.step.value: taken.seconds for taken in entry.steps}
        )
        try:
            await self._accounts.recorder.count_result(
                ended.account, entry.result, entry.new_disk_id is not None
            )
        except KubeError:
            log.warning("result not counted yet", extra={"account": ended.account})

    # -- writes to ECS ------------------------------------------------------------------------

    async def _write(
        self, subject: Subject, decision: Decision, eyes: Eyes, decided: float
    ) -> timedelta | None:
        """Record the intent, send within the fence, record what the answer taught."""
        region, intent = eyes.region, decision.status.operation
        assert region is not None
        assert intent is not None
        subject = await self._with_finalizer(subject)
        if self._dry_run:
            return self._resync
        held = region.ready_in(_ACTIONS[type(decision.action)])
        if held > HELD_AT_LEAST or not self._may_act():
            return timedelta(seconds=HELD_AT_LEAST)  # the turn went to somebody else meanwhile
        before = subject.status.operation or intent.replace(
            outcome=None, first_try_at=None, last_try_at=None
        )
        first_sight = subject.status.operation is None and not (
            subject.status.settled or subject.status.history
        )
        if first_sight and self._counted.get(subject.key) != intent.account:
            if not await self._accounts.recorder.count_first_sight(intent.account):
                return SETTLE  # others used the hour up meanwhile: the gate tells it
            self._counted[subject.key] = intent.account
        recorded = await self._record(subject, decision)
        self._counted.pop(subject.key, None)
        not_after = min(self._clock.monotonic() + FENCE_SECONDS, decided + DECISION_HOLDS)
        if isinstance(decision.action, StopInstance):
            self._stops.leaves(subject.key, intent, decision.action.instance_id)
        answer = await self._send(recorded, decision, region, eyes, not_after)
        if isinstance(decision.action, StopInstance):
            self._stop_answered(subject.key, answer, not_after)
        log.info(
            "answered",
            extra={
                "key": str(subject.key),
                "action": _ACTIONS[type(decision.action)],
                "answer": type(answer).__name__,
                "request_id": _request_id(answer),
            },
        )
        return await self._learn(recorded, decision, before, intent, answer)

    def _stop_answered(self, key: Key, answer: Answer, not_after: float) -> None:
        """Note the answer. What took long may have taken effect after another process ended the
        operation: then the record is read afresh."""
        late = self._clock.monotonic() > not_after
        self._stops.answered(key, answer, late=late)
        if late:
            self._stale.add(key)

    async def _send(
        self,
        subject: Subject,
        decision: Decision,
        region: RegionClient,
        eyes: Eyes,
        not_after: float,
    ) -> Answer:
        if not self._may_act():
            return NotSent("this process is not the leader any more")
        op = subject.status.operation
        owed = isinstance(decision.action, StartInstance) and op is not None and op.stopped_by_us
        if not owed and not await eyes.still_granted(subject):
            return NotSent("what the EcsAccount grants has changed, or cannot be read")
        match decision.action:
            case CreateSnapshot() as ask:
                return await region.create_snapshot(
                    ask.disk_id,
                    client_token=ask.token,
                    name=ask.name,
                    description=ask.description,
                    retention_days=ask.days,
                    tags=ask.tags,
                    not_after=not_after,
                )
            case StopInstance(instance_id=instance_id, force=force, stopped_mode=mode):
                return await region.stop_instance(
                    instance_id, force=force, stopped_mode=StoppedMode(mode), not_after=not_after
                )
            case StartInstance(instance_id=instance_id):
                return await region.start_instance(instance_id, not_after=not_after)
            case ApplyAutoSnapshotPolicy(disk_id=disk_id, policy_id=policy_id):
                return await region.apply_auto_snapshot_policy(
                    policy_id, disk_id, not_after=not_after
                )
            case ReplaceSystemDisk() as swap:
                return await self._send_replace(swap, region, eyes, not_after)
            case _:
                raise AssertionError(f"{decision.action} is no write to ECS")

    async def _send_replace(
        self, ask: ReplaceSystemDisk, region: RegionClient, eyes: Eyes, not_after: float
    ) -> Answer:
        password: str | None = None
        ref = ask.inputs.password_secret_ref
        if ref is not None:
            login = eyes.login
            if login is None or login.password is None:
                return NotSent("the login Secret was not read")
            if (login.look.uid, login.look.resource_version) != (ref.uid, ref.resource_version):
                return NotSent("the login Secret is another than the intent's")
            password = login.password
        with self._scrubber.holding(password):
            return await region.replace_system_disk(
                ask.inputs,
                instance_id=ask.instance_id,
                client_token=ask.token,
                password=password,
                not_after=not_after,
            )

    async def _learn(
        self,
        subject: Subject,
        decision: Decision,
        before: Operation,
        intent: Operation,
        answer: Answer,
    ) -> timedelta:
        """Record what the answer taught, onto whatever the object has become meanwhile."""
        action = decision.action
        assert isinstance(
            action,
            CreateSnapshot
            | StopInstance
            | ReplaceSystemDisk
            | StartInstance
            | ApplyAutoSnapshotPolicy,
        )
        now = self._clock.now()
        learned = learn(before, intent, action, subject.spec.instance_id, answer, now)
        if not is_news(intent, learned, action):
            self._notes[subject.key] = (intent, learned)
            return self._pause(subject, decision)
        for _ in range(RECORD_TRIES):
            told = tell(subject, decision.reason, intent, learned, now)
            try:
                await self._record(subject, told)
            except Conflict:
                body = await self._recorder.read_again(subject.key)
                if body is None:
                    return timedelta(0)
                subject = read_subject(subject.key, body)
                if subject.status.operation != intent:
                    log.warning("answer not recorded: overtaken", extra={"key": str(subject.key)})
                    return timedelta(0)
            else:
                return self._pause(subject, told)
        log.warning("answer not recorded: too many conflicts", extra={"key": str(subject.key)})
        return timedelta(0)

    def _pause(self, subject: Subject, decision: Decision) -> timedelta:
        """Return how long to rest: as decided, while under way as learned, at rest with jitter."""
        op, rest = decision.status.operation, decision.look_again
        if op is None and subject.key in self._stops:
            return min(rest, STRAY_LOOK)
        if op is None:
            if rest >= RESYNC:
                return self._resync * (0.9 + 0.2 * self._clock.jitter())
            return rest
        if rest not in (SETTLE, POLL):
            return rest
        elapsed = max(0.0, (self._clock.now() - op.step_at).total_seconds())
        under_way = len(self._specs.operating(op.account))
        return self._pace.pause(op.step.value, elapsed, under_way)


def _with_turns(observed: Observed, region: RegionClient | None) -> Observed:
    """Return `observed` with the writes that have to wait for their turn at this very moment."""
    if region is None:
        return observed
    waits = ((action, region.ready_in(action)) for action in _ACTIONS.values())
    turns = tuple((name, timedelta(seconds=s)) for name, s in waits if s > HELD_AT_LEAST)
    return observed if turns == observed.turns else replace(observed, turns=turns)


def _request_id(answer: Answer) -> str | None:
    if isinstance(answer, Accepted):
        return answer.request_id or None
    if isinstance(answer, NotSent):
        return None
    return answer.failure.request_id or None
