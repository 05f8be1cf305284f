"""States as rows of numbers: what can make no difference is dropped, equal parts are kept once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.exploration import cloud as toy
from tests.exploration.book import Book, Mention
from tests.exploration.cloud import Cloud
from tests.exploration.state import AT_REST, Agent, Operator, Part, Record, State, with_agent


class Codec:
    """Packs states into rows of numbers; two equal parts have one number.

    A row holds the cloud, the records, the secret and the window, and then for each operator its
    agents and whether it is frozen.
    """

    def __init__(self, book: Book, *, operators: int, specs: int) -> None:
        self._book = book
        self._numbers: dict[Part, int] = {}
        self.parts: list[Any] = []
        self.number(None)
        self.number(AT_REST)
        self.specs, self.operators = range(specs), range(operators)
        self.records = range(1, 1 + specs)
        self.secret, self.window = 1 + specs, 2 + specs
        self.agents = [
            [3 + specs + o * (specs + 1) + k for k in range(specs)] for o in range(operators)
        ]
        self.frozen = [3 + specs + o * (specs + 1) + specs for o in range(operators)]
        self.width = 3 + specs + operators * (specs + 1)

    def number(self, part: Part) -> int:
        """Return the number of `part`."""
        number = self._numbers.setdefault(part, len(self.parts))
        if number == len(self.parts):
            self.parts.append(part)
        return number

    def row(self, state: State) -> list[int]:
        """Return the row of `state`."""
        return [self.entry(part) for part in self.flat(state)]

    def flat(self, state: State) -> list[Part | int]:
        """Return what the columns of the row of `state` stand for."""
        cloud, records, operators, secret, window = state
        flat: list[Part | int] = [cloud, *records, secret, window]
        for operator in operators:
            flat += [*operator.agents, operator.frozen]
        return flat

    def entry(self, part: Part | int) -> int:
        """Return what stands for `part` in a row."""
        return int(part) if isinstance(part, int) else self.number(part)

    def state(self, row: Sequence[int]) -> State:
        """Return the state of `row`."""
        parts = self.parts
        operators = tuple(
            Operator(tuple(parts[row[column]] for column in agents), row[frozen])
            for agents, frozen in zip(self.agents, self.frozen, strict=True)
        )
        records = tuple(parts[row[column]] for column in self.records)
        return State(parts[row[0]], records, operators, row[self.secret], bool(row[self.window]))

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
        agents = (agent for operator in state.operators for agent in operator.agents)
        for part in (state.cloud, *state.records, *agents):
            yield from self.mentions(part)

    def mentions(self, part: Part) -> Iterator[Mention]:
        """Yield what `part` may make somebody ask for."""
        if isinstance(part, Cloud):
            for flight in part.flights:
                ask = flight.ask
                yield Mention(ask.plan, ask.token, ask.token, ask.secret)
            return
        for status in _statuses(part):
            found = self._book.mention(status)
            if found is not None:
                yield found


def _statuses(part: Record | Agent | None) -> Iterator[int]:
    if isinstance(part, Record):
        yield part.status
    elif part is not None:
        if part.phase is not None:
            yield from (part.phase.status, part.phase.intent, part.phase.learned)
        if part.note is not None:
            yield part.note[1]


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
