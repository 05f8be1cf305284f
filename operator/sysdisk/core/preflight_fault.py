"""What a preflight finds: one reason not to begin, and all of them in one message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sysdisk.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason not to begin. `passing`: it ends by itself, nobody has to act.

    `code` is the ECS code that the call would have been refused with, what people search for;
    where there is none, a name of ours (`ours`). `also`: other codes for the same thing, where no
    read tells them apart.
    """

    code: str
    cause: str
    advice: str
    reason: Reason = Reason.PREFLIGHT_FAILED
    passing: bool = False
    also: tuple[str, ...] = ()
    ours: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes that ECS may refuse with for this."""
        return (self.code, *self.also)

    def text(self) -> str:
        """Return cause, code and advice in one line."""
        codes = f"{'code' if self.ours else 'ECS code'} {' or '.join(self.codes)}"
        return f"{self.cause.removesuffix('.')} ({codes}). {self.advice}"


def summary(found: Iterable[Fault]) -> tuple[Reason, str]:
    """Return the one reason and the one message for `found`, which is not empty.

    Every fault is told; the reason is that of the standing ones, which somebody must act upon.
    """
    listed = sorted(found, key=lambda fault: fault.passing)
    standing = [fault for fault in listed if not fault.passing] or listed
    reasons = {fault.reason for fault in standing}
    reason = reasons.pop() if len(reasons) == 1 else Reason.PREFLIGHT_FAILED
    if len(listed) == 1:
        return reason, listed[0].text()
    lines = " ".join(f"({n}) {fault.text()}" for n, fault in enumerate(listed, 1))
    return reason, f"{len(listed)} things stand in the way. {lines}"
