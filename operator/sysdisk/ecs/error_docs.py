"""The page of all errors, generated from the catalogue: `python -m sysdisk.ecs.error_docs FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from sysdisk.ecs.catalog import Catalog, Entry, ErrorClass, catalog
from sysdisk.ecs.foresight import FORESIGHT, LOOKED_AT, Foresight

_INTRO: Final = """\
# Errors

Generated from `operator/sysdisk/ecs/error_catalog.yaml` by `make generate`: do not edit.

What ECS can answer instead of doing it, what the operator then does, and what you can do. A code
is matched together with its HTTP status, and with its message where a code has several meanings.
Conditions and events show the code, ECS's message, its request ID, and the advice of this page.

## What the operator does

| class | meaning | after a refused ReplaceSystemDisk |
| --- | --- | --- |
| `retry` | passes by itself, soon | the identical request again, with the same client token, \
later and later |
| `wait` | passes by itself, some time | asked again, with the next client token, when instance \
and disk look ready |
| `user` | a person must change something | the machine is started again with its old disk, the \
plan is spent (`PlanSpent`), and nothing is tried until the spec or the world changes, or \
somebody runs `sysdisk retry` |

Whatever the class: a machine that was stopped for a replacement is started again after
`power.giveBackAfter` (10 min) at the latest, with its old disk, as long as ECS has not accepted it.
The plan then rests for 30 min, later for longer, and is spent after three such rounds. While it is
not known whether a request had its effect (no answer, any 5xx), the machine is not started: the
same token is sent again, or disk and locks are watched, until it is known.

A code that is on no list: `retry` for a 5xx, and for `Throttling*` and `Rejected.Throttling*` with
any status; `user` for any other 4xx. A code of several meanings whose text is not the table's: the
class of its status.

## What is known beforehand

| foreseen | meaning |
| --- | --- |
"""

_FORESEEN: Final = {
    Foresight.APPLY: "`kubectl apply` refuses the manifest",
    Foresight.REFUSED: "a read-only preflight shows it: `Stalled`, with all reasons at once; "
    "taken up by itself when the cause is gone",
    Foresight.WAITED: "a read-only preflight shows it: the operator waits and then goes on",
    Foresight.NOT_SENT: "it is about a parameter that is never sent",
    Foresight.WARNED: "no read of ECS proves it; `status.plan.warnings` says that it is possible",
    Foresight.UNSEEN: "no read shows it: it is told after the stop, and the machine given back",
}

_PARTIAL: Final = "(partial) "
_PARTLY: Final = " (in part)"


def page(found: Catalog) -> str:
    """Return the page as Markdown."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Catalog) -> Iterator[str]:
    yield _INTRO.rstrip("\n")
    yield from (f"| {how.value} | {text} |" for how, text in _FORESEEN.items())
    yield ""
    yield "`in part` narrows the risk without proving it: what was read can change, or says half."
    yield ""
    yield "## ReplaceSystemDisk"
    yield ""
    yield "| code | HTTP | class | foreseen | by | what to do |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from (_row(number, entry) for number, entry in sorted(found.rows.items()))
    yield ""
    yield "### What ECS says"
    yield ""
    yield "| code | HTTP | message |"
    yield "| --- | --- | --- |"
    for entry in _by_code(found.rows.values()):
        yield f"| `{entry.code}` | {entry.http} | {_cell(entry.message)} |"
    yield ""
    yield "## Other calls, and the gateway before them"
    yield ""
    yield "| code | HTTP | class | calls | what to do |"
    yield "| --- | --- | --- | --- | --- |"
    for entry in _by_code((*found.common, found.throttled)):
        name = entry.error_class if entry.is_error else "not an error"
        yield (
            f"| `{entry.code}` | {entry.http} | {_class(name)} | {_cell(entry.calls)} "
            f"| {_cell(entry.advice)} |"
        )


def _row(number: int, entry: Entry) -> str:
    how = FORESIGHT[number]
    partly = _PARTLY if how in _BY_READING and entry.detect.startswith(_PARTIAL) else ""
    by_reading = (*_BY_READING, Foresight.WARNED)
    detect = entry.detect.removeprefix(_PARTIAL) if how in by_reading else ""
    by = LOOKED_AT.get(number, detect)
    return (
        f"| `{entry.code}` | {entry.http} | {_class(entry.error_class)} | {how.value}{partly} "
        f"| {_cell(by)} | {_cell(entry.advice)} |"
    )


_BY_READING: Final = (Foresight.REFUSED, Foresight.WAITED)


def _by_code(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.code.lower(), entry.http))


def _class(name: ErrorClass | str) -> str:
    return f"`{name}`" if isinstance(name, ErrorClass) else name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def main() -> int:
    """Write the page to the file named on the command line; return an exit code."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m sysdisk.ecs.error_docs FILE\n")
        return 2
    Path(sys.argv[1]).write_text(page(catalog()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
