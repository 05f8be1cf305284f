"""Maintenance windows: openings, daylight saving, and whether the work fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.crd_check import refusals
from tests.support.wrong_manifests import spec_manifest

from sysdisk.api.policy import MaintenanceWindow
from sysdisk.api.status import HistoryEntry, Step
from sysdisk.core.windows import (
    DEFAULT_BACKUP,
    DEFAULT_WORK,
    Closed,
    Fits,
    Open,
    TooShort,
    Waits,
    Window,
    WindowError,
    faults,
    fits,
    opening,
    read,
    time_needed,
    timed,
    too_short_text,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
WEEKLY = "0 2 * * 6"
MOST_CRONS = 15_000
"""How many schedules may be asked for one answer: at some 30 µs each, far from a second."""


def window(schedule: str, hours: float, zone: str | None = None) -> MaintenanceWindow:
    return MaintenanceWindow(schedule=schedule, duration=timedelta(hours=hours), time_zone=zone)


def utc(day: str, clock: str = "00:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}:00+00:00")


# 2026-03-07 is a Saturday.
@pytest.mark.parametrize(
    ("now", "found"),
    [
        (utc("2026-03-06", "12:00"), Closed(utc("2026-03-07", "02:00"))),
        (utc("2026-03-07", "01:59"), Closed(utc("2026-03-07", "02:00"))),
        (utc("2026-03-07", "02:00"), Open(utc("2026-03-07", "06:00"))),
        (utc("2026-03-07", "05:59"), Open(utc("2026-03-07", "06:00"))),
        (utc("2026-03-07", "06:00"), Closed(utc("2026-03-14", "02:00"))),
    ],
)
def test_a_window_is_open_from_its_opening_until_just_before_its_end(
    now: datetime, found: Open | Closed
) -> None:
    assert opening([[window(WEEKLY, 4)]], now) == found


def test_a_window_over_midnight_is_open_on_both_days() -> None:
    late = [window("0 23 * * *", 2)]
    ends = Open(utc("2026-03-08", "01:00"))
    assert opening([late], utc("2026-03-07", "23:30")) == ends
    assert opening([late], utc("2026-03-08", "00:30")) == ends


def test_a_window_is_open_in_its_last_second() -> None:
    ends = utc("2026-03-07", "06:00")
    assert opening([[window(WEEKLY, 4)]], ends - timedelta(seconds=1)) == Open(ends)


def test_a_week_long_window_is_open_to_its_last_second() -> None:
    long = [window("0 0 1 * *", 168)]
    assert opening([long], utc("2026-03-07", "23:59")) == Open(utc("2026-03-08"))
    assert opening([long], utc("2026-03-08")) == Closed(utc("2026-04-01"))


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (utc("2026-03-06", "23:00"), Closed(utc("2026-03-07", "02:00"))),
        (utc("2026-03-07", "02:00"), Open(utc("2026-03-07", "04:00"))),
        (utc("2026-03-07", "05:00"), Closed(utc("2026-03-14", "02:00"))),
    ],
)
def test_a_calendar_is_open_while_each_of_its_lists_is(now: datetime, found: Open | Closed) -> None:
    nights = [window("0 22 * * *", 6)]
    assert opening([[window(WEEKLY, 4)], nights], now) == found
    assert opening([nights, [window(WEEKLY, 4)]], now) == found


def test_lists_that_are_never_open_together_never_hold_any_work() -> None:
    apart = [[window(WEEKLY, 4)], [window("0 12 * * *", 1)]]
    assert opening(apart, utc("2026-03-07")) == Closed(None)
    assert fits(apart, utc("2026-03-07"), MINUTE) == TooShort(timedelta(0))


def test_work_has_to_fit_into_what_the_lists_have_in_common() -> None:
    both = [[window(WEEKLY, 4)], [window("0 4 * * *", 1)]]
    assert fits(both, utc("2026-03-06"), HOUR) == Waits(utc("2026-03-07", "04:00"))
    assert fits(both, utc("2026-03-06"), 2 * HOUR) == TooShort(HOUR)


def test_windows_that_overlap_or_touch_are_one_opening() -> None:
    pair = [window("0 2 * * *", 2), window("0 3 * * *", 2), window("0 5 * * *", 1)]
    assert opening([pair], utc("2026-03-07", "02:30")) == Open(utc("2026-03-07", "06:00"))


def test_a_window_within_a_longer_one_does_not_end_it() -> None:
    pair = [window("0 2 * * *", 6), window("0 3 * * *", 1)]
    assert opening([pair], utc("2026-03-07", "03:30")) == Open(utc("2026-03-07", "08:00"))


def test_a_schedule_is_read_in_its_own_zone() -> None:
    # 02:00 in Shanghai is 18:00 UTC of the day before.
    shanghai = [window("0 2 * * 6", 4, "Asia/Shanghai")]
    assert opening([shanghai], utc("2026-03-06", "19:00")) == Open(utc("2026-03-06", "22:00"))


# -- daylight saving: Berlin jumps 02:00 -> 03:00 on 2026-03-29, goes back 03:00 -> 02:00 on 10-25


def test_a_fixed_time_in_the_missing_hour_opens_at_the_jump() -> None:
    berlin = [window("30 2 * * *", 1, "Europe/Berlin")]
    jump = utc("2026-03-29", "01:00")
    assert opening([berlin], jump - MINUTE) == Closed(jump)
    assert opening([berlin], jump) == Open(jump + HOUR)
    assert opening([berlin], jump + HOUR) == Closed(utc("2026-03-30", "00:30"))


def test_a_fixed_time_in_the_doubled_hour_opens_once_the_first_time() -> None:
    berlin = [window("30 2 * * *", 0.5, "Europe/Berlin")]
    first = utc("2026-10-25", "00:30")
    assert opening([berlin], first) == Open(first + HOUR / 2)
    assert opening([berlin], first + HOUR) == Closed(utc("2026-10-26", "01:30"))


def test_in_the_second_turn_of_the_doubled_hour_the_next_opening_is_in_the_future() -> None:
    berlin = [window("50 2 * * *", 0.5, "Europe/Berlin")]
    now = utc("2026-10-25", "01:45")  # 02:45 for the second time
    assert opening([berlin], now) == Closed(utc("2026-10-26", "01:50"))


def test_an_hourly_window_opens_in_both_turns_of_the_doubled_hour() -> None:
    berlin = [window("30 * * * *", 0.25, "Europe/Berlin")]
    assert opening([berlin], utc("2026-10-25", "00:35")) == Open(utc("2026-10-25", "00:45"))
    assert opening([berlin], utc("2026-10-25", "01:35")) == Open(utc("2026-10-25", "01:45"))


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_window_over_the_change_of_clocks_is_as_long_as_it_says(day: str) -> None:
    berlin = [window("0 1 * * *", 4, "Europe/Berlin")]
    opened = opening([berlin], utc(day) - 2 * HOUR)
    assert isinstance(opened, Closed)
    assert opened.next_open is not None
    assert opening([berlin], opened.next_open) == Open(opened.next_open + 4 * HOUR)


# -- does it fit? -----------------------------------------------------------------------------


def test_work_begins_only_where_it_can_also_end() -> None:
    weekly, need = [window(WEEKLY, 4)], HOUR
    assert fits([weekly], utc("2026-03-07", "05:00"), need) == Fits(utc("2026-03-07", "06:00"))
    assert fits([weekly], utc("2026-03-07", "05:01"), need) == Waits(utc("2026-03-14", "02:00"))
    assert fits([weekly], utc("2026-03-07", "01:00"), need) == Waits(utc("2026-03-07", "02:00"))


def test_without_windows_any_time_will_do() -> None:
    assert fits([], utc("2026-03-07"), 100 * HOUR) == Fits(None)


def test_openings_that_are_too_short_are_passed_over() -> None:
    two = [window("0 2 * * *", 0.5), window(WEEKLY, 4)]
    assert fits([two], utc("2026-03-02"), HOUR) == Waits(utc("2026-03-07", "02:00"))


@pytest.mark.parametrize("day", range(7))
def test_a_long_window_is_found_behind_any_number_of_short_ones(day: int) -> None:
    now = utc("2026-03-08") + timedelta(days=day)
    both = [window("*/2 * * * *", 1 / 60), window(WEEKLY, 4)]
    assert fits([both], now, HOUR) == Waits(utc("2026-03-14", "02:00"))
    yearly = [window("0 * * * *", 0.1), window("0 2 1 1 *", 4)]
    assert fits([yearly], now, HOUR) == Waits(utc("2027-01-01", "02:00"))


def test_a_window_as_long_as_the_work_is_found_behind_any_number_of_short_ones() -> None:
    both = [window("*/2 * * * *", 1 / 60), window(WEEKLY, 1)]
    assert fits([both], utc("2026-03-08"), HOUR) == Waits(utc("2026-03-14", "02:00"))


def test_work_that_takes_no_time_waits_for_its_window_as_well() -> None:
    weekly = [window(WEEKLY, 4)]
    assert fits([weekly], utc("2026-03-06"), timedelta(0)) == Waits(utc("2026-03-07", "02:00"))


def test_what_two_lists_have_in_common_may_be_long_enough_once_a_year() -> None:
    late = [window("30 3 * * *", 2), window("0 2 1 1 *", 2)]
    nights = [window("0 2 * * *", 2)]
    assert fits([nights, late], utc("2026-03-07"), HOUR) == Waits(utc("2027-01-01", "02:00"))


@pytest.mark.parametrize(
    "calendar",
    [
        [[window("*/2 * * * *", 1 / 60)] * 8],
        [[window("*/15 * * * *", 1 / 6)] * 3, [window("7-59/15 * * * *", 1 / 6)] * 3],
        [[window("0 * * * *", 0.1), window("0 12 * * 6", 4)], [window("0 22 * * *", 6)]],
    ],
    ids=["every-other-minute", "hardly-in-common", "long-ones-never-meet"],
)
def test_a_window_that_never_comes_is_not_looked_for_for_long(
    calendar: list[list[MaintenanceWindow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[str]()

    def counted(found: Window, when: datetime) -> Iterator[datetime]:
        asked["openings"] += 1
        return real(found, when)

    real = Window.after
    monkeypatch.setattr(Window, "after", counted)
    assert isinstance(fits(calendar, utc("2026-03-07"), timedelta(minutes=10)), TooShort)
    assert asked["openings"] < MOST_CRONS


def test_a_window_that_can_never_hold_the_work_is_told_with_its_length() -> None:
    found = fits([[window(WEEKLY, 0.5)]], utc("2026-03-07", "02:00"), HOUR)
    assert found == TooShort(HOUR / 2)
    text = too_short_text(found, HOUR, backup=True, seen=False)
    assert "1h" in text
    assert "30m" in text


def test_short_windows_that_touch_hold_long_work() -> None:
    assert isinstance(fits([[window("0 * * * *", 1)]], utc("2026-03-07"), 20 * HOUR), Fits)


def test_a_window_that_never_opens_is_told() -> None:
    never = [window("0 0 */29 2 MON#5", 4)]  # the 1st is no fifth Monday, and there is no 30th
    assert opening([never], utc("2026-03-07")) == Closed(None)
    found = fits([never], utc("2026-03-07"), HOUR)
    assert found == TooShort(timedelta(0))
    assert "ever opens" in too_short_text(found, HOUR, backup=False, seen=True)


# -- nonsense ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "zone", "names"),
    [
        ("61 * * * *", None, "its minute"),
        ("0 24 * * *", None, "its hour"),
        ("0 0 30 2 *", None, "its day of month"),
        ("0 0 * 13 *", None, "its month"),
        ("0 0 * * FOO", None, "its day of week"),
        ("* * * *", None, "five fields"),
        ("0 0 0 * * *", None, "five fields"),
        (WEEKLY, "Mars/Base", "timeZone Mars/Base"),
        (WEEKLY, "Asia", "timeZone Asia"),
        (WEEKLY, "../etc/passwd", "timeZone ../etc/passwd"),
    ],
)
def test_nonsense_is_told_by_field(schedule: str, zone: str | None, names: str) -> None:
    bad = window(schedule, 1, zone)
    (text,) = faults([bad])
    assert text.startswith("maintenanceWindows[0]: ")
    assert names in text
    with pytest.raises(WindowError, match=r"is not|five fields"):
        opening([[bad]], utc("2026-03-07"))


def test_every_bad_window_is_told_at_once() -> None:
    found = faults([window("61 * * * *", 1), window(WEEKLY, 1), window(WEEKLY, 1, "No/Where")])
    assert [text[:22] for text in found] == ["maintenanceWindows[0]:", "maintenanceWindows[2]:"]


# -- how long it takes ------------------------------------------------------------------------


def entry(
    *seconds: int,
    backup: int | None = None,
    replaced: bool = True,
    result: str = "Replaced",
    then: Step | None = None,
) -> HistoryEntry:
    steps = [{"step": Step.BACKUP, "seconds": backup}] if backup is not None else []
    steps += [{"step": then, "seconds": 0}] if then is not None else []
    steps += [{"step": Step.REPLACE, "seconds": s} for s in seconds]
    return HistoryEntry.model_validate(
        {
            "plan_id": "p",
            "result": result,
            "new_disk_id": "d-2" if replaced else None,
            "snapshot_id": "s-1" if backup is not None else None,
            "started_at": utc("2026-03-01"),
            "ended_at": utc("2026-03-01"),
            "steps": steps,
        }
    )


def test_without_a_past_the_defaults_hold() -> None:
    assert time_needed([], backup=False) == DEFAULT_WORK
    assert time_needed([], backup=True) == DEFAULT_WORK + DEFAULT_BACKUP


def test_the_median_of_earlier_replacements_is_taken() -> None:
    past = [entry(10, 20), entry(100), entry(4000)]
    assert time_needed(past, backup=False) == timedelta(seconds=100)


def test_operations_without_a_new_disk_say_nothing_of_the_work() -> None:
    assert time_needed([entry(3, replaced=False)], backup=False) == DEFAULT_WORK


def test_the_backup_is_judged_by_itself_even_where_nothing_was_replaced() -> None:
    past = [entry(60, backup=600), entry(backup=1800, replaced=False, then=Step.STOP)]
    assert time_needed(past, backup=True) == timedelta(seconds=60 + 1200)
    assert time_needed(past, backup=False) == timedelta(seconds=60)


def test_a_backup_that_was_finished_too_late_for_the_rest_counts() -> None:
    past = [entry(backup=6900, replaced=False, result="WindowClosed", then=Step.START)]
    assert time_needed(past, backup=True) == DEFAULT_WORK + timedelta(seconds=6900)


@pytest.mark.parametrize(
    ("result", "seconds"), [("BackupOverdue", 3600), ("Suspended", 3), ("BackupFailed", 60)]
)
def test_a_backup_that_was_never_finished_says_nothing(result: str, seconds: int) -> None:
    past = [entry(backup=seconds, replaced=False, result=result, then=Step.START)]
    assert time_needed(past, backup=True) == DEFAULT_WORK + DEFAULT_BACKUP
    assert not timed(past, backup=True)


@pytest.mark.parametrize(
    ("past", "backup", "judged"),
    [
        ([], False, False),
        ([entry(60)], False, True),
        ([entry(60)], True, False),
        ([entry(60, backup=600)], True, True),
        ([entry(backup=600, replaced=False, then=Step.STOP)], True, False),
    ],
)
def test_no_default_is_in_a_time_that_is_judged_by_earlier_ones(
    past: list[HistoryEntry], backup: bool, judged: bool
) -> None:
    assert timed(past, backup=backup) is judged


# -- properties -------------------------------------------------------------------------------

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
SCHEDULES = st.builds(
    lambda m, h, d: f"{m} {h} * * {d}",
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["*", "6", "1-5"]),
)
WINDOWS = st.lists(
    st.builds(window, SCHEDULES, st.sampled_from([0.25, 1, 4, 25]), ZONES), min_size=1, max_size=3
)
TIMES = st.integers(0, 365 * 86400).map(lambda s: utc("2026-01-01") + timedelta(seconds=s))


@given(windows=WINDOWS, now=TIMES)
def test_what_opens_next_is_closed_before_and_open_then(
    windows: list[MaintenanceWindow], now: datetime
) -> None:
    found = opening([windows], now)
    if isinstance(found, Open):
        assert found.until > now
        return
    assert found.next_open is not None
    assert found.next_open > now
    assert isinstance(opening([windows], found.next_open), Open)
    assert isinstance(opening([windows], found.next_open - timedelta(seconds=1)), Closed)


@settings(deadline=None)
@given(windows=WINDOWS, now=TIMES, need=st.sampled_from([MINUTE, HOUR, 5 * HOUR]))
def test_work_that_may_begin_is_inside_an_opening_to_its_end(
    windows: list[MaintenanceWindow], now: datetime, need: timedelta
) -> None:
    found = fits([windows], now, need)
    begins = found.opens if isinstance(found, Waits) else now
    if isinstance(found, TooShort):
        assert found.longest < need
        return
    assert begins >= now
    for share in (0, 0.3, 0.7):
        assert isinstance(opening([windows], begins + share * need), Open)
    assert isinstance(opening([windows], begins + need - timedelta(seconds=1)), Open)


_VALUE = st.one_of(
    st.integers(0, 61).map(str), st.sampled_from(["*", "mon", "Jan", "L", "6L", "7#2"])
)
_ITEM = st.one_of(
    _VALUE,
    st.tuples(_VALUE, _VALUE).map("-".join),
    st.tuples(_VALUE, st.integers(0, 9).map(str)).map("/".join),
)
_FIELD = st.lists(_ITEM, min_size=1, max_size=2).map(",".join)


_RARE = st.sampled_from(["30", "31", "031", "30,31", "31-31", "30-31", "29,31", "31/2", "15-31"])
_MONTHS = st.lists(
    st.sampled_from(["2", "02", "feb", "FEB", "4", "Jun", "9", "NOV", "5", "4-6", "2-2", "*"]),
    min_size=1,
    max_size=3,
).map(",".join)
_NAMED = st.tuples(*[st.sampled_from([*"0123567", "Sun", "MON", "fri", "SAT", "*"])] * 2)
_SCHEDULES = st.one_of(
    st.lists(_FIELD, min_size=5, max_size=5),
    st.lists(_VALUE, min_size=5, max_size=5),
    st.tuples(_RARE, _MONTHS, _FIELD | st.just("*")).map(lambda drawn: ["0", "2", *drawn]),
    _NAMED.map(lambda days: ["0", "2", "*", "*", "-".join(days)]),
)


def refused_at_apply(schedule: str, zone: str = "UTC") -> bool:
    windows = [{"schedule": schedule, "duration": "1h", "timeZone": zone}]
    return refusals(spec_manifest({"maintenanceWindows": windows})) != []


@given(_SCHEDULES)
def test_what_is_refused_at_apply_could_not_be_read_anyway(fields: list[str]) -> None:
    schedule = " ".join(fields)
    given_up = refused_at_apply(schedule)
    try:
        read(window(schedule, 1))
    except WindowError:
        return
    assert not given_up


_ZONES = sorted(available_timezones())


@given(zone=st.sampled_from([*_ZONES, "Local", "Asia", "Etc", "UTC+8", "CST", "asia/tokyo"]))
def test_a_zone_is_taken_at_apply_if_and_only_if_it_is_known(zone: str) -> None:
    refused = refused_at_apply(WEEKLY, zone)
    try:
        read(window(WEEKLY, 1, zone))
    except WindowError:
        assert refused
    else:
        assert not refused


@pytest.mark.parametrize(
    "schedule", ["60 2 * * *", "0 24 * * *", "0 2 0 * *", "0 2 32 * *", "0 2 * 13 *", "0 2 * * 8"]
)
def test_a_value_out_of_its_range_is_refused_at_apply(schedule: str) -> None:
    assert refused_at_apply(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "*/15 2-4 * * MON-FRI",
        "0 02 1,15 jan-mar *",
        "59 23 31 12 7",
        "0 2 29 2 *",
        "0 2 30 2 MON",
        "0 2 31 2-5 *",
        "0 02-10,9-9 * FEB-NOV SUN-SAT",
        "0 2 LW * *",
        "0 2 * * 6#1,5L",
    ],
)
def test_every_way_to_write_a_schedule_is_taken_at_apply_and_read(schedule: str) -> None:
    assert not refused_at_apply(schedule)
    assert read(window(schedule, 1)).schedule == schedule
