"""Durations and times: what is written is read back, and what is unclear is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sysdisk.api.durations import (
    format_duration,
    format_time,
    parse_duration,
    parse_time,
    to_second,
)

LENGTHS = st.timedeltas(timedelta(0), timedelta(days=4000))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS)  # noqa: DTZ001 - the strategy adds the zone


@given(length=LENGTHS)
def test_a_written_duration_is_read_back(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(hours=1, minutes=30)),
        ("90s", timedelta(seconds=90)),
        ("0.3s", timedelta(milliseconds=300)),
        ("300ms", timedelta(milliseconds=300)),
        ("30m1h", timedelta(hours=1, minutes=30)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
    ],
)
def test_a_go_duration_is_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(minutes=10), "10m"),
        (timedelta(hours=1, minutes=30), "1h30m"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=7), "168h"),
        (timedelta(milliseconds=300), "300ms"),
        (timedelta(0), "0s"),
    ],
)
def test_a_duration_is_written_in_its_shortest_form(length: timedelta, text: str) -> None:
    assert format_duration(length) == text


@pytest.mark.parametrize(
    "text", ["", "10", "m", "-10m", "+10m", "1d", "10 m", "10m ", "1h,2m", "1ns", "١m", "10M"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_duration_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("9" * 400 + "h")


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(timedelta(seconds=-1))


@given(when=TIMES)
def test_a_written_time_is_read_back_to_the_second(when: datetime) -> None:
    written = format_time(when)
    assert len(written) == len("2026-03-01T12:00:00Z")
    assert parse_time(written) == when.replace(microsecond=0)
    assert parse_time(written).tzinfo is UTC


def test_any_offset_is_read_as_utc() -> None:
    assert format_time(parse_time("2026-03-01T20:00:00.75+08:00")) == "2026-03-01T12:00:00Z"


def test_a_time_without_offset_is_refused() -> None:
    for attempt in (
        lambda: parse_time("2026-03-01T12:00:00"),
        lambda: format_time(datetime(2026, 3, 1)),  # noqa: DTZ001 - naive on purpose
        lambda: to_second(datetime(2026, 3, 1)),  # noqa: DTZ001 - naive on purpose
    ):
        with pytest.raises(ValueError, match="offset"):
            attempt()


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        parse_time("yesterday")
