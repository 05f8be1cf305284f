"""What may go wrong, and what people do: each at the price of one fault or of one edit."""

from __future__ import annotations

from collections.abc import Iterator

from sysdisk.core.answers import ErrorClass
from tests.exploration import cloud as toy
from tests.exploration.cloud import Cloud, Reply
from tests.exploration.model import Model
from tests.exploration.state import (
    AT_REST,
    Agent,
    Next,
    Operator,
    Record,
    State,
    name,
    shown,
    who,
    with_agent,
    with_operator,
)

WRONG_PLAN = "p1-ffffffffffffffff"


def faults(model: Model, state: State) -> Iterator[Next]:
    """Yield what may go wrong in `state`, each at the price of one fault."""
    for o, operator in enumerate(state.operators):
        yield from crash(state, o)
        yield from freeze(state, o)
        if not operator.frozen:
            for k in range(len(operator.agents)):
                yield from lose(model, state, o, k)
                yield from label(model, state, o, k)
    yield from interfere(model, state)
    if toy.works(state.cloud):
        for what, later in model.tick(state):
            yield f"the cloud is slow: {what}", later


def crash(state: State, o: int) -> Iterator[Next]:
    """Yield the loss of a process that has something to lose."""
    agents = state.operators[o].agents
    if any(agent != AT_REST for agent in agents):
        nobody = Operator(tuple(AT_REST for _ in agents))
        yield f"operator {name(o)} crashes and comes back", with_operator(state, o, nobody)


def freeze(state: State, o: int) -> Iterator[Next]:
    """Yield the stop of a process that runs."""
    operator = state.operators[o]
    if not operator.frozen:
        yield f"operator {name(o)} freezes", with_operator(state, o, operator._replace(frozen=1))


def label(model: Model, state: State, o: int, k: int) -> Iterator[Next]:
    """Yield that somebody writes the object's metadata before a pass writes."""
    phase = state.operators[o].agents[k].phase
    if phase is not None and phase.at not in ("send", "learn"):
        what = f"somebody labels the object that {who(o, k)} has read"
        yield what, model.commit(state, -1, k, state.records[k])


def lose(model: Model, state: State, o: int, k: int) -> Iterator[Next]:
    """Yield what may become of a request, and of its answer."""
    agent = state.operators[o].agents[k]
    phase = agent.phase
    if phase is None or phase.at != "send" or phase.fence <= 0:
        return
    ask = phase.ask
    assert ask is not None
    cloud, _ = toy.serve(state.cloud, ask)
    late = toy.depart(state.cloud, ask, model.late)
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
        answered = model.answered(state._replace(cloud=after), o, k, agent, phase, reply)
        yield f"{who(o, k)} sends {ask.verb}: {what}; {shown(after)}", answered


def interfere(model: Model, state: State) -> Iterator[Next]:
    """Yield what others do: to the Secret, the window, the machine and its disk."""
    cloud = state.cloud
    if state.secret < 1:
        yield "the Secret is rotated", state._replace(secret=state.secret + 1)
    if model.book.variant.window:
        word = "closes" if state.window else "opens"
        yield f"the maintenance window {word}", state._replace(window=not state.window)
    for snap in cloud.snaps:
        if snap.state == toy.PROGRESSING:
            failed = toy.with_snap(cloud, snap, toy.FAILED)
            yield "the snapshot fails", state._replace(cloud=failed)
    if cloud.power == toy.STOPPED and cloud.work is None:
        started = cloud._replace(power=toy.STARTING, ours=False, ran=True)
        yield "somebody starts the machine by hand", state._replace(cloud=started)
        for image in ("m-9", "m-2") if not cloud.flights else ():
            swapped = toy.by_hand(cloud, image)
            yield (
                f"somebody replaces the disk by hand, with {image}",
                state._replace(cloud=swapped),
            )


def edits(model: Model, state: State) -> Iterator[Next]:
    """Yield what people may do to the specs, each at the price of one edit."""
    for k in range(len(state.records)):
        yield from edit(model, state, k)


def edit(model: Model, state: State, k: int) -> Iterator[Next]:
    """Yield what people may do to one spec."""
    record = state.records[k]
    if record is None or record.deleting:
        return
    for what, edited in _edited(model, record):
        yield f"somebody {what} spec {k + 1}", model.commit(state, -1, k, edited)


def _edited(model: Model, record: Record) -> Iterator[tuple[str, Record | None]]:
    newer = record._replace(status=model.book.edited(record.status))
    for image in ("m-1", "m-2", "m-3"):
        if image != record.image:
            yield f"wants {image} in", newer._replace(image=image)
    word = "resumes" if record.suspended else "suspends"
    yield word, newer._replace(suspended=not record.suspended)
    word = "unprotects" if record.protected else "protects"
    yield word, record._replace(protected=not record.protected)
    yield "deletes", newer._replace(deleting=True) if record.finalizer else None
    if model.book.variant.approval:
        yield from _approvals(model, record)


def _approvals(model: Model, record: Record) -> Iterator[tuple[str, Record]]:
    """Yield what people may say to the plan that they are shown."""
    plan = model.book.status(record.status).plan
    if plan is not None and record.approve != plan.id:
        yield "approves the plan of", record._replace(approve=plan.id, granted=plan.id)
    if record.approve != WRONG_PLAN:
        wrong = record._replace(approve=WRONG_PLAN, granted="")
        yield "approves a plan that is not the one of", wrong
    if record.approve:
        yield "takes back the approval of", record._replace(approve="", granted="")


def missed_events(before: State, after: State) -> Iterator[Next]:
    """Yield `after` where a process has not heard of a write that was made: a stale read.

    Every write of a pass on a stale record is refused, so that only what the process remembers
    tells it from one that waits a little: where there is nothing to remember, it is left out.
    """
    for k, (was, now) in enumerate(zip(before.records, after.records, strict=True)):
        if was is None or was == now:
            continue
        for o, operator in enumerate(after.operators):
            agent = operator.agents[k]
            if before.operators[o].agents[k].phase is None and may_be_deaf(agent):
                deaf = with_agent(after, o, k, agent._replace(cached=was))
                yield f"{who(o, k)} does not hear of it", deaf


def may_be_deaf(agent: Agent) -> bool:
    """Whether it is one to `agent`, which does nothing now, what it hears."""
    remembers = agent.note is not None or agent.stop is not None
    return agent.phase is None and agent.cached is None and remembers
