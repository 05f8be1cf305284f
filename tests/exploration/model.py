"""What happens next where nothing goes wrong: the atomic steps of a pass, and the cloud's work.

A pass is cut where others can come in between: it reads and decides; it puts the finalizer on; it
records the intent; its request arrives; what the answer taught is recorded; the finalizer goes off.
Each write to the API server is refused when anybody wrote since the pass read. (Reading, looking
and deciding are one step: whatever comes in between them either changes the record, and the write
is refused, or is seen.)

Without faults everything that can act does so before time passes. A process that is slow is a fault
(`freeze`), and so is a cloud that is slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from sysdisk.controllers import stops
from tests.exploration import cloud as toy
from tests.exploration import judge
from tests.exploration.book import Book
from tests.exploration.cloud import Ask, Cloud, Reply
from tests.exploration.state import (
    AT_REST,
    DECISION_HOLDS,
    FENCE,
    Agent,
    Next,
    Part,
    Phase,
    Record,
    Seen,
    State,
    commit,
    name,
    shown,
    who,
    with_agent,
    with_operator,
)

STRAY_FOR: Final = int(stops.STRAY_FOR)

UNANSWERED: Final = 1_000_000
"""A stop whose answer is still to come is remembered without an end."""

LONG_FROZEN: Final = 70
"""Seconds that a frozen process may sleep through while nothing else happens."""


P = TypeVar("P", Cloud, Record | None, Agent)


class Model:
    """The rules of what happens. `late`: for how many seconds a request may be on its way."""

    def __init__(self, book: Book, *, late: int) -> None:
        self.book = book
        self.late = late

    def steps(self, state: State) -> list[Next]:
        """Return what happens next where nothing goes wrong; nothing: it rests for good."""
        found: list[Next] = []
        for o, operator in enumerate(state.operators):
            if operator.frozen:
                continue
            for k in range(len(operator.agents)):
                found.extend(self.act(state, o, k))
        busy = bool(found)
        found.extend(self.arrivals(state))
        for o, operator in enumerate(state.operators):
            if operator.frozen:
                thawed = with_operator(state, o, operator._replace(frozen=0))
                found.append((f"operator {name(o)} is resumed", thawed))
        if not busy:
            works = toy.works(state.cloud)
            for index, (seconds, label, _) in enumerate(works):
                later = self.later(state, seconds) if seconds else state
                cloud = toy.works(later.cloud)[index][2]
                found.append((f"{label}: {shown(cloud)}", later._replace(cloud=cloud)))
            if not works:
                found.extend(self.tick(state))
        return found

    def arrivals(self, state: State) -> Iterator[Next]:
        """Yield the arrival of each late request."""
        for flight in dict.fromkeys(state.cloud.flights):
            cloud = toy.arrive(state.cloud, flight)
            label = f"the late {flight.ask.verb} arrives: {shown(cloud)}"
            yield label, state._replace(cloud=cloud)

    def tick(self, state: State) -> Iterator[Next]:
        """Let time pass until somebody has something to do."""
        agents = [a for o in state.operators if not o.frozen for a in o.agents]
        parts: list[Part] = [state.cloud, *state.records, *agents]
        spans = {seconds for part in parts for seconds in self.spans(part)}
        frozen = [o for o in state.operators if o.frozen and any(a.phase for a in o.agents)]
        for span in sorted(spans):
            later = self.later(state, span)
            lost = len(later.cloud.flights) != len(state.cloud.flights)
            if lost or self._awake(later):
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
            for _ in self.act(state, o, k)
        )

    def spans(self, part: Part) -> Iterable[int]:
        """Return after how many seconds something may change by `part`."""
        match part:
            case Record():
                return self.book.due(part.status)
            case Cloud():
                return [flight.left for flight in part.flights]
            case Agent(stop=(_, left)) if 0 < left < UNANSWERED:
                return [left]
            case _:
                return []

    def later(self, state: State, seconds: int) -> State:
        """Return `state` so much later; nothing else happened."""
        return state._replace(
            cloud=toy.wait(state.cloud, seconds),
            records=tuple(self.older(record, seconds) for record in state.records),
            operators=tuple(
                o._replace(agents=tuple(self.older(a, seconds) for a in o.agents))
                for o in state.operators
            ),
        )

    def older(self, part: P, seconds: int) -> P:
        """Return `part` so much later."""
        match part:
            case Cloud():
                return toy.wait(part, seconds)
            case Record():
                return part._replace(status=self.book.older(part.status, seconds))
            case Agent():
                return self._older(part, seconds)
            case _:
                return part

    def _older(self, agent: Agent, seconds: int) -> Agent:
        if agent is AT_REST or agent == AT_REST:
            return AT_REST
        older, phase = self.book.older, agent.phase
        if phase is not None:
            phase = phase._replace(
                basis=older(phase.basis, seconds),
                status=older(phase.status, seconds),
                before=older(phase.before, seconds),
                intent=older(phase.intent, seconds),
                learned=older(phase.learned, seconds),
                fence=max(phase.fence - seconds, 0),
                holds=max(phase.holds - seconds, 0),
            )
        note, cached, stop = agent.note, agent.cached, agent.stop
        if stop is not None and stop[1] < UNANSWERED:
            stop = (stop[0], max(stop[1] - seconds, 0))
        return Agent(
            phase,
            (older(note[0], seconds), older(note[1], seconds)) if note else None,
            stop,
            cached._replace(status=older(cached.status, seconds)) if cached else None,
        )

    # -- a pass --------------------------------------------------------------------------------

    def act(self, state: State, o: int, k: int) -> Iterator[Next]:
        """Yield the next step of an operator that is not frozen, for one spec, if there is one."""
        agent = state.operators[o].agents[k]
        if agent.phase is None:
            after, label = self._begin(state, o, k, agent)
            if after is not state:
                yield f"{who(o, k)} {label}", after
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
                yield self._end(state, o, k, agent)

    def _begin(self, state: State, o: int, k: int, agent: Agent) -> tuple[State, str]:
        """Read, look and decide: reconcile's way up to its first write."""
        record, stale = agent.cached or state.records[k], agent.cached is not None
        if record is None:
            return self._gone(state, o, k, agent)
        book, status, note, stop = self.book, record.status, agent.note, agent.stop
        if note is not None:
            if book.under(status) == book.under(note[0]):
                status = book.with_op(status, note[1])
            else:
                note = None
        if stop is not None and not book.under(status):
            if state.cloud.power != toy.RUNNING and not self._see(state, k, status).rival:
                status = book.stray(status, stop[0])
            elif stop[1] <= 0 and state.cloud.power == toy.RUNNING:
                stop = None
        if stale:
            idle = agent._replace(note=note, stop=stop, cached=None)
            return with_agent(state, o, k, idle), "decides on a record that is not the newest"
        if note is not agent.note or stop is not agent.stop:
            agent = agent._replace(note=note, stop=stop)
            state = with_agent(state, o, k, agent)
        return self._decide(state, o, k, agent, record, status, self._see(state, k, status), False)

    def _gone(self, state: State, o: int, k: int, agent: Agent) -> tuple[State, str]:
        """Care for the machine of an object that is gone, where a stop of ours may come true."""
        if agent.stop is None:
            if agent == AT_REST:
                return state, ""
            return with_agent(state, o, k, AT_REST), "forgets the object"
        rival = self._see(state, k, 0).rival
        if not rival and state.cloud.power == toy.STOPPED:
            cloud, reply = toy.serve(state.cloud, Ask("Start"))
            if reply.code:
                return state, ""
            return state._replace(cloud=cloud), "starts the machine of an object that is gone"
        settled = rival or state.cloud.power == toy.RUNNING
        if not settled or agent.stop[1] > 0:
            return state, ""
        return with_agent(state, o, k, AT_REST), "forgets the stop of an object that is gone"

    def _see(self, state: State, k: int, status: int) -> Seen:
        cloud = state.cloud
        other = state.records[1 - k] if len(state.records) > 1 else None
        rival: bool | None = None
        if other is not None:
            under_way = self.book.under(other.status) != 0
            rival = under_way if under_way or not other.deleting else None
        locked = cloud.work is not None and cloud.work.shows
        backup, snapping = "", False
        if cloud.snaps:
            op = self.book.op(status)
            own = [s for s in cloud.snaps if op is not None and op.snapshot_token == s.token]
            backup, snapping = own[0].state if own else "", toy.snapping(cloud)
        return Seen(
            cloud.power,
            locked,
            cloud.disk,
            cloud.image,
            state.secret,
            rival,
            backup,
            snapping,
            state.window,
        )

    def _decide(
        self,
        state: State,
        o: int,
        k: int,
        agent: Agent,
        record: Record,
        basis: int,
        seen: Seen,
        taken: bool,
    ) -> tuple[State, str]:
        question = record._replace(status=basis, granted="")
        found = self.book.decide(k, question, seen, taken)
        if found.kind == "nothing" and found.status == basis:
            if agent.phase is not None:
                state = with_agent(state, o, k, agent._replace(phase=None))
            return state, "has nothing to do"
        if found.kind == "add":
            phase = Phase("add", basis=basis, seen=seen)
        else:
            judge.decided(self.book, found, basis, seen)
            under = self.book.under(found.status)
            bare = found.kind != "end" and under and not record.finalizer and not record.deleting
            phase = Phase(
                "refinalize" if bare else "write",
                found.kind,
                found.reason,
                basis,
                found.status,
                found.ask,
                holds=DECISION_HOLDS if found.ask else 0,
            )
        what = found.ask.verb if found.ask else found.kind
        return (
            with_agent(state, o, k, agent._replace(phase=phase)),
            f"reads, looks, decides: {found.reason} ({what})",
        )

    def _finalizer(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        record = state.records[k]
        assert record is not None
        if phase.at == "add":
            assert phase.seen is not None
            state = self.commit(state, o, k, record._replace(finalizer=True, approve=""))
            held = record._replace(finalizer=True)
            found = self._decide(state, o, k, agent, held, phase.basis, phase.seen, True)
            return f"{who(o, k)} puts the finalizer on; {found[1]}", found[0]
        state = self.commit(state, o, k, record._replace(finalizer=True))
        again = agent._replace(phase=phase._replace(at="write"))
        return f"{who(o, k)} puts the finalizer back", with_agent(state, o, k, again)

    def _write(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        record = state.records[k]
        assert record is not None
        if phase.status != phase.basis or phase.ask is not None:
            if phase.ask is not None:
                record = judge.intent(self.book, state, record, phase)
            state = self.commit(state, o, k, record._replace(status=phase.status))
        if phase.kind == "end" and agent.stop is not None and agent.stop[1] <= 0:
            agent = agent._replace(stop=None)
        if phase.kind == "end" and record.finalizer:
            agent = agent._replace(phase=Phase("end"))
            return f"{who(o, k)} records the end", with_agent(state, o, k, agent)
        if phase.ask is None:
            return f"{who(o, k)} records it", with_agent(state, o, k, agent._replace(phase=None))
        return self._intended(state, o, k, agent, phase)

    def _intended(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        ask, book = phase.ask, self.book
        assert ask is not None
        intent = book.under(phase.status)
        sending = Phase(
            "send",
            reason=phase.reason,
            ask=ask,
            before=book.under(phase.basis),
            intent=intent,
            fence=min(FENCE, phase.holds),
        )
        stop = (book.memory(intent), UNANSWERED) if ask.verb == "Stop" else agent.stop
        agent = agent._replace(phase=sending, stop=stop)
        return f"{who(o, k)} records the intent to {ask.verb}", with_agent(state, o, k, agent)

    def _send(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        assert phase.ask is not None
        if phase.fence <= 0:
            after = self.answered(state, o, k, agent, phase, "NotSent")
            return f"{who(o, k)} drops {phase.ask.verb}: the fence has fallen", after
        cloud, reply = toy.serve(state.cloud, phase.ask)
        after = self.answered(state._replace(cloud=cloud), o, k, agent, phase, reply)
        said = reply.code or "accepted"
        return f"{who(o, k)} sends {phase.ask.verb}: {said}; {shown(cloud)}", after

    def answered(
        self, state: State, o: int, k: int, agent: Agent, phase: Phase, reply: Reply | str
    ) -> State:
        """Return `state` when `reply` has come to what `phase` sent."""
        assert phase.ask is not None
        learned, news = self.book.learn(phase.before, phase.intent, phase.ask, reply)
        if phase.ask.verb == "Stop":
            agent = agent._replace(stop=self._stop_answered(phase.intent, reply))
        if not news:
            note = (phase.intent, learned)
            return with_agent(state, o, k, agent._replace(phase=None, note=note))
        after = Phase("learn", reason=phase.reason, intent=phase.intent, learned=learned)
        return with_agent(state, o, k, agent._replace(phase=after))

    def _stop_answered(self, intent: int, reply: Reply | str) -> tuple[int, int] | None:
        """Return what is remembered of a stop that was answered so."""
        op = self.book.op(intent)
        first = op is not None and op.tries == 1
        if reply == "NotSent":
            return None
        if isinstance(reply, Reply) and first:
            return (self.book.memory(intent), 0) if reply.kind is None else None
        return self.book.memory(intent), STRAY_FOR

    def _learn(self, state: State, o: int, k: int, agent: Agent, phase: Phase) -> Next:
        record, book, idle = state.records[k], self.book, agent._replace(phase=None)
        if record is None or book.under(record.status) != phase.intent:
            return f"{who(o, k)} finds its answer overtaken", with_agent(state, o, k, idle)
        assert phase.reason is not None
        known = record._replace(granted="")
        told = book.tell(k, known, phase.reason, phase.intent, phase.learned)
        state = self.commit(state, o, k, record._replace(status=told))
        return f"{who(o, k)} records what it learned", with_agent(state, o, k, idle)

    def _end(self, state: State, o: int, k: int, agent: Agent) -> Next:
        record = state.records[k]
        assert record is not None
        if record.deleting:
            state = self.commit(state, o, k, None)
            gone = with_agent(state, o, k, Agent(stop=agent.stop))
            return f"{who(o, k)} takes the finalizer off: the object is gone", gone
        state = self.commit(state, o, k, record._replace(finalizer=False))
        idle = agent._replace(phase=None)
        return f"{who(o, k)} takes the finalizer off", with_agent(state, o, k, idle)

    def commit(self, state: State, writer: int, k: int, record: Record | None) -> State:
        """Store `record`: who read an earlier version will meet a conflict."""
        return commit(state, writer, k, record)
