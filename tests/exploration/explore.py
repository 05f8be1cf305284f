"""One walk from its bounds to its report."""

from __future__ import annotations

import gc
import sys

from tests.exploration.book import Book
from tests.exploration.model import Model
from tests.exploration.state import State, Variant, beginning
from tests.exploration.trouble import edits
from tests.exploration.walk import Bounds, Report, Walk


def explore(bounds: Bounds, *, loud: bool = False, secret: bool = True) -> Report:
    """Return what a walk within `bounds` has seen, from a running and from a stopped machine."""
    variant = Variant.named(bounds.variant)
    model = Model(Book(secret=secret, variant=variant), late=bounds.late)
    begin = beginnings(model, bounds, variant)
    tell = (lambda line: print(line, file=sys.stderr, flush=True)) if loud else (lambda _: None)
    gc.freeze()
    gc.disable()  # states are values: nothing in them goes round, and there are millions
    try:
        return Walk(model, bounds, tell).run(begin)
    finally:
        gc.enable()


def beginnings(model: Model, bounds: Bounds, variant: Variant) -> list[State]:
    """Return where a walk begins: the machine runs or not, the window is open or not.

    Where an approval is asked for, also at rest with the plan approved.
    """
    found = [
        beginning(
            operators=bounds.operators,
            specs=bounds.specs,
            running=running,
            variant=variant,
            window=window,
        )
        for running in (True, False)
        for window in ((True, False) if variant.window else (True,))
    ]
    return [*found, *(_approved(model, state) for state in found)] if variant.approval else found


def _approved(model: Model, state: State) -> State:
    """Return `state` when everything rests, and a person has approved the first plan shown."""
    while following := model.steps(state):
        state = following[0][1]
    return next(after for what, after in edits(model, state) if "approves the plan" in what)
