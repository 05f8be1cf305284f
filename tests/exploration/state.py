"""The state of everything, as one value."""

from __future__ import annotations

from typing import Final, NamedTuple

from sysdisk.api.reasons import Reason
from tests.exploration.cloud import RUNNING, STOPPED, Ask, Cloud

FENCE: Final = 5
"""Seconds, as of the controllers (a test holds them together)."""
DECISION_HOLDS: Final = 15


class Record(NamedTuple):
    """What the API server stores of one SystemDiskSpec; `status` is a number of the book.

    A generation has no number: what an earlier one left is marked in `status`.
    """

    image: str
    suspended: bool = False
    protected: bool = False
    deleting: bool = False
    finalizer: bool = False
    status: int = 0
    approve: str = ""
    """The annotation: which plan somebody approves."""
    granted: str = ""
    """The explorer's memory: the plan that a person has approved, and that was not begun since."""


class Seen(NamedTuple):
    """What a pass sees. `rival`: whether the other spec's claim is under way; None: no claim."""

    power: str
    locked: bool
    disk: str
    image: str
    secret: int
    rival: bool | None = None
    backup: str = ""
    """How the snapshot of its operation stands."""
    snapping: bool = False
    window: bool = True


class Phase(NamedTuple):
    """Where a pass stands: what it will do next, and what it knows.

    Up to its write, a pass that anybody else's write has overtaken is none: it meets a conflict,
    whatever it wanted, and begins anew.
    """

    at: str
    """`add`, `refinalize`, `write`, `send`, `learn`, `end`."""
    kind: str = ""
    reason: Reason | None = None
    basis: int = 0
    """The status as the pass took it."""
    status: int = 0
    """What it records."""
    ask: Ask | None = None
    seen: Seen | None = None
    before: int = 0
    intent: int = 0
    learned: int = 0
    fence: int = 0
    """For how many seconds more its request may leave."""
    holds: int = 0
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
    window: bool = True
    """The maintenance window is open."""


Next = tuple[str, State]
Part = Cloud | Record | Agent | None
AT_REST: Final = Agent()


class Variant(NamedTuple):
    """What the policy asks for."""

    backup: bool = False
    approval: bool = False
    window: bool = False

    @classmethod
    def named(cls, name: str) -> Variant:
        """Return the variant of that name: `plain`, or words such as `backup+window`."""
        words = set(name.split("+")) - {"plain"}
        unknown = words - set(cls._fields)
        if unknown:
            raise ValueError(f"no such variant: {', '.join(sorted(unknown))}")
        return cls(**dict.fromkeys(words, True))


PLAIN: Final = Variant()


def beginning(
    *, operators: int, specs: int, running: bool, variant: Variant = PLAIN, window: bool = True
) -> State:
    """Return the state in which everything begins: specs just applied, the machine on m-1."""
    wanted = ("m-2", "m-3")
    power = RUNNING if running else STOPPED
    return State(
        Cloud(power, ran=running, saves=variant.backup),
        tuple(Record(wanted[k]) for k in range(specs)),
        tuple(Operator(tuple(AT_REST for _ in range(specs))) for _ in range(operators)),
        window=window,
    )


def with_agent(state: State, o: int, k: int, agent: Agent) -> State:
    """Return `state` with another agent of operator `o` for spec `k`."""
    agents, frozen = state.operators[o]
    return with_operator(state, o, Operator((*agents[:k], agent, *agents[k + 1 :]), frozen))


def with_operator(state: State, o: int, operator: Operator) -> State:
    """Return `state` with another operator `o`."""
    cloud, records, operators, secret, window = state
    others = (*operators[:o], operator, *operators[o + 1 :])
    return State(cloud, records, others, secret, window)


def with_record(state: State, k: int, record: Record | None) -> State:
    """Return `state` with another record `k`."""
    cloud, records, operators, secret, window = state
    return State(cloud, (*records[:k], record, *records[k + 1 :]), operators, secret, window)


def commit(state: State, writer: int, k: int, record: Record | None) -> State:
    """Store `record`: a pass of anybody else that has still to write begins anew."""
    for o, operator in enumerate(state.operators):
        agent = operator.agents[k]
        after = overtaken(agent)
        if o != writer and after is not agent:
            state = with_agent(state, o, k, after)
    return with_record(state, k, record)


def overtaken(agent: Agent) -> Agent:
    """Return `agent` when somebody else has written the record."""
    phase = agent.phase
    if phase is None or phase.at in ("send", "learn"):
        return agent
    return Agent(None, agent.note, agent.stop)


def name(o: int) -> str:
    """Return what operator `o` is called in stories."""
    return "AB"[o]


def who(o: int, k: int) -> str:
    """Return what operator `o` is called in its work for spec `k`."""
    return f"{name(o)}:{k + 1}"


def shown(cloud: Cloud) -> str:
    """Return how the machine stands, for stories."""
    return f"machine {cloud.power}, {cloud.disk}"
