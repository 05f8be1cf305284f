"""All wrong changes, each to be applied alone."""

from __future__ import annotations

from typing import Final

from tests.sabotage.change import Change
from tests.sabotage.facts import FACTS
from tests.sabotage.operating import OPERATING
from tests.sabotage.outside import OUTSIDE
from tests.sabotage.passes import PASSES
from tests.sabotage.resting import RESTING

CHANGES: Final[tuple[Change, ...]] = (*RESTING, *OPERATING, *PASSES, *OUTSIDE, *FACTS)
