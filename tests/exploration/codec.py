"""States as a few bytes: what can make no difference is dropped, equal parts are stored once."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tests.exploration import cloud as toy
from tests.exploration.book import Book, Mention
from tests.exploration.cloud import Cloud
from tests.exploration.state import AT_REST, Agent, Operator, Record, State, with_agent


class Codec:
    """Packs states into keys: two states have one key where nothing can tell them apart."""

    def __init__(self, book: Book, *, operators: int, specs: int) -> None:
        self._book = book
        self._parts: dict[Cloud | Record | Agent | None, int] = {None: 0}
        self._values: list[Any] = [None]
        self._known: dict[int, int] = {id(None): 0}
        """By identity: what was unpacked and not touched needs no look at what it holds."""
        self._shape = struct.Struct(f"<I{specs}I" + f"{specs}I" * operators + "4B")
        self._operators, self._specs = operators, specs

    def pack(self, state: State) -> bytes:
        """Return the key of `state`."""
        state = self.plain(state)
        number = self._number
        numbers = [number(state.cloud), *map(number, state.records)]
        ranked = [(o.frozen, *map(number, o.agents)) for o in state.operators]
        ranked.sort()
        frozen = [0, 0]
        for o, (how, *agents) in enumerate(ranked):
            numbers += agents
            frozen[o] = how
        return self._shape.pack(*numbers, *frozen, state.secret, state.window)

    def _number(self, part: Cloud | Record | Agent | None) -> int:
        number = self._known.get(id(part))
        if number is None:
            number = self._parts.get(part)
        if number is None:
            number = self._parts[part] = self._known[id(part)] = len(self._values)
            self._values.append(part)
        return number

    def unpack(self, key: bytes) -> State:
        """Return the state of `key`."""
        numbers, specs, values = self._shape.unpack(key), self._specs, self._values
        parts = [values[number] for number in numbers[:-4]]
        first = 1 + specs
        operators = [Operator(tuple(parts[first : first + specs]), numbers[-4])]
        if self._operators == 2:
            operators.append(Operator(tuple(parts[first + specs :]), numbers[-3]))
        records = tuple(parts[1:first])
        return State(parts[0], records, tuple(operators), numbers[-2], bool(numbers[-1]))

    def __len__(self) -> int:
        return len(self._values)

    # -- what makes no difference ----------------------------------------------------------------

    def plain(self, state: State) -> State:
        """Return `state` without what can make no difference any more."""
        state = self._without_old_notes(state)
        cloud = state.cloud
        coming = cloud.work.disk if cloud.work is not None else ""
        foreign = cloud.foreign if cloud.foreign in (cloud.disk, coming) else ""
        if foreign != cloud.foreign:
            cloud = cloud._replace(foreign=foreign)
        if cloud.done or cloud.tokens or cloud.snaps or state.secret:
            mentions = set(self._mentions(state))
            if cloud.work is None:
                cloud = _without_the_past(cloud, mentions)
            if cloud.snaps:
                cloud = _without_nobodys(cloud, {m.snapshot for m in mentions})
            secrets = {m.secret for m in mentions} | {t.secret for t in cloud.tokens}
            if state.secret and not secrets & {"0", "1"}:
                state = state._replace(secret=0)
        return state if cloud is state.cloud else state._replace(cloud=cloud)

    def _without_old_notes(self, state: State) -> State:
        """Forget what was learned of an operation that is not the record's any more.

        An operation that has gone on never comes back to what it was: every intent counts.
        """
        for o, operator in enumerate(state.operators):
            for k, agent in enumerate(operator.agents):
                note = agent.note
                if note is None or self._current(note[0], state.records[k], agent.cached):
                    continue
                agent = agent._replace(note=None)
                state = with_agent(state, o, k, AT_REST if agent == AT_REST else agent)
        return state

    def _current(self, intent: int, *records: Record | None) -> bool:
        under = self._book.under
        return any(r is not None and under(r.status) == under(intent) for r in records)

    def _mentions(self, state: State) -> Iterator[Mention]:
        """Yield what anybody may still ask for."""
        for status in self._statuses(state):
            found = self._book.mention(status)
            if found is not None:
                yield found
        for flight in state.cloud.flights:
            ask = flight.ask
            yield Mention(ask.plan, ask.token, ask.token, ask.secret)

    def _statuses(self, state: State) -> Iterator[int]:
        for record in state.records:
            if record is not None:
                yield record.status
        for operator in state.operators:
            for agent in operator.agents:
                if agent is AT_REST:
                    continue
                if agent.phase is not None:
                    yield from (agent.phase.status, agent.phase.intent, agent.phase.learned)
                if agent.note is not None:
                    yield agent.note[1]


def _without_the_past(cloud: Cloud, mentions: set[Mention]) -> Cloud:
    """Forget plans and tokens that no request can name: their disk is gone, new plans name another.

    (While the replacement is still being worked on, the disk is not gone.)
    """
    plans, tokens = {m.plan for m in mentions}, {m.token for m in mentions}
    done = tuple(plan for plan in cloud.done if plan in plans)
    kept = tuple(token for token in cloud.tokens if token.token in tokens)
    if done == cloud.done and kept == cloud.tokens:
        return cloud
    return cloud._replace(done=done, tokens=kept)


def _without_nobodys(cloud: Cloud, tokens: set[str]) -> Cloud:
    """Forget the snapshots that no operation asked for, but for the one that is being made."""
    snaps = tuple(
        sorted(
            snap if snap.token in tokens else snap._replace(token="")
            for snap in cloud.snaps
            if snap.token in tokens or (snap.state == toy.PROGRESSING and snap.disk == cloud.disk)
        )
    )
    return cloud if snaps == cloud.snaps else cloud._replace(snaps=snaps)
