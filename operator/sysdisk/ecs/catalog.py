"""The error taxonomy of ECS: what an answer means, and what a reader can do about it.

The data is `error_catalog.yaml` beside this module: the 85 rows of ReplaceSystemDisk's error table
and the common codes of the gateway and of the calls around it. Every adapter that turns an ECS
error into one of ours asks `classify`, so that a code has one meaning in the whole project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

__all__ = ["THROTTLING", "Catalog", "Entry", "ErrorClass", "catalog", "classify"]

THROTTLING: Final = ("Throttling", "Rejected.Throttling")
"""Beginnings of the codes of a rate limit, whatever their status. Source: reference, B1 and B2."""

UNKNOWN_RETRY = (
    "ECS answered with a code that is not in the table; the status says that the fault is its own."
)
UNKNOWN_USER = (
    "ECS refused with a code that is not in the table; read its message, correct the cause, "
    "then `sysdisk retry`."
)
OTHER_WORDS_RETRY = (
    "ECS words this code differently from its table; its status says that it passes by itself."
)
OTHER_WORDS_USER = (
    "ECS words this code differently from its table; read its message, correct the cause, "
    "then `sysdisk retry`."
)


class ErrorClass(StrEnum):
    """What the caller does next."""

    RETRY = "retry"  # the identical request again, with back-off and the same client token
    WAIT = "wait"  # a state that passes by itself: look, call again when it has changed
    USER = "user"  # a person must change something first


@dataclass(frozen=True, slots=True)
class Entry:
    """One meaning of one code.

    `row` is the row number in ReplaceSystemDisk's table, None for common and unknown codes.
    `known` is False where the rule for unknown codes decided. `preflight` says whether reading
    shows it beforehand and `detect` how. `is_error` is False for DryRunOperation alone, which the
    API reports like an error; its class is `user`, because no request of ours asks for it.
    """

    code: str
    http: int
    message: str
    error_class: ErrorClass
    advice: str
    preflight: bool = False
    detect: str = ""
    row: int | None = None
    calls: str = "ReplaceSystemDisk"
    known: bool = True
    is_error: bool = True

    @property
    def throttled(self) -> bool:
        """Whether the operation rests until the next minute."""
        return self.code.startswith(THROTTLING)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All entries, and the look-ups over them.

    `rows` maps the table's row number to its entry, `common` holds the others in file order,
    without the row `Throttling*`, which is `throttled`.
    """

    rows: Mapping[int, Entry]
    common: tuple[Entry, ...]
    throttled: Entry
    ambiguous: frozenset[str]
    by_key: Mapping[tuple[str, int], Entry]
    by_code: Mapping[str, tuple[Entry, ...]]

    def classify(self, code: str, http: int, message: str = "") -> Entry:
        """Return what (code, http, message) means. Never raises; `Entry.known` tells a guess.

        A known code with a 4xx status other than the table's keeps its meaning, for the statuses
        differ between documents; a 5xx in its place does not: then the outcome is unknown. The
        message counts only for ambiguous codes: where it does not contain the table's text, the
        class of that code and status still holds, and nothing else of the row does.
        """
        found = self.by_key.get((code, http))
        if found is None and 400 <= http < 500:
            found = self._agreed(code)
        if found is None:
            return self._unknown(code, http, message)
        if code in self.ambiguous and not _says(message, found.message):
            return _in_other_words(found, http, message)
        return found

    def default(self, code: str, http: int | None = None) -> Entry:
        """Return the first entry of `code` (with `http`, if given). Raises KeyError if none is."""
        for entry in self.by_code.get(code, ()):
            if http in (None, entry.http):
                return entry
        raise KeyError(f"{code} ({http}) is not in the error catalogue")

    def _agreed(self, code: str) -> Entry | None:
        """Return the first 4xx entry of `code` if all of them are of one class."""
        others = [e for e in self.by_code.get(code, ()) if 400 <= e.http < 500]
        return others[0] if len({e.error_class for e in others}) == 1 else None

    def _unknown(self, code: str, http: int, message: str) -> Entry:
        if code.startswith(THROTTLING):
            return Entry(code, http, message, ErrorClass.RETRY, self.throttled.advice, known=False)
        if http >= 500:
            return Entry(code, http, message, ErrorClass.RETRY, UNKNOWN_RETRY, known=False)
        return Entry(code, http, message, ErrorClass.USER, UNKNOWN_USER, known=False)


def classify(code: str, http: int, message: str = "") -> Entry:
    """Return what an ECS error means: `catalog().classify(...)`."""
    return catalog().classify(code, http, message)


@cache
def catalog() -> Catalog:
    """Return the catalogue, read once. Raises if the data file is malformed."""
    text = resources.files(__package__).joinpath("error_catalog.yaml").read_text("utf-8")
    data = yaml.safe_load(text)
    rows = {raw["n"]: _entry(raw) for raw in data["rows"]}
    commons = [(_entry(raw), raw.get("also_http", ())) for raw in data["common"]]
    by_key: dict[tuple[str, int], Entry] = {}
    by_code: dict[str, list[Entry]] = {}
    for entry, also in [*((row, ()) for row in rows.values()), *commons]:
        for http in (entry.http, *also):
            by_key.setdefault((entry.code, http), entry)
        if not entry.code.endswith("*"):
            by_code.setdefault(entry.code, []).append(entry)
    return Catalog(
        rows=rows,
        common=tuple(entry for entry, _ in commons if not entry.code.endswith("*")),
        throttled=next(entry for entry, _ in commons if entry.code.endswith("*")),
        ambiguous=frozenset(data["ambiguous_codes"]),
        by_key=by_key,
        by_code={code: tuple(entries) for code, entries in by_code.items()},
    )


def _entry(raw: Mapping[str, Any]) -> Entry:
    return Entry(
        code=raw["code"],
        http=raw["http"],
        message=raw["message"],
        error_class=ErrorClass(raw["class"] or "user"),
        advice=raw["advice"],
        preflight=raw.get("preflight", False),
        detect=raw.get("detect", ""),
        row=raw.get("n"),
        calls=raw.get("calls", "ReplaceSystemDisk"),
        is_error=raw["class"] is not None,
    )


def _in_other_words(entry: Entry, http: int, message: str) -> Entry:
    retry = entry.error_class is ErrorClass.RETRY
    advice = OTHER_WORDS_RETRY if retry else OTHER_WORDS_USER
    return Entry(entry.code, http, message, entry.error_class, advice, known=False)


def _says(message: str, text: str) -> bool:
    return _plain(text) in _plain(message)


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()
