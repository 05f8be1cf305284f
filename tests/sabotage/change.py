"""A wrong change to the product: what it breaks, where, and which tests are to catch it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """What a change attacks: the invariants, and the other paragraphs of the design's section 3."""

    I1 = "I1: one disk for each plan"
    I2 = "I2: intent first, fenced"
    I3 = "I3: the machine is given back"
    I4 = "I4: nothing destructive without plan, approval, window, backup, preflight"
    I5 = "I5: one instance, one owner"
    I6 = "I6: no secret is shown"
    I7 = "I7: only what is granted"
    I8 = "I8: it converges, nothing flaps"
    I9 = "I9: what it does not understand stops it"
    I10 = "I10: every error is classed and told"
    I11 = "I11: request rates and batches"
    I12 = "I12: deleting touches nothing"
    PURE = "observe, decide, act, record"
    LEVEL = "level-triggered"
    PLAN = "step Plan"
    PREFLIGHT = "step Preflight"
    APPROVE = "step Approve"
    WINDOW = "step Window"
    BACKUP = "step Backup"
    STOP = "step Stop"
    REPLACE = "step Replace"
    VERIFY = "step Verify"
    START = "step Start"
    FINISH = "step Finish"
    ONCE = "a plan is tried once"
    MIND = "changes of mind"
    TOKEN = "the client token"
    FENCE = "the fence"
    FINALIZER = "the finalizer"
    STATUS = "status is the crown jewel"
    KOPF = "kopf is the watch, and nothing else"
    TRAPS = "the traps of kopf"
    SDK = "the SDK is not trusted"


INVARIANTS = tuple(rule for rule in Rule if rule.name[0] == "I" and rule.name[1:].isdigit())


@dataclass(frozen=True, slots=True)
class Change:
    """Replace `old`, which stands in `file` once, by `new`. `tests`: the quickest first."""

    name: str
    attacks: tuple[Rule, ...]
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return `text` with the change. Raises OutOfDate where `old` does not stand in it once."""
        found = text.count(self.old)
        if found != 1:
            raise OutOfDate(f"{self.name}: its text stands {found} times in {self.file}, not once")
        return text.replace(self.old, self.new)


class OutOfDate(Exception):
    """A change whose text is not there any more: the product has moved on."""
