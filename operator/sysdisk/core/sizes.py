"""The sizes that a system disk may have. Source: ECS ReplaceSystemDisk, SystemDisk.Size."""

from __future__ import annotations

from typing import Final

_MIN_BY_LEVEL: Final = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}
_OTHER_MIN: Final = 20
_BASIC_MAX: Final = 500
_OTHER_MAX: Final = 2048


def size_range(category: str, performance_level: str) -> tuple[int, int]:
    """Return the smallest and the largest system disk of a category, in GiB."""
    if category == "cloud":
        return _OTHER_MIN, _BASIC_MAX
    if category == "cloud_essd":
        return _MIN_BY_LEVEL.get(performance_level, _OTHER_MIN), _OTHER_MAX
    if category == "cloud_auto":
        return 1, _OTHER_MAX
    return _OTHER_MIN, _OTHER_MAX
