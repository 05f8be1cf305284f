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
"""What cronsim reads, but for a range that runs backwards."""

_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}$"

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
                f"self.matches('{_ZONE}')",
                "timeZone must be the name of an IANA time zone, such as Asia/Shanghai or UTC",
            ),
        ),
    ] = None


WINDOWS_LIMIT = 16
"""How many windows one list may hold."""
