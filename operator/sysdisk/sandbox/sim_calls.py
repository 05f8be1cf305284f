"""Calls on their way from a simulated process to ECS or to Kubernetes, and what befalls them.

Every call has a number, and passes two points: `before` it has its effect and `after` it has. At
each of them a `Meddler` may strike: lose it, delay it, refuse it, freeze or kill its process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeVar

T = TypeVar("T")
Side = Literal["before", "after"]
Api = Literal["ecs", "kube"]

PATIENCE: Final = 15.0
"""Seconds after which a process gives up waiting for an answer (the SDK: connect and read)."""


class Kind(StrEnum):
    """What can befall a call."""

    LOST = "lost"
    """No answer: `before` it never arrives, `after` its effect stays."""
    LATE = "late"
    """No answer in time, and it arrives and has its effect all the same, `seconds` later."""
    KILLED = "killed"
    """The process ends at this moment."""
    REFUSED = "refused"
    """Another answer than its own: `code` and `http`. `before`: without an effect."""
    HELD = "held"
    """It is under way for `seconds` longer; the process goes on with other things."""
    FROZEN = "frozen"
    """The whole process stands still for `seconds`."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing that befalls one call. `seconds` of LOST: how long until that is noticed."""

    kind: Kind
    seconds: float = 0.0
    code: str = ""
    http: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `verb` is ECS's action, or `patch_status systemdiskspecs` and the like."""

    number: int
    actor: str
    api: Api
    verb: str
    subject: str
    write: bool
    at: float

    def __str__(self) -> str:
        return f"#{self.number} {self.actor} {self.verb} {self.subject} at {self.at:.1f} s"


Meddler = Callable[[Call, Side], Blow | None]


def peace(_call: Call, _side: Side) -> Blow | None:
    """Return None: nothing befalls any call."""
    return None


class AnswerLost(Exception):
    """The caller will never know."""


class Answered(Exception):
    """Somebody else answered: a gateway, an overloaded server."""

    def __init__(self, blow: Blow) -> None:
        super().__init__(f"{blow.code} ({blow.http})")
        self.blow = blow


@dataclass(slots=True)
class Traffic:
    """All calls of all processes: their numbers, their log, and who meddles with them.

    `latency` is in seconds, for one way.
    """

    meddler: Meddler = peace
    latency: Callable[[Api], float] = lambda api: 0.02 if api == "ecs" else 0.002
    log: list[Call] = field(default_factory=list)
    struck: list[tuple[Call, Side, Blow]] = field(default_factory=list)

    def enter(self, actor: str, api: Api, verb: str, subject: str, write: bool) -> Call:
        """Return the call, numbered from 1."""
        now = asyncio.get_running_loop().time()
        call = Call(len(self.log) + 1, actor, api, verb, subject, write, now)
        self.log.append(call)
        return call

    def meddle(self, call: Call, side: Side) -> Blow | None:
        """Return what befalls `call` now, and note it."""
        blow = self.meddler(call, side)
        if blow is not None:
            self.struck.append((call, side, blow))
        return blow


class Life:
    """Whether a process is alive, and whether it moves. `on_kill` is called once, at its end."""

    def __init__(self, name: str, on_kill: Callable[[], None]) -> None:
        self.name = name
        self.alive = True
        self._on_kill = on_kill
        self._moves_at = 0.0

    def kill(self) -> None:
        """End it. A repeat does nothing."""
        if self.alive:
            self.alive = False
            self._on_kill()

    def freeze(self, seconds: float) -> None:
        """Let it stand still for `seconds` from now."""
        now = asyncio.get_running_loop().time()
        self._moves_at = max(self._moves_at, now + seconds)

    def thaw(self) -> None:
        """Let it move again."""
        self._moves_at = 0.0

    async def breathe(self) -> None:
        """Return when the process moves; a dead one never does."""
        if self.alive and not self._moves_at:
            return
        loop = asyncio.get_running_loop()
        while self.alive and self._moves_at > loop.time():  # noqa: ASYNC110 - it may be moved on
            await asyncio.sleep(min(1.0, self._moves_at - loop.time()))
        if not self.alive:
            await loop.create_future()  # until the task is cancelled
        self._moves_at = 0.0


class Line:
    """The calls of one process."""

    def __init__(self, life: Life, traffic: Traffic) -> None:
        self.life = life
        self.traffic = traffic

    async def carry(
        self,
        api: Api,
        verb: str,
        subject: str,
        effect: Callable[[], T],
        *,
        write: bool,
        leaving: Callable[[], None] = lambda: None,
    ) -> T:
        """Return what `effect` returns, or raise what it raises, if nothing befalls the call.

        `leaving` runs just before the call leaves the process, and may raise. Raises AnswerLost
        and Answered.
        """
        traffic = self.traffic
        await self.life.breathe()
        leaving()
        call = traffic.enter(self.life.name, api, verb, subject, write)
        await asyncio.sleep(traffic.latency(api))
        if (blow := traffic.meddle(call, "before")) is not None:
            if blow.kind is Kind.LATE:
                asyncio.get_running_loop().call_later(blow.seconds, _all_the_same, effect)
            await self._bear(blow)
        refusal: Exception | None = None
        try:
            answer = effect()
        except Exception as exc:  # an answer too, and as easily lost
            refusal = exc
        if (blow := traffic.meddle(call, "after")) is not None:
            await self._bear(blow)
        await asyncio.sleep(traffic.latency(api))
        await self.life.breathe()
        if refusal is not None:
            raise refusal
        return answer

    async def _bear(self, blow: Blow) -> None:
        match blow.kind:
            case Kind.LOST:
                await asyncio.sleep(blow.seconds)
                await self.life.breathe()
                raise AnswerLost
            case Kind.LATE:
                await asyncio.sleep(PATIENCE)
                await self.life.breathe()
                raise AnswerLost
            case Kind.KILLED:
                self.life.kill()
                await self.life.breathe()
            case Kind.REFUSED:
                await self.life.breathe()
                raise Answered(blow)
            case Kind.HELD:
                await asyncio.sleep(blow.seconds)
            case Kind.FROZEN:
                self.life.freeze(blow.seconds)
                await self.life.breathe()


def _all_the_same(effect: Callable[[], object]) -> None:
    try:
        effect()
    except Exception:  # its refusal is told to nobody
        return
