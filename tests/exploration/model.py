"""What can happen next: the atomic steps of a pass, the cloud's work, faults, and people's edits.

A pass is cut where others can come in between: it reads and decides; it puts the finalizer on; it
records the intent; its request arrives; what the answer taught is recorded; the finalizer goes off.
Each write to the API server is refused when anybody wrote since the pass read. (Reading, looking
and deciding are one step: whatever comes in between them either changes the record, and the write
is refused, or is seen.)

Without faults everything that can act does so before time passes. A process that is slow is a fault
(`freeze`), and so is a cloud that is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sysdisk.api.reasons import Reason
from sysdisk.api.status import Outcome
from sysdisk.controllers import reconcile, stops
from sysdisk.core.answers import ErrorClass
from tests.exploration import cloud as toy
from tests.exploration.book import Book, Record, Seen, unknown, watched
from tests.exploration.cloud import Ask, Broken, Cloud, Reply

FENCE: Final = int(reconcile.FENCE_SECONDS)
DECISION_HOLDS: Final = int(reconcile.DECISION_HOLDS)
STRAY_FOR: Final = int(stops.STRAY_FOR)

UNANSWERED: Final = 1_000_000
"""A stop whose answer is still to come is remembered without an end."""

LONG_FROZEN: Final = 70
"""Seconds that a frozen process may sleep through while nothing else happens."""


class Phase(NamedTuple):
    """Where a pass stands: what it will do next, and what it knows."""

    at: str
    """`add`, `refinalize`, `write`, `send`, `learn`, `end`."""
    current: bool
    """Nobody has written since this pass read, or wrote."""
    basis: Record
    """The record as the pass took it."""
    kind: str
    reason: Reason
    status: int = 0
    """What it records."""
    ask: Ask | None = None
    seen: Seen | None = None
    before: int = 0
    intent: int = 0
    learned: int = 0
    fence: int = FENCE
    holds: int = DECISION_HOLDS
    """For how many seconds more the decision may be acted upon."""


class Agent(NamedTuple):
    """One process's share in one spec: the pass that it is in, and what it remembers."""

    phase: Phase | None = None
    note: tuple[int, int] | None = None
    """An intent, and what was learned of it and not recorded."""
    stop: tuple[int, int] | None = None
    """The operation of a stop that was sent, and for how many seconds it is remembered."""
    cached: Record | None = None
    """An older record that it believes to be current."""


class Operator(NamedTuple):
    """One process. `frozen`: 0 not, 1 stopped, 2 stopped for long."""

    agents: tuple[Agent, ...]
    frozen: int = 0


class State(NamedTuple):
    """Everything there is."""

    cloud: Cloud
    records: tuple[Record | None, ...]
    operators: tuple[Operator, ...]
    secret: int = 0


Next = tuple[str, State]
AT_REST: Final = Agent()


class Model:
    """The rules of what happens. `late`: for how many seconds a request may be on its way."""

    def __init__(self, book: Book, *, late: int) -> None:
        self.book = book
        self.late = late

    # -- without faults ------------------------------------------------------------------------

    def steps(self, state: State) -> list[Next]:
        """Return what happens next where nothing goes wrong; nothing: it rests for good."""
        found: list[Next] = []
        for o, operator in enumerate(state.operators):
            if operator.frozen:
                continue
            for k, agent in enumerate(operator.agents):
                found.extend(self._act(state, o, k))
                if agent.cached is not None and agent.phase is None:
                    fresh = _with_agent(state, o, k, agent._replace(cached=None))
                    found.append((f"{_who(o, k)} hears of the newer record", fresh))
        busy = bool(found)
        for flight in dict.fromkeys(state.cloud.flights):
            cloud = toy.arrive(state.cloud, flight)
            found.append(
                (
                    f"the late {flight.ask.verb} arrives: {_shown(cloud)}",
                    state._replace(cloud=cloud),
                )
            )
        for o, operator in enumerate(state.operators):
            if operator.frozen:
                thawed = _with_operator(state, o, operator._replace(frozen=0))
                found.append((f"operator {_name(o)} is resumed", thawed))
        if not busy:
            found.extend(self._work(state) if toy.busy(state.cloud) else self._tick(state))
        return found

    def _work(self, state: State) -> Iterator[Next]:
        later = self.later(state, toy.busy(state.cloud))
        cloud = toy.finish(later.cloud)
        yield f"the cloud's work is done: {_shown(cloud)}", later._replace(cloud=cloud)

    def _tick(self, state: State) -> Iterator[Next]:
        """Let time pass until somebody has something to do."""
        spans = {s for r in state.records if r for s in self.book.due(r.status)}
        spans |= {flight.left for flight in state.cloud.flights}
        agents = [a for o in state.operators if not o.frozen for a in o.agents]
        spans |= {a.stop[1] for a in agents if a.stop and 0 < a.stop[1] < UNANSWERED}
        frozen = [o for o in state.operators if o.frozen and any(a.phase for a in o.agents)]
        for span in sorted(spans):
            later = self.later(state, span)
            if self._awake(later) or later.cloud.flights != _aged_flights(state, span):
                yield f"{span} s pass", later
                break
        if any(o.frozen == 1 for o in frozen):
            long = self.later(state, LONG_FROZEN)
            slept = tuple(o._replace(frozen=2 if o.frozen else 0) for o in long.operators)
            yield f"{LONG_FROZEN} s pass in the sleep", long._replace(operators=slept)

    def _awake(self, state: State) -> bool:
        return any(
            True
            for o, operator in enumerate(state.operators)
            if not operator.frozen
            for k in range(len(operator.agents))
            for _ in self._act(state, o, k)
        )

    def later(self, state: State, seconds: int) -> State:
        """Return `state` so much later; nothing else happened."""
        older = self.book.older
        return state._replace(
            cloud=toy.wait(state.cloud, seconds),
            records=tuple(
                r._replace(status=older(r.status, seconds)) if r else None for r in state.records
            ),
            operators=tuple(
                o._replace(agents=tuple(self._older(a, seconds) for a in o.agents))
                for o in state.operators
            ),
        )

    def _older(self, agent: Agent, seconds: int) -> Agent:
        if agent is AT_REST or agent == AT_REST:
            return AT_REST
        older, phase = self.book.older, agent.phase
        if phase is not None:
            phase = phase._replace(
                basis=phase.basis._replace(status=older(phase.basis.status, seconds)),
                status=older(phase.status, seconds),
                before=older(phase.before, seconds),
                intent=older(phase.intent, seconds),
                learned=older(phase.learned, seconds),
                fence=max(phase.fence - seconds, 0),
                holds=max(phase.holds - seconds, 0),
            )
        note, cached, stop = agent.note, agent.cached, agent.stop
        if stop is not None:
            left = max(stop[1] - seconds, 0) if stop[1] < UNANSWERED else UNANSWERED
            stop = (older(stop[0], seconds), left)
        return Agent(
            phase,
            (older(note[0], seconds), older(note[1], seconds)) if note else None,
            stop,
            cached._replace(status=older(cached.status, seconds)) if cached else None,
        )

    # -- a pass --------------------------------------------------------------------------------

    def _act(self, state: State, o: int, k: int) -> Iterator[Next]:
        agent = state.operators[o].agents[k]
        if agent.phase is None:
            after, label = self._begin(state, o, k, agent)
            if after != state:
                yield f"{_who(o, k)} {label}", after
            return
        match agent.phase.at:
            case "add" | "refinalize":
                yield self._finalizer(state, o, k, agent, agent.phase)
            case "write":
                yield self._write(state, o, k, agent, agent.phase)
            case "send":
                yield self._send(state, o, k, agent, agent.phase)
            case "learn":
                yield self._learn(state, o, k, agent, agent.phase)
            case "end":
                yield self._end(state, o, k, agent, agent.phase)

    def _begin(self, state: State, o: int, k: int, agent: Agent) -> tuple[State, str]:
        """Read, look and decide: reconcile's way up to its first write."""
        record = agent.cached or state.records[k]
        if record is None:
            return _with_agent(state, o, k, AT_REST), "forgets the object"
        book, status, note, stop = self.book, record.status, agent.note, agent.stop
        if note is not None:
            if book.op(status) == book.op(note[0]):
                status = book.with_op(status, note[1])
            else:
                note = None
        if stop is not None and book.op(status) is None:
            if state.cloud.power != toy.RUNNING and not self._see(state, k).rival:
                status = book.stray(status, stop[0])
            elif stop[1] <= 0 and state.cloud.power == toy.RUNNING:
                stop = None
        agent = agent._replace(note=note, stop=stop)
        basis = record._replace(status=status)
        return self._decide(state, o, k, agent, basis, self._see(state, k), agent.cached is None)

    def _see(self, state: State, k: int) -> Seen:
        cloud = state.cloud
        other = state.records[1 - k] if len(state.records) > 1 else None
        rival: bool | None = None
        if other is not None:
            under_way = self.book.op(other.status) is not None
            rival = under_way if under_way or not other.deleting else None
        locked = cloud.work is not None and cloud.work.shows
        return Seen(cloud.power, locked, cloud.disk, cloud.image, state.secret, rival)

    def _decide(
        self, state: State, o: int, k: int, agent: Agent, basis: Record, seen: Seen, current: bool
    ) -> tuple[State, str]:
        found = self.book.decide(k, basis, seen)
        phase = Phase(
            "write", current, basis, found.kind, found.reason, found.status, found.ask, seen
        )
        op = self.book.op(found.status)
        if found.kind == "nothing" and found.status == basis.status:
            return _with_agent(state, o, k, agent._replace(phase=None)), "has nothing to do"
        if found.kind == "add":
            phase = phase._replace(at="add")
        elif found.kind != "end" and op is not None and not basis.finalizer and not basis.deleting:
            phase = phase._replace(at="refinalize")
        if phase.at != "add":
            phase = phase._replace(seen=None)
        what = found.ask.verb if found.ask else found.kind
        return (
            _with_agent(state, o, k, agent._replace(phase=phase)),
            f"reads, looks, decides: {found.reason} ({what})",
        )

    def _finalizer(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        if not phase.current:
            return self._conflict(state, o, k, agent)
        record = state.records[k]
        assert record is not None
        state = self._commit(state, o, k, record._replace(finalizer=True))
        basis = phase.basis._replace(finalizer=True)
        if phase.at == "add":
            assert phase.seen is not None
            state, label = self._decide(state, o, k, agent, basis, phase.seen, True)
            return f"{_who(o, k)} puts the finalizer on; {label}", state
        again = agent._replace(phase=phase._replace(at="write", basis=basis))
        return f"{_who(o, k)} puts the finalizer back", _with_agent(state, o, k, again)

    def _write(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        changed = phase.status != phase.basis.status or phase.ask is not None
        if changed:
            if not phase.current:
                return self._conflict(state, o, k, agent)
            record = state.records[k]
            assert record is not None
            if phase.ask is not None:
                self._check_intent(state, record, phase)
            state = self._commit(state, o, k, record._replace(status=phase.status))
        if phase.kind == "end" and agent.stop is not None and agent.stop[1] <= 0:
            agent = agent._replace(stop=None)
        if phase.kind == "end" and phase.basis.finalizer:
            agent = agent._replace(phase=phase._replace(at="end"))
            return f"{_who(o, k)} records the end", _with_agent(state, o, k, agent)
        if phase.ask is None:
            return f"{_who(o, k)} records it", _with_agent(
                state, o, k, agent._replace(phase=None, cached=None)
            )
        return self._intended(state, o, k, agent, phase)

    def _intended(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        ask, op = phase.ask, self.book.op(phase.status)
        was = self.book.op(phase.basis.status)
        assert ask is not None
        assert op is not None
        intent = self.book.only(op)
        before = self.book.only(was) if was is not None else 0
        phase = phase._replace(
            at="send",
            intent=intent,
            before=before,
            fence=min(FENCE, phase.holds),
            basis=phase.basis._replace(status=phase.status),
        )
        stop = (intent, UNANSWERED) if ask.verb == "Stop" else agent.stop
        agent = agent._replace(phase=phase, stop=stop, cached=None)
        return f"{_who(o, k)} records the intent to {ask.verb}", _with_agent(state, o, k, agent)

    def _send(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        assert phase.ask is not None
        if phase.fence <= 0:
            after = self._answered(state, o, k, agent, phase, "NotSent")
            return f"{_who(o, k)} drops {phase.ask.verb}: the fence has fallen", after
        cloud, reply = toy.serve(state.cloud, phase.ask)
        after = self._answered(state._replace(cloud=cloud), o, k, agent, phase, reply)
        said = reply.code or "accepted"
        return f"{_who(o, k)} sends {phase.ask.verb}: {said}; {_shown(cloud)}", after

    def _answered(
        self, state: State, o: int, k: int, agent: Agent, phase: Phase, reply: Reply | str
    ) -> State:
        assert phase.ask is not None
        learned, news = self.book.learn(phase.before, phase.intent, phase.ask, reply)
        if phase.ask.verb == "Stop":
            agent = agent._replace(stop=self._stop_answered(phase.intent, reply))
        if not news:
            note = (phase.intent, learned)
            return _with_agent(state, o, k, agent._replace(phase=None, note=note))
        phase = phase._replace(at="learn", learned=learned, before=0, fence=0)
        return _with_agent(state, o, k, agent._replace(phase=phase))

    def _stop_answered(self, intent: int, reply: Reply | str) -> tuple[int, int] | None:
        """Return what is remembered of a stop that was answered so."""
        op = self.book.op(intent)
        first = op is not None and op.tries == 1
        if reply == "NotSent":
            return None
        if isinstance(reply, Reply) and first:
            return (intent, 0) if reply.kind is None else None
        return intent, STRAY_FOR

    def _learn(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        record, book, idle = state.records[k], self.book, agent._replace(phase=None)
        basis = phase.basis
        if not phase.current:
            if record is None or book.op(record.status) != book.op(phase.intent):
                return f"{_who(o, k)} finds its answer overtaken", _with_agent(state, o, k, idle)
            basis = record
        told = book.tell(k, basis, phase.reason, phase.intent, phase.learned)
        assert record is not None
        state = self._commit(state, o, k, record._replace(status=told))
        return f"{_who(o, k)} records what it learned", _with_agent(state, o, k, idle)

    def _end(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        if not phase.current:
            return self._conflict(state, o, k, agent)
        record = state.records[k]
        assert record is not None
        if record.deleting:
            state = self._commit(state, o, k, None)
            gone = _with_agent(state, o, k, AT_REST)
            return f"{_who(o, k)} takes the finalizer off: the object is gone", gone
        state = self._commit(state, o, k, record._replace(finalizer=False))
        idle = agent._replace(phase=None, cached=None)
        return f"{_who(o, k)} takes the finalizer off", _with_agent(state, o, k, idle)

    def _conflict(self, state: State, o: int, k: int, agent: Agent) -> Next:
        idle = agent._replace(phase=None, cached=None)
        return f"{_who(o, k)} meets a conflict, nothing was written", _with_agent(state, o, k, idle)

    def _commit(self, state: State, writer: int, k: int, record: Record | None) -> State:
        """Store `record`: who read an earlier version will meet a conflict."""
        operators = list(state.operators)
        for o, operator in enumerate(operators):
            phase = operator.agents[k].phase
            if o == writer or phase is None or not phase.current:
                continue
            stale = operator.agents[k]._replace(phase=phase._replace(current=False))
            operators[o] = operator._replace(agents=_put(operator.agents, k, stale))
        records = tuple(record if i == k else r for i, r in enumerate(state.records))
        return state._replace(records=records, operators=tuple(operators))

    # -- faults and edits ----------------------------------------------------------------------

    def faults(self, state: State) -> Iterator[Next]:
        """Yield what may go wrong in `state`, each at the price of one fault."""
        for o, operator in enumerate(state.operators):
            if any(a != AT_REST for a in operator.agents):
                nobody = Operator(tuple(AT_REST for _ in operator.agents))
                yield (
                    f"operator {_name(o)} crashes and comes back",
                    _with_operator(state, o, nobody),
                )
            if not operator.frozen:
                frozen = _with_operator(state, o, operator._replace(frozen=1))
                yield f"operator {_name(o)} freezes", frozen
            if operator.frozen:
                continue
            for k, agent in enumerate(operator.agents):
                if agent.phase is not None and agent.phase.at == "send" and agent.phase.fence > 0:
                    yield from self._lost(state, o, k, agent, agent.phase)
                yield from self._missed(state, o, k, agent)
        yield from self._from_outside(state)

    def _lost(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Iterator[Next]:
        ask, who = phase.ask, _who(o, k)
        assert ask is not None
        cloud, _ = toy.serve(state.cloud, ask)
        late = toy.depart(state.cloud, ask, self.late)
        kinds: list[tuple[str, Cloud, Reply | str]] = [
            ("the request is lost, or a 5xx before its effect", state.cloud, "Unknown"),
            ("the answer is lost, or a 5xx after the effect", cloud, "Unknown"),
            ("throttled", state.cloud, Reply("Throttling.User", ErrorClass.RETRY)),
            ("refused for now", state.cloud, toy.WAIT),
            ("refused for good", state.cloud, Reply("INST_HAS_UNPAID_ORDER", ErrorClass.USER)),
        ]
        if ask.verb != "Replace" or ask.old_disk == state.cloud.disk:
            kinds.append(("nobody answers, and the request is late", late, "Unknown"))
        for what, after, reply in kinds:
            answered = self._answered(state._replace(cloud=after), o, k, agent, phase, reply)
            yield f"{who} sends {ask.verb}: {what}; {_shown(after)}", answered

    def _missed(self, state: State, o: int, k: int, agent: Agent) -> Iterator[Next]:
        """Somebody's write to metadata: the pass's next write is refused."""
        if agent.phase is not None and agent.phase.current:
            phase = agent.phase._replace(current=False)
            yield (
                f"somebody labels the object that {_who(o, k)} has read",
                _with_agent(state, o, k, agent._replace(phase=phase)),
            )

    def _from_outside(self, state: State) -> Iterator[Next]:
        cloud = state.cloud
        if state.secret < 1:
            yield "the Secret is rotated", state._replace(secret=state.secret + 1)
        if cloud.power == toy.STOPPED and cloud.work is None:
            started = cloud._replace(power=toy.STARTING, ours=False, ran=True)
            yield "somebody starts the machine by hand", state._replace(cloud=started)
            for image in ("m-9", "m-2") if not cloud.flights else ():
                swapped = toy.by_hand(cloud, image)
                yield (
                    f"somebody replaces the disk by hand, with {image}",
                    state._replace(cloud=swapped),
                )
        if toy.busy(cloud):
            for label, later in self._tick(state):
                yield f"the cloud is slow: {label}", later

    def edits(self, state: State) -> Iterator[Next]:
        """Yield what people may do to the specs, each at the price of one edit."""
        for k, record in enumerate(state.records):
            if record is None or record.deleting:
                continue
            newer = record._replace(generation=record.generation + 1)
            changes: list[tuple[str, Record | None]] = [
                (f"wants {image}", newer._replace(image=image))
                for image in ("m-1", "m-2", "m-3")
                if image != record.image
            ]
            suspended = not record.suspended
            word = "suspends" if suspended else "resumes"
            changes.append((word, newer._replace(suspended=suspended)))
            guarded = not record.protected
            word = "protects" if guarded else "unprotects"
            changes.append((word, record._replace(protected=guarded)))
            gone = newer._replace(deleting=True) if record.finalizer else None
            changes.append(("deletes", gone))
            for what, edited in changes:
                yield f"somebody {what} spec {k + 1}", self._commit(state, -1, k, edited)

    def missed_events(self, before: State, after: State) -> Iterator[Next]:
        """Yield `after` where a process has not heard of a write that was made: a stale read."""
        for k, (was, now) in enumerate(zip(before.records, after.records, strict=True)):
            if was is None or was == now:
                continue
            for o, operator in enumerate(after.operators):
                agent = operator.agents[k]
                mine = before.operators[o].agents[k].phase != agent.phase
                if agent.phase is None and agent.cached is None and not mine:
                    deaf = _with_agent(after, o, k, agent._replace(cached=was))
                    yield f"{_who(o, k)} does not hear of it", deaf

    # -- invariants ----------------------------------------------------------------------------

    def _check_intent(self, state: State, record: Record, phase: Phase) -> None:
        """Hold an intent to the record that it is written onto, the newest there is."""
        ask, was = phase.ask, self.book.op(phase.basis.status)
        op = self.book.op(phase.status)
        assert ask is not None
        assert op is not None
        if ask.verb == "Start" and op.new_disk_id is None:
            if was is not None and unknown(was) and not watched(was):
                raise Broken("I3: a start while the outcome of the replacement is unknown")
            if state.cloud.work is not None or _flying(state.cloud, "Replace"):
                raise Broken("I3: a start while a replacement may still come true")
        if ask.verb == "Replace" and not (was is not None and unknown(was)):
            if record.protected or record.suspended or record.deleting:
                raise Broken("I1: a replacement begins although it was said not to")
            if ask.image != record.image:
                raise Broken(f"I1: {ask.image} is asked for, and nobody wants it")
        if ask.verb == "Replace" and op.outcome is not Outcome.UNKNOWN:
            raise Broken("I2: the intent does not say that its outcome is unknown")

    def check(self, state: State) -> str | None:
        """Return which invariant `state` breaks, None: it holds them all."""
        cloud = state.cloud
        if not (cloud.ours and cloud.power in (toy.STOPPING, toy.STOPPED)):
            return None
        if any(r is not None and self._owes(r.status) for r in state.records):
            return None
        for operator in state.operators:
            for agent in operator.agents:
                if agent.stop is not None:
                    return None
                if agent.phase is not None and self._owes(agent.phase.status):
                    return None
        return f"I3: the machine is {cloud.power}, stopped by us, and nobody owes it a start"

    def _owes(self, status: int) -> bool:
        op = self.book.op(status)
        return op is not None and op.stopped_by_us

    def judge_rest(self, state: State) -> str | None:
        """Return what is wrong with a `state` that rests for good, None: all is well."""
        cloud = state.cloud
        if cloud.ran and cloud.power != toy.RUNNING:
            return f"I3: at rest, and the machine is {cloud.power}"
        for k, record in enumerate(state.records):
            if record is None:
                continue
            status = self.book.status(record.status)
            if status.operation is not None:
                return f"I8: spec {k + 1} rests in step {status.operation.step}"
            if record.finalizer or record.deleting:
                return f"I8: spec {k + 1} keeps its finalizer at rest"
            ready = status.condition("Ready")
            if ready is None or ready.reason not in RESTING:
                return f"I8: spec {k + 1} rests as {ready and ready.reason}"
            if ready.reason == Reason.UP_TO_DATE and record.image != cloud.image:
                return f"I8: spec {k + 1} says UpToDate and the machine has {cloud.image}"
        return None


RESTING: Final = frozenset(
    {
        Reason.UP_TO_DATE,
        Reason.DRIFTED,
        Reason.SUSPENDED,
        Reason.PROTECTED,
        Reason.PLAN_SPENT,
        Reason.INSTANCE_OWNED,
    }
)


def _flying(cloud: Cloud, verb: str) -> bool:
    return any(flight.ask.verb == verb for flight in cloud.flights)


def _aged_flights(state: State, seconds: int) -> tuple[toy.Flight, ...]:
    return tuple(f._replace(left=f.left - seconds) for f in state.cloud.flights)


def _with_agent(state: State, o: int, k: int, agent: Agent) -> State:
    operator = state.operators[o]
    return _with_operator(state, o, operator._replace(agents=_put(operator.agents, k, agent)))


def _with_operator(state: State, o: int, operator: Operator) -> State:
    operators = tuple(operator if i == o else other for i, other in enumerate(state.operators))
    return state._replace(operators=operators)


def _put(agents: tuple[Agent, ...], k: int, agent: Agent) -> tuple[Agent, ...]:
    return tuple(agent if i == k else other for i, other in enumerate(agents))


def _name(o: int) -> str:
    return "AB"[o]


def _who(o: int, k: int) -> str:
    return f"{_name(o)}:{k + 1}"


def _shown(cloud: Cloud) -> str:
    return f"machine {cloud.power}, {cloud.disk}"


def beginning(*, operators: int, specs: int, running: bool) -> State:
    """Return the state in which everything begins: specs just applied, the machine on m-1."""
    wanted = ("m-2", "m-3")
    power = toy.RUNNING if running else toy.STOPPED
    return State(
        Cloud(power, ran=running),
        tuple(Record(wanted[k]) for k in range(specs)),
        tuple(Operator(tuple(AT_REST for _ in range(specs))) for _ in range(operators)),
    )


Judge = Callable[[State], str | None]
