"""Watches: from a version on, with selectors, bookmarks, tables, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.contract.kube.client import Api
from tests.contract.kube.widget import widget

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def _version(api: Api, path: str) -> str:
    return str((await api.ask("GET", path)).body["metadata"]["resourceVersion"])


async def _first(
    stream: AsyncIterator[Any], count: int, wanted: Callable[[Any], bool] = bool
) -> list[Any]:
    """Return the first `count` wanted events; fail after 20 s."""
    found: list[Any] = []
    async with asyncio.timeout(20):
        async for event in stream:
            if event["type"] != "BOOKMARK" and wanted(event):
                found.append(event)
            if len(found) == count:
                break
    return found


def _told(events: list[Any]) -> list[tuple[str, str]]:
    return [(each["type"], each["object"]["metadata"]["name"]) for each in events]


async def test_a_watch_tells_every_change_since_the_list(api: Api, widgets: str) -> None:
    version = await _version(api, widgets)
    await api.ask("POST", widgets, widget("a"))
    await api.merge(f"{widgets}/a", {"spec": {"size": 50}})
    await api.ask("DELETE", f"{widgets}/a")
    events = await _first(api.watch(widgets, f"resourceVersion={version}&timeoutSeconds=15"), 3)
    assert _told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


async def test_a_watch_without_a_version_begins_with_what_is_there(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    assert _told(await _first(api.watch(widgets, "timeoutSeconds=15"), 1)) == [("ADDED", "a")]


async def test_an_object_enters_and_leaves_a_watch_with_its_labels(api: Api, widgets: str) -> None:
    version = await _version(api, widgets)
    await api.ask("POST", widgets, widget("a"))
    for value in ("yes", "no"):
        await api.merge(f"{widgets}/a", {"metadata": {"labels": {"in": value}}})
    query = f"resourceVersion={version}&labelSelector=in%3Dyes&timeoutSeconds=15"
    events = await _first(api.watch(widgets, query), 2)
    assert _told(events) == [("ADDED", "a"), ("DELETED", "a")]


async def test_a_watch_ends_by_itself_at_its_timeout(api: Api, widgets: str) -> None:
    version = await _version(api, widgets)
    async with asyncio.timeout(20):
        query = f"resourceVersion={version}&timeoutSeconds=1"
        events = [each async for each in api.watch(widgets, query)]
    assert [each for each in events if each["type"] == "ADDED"] == []


async def test_initial_events_end_with_a_marked_bookmark(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    query = (
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        "&timeoutSeconds=15"
    )
    events: list[Any] = []
    async with asyncio.timeout(20):
        async for event in api.watch(widgets, query):
            events.append(event)
            if event["type"] == "BOOKMARK":
                break
    assert _told(events[:-1]) == [("ADDED", "a")]
    notes = events[-1]["object"]["metadata"]["annotations"]
    assert notes == {"k8s.io/initial-events-end": "true"}


async def test_initial_events_without_a_match_are_refused(api: Api, widgets: str) -> None:
    refused = await api.ask("GET", f"{widgets}?watch=true&sendInitialEvents=true")
    assert (refused.code, refused.causes or refused.body["reason"]) != (200, None)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")


async def test_a_watch_of_tables_carries_rows(api: Api, widgets: str) -> None:
    version = await _version(api, widgets)
    await api.ask("POST", widgets, widget("a"))
    query = f"resourceVersion={version}&timeoutSeconds=15"
    async with asyncio.timeout(20):
        async for event in api.watch(widgets, query, TABLE):
            assert event["object"]["kind"] == "Table"
            assert event["object"]["rows"][0]["cells"][:2] == ["a", 40]
            names = [each["name"] for each in event["object"]["columnDefinitions"]]
            assert names == ["Name", "Size", "Ready", "Color", "Age"]
            break
