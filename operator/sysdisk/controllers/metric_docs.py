"""`docs/metrics.md`: every metric that `/metrics` shows, from the metrics themselves."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client import Metric

from sysdisk.controllers.metrics import Metrics
from sysdisk.controllers.store import spec_store

_HEAD: Final = """# Metrics

<!-- Made by `make generate` from operator/sysdisk/controllers/metric_docs.py. -->

`/metrics`, in Prometheus' text format, on the address of `sysdisk run --listen`.
No label carries an unbounded value, and one whose values are listed here has a series for each from
the start. Histograms have `_bucket`, `_sum` and `_count`.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""

_OPEN: Final[Mapping[str, str]] = {
    "action": "ECS's name of the call",
    "code": "`OK`, `NoAnswer`, or ECS's own; beyond the first 200 `other`",
    "version": "of sysdisk",
}
"""Labels whose values are not ours to list."""


def families() -> list[Metric]:
    """Return every family by its name, each label with every value known beforehand."""
    metrics = Metrics()
    metrics.watch_fleet(spec_store())
    metrics.watch_queue(lambda: 0, lambda: 0)
    metrics.count_ecs_request("StopInstance", "OK", throttled=True)
    return sorted(metrics.registry.collect(), key=lambda family: family.name)


def render() -> str:
    """Return the page."""
    return _HEAD + "".join(_row(family) for family in families())


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    values: dict[str, set[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le":
                values.setdefault(label, set()).add(value)
    labels = "; ".join(_label(label, known) for label, known in values.items())
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


def _label(label: str, known: set[str]) -> str:
    listed = _OPEN.get(label) or ", ".join(f"`{value}`" for value in sorted(known))
    return f"`{label}`: {listed}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
