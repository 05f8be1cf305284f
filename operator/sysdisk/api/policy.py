"""What a spec may ask, an account may default and require, and a plan shows as effective."""

from enum import StrEnum
from typing import Annotated

from sysdisk.api.base import ApiModel, Duration, described, duration_rule, rule, text


class Approval(StrEnum):
    """Who lets a plan begin."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Backup(ApiModel):
    """A snapshot of the old disk before it is released. An absent field asks for nothing."""

    enabled: Annotated[
        bool | None,
        described(
            "Make a snapshot of the old system disk before it is released (ECS CreateSnapshot). "
            "Built-in: true."
        ),
    ] = None
    retention_days: Annotated[
        int | None,
        described(
            "Days that the snapshot is kept (ECS RetentionDays). Built-in: 7.",
            minimum=1,
            maximum=65536,
        ),
    ] = None


_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"


def _cron_field(value: str, *others: str) -> str:
    """Return the pattern of a list of values, ranges and steps, and of `others`."""
    ranged = f"([*]|({value})(-({value}))?)(/0*[1-9][0-9]*)?"
    item = "|".join((ranged, *others))
    return f"({item})(,({item}))*"


CRON = (
    "(?i)^"
    + " +".join(
        (
            _cron_field("0*[0-5]?[0-9]"),
            _cron_field("0*(1?[0-9]|2[0-3])"),
            _cron_field("0*([1-9]|[12][0-9]|3[01])", "LW?"),
            _cron_field(f"0*([1-9]|1[0-2])|{_MONTHS}"),
            _cron_field(f"0*[0-7]|{_DAYS}", "0*[0-7]L", f"(0*[0-7]|{_DAYS})#0*[1-5]"),
        )
    )
    + "$"
)
"""What cronsim reads, but for ranges that run backwards and days that never come."""

_FORWARDS = (
    "self.findAll('[0-9]{1,18}-[0-9]{1,18}')"
    ".all(range, int(range.split('-')[0]) <= int(range.split('-')[1]))"
)
_IN_ORDER = f"'{_DAYS} {_MONTHS}'"
_FORWARDS_BY_NAME = (
    "self.upperAscii().findAll('[A-Z]{3}-[A-Z]{3}').all(range, "
    f"{_IN_ORDER}.indexOf(range.substring(0, 3)) <= {_IN_ORDER}.indexOf(range.substring(4)))"
)


def _never(days: str, months: str) -> str:
    """Return the pattern of a schedule on none but these days of none but these months.

    Without a `*` as day of the week it opens on that day, too (Debian's cron).
    """
    day, month = f"({days})(-({days}))?", f"({months})"
    return f"^[^ ]+ +[^ ]+ +{day}(,{day})* +{month}(,{month})* +[*]"


NEVER = "(?i)" + "|".join(
    (_never("0*3[01]", "0*2|FEB"), _never("0*31", "0*(2|4|6|9|11)|FEB|APR|JUN|SEP|NOV"))
)

_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}$"
_KNOWN = "self != 'Local' && timestamp('2000-01-01T00:00:00Z').getFullYear(self) > 0"
"""Whether the API server knows a zone: it fails to say the year there where it does not."""

Cron = Annotated[str, text(128, least=9)]
TimeZone = Annotated[str, text(64)]


class MaintenanceWindow(ApiModel):
    """A stretch of time, again and again, in which a replacement may begin."""

    schedule: Annotated[
        Cron,
        described(
            "When the window opens: a cron expression of five fields, such as `0 2 * * 6`.",
            rule(
                f"self.matches('{CRON}')",
                "schedule must be a cron expression of five fields (minute 0-59, hour 0-23, day of "
                "month 1-31, month 1-12, day of week 0-7), such as 0 2 * * 6",
            ),
            rule(
                f"{_FORWARDS} && {_FORWARDS_BY_NAME}",
                "schedule holds a range that runs backwards: write 22-23,0-2 for 22-2, and "
                "FRI,SAT,SUN,MON for FRI-MON",
            ),
            rule(
                f"!self.matches('{NEVER}')",
                "schedule names a day of the month that never comes, such as 30 in February",
            ),
        ),
    ]
    duration: Annotated[
        Duration,
        described(
            "How long it stays open, 5m to 168h, such as `4h`.",
            duration_rule("duration", "5m", "168h"),
        ),
    ]
    time_zone: Annotated[
        TimeZone | None,
        described(
            "IANA time zone in which the schedule is read, such as `Asia/Shanghai`. UTC if absent.",
            rule(
                f"self.matches('{_ZONE}') && {_KNOWN}",
                "timeZone must be the name of an IANA time zone, such as Asia/Shanghai or UTC",
            ),
        ),
    ] = None


WINDOWS_LIMIT = 16
"""How many windows one list may hold."""
