"""The error catalogue is held to the reference table, and to its own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sysdisk.ecs.catalog import ErrorClass, catalog, classify

REFERENCE = (
    Path(__file__).parents[3] / "shared" / "reference" / "ecs-replace-system-disk-errors.yaml"
)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    if not REFERENCE.exists():
        pytest.skip(f"no reference table at {REFERENCE}")
    loaded: dict[str, Any] = yaml.safe_load(REFERENCE.read_text("utf-8"))
    return loaded


def test_every_row_of_the_reference_table_is_in_the_catalogue(reference: dict[str, Any]) -> None:
    wanted = {
        row["n"]: (row["http"], row["code"], row["message"], row["class"], row["preflight"])
        for row in reference["errors"]
    }
    ours = {
        n: (e.http, e.code, e.message, e.error_class.value, e.preflight)
        for n, e in catalog().rows.items()
    }
    assert len(wanted) == 85
    assert ours == wanted


def test_every_common_code_of_the_reference_is_classified_as_there(
    reference: dict[str, Any],
) -> None:
    assert len(reference["common_errors"]) == 52
    for row in reference["common_errors"]:
        entry = classify(row["code"], row["http"], _message(row["code"], row["http"]))
        if row["class"] is None:
            assert not entry.is_error
        else:
            assert (row["code"], entry.error_class) == (row["code"], row["class"])


def test_ambiguous_codes_are_those_of_the_reference(reference: dict[str, Any]) -> None:
    assert catalog().ambiguous == set(reference["meta"]["ambiguous_codes"])


@pytest.mark.parametrize("row", range(1, 86))
def test_each_row_is_found_again_by_its_own_answer(row: int) -> None:
    entry = catalog().rows[row]
    found = classify(entry.code, entry.http, entry.message)
    assert found.known
    assert found.error_class is entry.error_class
    assert found.advice


def test_operation_denied_means_three_things() -> None:
    def meaning(http: int, message: str) -> tuple[int | None, ErrorClass]:
        entry = classify("OperationDenied", http, message)
        return entry.row, entry.error_class

    assert meaning(500, "Internal Error.") == (34, ErrorClass.RETRY)
    assert meaning(403, "The current region does not support changing the image type.") == (
        72,
        ErrorClass.USER,
    )
    assert meaning(403, "Something else.") == (None, ErrorClass.USER)
    assert meaning(500, "Something else.") == (None, ErrorClass.RETRY)


@pytest.mark.parametrize(
    ("code", "http", "means", "known"),
    [
        ("Throttling.Fancy", 403, ErrorClass.RETRY, False),
        ("Throttling.User", 429, ErrorClass.RETRY, True),
        ("Rejected.Throttling", 400, ErrorClass.RETRY, True),
        ("Rejected.Throttling", 403, ErrorClass.RETRY, True),
        ("Rejected.Throttling.Fancy", 400, ErrorClass.RETRY, False),
        ("NeverSeen", 500, ErrorClass.RETRY, False),
        ("NeverSeen", 404, ErrorClass.USER, False),
        ("IncorrectInstanceStatus", 400, ErrorClass.WAIT, True),
        ("IncorrectInstanceStatus", 409, ErrorClass.WAIT, True),
        ("IncorrectInstanceStatus", 503, ErrorClass.RETRY, False),
        ("InstanceNotReady", 500, ErrorClass.WAIT, True),
        ("IdempotentParameterMismatch", 403, ErrorClass.USER, True),
    ],
)
def test_codes_outside_the_table_follow_the_rules(
    code: str, http: int, means: ErrorClass, known: bool
) -> None:
    entry = classify(code, http, "anything")
    assert (entry.error_class, entry.known) == (means, known)


@pytest.mark.parametrize(
    "words",
    [
        "code: 400, The requested services is not available now. Please try again later. id: x",
        "The requested service is not available now. Please try again later.",
        "The request processing has failed due to some unknown error.",
        "",
    ],
)
@pytest.mark.parametrize("http", [400, 403, 500, 503])
def test_an_internal_error_is_retried_however_it_is_worded(http: int, words: str) -> None:
    assert classify("InternalError", http, words).error_class is ErrorClass.RETRY


@pytest.mark.parametrize("row", [8, 31, 34, 35, 3, 71, 72])
def test_a_code_of_several_meanings_keeps_its_class_in_other_words_but_no_advice(row: int) -> None:
    entry = catalog().rows[row]
    assert entry.code in catalog().ambiguous
    found = classify(entry.code, entry.http, "In other words.")
    assert (found.error_class, found.row, found.known) == (entry.error_class, None, False)
    assert found.advice != entry.advice


@pytest.mark.parametrize("code", ["Throttling", "Rejected.Throttling", "Throttling.User"])
def test_every_code_of_a_rate_limit_is_known_for_one(code: str) -> None:
    assert classify(code, 400, "whatever").throttled


def _message(code: str, http: int) -> str:
    found = catalog().by_key.get((code, http))
    return found.message if found else ""
