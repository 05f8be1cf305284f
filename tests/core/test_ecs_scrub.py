"""Secrets are masked in whatever form they come."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sysdisk.ecs.scrub import MASK, Scrubber, ScrubbingFilter, install

SECRET = 'p%a&s+s "w\\ö/rd'
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda s: s,
    "in a URL": lambda s: quote(s, safe=""),
    "in a URL, slash kept": quote,
    "in lower case escapes": lambda s: quote(s, safe="").replace("%2B", "%2b"),
    "in a form": quote_plus,
    "in a query": lambda s: urlencode({"Password": s}),
    "escaped twice": lambda s: quote(quote(s, safe=""), safe=""),
    "in JSON": json.dumps,
    "in JSON, unescaped": lambda s: json.dumps(s, ensure_ascii=False),
    "in JSON in JSON": lambda s: json.dumps(json.dumps({"a": s})),
    "in a repr": repr,
    "in base64": lambda s: base64.b64encode(s.encode()).decode(),
    "in base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "in base64 of more": lambda s: base64.b64encode(f"user:{s}:end".encode()).decode(),
    "in base64 of a query": lambda s: base64.b64encode(b"x" + quote(s).encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_masked(spelling: str) -> None:
    scrubber = Scrubber()
    text = f"before {SPELLINGS[spelling](SECRET)} after"
    with scrubber.holding(SECRET):
        assert scrubber.knows(text)
        assert MASK in scrubber.scrub(text)
        assert not scrubber.knows(scrubber.scrub(text))
    assert scrubber.scrub(text) == text


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8))
def test_nothing_of_any_password_is_left_in_base64_at_any_offset(password: str) -> None:
    scrubber = Scrubber()
    scrubber.add(password)
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + password.encode() + b"\0\0").decode()
        assert len(scrubber.scrub(text).replace(MASK, "")) <= 12


def test_a_secret_is_masked_until_dropped_as_often_as_added() -> None:
    scrubber = Scrubber()
    scrubber.add("secret-1", None, "")
    with scrubber.holding("secret-1"):
        assert scrubber.scrub("secret-1") == MASK
    assert scrubber.scrub("secret-1") == MASK
    scrubber.drop("secret-1", "never-added")
    assert scrubber.scrub("secret-1") == "secret-1"


def test_the_longer_of_two_secrets_is_masked_as_a_whole() -> None:
    scrubber = Scrubber()
    scrubber.add("abcd", "abcdefgh")
    assert scrubber.scrub("x abcdefgh y") == f"x {MASK} y"


def fail() -> None:
    raise ValueError(f"cannot reach /?Password={quote(SECRET)}")


def test_a_log_line_is_clean_in_message_fields_and_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scrubber = Scrubber()
    scrubber.add(SECRET)
    caplog.handler.addFilter(ScrubbingFilter(scrubber))
    log = logging.getLogger("test.scrub")
    try:
        fail()
    except ValueError:
        log.exception("failed with %s", SECRET, extra={"facts": {"url": [quote_plus(SECRET)]}})
    log.warning("nothing to hide: %d", 7)
    assert "failed with ***" in caplog.text
    assert "ValueError" in caplog.text
    assert "nothing to hide: 7" in caplog.text
    everything = caplog.text + repr([vars(r) for r in caplog.records])
    assert not scrubber.knows(everything)


def test_installing_reaches_handlers_of_every_logger() -> None:
    scrubber, handler = Scrubber(), logging.NullHandler()
    logger = logging.getLogger("test.scrub.install")
    logger.addHandler(handler)
    try:
        filter_ = install(scrubber)
        assert filter_ in handler.filters
    finally:
        logger.removeHandler(handler)
        for other in [
            logging.getLogger(),
            *map(logging.getLogger, logging.root.manager.loggerDict),
        ]:
            for h in other.handlers:
                h.removeFilter(filter_)
