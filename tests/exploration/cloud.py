"""A toy cloud as one pure value: one instance, its disk, its client tokens, requests on their way.

It knows what ECS does with CreateSnapshot, StopInstance, ReplaceSystemDisk and StartInstance as far
as the order of things goes, and nothing else. `ours`, `done`, `ran` and `saves` are not the
cloud's: they are the memory of the explorer, which the invariants are held to.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sysdisk.core.answers import ErrorClass

RUNNING: Final = "Running"
STOPPING: Final = "Stopping"
STOPPED: Final = "Stopped"
STARTING: Final = "Starting"

TOKEN_KEPT: Final = 3600
"""Seconds for which a client token is remembered."""

REPLACING_TAKES: Final = 10
"""Seconds, at least: longer than the fence of a write that was held up meanwhile."""

PROGRESSING: Final = "progressing"
ACCOMPLISHED: Final = "accomplished"
FAILED: Final = "failed"


class Ask(NamedTuple):
    """One write to ECS; what `Replace` needs beside the verb, and whose plan it serves."""

    verb: str
    """`Snapshot`, `Stop`, `Replace` or `Start`."""
    token: str = ""
    image: str = ""
    secret: str = ""
    plan: str = ""
    old_disk: str = ""


class Reply(NamedTuple):
    """What ECS answers: a code of nothing is consent."""

    code: str = ""
    kind: ErrorClass | None = None
    disk: str = ""
    snapshot: str = ""


class Snap(NamedTuple):
    """A snapshot: the token that it was asked for with (nobody's: empty), its disk, its state."""

    token: str
    disk: str
    state: str = PROGRESSING


class Token(NamedTuple):
    """A client token that ECS remembers, for `left` seconds more."""

    token: str
    disk: str
    secret: str
    left: int


class Flight(NamedTuple):
    """A request that has left and not arrived; it gets lost when `left` seconds are over."""

    ask: Ask
    left: int


class Work(NamedTuple):
    """A replacement that ECS works on; its lock does not show at once."""

    disk: str
    image: str
    shows: bool = False


class Cloud(NamedTuple):
    """The instance and everything around it."""

    power: str
    disk: str = "d-0"
    image: str = "m-1"
    work: Work | None = None
    tokens: tuple[Token, ...] = ()
    flights: tuple[Flight, ...] = ()
    ours: bool = False
    """It is stopping or stopped because one of us asked for it."""
    ran: bool = True
    """It is to run when all is over."""
    done: tuple[str, ...] = ()
    """The plans whose replacement was accepted."""
    foreign: str = ""
    """The disk that somebody else put in by hand. ReplaceSystemDisk cannot say which disk it means,
    so that nothing can save it from a request that is already on its way."""
    snaps: tuple[Snap, ...] = ()
    saves: bool = False
    """No disk may go without its snapshot."""


class Broken(Exception):
    """An invariant does not hold: which one, and how."""


WAIT: Final = Reply("IncorrectInstanceStatus", ErrorClass.WAIT)


def serve(cloud: Cloud, ask: Ask) -> tuple[Cloud, Reply]:
    """Return the cloud after `ask` has arrived, and its answer. Raises Broken (I1)."""
    match ask.verb:
        case "Snapshot":
            return _save(cloud, ask)
        case "Stop":
            if cloud.power != RUNNING or cloud.work is not None:
                return cloud, WAIT
            return cloud._replace(power=STOPPING, ours=True), Reply()
        case "Start":
            if cloud.power != STOPPED or cloud.work is not None:
                return cloud, WAIT
            return cloud._replace(power=STARTING, ours=False), Reply()
        case _:
            return _replace(cloud, ask)


def _save(cloud: Cloud, ask: Ask) -> tuple[Cloud, Reply]:
    if any(snap.token == ask.token for snap in cloud.snaps):
        return cloud, Reply(snapshot=snapshot_id(ask.token))
    if ask.old_disk != cloud.disk or cloud.work is not None:
        return cloud, Reply("InvalidDiskId.NotFound", ErrorClass.USER)
    if snapping(cloud):
        return cloud, Reply("IncorrectDiskStatus.CreatingSnapshot", ErrorClass.WAIT)
    snaps = tuple(sorted((*cloud.snaps, Snap(ask.token, cloud.disk))))
    return cloud._replace(snaps=snaps), Reply(snapshot=snapshot_id(ask.token))


def snapshot_id(token: str) -> str:
    """Return the ID of the snapshot that is made for `token`."""
    return f"s-{token[-8:]}"


def snapping(cloud: Cloud) -> bool:
    """Whether a snapshot of the disk is being made."""
    return any(s.state == PROGRESSING and s.disk == cloud.disk for s in cloud.snaps)


def saved(cloud: Cloud) -> bool:
    """Whether the disk has a snapshot that is finished."""
    return any(s.state == ACCOMPLISHED and s.disk == cloud.disk for s in cloud.snaps)


def _replace(cloud: Cloud, ask: Ask) -> tuple[Cloud, Reply]:
    for known in cloud.tokens:
        if known.token == ask.token:
            if known.secret != ask.secret:
                return cloud, Reply("IdempotentParameterMismatch", ErrorClass.USER)
            return cloud, Reply(disk=known.disk)
    if cloud.power != STOPPED or cloud.work is not None:
        return cloud, WAIT
    if snapping(cloud):
        return cloud, Reply("DiskCreatingSnapshot", ErrorClass.WAIT)
    if ask.plan in cloud.done:
        raise Broken(f"I1: a second disk is replaced for plan {ask.plan}")
    if ask.old_disk != cloud.disk and cloud.disk != cloud.foreign:
        raise Broken(f"I1: {cloud.disk} is replaced by a plan made for {ask.old_disk}")
    if cloud.saves and not saved(cloud) and cloud.disk != cloud.foreign:
        raise Broken(f"I4: {cloud.disk} is replaced, and there is no snapshot of it")
    new = next_disk(cloud)
    # What came of a disk that nothing could save, nothing can save either.
    foreign = new if ask.old_disk != cloud.disk else cloud.foreign
    taken = Token(ask.token, new, ask.secret, TOKEN_KEPT)
    after = cloud._replace(
        work=Work(new, ask.image),
        foreign=foreign,
        tokens=tuple(sorted((*cloud.tokens, taken))),
        done=tuple(sorted((*cloud.done, ask.plan))),
    )
    return after, Reply(disk=new)


def next_disk(cloud: Cloud) -> str:
    """Return the ID of a disk made now."""
    return f"d-{int(cloud.disk[2:]) + 1}"


def by_hand(cloud: Cloud, image: str) -> Cloud:
    """Return the cloud after somebody else has replaced the disk."""
    new = next_disk(cloud)
    return cloud._replace(disk=new, image=image, foreign=new)


def works(cloud: Cloud) -> list[tuple[int, str, Cloud]]:
    """Return each work that goes on: its seconds, its end in words, and the cloud then.

    A stop, a start and a snapshot may take no time; that anything takes long is a fault.
    """
    found: list[tuple[int, str, Cloud]] = []
    if cloud.work is not None:
        done = cloud._replace(disk=cloud.work.disk, image=cloud.work.image, work=None)
        found.append((REPLACING_TAKES, "the disk is replaced", done))
    elif cloud.power in (STOPPING, STARTING):
        power = STOPPED if cloud.power == STOPPING else RUNNING
        found.append((0, f"the machine is {power}", cloud._replace(power=power)))
    for snap in cloud.snaps:
        if snap.state == PROGRESSING:
            done = with_snap(cloud, snap, ACCOMPLISHED)
            found.append((0, "the snapshot is finished", done))
    return found


def with_snap(cloud: Cloud, snap: Snap, state: str) -> Cloud:
    """Return the cloud with `snap` in another state."""
    others = [other for other in cloud.snaps if other is not snap]
    return cloud._replace(snaps=tuple(sorted((*others, snap._replace(state=state)))))


def wait(cloud: Cloud, seconds: int) -> Cloud:
    """Return the cloud so much later: tokens are forgotten, flights lost, the lock shows."""
    tokens = (t._replace(left=t.left - seconds) for t in cloud.tokens)
    flights = (f._replace(left=f.left - seconds) for f in cloud.flights)
    return cloud._replace(
        tokens=tuple(t for t in tokens if t.left > 0),
        flights=tuple(f for f in flights if f.left > 0),
        work=cloud.work._replace(shows=True) if cloud.work else None,
    )


def depart(cloud: Cloud, ask: Ask, seconds: int) -> Cloud:
    """Return the cloud with `ask` on its way for at most so long."""
    return cloud._replace(flights=tuple(sorted((*cloud.flights, Flight(ask, seconds)))))


def arrive(cloud: Cloud, flight: Flight) -> Cloud:
    """Return the cloud after `flight` has arrived; nobody hears the answer. Raises Broken."""
    left = list(cloud.flights)
    left.remove(flight)
    return serve(cloud._replace(flights=tuple(left)), flight.ask)[0]
