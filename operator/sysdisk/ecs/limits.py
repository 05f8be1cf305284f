"""How fast ECS is asked: per action in one region of one account, and rests after throttling.

ECS limits every operation by account and region over all callers, and publishes no numbers for
ours. A throttled operation rests until the next minute: asking before is refused again and counts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from sysdisk.ecs.clock import Clock

DEFAULT_PER_SECOND: Mapping[str, float] = {
    "DescribeInstances": 10.0,
    "DescribeDisks": 10.0,
    "ReplaceSystemDisk": 5.0,
    "StopInstance": 5.0,
    "StartInstance": 5.0,
    "CreateSnapshot": 5.0,
}
"""Cautious guesses for calls that matter (ECS's own limits stand in its Quota Center only)."""
OTHERS_PER_SECOND = 5.0
REST_JITTER = 2.0
"""Seconds over which operations that rest come back after the minute has turned."""
LONGEST_REST = 600.0


class Held(Exception):
    """A turn could not be had in time. `until` is when the next one is expected."""

    def __init__(self, action: str, until: datetime, *, throttled: bool) -> None:
        why = "rests after ECS throttled it" if throttled else "has used up its request rate"
        super().__init__(f"{action} {why}; the next turn is at {until:%Y-%m-%dT%H:%M:%SZ}")
        self.action = action
        self.until = until
        self.throttled = throttled


class RateLimiter:
    """Turns for calls in one account and region. Waiters are served in the order they came.

    In any second at most the configured number of calls of an action begins. A rate that is no
    whole number is kept by spacing: one call in 1/rate seconds.
    """

    def __init__(
        self, per_second: Mapping[str, float], headroom_percent: int, clock: Clock
    ) -> None:
        self._clock = clock
        self._actions: dict[str, _Action] = {}
        self.configure(per_second, headroom_percent)

    def configure(self, per_second: Mapping[str, float], headroom_percent: int) -> None:
        """Take new rates. What is given in `per_second` holds as it is; `headroom_percent` of the
        defaults is left to other callers."""
        self._per_second = dict(per_second)
        self._share = 1 - headroom_percent / 100
        for name, action in self._actions.items():
            action.set_rate(self.rate(name))

    def rate(self, action: str) -> float:
        """Return the calls a second that `action` is allowed."""
        if action in self._per_second:
            return self._per_second[action]
        return DEFAULT_PER_SECOND.get(action, OTHERS_PER_SECOND) * self._share

    async def turn(self, action: str, *, not_after: float | None = None) -> None:
        """Return when a call of `action` may begin.

        Raises `Held`, at once, if that would be after `not_after` (monotonic).
        """
        state = self._state(action)
        while True:
            now = self._clock.monotonic()
            slot = state.next_slot(now)
            if not_after is not None and slot > not_after:
                raise Held(action, self._wall(slot, now), throttled=state.rest_until > now)
            rest = state.rest_until
            state.take(slot)
            if slot > now:
                await self._clock.sleep(slot - now)
            if state.rest_until <= rest or state.rest_until <= self._clock.monotonic():
                return

    def ready_in(self, action: str) -> float:
        """Return the seconds until a call of `action` could begin, 0 if now."""
        now = self._clock.monotonic()
        return max(0.0, self._state(action).next_slot(now) - now)

    def rest(self, action: str, retry_after: float | None = None) -> datetime:
        """Let `action` rest until the next minute, or `retry_after` seconds; return until when."""
        now, wall = self._clock.monotonic(), self._clock.now()
        pause = min(retry_after, LONGEST_REST) if retry_after else _to_next_minute(wall)
        pause += REST_JITTER * self._clock.jitter()
        state = self._state(action)
        state.rest_until = max(state.rest_until, now + pause)
        return self._wall(state.rest_until, now)

    def resting_until(self, action: str) -> datetime | None:
        """Return when `action` is taken up again, None if it does not rest."""
        now, until = self._clock.monotonic(), self._state(action).rest_until
        return self._wall(until, now) if until > now else None

    def _state(self, action: str) -> _Action:
        if action not in self._actions:
            self._actions[action] = _Action(self.rate(action))
        return self._actions[action]

    def _wall(self, moment: float, now: float) -> datetime:
        return self._clock.now() + timedelta(seconds=max(0.0, moment - now))


class _Action:
    """The turns of one action: at most `len(taken)` in each `window` seconds."""

    def __init__(self, rate: float) -> None:
        self.rest_until = -math.inf
        self._taken: deque[float] = deque()
        self.set_rate(rate)

    def set_rate(self, rate: float) -> None:
        self._many = int(rate) if rate >= 1 and rate == int(rate) else 1
        self._window = self._many / rate
        self._taken = deque(self._taken, maxlen=self._many)

    def next_slot(self, now: float) -> float:
        slot = max(now, self.rest_until, self._taken[-1] if self._taken else now)
        if len(self._taken) == self._many:
            slot = max(slot, self._taken[0] + self._window)
        return slot

    def take(self, slot: float) -> None:
        self._taken.append(slot)


def _to_next_minute(wall: datetime) -> float:
    return 60 - wall.second - wall.microsecond / 1e6
