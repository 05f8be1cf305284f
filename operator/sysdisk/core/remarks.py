"""What a spec that matches its machine is told besides: what will matter when a plan is due."""

from __future__ import annotations

from sysdisk.core.model import Subject
from sysdisk.core.policy import window_faults


def remarks(subject: Subject) -> str:
    """Return sentences to put after "as declared.", each with a space before it; often none."""
    return _advanced(subject) + _windows(subject)


def _advanced(subject: Subject) -> str:
    advanced = subject.spec.advanced
    said = advanced.to_api() if advanced is not None else {}
    used = ", ".join(name for name, value in said.items() if value)
    if not used:
        return ""
    return f" spec.advanced is in use ({used}): deprecated, or not public, in ECS."


def _windows(subject: Subject) -> str:
    wrong = window_faults(subject)
    if not wrong:
        return ""
    return f" But no replacement can begin: {'; '.join(wrong)}. Correct it there."
