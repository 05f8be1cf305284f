"""Which refusals of ReplaceSystemDisk are known before a machine is stopped, row by row.

The data behind `docs/errors.md`; a test shows each row to be as it says here, and holds the table
complete against the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Foresight(StrEnum):
    """What becomes of a refusal before it can happen."""

    APPLY = "at apply"
    """The manifest is refused by `kubectl apply`."""
    REFUSED = "before the stop"
    """Reading shows it: nothing is begun until somebody has acted."""
    WAITED = "before the stop, waits"
    """Reading shows it: nothing is begun until it has passed by itself."""
    NOT_SENT = "never sent"
    """It is about a parameter that is never sent."""
    WARNED = "warning in the plan"
    """No read of ECS proves it; the plan says that it is possible."""
    UNSEEN = "no"
    """No read shows it, and nothing hints at it."""


_ROWS: Final[Mapping[Foresight, tuple[int, ...]]] = {
    Foresight.APPLY: (7, 12, 13, 14, 20, 61, 62, 70, 71),
    Foresight.REFUSED: (
        *(1, 2, 3, 5, 6, 8, 10, 11, 16, 17, 18, 19, 21, 22, 23, 26, 33),
        *(40, 41, 43, 46, 47, 48, 51, 53, 55, 56, 57, 59, 69, 73, 77, 78, 80, 81, 82, 83, 84),
    ),
    Foresight.WAITED: (37, 38, 39, 45, 50, 74),
    Foresight.NOT_SENT: (32,),
    Foresight.WARNED: (9, 15, 42, 58, 60, 63, 64, 65, 66, 67, 72, 75, 76, 79),
    Foresight.UNSEEN: (*(4, 24, 25, 27, 28, 29, 30, 31, 34, 35, 36, 44, 49, 52, 54, 68, 85),),
}

FORESIGHT: Final[Mapping[int, Foresight]] = {
    row: how for how, rows in _ROWS.items() for row in rows
}
"""Row of the error table to how it is foreseen; every row of the catalogue is in it."""

_ADVANCED: Final = "DescribeDisks of the disk that advanced.diskId names."
_OFFERS: Final = (
    "DescribeAvailableResource (what is not offered may be had all the same); a local system disk "
    "is refused before the stop."
)
_OTHER_PRODUCT: Final = (
    "Nothing: KMS and RAM are other products, and reading them needs permissions that the operator "
    "does not ask for."
)
_AS_GIVEN: Final = (
    "Nothing: sent as given where spec.advanced asks for it and the EcsAccount allows it; no read "
    "tells which values ECS takes."
)

LOOKED_AT: Final[Mapping[int, str]] = {
    9: _OFFERS,
    **dict.fromkeys((15, 58, 60), _AS_GIVEN),
    **dict.fromkeys((63, 64, 65, 66, 67, 75, 76), _OTHER_PRODUCT),
    **dict.fromkeys((16, 17, 18, 19, 22, 53), _ADVANCED),
}
"""What is read for a row, where that is more than the catalogue's `detect` says, or a hint only."""
