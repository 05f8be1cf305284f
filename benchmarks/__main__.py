"""`make bench`: the budgets of the design, measured; `python -m benchmarks NAME...` runs a part.

Each part prints lines of `name value unit (budget)` and counts what is over its budget. The parts
work on the sandbox: the real operator process, over the simulated cloud and the embedded API.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import fleet, footprint, overhead
from benchmarks.report import Figure

PARTS: dict[str, Callable[[], Coroutine[Any, Any, list[Figure]]]] = {
    "fleet": fleet.measure,
    "overhead": overhead.measure,
    "footprint": footprint.measure,
}


def main(names: list[str]) -> int:
    """Run the parts named, all by default; return 1 where a figure is over its budget."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        return 2
    over = 0
    for name in names or PARTS:
        for figure in asyncio.run(PARTS[name]()):
            print(figure.line(), flush=True)
            print(json.dumps(figure.as_dict()), file=sys.stderr)
            over += figure.over
    return 1 if over else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
