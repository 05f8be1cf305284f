"""What a spec may ask, an account may default and require, and a plan shows as effective."""

from enum import StrEnum
from typing import Annotated

from sysdisk.api.base import ApiModel, Duration, described, duration_rule, rule, text


class Approval(StrEnum):
    """Who lets a plan begin."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Backup(ApiModel):
    """A snapshot of the old disk before it is released. Absent fields ask for nothing."""

    enabled: Annotated[
        bool | None,
        described(
            "Make a snapshot of the old system disk before it is released (ECS CreateSnapshot)."
        ),
    ] = None
    retention_days: Annotated[
        int | None,
        described("Days that the snapshot is kept (ECS RetentionDays).", minimum=1, maximum=65536),
    ] = None


_CRON = r"^[0-9A-Za-z*/,#?-]+( +[0-9A-Za-z*/,#?-]+){4}$"
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
                f"self.matches('{_CRON}')",
                "schedule must be a cron expression of five fields (minute, hour, day of month, "
                "month, day of week), such as 0 2 * * 6",
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
