"""A stop of ours that came true after its operation had ended: the machine is owed a start (I3).

It happens when a process is held up between its fenced write and its call, and another one does the
whole work meanwhile. Who sent the stop knows it, and nobody else can.
"""

from __future__ import annotations

from typing import Final

from sysdisk.api.status import Operation, Step, SystemDiskSpecStatus

ENDING_STRAY: Final = "StrayStop"


def stray_stop(status: SystemDiskSpecStatus, sent: Operation) -> SystemDiskSpecStatus:
    """Return `status` with the operation that sent the stop, ending: over when the machine runs.

    It waits as long as the stop may still come true, and starts the machine where it did.
    """
    owed = sent.replace(ending=ENDING_STRAY, step=Step.STOP, stopped_by_us=True)
    return status.replace(operation=owed)
