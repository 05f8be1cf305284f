"""What the tests of a spec at rest share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.builders import (
    NOW,
    replaced,
    seen,
    stored,
    subject,
)

from sysdisk.api.meta import (
    ANNOTATION_SUSPEND,
)
from sysdisk.api.reasons import Reason
from sysdisk.api.status import (
    SystemDiskSpecStatus,
)
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    Subject,
)

R = Reason


def planned(**fields: Any) -> SystemDiskSpecStatus:
    """Return a status that holds the plan of `subject()` in the world of `seen()`."""
    held = decide(subject(suspend=True), seen(), NOW).status.plan
    assert held is not None
    return SystemDiskSpecStatus(plan=held.replace(**fields))


SUSPEND = {ANNOTATION_SUSPEND: "true"}


def settled(**fields: Any) -> Subject:
    """Return a subject that was found right, with `fields` of its spec changed since."""
    begun = subject()
    return replace(subject(**fields), status=stored(decide(begun, replaced("Running"), NOW).status))
