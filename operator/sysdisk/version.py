"""Our own version, as the installed distribution states it."""

from __future__ import annotations

from importlib import metadata
from typing import Final


def _installed() -> str:
    try:
        return metadata.version("sysdisk")
    except metadata.PackageNotFoundError:
        return "0+source"


VERSION: Final = _installed()
"""Such as `0.1.0`; `0+source` when run from a source tree that is not installed."""
