"""The settings of kopf that answer a trap of it, each seen in 1.45 (design, section 3)."""

from __future__ import annotations

from sysdisk.controllers.watch import kopf_settings


def test_kopf_watches_in_pages_and_neither_posts_nor_scans_nor_streams_at_first() -> None:
    settings = kopf_settings()
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert settings.watching.chunk_size == 500
    assert settings.watching.initial_streaming is False
    assert settings.queueing.idle_timeout == 0.5


def test_kopf_waits_for_minutes_before_it_gives_up_and_kills_no_process() -> None:
    settings = kopf_settings()
    rests = settings.networking.error_backoffs
    assert isinstance(rests, tuple)
    assert sum(rests) > 180
    assert settings.process.ultimate_exiting_timeout is None
