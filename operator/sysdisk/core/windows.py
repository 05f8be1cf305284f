"""Maintenance windows: is one open, when does the next one open, and can it hold the work?

A schedule is read in its own time zone; a duration is elapsed time, so that a window of 4 h is 4 h
long on the day that the clocks change, too. What the clocks do to an opening is what Debian's cron
does: a fixed time in the hour that is left out opens at the jump, one in the hour that comes twice
opens once, the first time; with `*` as hour or minute it goes by the clock. Windows that touch or
overlap are one opening. A calendar is several lists of windows: it is open while each of them is.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from sysdisk.api.durations import format_duration
from sysdisk.api.policy import MaintenanceWindow
from sysdisk.api.status import HistoryEntry, Step

DEFAULT_WORK: Final = timedelta(minutes=10)
"""How long a replacement takes, from the stop to the start, until one of this instance was seen."""

DEFAULT_BACKUP: Final = timedelta(minutes=20)
"""How long a backup takes until one of this instance was seen. Source: a first snapshot of 40 GiB
took about 20 minutes."""

ENDING_WINDOW: Final = "WindowClosed"
"""Ends an operation whose backup was finished too late for the rest."""

OPENINGS_AT_MOST: Final = 64
"""How many openings ahead are looked at for one that can hold the work."""

LONG_ONES_AT_MOST: Final = 400
"""How many further ones, of the windows that are long enough alone: more than a year of nights."""

MEETINGS_AT_MOST: Final = 800
"""How many openings of one list are held against another before they are said never to meet: two
years of nights."""

Calendar = Sequence[Sequence[MaintenanceWindow]]
"""Lists of windows, none of them empty. No list at all: any time is good."""

DAY: Final = timedelta(days=1)
_BACKWARDS: Final = (timedelta(hours=1), DAY, timedelta(days=7))


class WindowError(ValueError):
    """A window that cannot be read; the text is for people and names what is wrong."""


@dataclass(frozen=True, slots=True)
class Open:
    """A window is open, and stays so `until` then (or longer than anybody asked for)."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """No window is open; the next one opens then. None: none ever does."""

    next_open: datetime | None


@dataclass(frozen=True, slots=True)
class Fits:
    """The work may begin now: it ends before `until`. None: no window, so at any time."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """The work may begin when the next window that can hold it opens."""

    opens: datetime


@dataclass(frozen=True, slots=True)
class TooShort:
    """No window can ever hold the work; `longest` is the longest opening found."""

    longest: timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was read: its cron expression, its zone, and how long it stays open."""

    schedule: str
    zone: ZoneInfo
    duration: timedelta

    def after(self, when: datetime) -> Iterator[datetime]:
        """Yield the openings later than `when`, in UTC, until there are none."""
        for tick in CronSim(self.schedule, when.astimezone(self.zone)):
            opened = tick.astimezone(UTC)
            if opened > when:  # in the hour that comes twice, cronsim may count from its first turn
                yield opened

    def latest(self, when: datetime) -> datetime | None:
        """Return the last opening not after `when`, if the window may still be open by it."""
        second = timedelta(seconds=1)
        for back in sorted({min(back, self.duration) for back in _BACKWARDS}):
            found = None
            for opened in self.after(when - back - second):
                if opened > when:
                    break
                found = opened
            if found is not None:
                return found
        return None


@lru_cache(maxsize=512)
def read(window: MaintenanceWindow) -> Window:
    """Return `window` understood. Raises WindowError in words for people."""
    name = window.time_zone or "UTC"
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise WindowError(
            f"timeZone {name} is not known (use the name of an IANA time zone, such as "
            "Asia/Shanghai)"
        ) from None
    schedule = " ".join(window.schedule.split())
    if len(schedule.split()) != 5:
        raise WindowError(f"schedule {window.schedule!r} does not have five fields")
    try:
        CronSim(schedule, datetime(2000, 1, 1, tzinfo=zone))
    except CronSimError as exc:
        raise WindowError(
            f"schedule {window.schedule!r} is not understood: {_in_words(exc)}"
        ) from None
    return Window(schedule, zone, window.duration)


def _in_words(exc: CronSimError) -> str:
    field = str(exc).removeprefix("Bad ").replace("-", " ")
    return f"its {field} is out of range or misspelt"


def faults(windows: Iterable[MaintenanceWindow]) -> tuple[str, ...]:
    """Return what is wrong with `windows`, each in words; empty: nothing is."""
    found = []
    for number, window in enumerate(windows):
        try:
            read(window)
        except WindowError as exc:
            found.append(f"maintenanceWindows[{number}]: {exc}")
    return tuple(found)


def opening(calendar: Calendar, now: datetime, enough: timedelta = DAY) -> Open | Closed:
    """Return whether `calendar` is open at `now`, and until when; or when it opens next.

    `until` is exact up to `enough` from now. Raises WindowError.
    """
    known = _read_all(calendar)
    until = _until(known, now, now + enough)
    return Open(until) if until > now else Closed(_next(known, now))


def fits(calendar: Calendar, now: datetime, need: timedelta) -> Fits | Waits | TooShort:
    """Return whether work of length `need` may begin at `now`, else when, or that it never can.

    Raises WindowError.
    """
    if not calendar:
        return Fits()
    known = _read_all(calendar)
    enough = max(need, DAY)
    until = _until(known, now, now + enough)
    if until > now and now + need <= until:
        return Fits(until)
    longest, after = timedelta(0), max(until, now)
    long_ones = [[w for w in windows if w.duration >= need] for windows in known]
    # A long window may be rare among many short ones: then these are passed over.
    for some, at_most in ((known, OPENINGS_AT_MOST), (long_ones, LONG_ONES_AT_MOST)):
        for opens, closes in islice(_openings(some, after, enough), at_most):
            if closes - opens >= need:
                return Waits(opens)
            longest, after = max(longest, closes - opens), closes
    return TooShort(longest)


_Known = Sequence[Sequence[Window]]


def _read_all(calendar: Calendar) -> _Known:
    return [[read(window) for window in windows] for windows in calendar]


def _openings(
    known: _Known, after: datetime, enough: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    while (opens := _next(known, after)) is not None:
        after = _until(known, opens, opens + enough)
        yield opens, after


def _next(known: _Known, now: datetime) -> datetime | None:
    """Return the first moment after `now`, at which not all lists are open, when all are."""
    for _ in range(MEETINGS_AT_MOST):
        closed = [windows for windows in known if _list_until(windows, now, now) <= now]
        if not closed:
            return now
        opens = [_list_next(windows, now) for windows in closed]
        if None in opens:
            return None
        now = max(filter(None, opens))
    return None


def _list_next(windows: Iterable[Window], now: datetime) -> datetime | None:
    return min((found for w in windows for found in islice(w.after(now), 1)), default=None)


def _until(known: _Known, now: datetime, limit: datetime) -> datetime:
    """Return when the opening that holds `now` ends; `now` itself where none does."""
    return min(_list_until(windows, now, limit) for windows in known)


def _list_until(windows: Sequence[Window], now: datetime, limit: datetime) -> datetime:
    until = now
    while until <= limit:
        ends = [opened + w.duration for w in windows if (opened := w.latest(until)) is not None]
        further = max(ends, default=until)
        if further <= until:
            break
        until = further
    return until


# -- how long the work takes ------------------------------------------------------------------


def time_needed(history: Sequence[HistoryEntry], *, backup: bool) -> timedelta:
    """Return how long the next replacement will take: the median of the earlier ones, else a
    default; the backup, where one is to be made, is judged by itself."""
    need = _median(_worked(history), DEFAULT_WORK)
    return need + _median(_saved(history), DEFAULT_BACKUP) if backup else need


def timed(history: Sequence[HistoryEntry], *, backup: bool) -> bool:
    """Whether the time needed is judged by earlier ones alone, with no default in it."""
    return bool(_worked(history)) and (not backup or bool(_saved(history)))


def _worked(history: Sequence[HistoryEntry]) -> list[int]:
    return [
        sum(taken.seconds for taken in entry.steps if taken.step is not Step.BACKUP)
        for entry in history
        if entry.new_disk_id
    ]


def _saved(history: Sequence[HistoryEntry]) -> list[int]:
    """Return the seconds of the backups that were finished.

    One that was broken off says nothing: it is as long as the window was, or as short as somebody's
    patience.
    """
    return [
        taken.seconds
        for entry in history
        if entry.snapshot_id and _finished_its_backup(entry)
        for taken in entry.steps
        if taken.step is Step.BACKUP
    ]


def _finished_its_backup(entry: HistoryEntry) -> bool:
    """Whether the operation went on to the stop, or would have if there had been time for it."""
    went_on = any(taken.step is Step.STOP for taken in entry.steps)
    return bool(entry.new_disk_id) or went_on or entry.result == ENDING_WINDOW


def _median(seconds: Sequence[int], default: timedelta) -> timedelta:
    return timedelta(seconds=statistics.median(seconds)) if seconds else default


def at(when: datetime) -> str:
    """Return an absolute time for messages, in UTC to the second."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def too_short_text(found: TooShort, need: timedelta, *, backup: bool, seen: bool) -> str:
    """Return why no window will do, and what to do about it; `seen`: an earlier one was timed."""
    length = format_duration(timedelta(seconds=round(need.total_seconds())))
    if found.longest <= timedelta(0):
        return (
            "No maintenance window ever opens, or not while those that the account requires are "
            "open. Correct the schedules."
        )
    return (
        f"{'Backup and work take' if backup else 'The work takes'} about {length}, "
        f"{'judged by earlier ones' if seen else 'as is assumed until one was seen'}, and the "
        f"longest maintenance window is {format_duration(found.longest)}. Lengthen a window"
        f"{', or set backup.enabled: false' if backup else ''}."
    )
