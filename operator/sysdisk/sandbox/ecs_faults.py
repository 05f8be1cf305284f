"""What can go wrong with a call to the simulated cloud, and the rules that make it so.

A refusal is an `EcsFault`. Faults of the connection are exceptions too, so that a simulation in
one process meets the same ones as a client of the server, which turns them into the real thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from sysdisk.ecs.catalog import Entry, catalog

__all__ = [
    "Broken",
    "BrokenAnswer",
    "ConnectionLost",
    "EcsFault",
    "FaultRule",
    "Faults",
    "Side",
    "Throttle",
    "common_fault",
    "row_fault",
]

Side = Literal["before", "after"]


class EcsFault(Exception):
    """ECS refused. `data` is the JSON body of the answer, RequestId included."""

    def __init__(self, http: int, code: str, message: str, data: Mapping[str, Any] | None = None):
        super().__init__(f"{code} ({http}): {message}")
        self.http = http
        self.code = code
        self.message = message
        self.data: dict[str, Any] = dict(data or {})
        self.retry_after: float | None = None  # seconds, for the header x-acs-retry-after


class ConnectionLost(Exception):
    """The connection ended without an answer; only tests may read whether the call took effect."""

    def __init__(self, effect_happened: bool) -> None:
        super().__init__("the connection was lost")
        self.effect_happened = effect_happened


class Broken(StrEnum):
    """Ways in which an answer can be no answer."""

    HTML_502 = "html-502"
    EMPTY_200 = "empty-200"
    HALF_JSON = "half-json"
    WRONG_JSON = "wrong-json"
    NOT_JSON = "not-json"


class BrokenAnswer(Exception):
    """An answer came that is none. `answer` is what it would have been, None without effect."""

    def __init__(
        self, kind: Broken, effect_happened: bool, answer: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"broken answer: {kind}")
        self.kind = kind
        self.effect_happened = effect_happened
        self.answer = answer


def fault_of(entry: Entry, message: str | None = None) -> EcsFault:
    """Return the refusal that `entry` of the catalogue describes."""
    return EcsFault(entry.http, entry.code, entry.message if message is None else message)


def row_fault(row: int, message: str | None = None) -> EcsFault:
    """Return the refusal of that row of ReplaceSystemDisk's error table."""
    return fault_of(catalog().rows[row], message)


def common_fault(code: str, http: int | None = None, message: str | None = None) -> EcsFault:
    """Return the refusal with that code; of several the first, or that with `http`."""
    entry = catalog().default(code, http)
    return fault_of(entry, message)


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One fault that is to happen `times` more times.

    `action` may be `*`; an empty `instance_id` matches every call. `kind` is error, drop, broken
    or delay, and the fields after it belong to one kind each.
    """

    number: int
    kind: Literal["error", "drop", "broken", "delay"]
    action: str
    side: Side
    times: int
    instance_id: str = ""
    http: int = 0
    code: str = ""
    message: str = ""
    broken: Broken | None = None
    seconds: float = 0.0

    def matches(self, action: str, instance_id: str) -> bool:
        return self.action in ("*", action) and self.instance_id in ("", instance_id)


@dataclass(slots=True)
class Throttle:
    """At most `per_minute` calls of `action` in each minute of the cloud's clock and region."""

    action: str
    per_minute: int
    code: str = "Throttling.User"
    retry_after_header: bool = False
    used: dict[tuple[str, str, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Faults:
    """The faults that are waiting, in the order in which they were asked for."""

    rules: tuple[FaultRule, ...] = ()
    throttles: dict[str, Throttle] = field(default_factory=dict)
    _next: int = 1

    def clone(self) -> Faults:
        """Return an independent copy."""
        twin = copy(self)
        twin.throttles = {k: replace(t, used=dict(t.used)) for k, t in self.throttles.items()}
        return twin

    def error(
        self,
        action: str,
        code: str,
        *,
        times: int = 1,
        http: int | None = None,
        message: str | None = None,
        instance_id: str = "",
        side: Side = "before",
    ) -> FaultRule:
        """Answer the next calls with an error; status and text default to the catalogue's.

        Raises ValueError for a code that is not in the catalogue when no status is given.
        """
        try:
            entry = catalog().default(code, http)
        except KeyError:
            if http is None:
                raise ValueError(f"{code} is not in the catalogue: give its http status") from None
            entry = None
        text = message if message is not None else (entry.message if entry else code)
        status = http if http is not None else (entry.http if entry else 0)
        rule = FaultRule(
            self._number(),
            "error",
            action,
            side,
            times,
            instance_id,
            http=status,
            code=code,
            message=text,
        )
        return self._add(rule)

    def drop(self, action: str, side: Side, *, times: int = 1, instance_id: str = "") -> FaultRule:
        """Lose the next calls (`before`: without effect), or their answers (`after`)."""
        return self._add(FaultRule(self._number(), "drop", action, side, times, instance_id))

    def garble(
        self,
        action: str,
        kind: Broken | str,
        *,
        side: Side = "after",
        times: int = 1,
        instance_id: str = "",
    ) -> FaultRule:
        """Answer the next calls with something that is no answer."""
        return self._add(
            FaultRule(
                self._number(), "broken", action, side, times, instance_id, broken=Broken(kind)
            )
        )

    def delay(
        self,
        action: str,
        seconds: float,
        *,
        side: Side = "after",
        times: int = 1,
        instance_id: str = "",
    ) -> FaultRule:
        """Let the next calls wait, in seconds of the caller's clock; see `Cloud.delays`."""
        return self._add(
            FaultRule(self._number(), "delay", action, side, times, instance_id, seconds=seconds)
        )

    def throttle(
        self, action: str, per_minute: int, code: str = "Throttling.User", *, header: bool = False
    ) -> None:
        """Allow `per_minute` calls of `action` (or `*`, each by itself) a minute; below 0: any."""
        if per_minute < 0:
            self.throttles.pop(action, None)
        else:
            self.throttles[action] = Throttle(action, per_minute, code, header)

    def clear(self) -> None:
        """Forget all rules."""
        self.rules = ()
        self.throttles = {}

    def take(
        self, kinds: tuple[str, ...], action: str, instance_id: str, side: Side
    ) -> FaultRule | None:
        """Return the first waiting rule that matches, and count it down; None if there is none."""
        for rule in self.rules:
            if rule.kind in kinds and rule.side == side and rule.matches(action, instance_id):
                left = replace(rule, times=rule.times - 1)
                kept = (left if r is rule else r for r in self.rules)
                self.rules = tuple(r for r in kept if r.times > 0)
                return rule
        return None

    def throttled(self, account: str, region: str, action: str, now: float) -> Throttle | None:
        """Count a call; return the rule that refuses it, if one does."""
        rule = self.throttles.get(action) or self.throttles.get("*")
        if rule is None:
            return None
        key = (f"{account}/{region}", action, int(now // 60))
        if key not in rule.used:  # a new minute: forget the last one of this operation
            rule.used = {k: n for k, n in rule.used.items() if k[:2] != key[:2]}
        rule.used[key] = rule.used.get(key, 0) + 1
        return rule if rule.used[key] > rule.per_minute else None

    def _add(self, rule: FaultRule) -> FaultRule:
        if rule.times < 1:
            raise ValueError("times must be at least 1")
        self.rules = (*self.rules, rule)
        return rule

    def _number(self) -> int:
        self._next += 1
        return self._next - 1
