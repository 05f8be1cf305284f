"""One measured figure beside its budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """`budget` None: told, not judged. Every budget is an upper bound."""

    name: str
    value: float
    unit: str
    budget: float | None = None

    @property
    def over(self) -> bool:
        return self.budget is not None and self.value > self.budget

    def line(self) -> str:
        """Return the figure for people."""
        judged = "" if self.budget is None else f"   budget {self.budget:g}"
        mark = "   OVER" if self.over else ""
        return f"{self.name:<64} {self.value:>10.2f} {self.unit:<10}{judged}{mark}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
