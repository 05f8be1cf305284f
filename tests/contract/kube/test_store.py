"""The store alone, as the simulation uses it: no HTTP, a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_errors import ApiError
from sysdisk.sandbox.kube_log import WatchEvent
from sysdisk.sandbox.kube_resources import Resource
from sysdisk.sandbox.kube_store import KubeStore
from tests.contract.kube.widget import GROUP, definition, widget


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    """Return a virtual clock."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> KubeStore:
    """Return a store that serves widgets, under the virtual clock."""
    made = complete(KubeStore(now=clock))
    crds = made.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    made.create(crds, None, definition())
    return made


@pytest.fixture
def widgets(store: KubeStore) -> Resource:
    """Return the type of the widgets."""
    return store.resource(GROUP, "v1", "widgets")


def test_times_come_from_the_clock(store: KubeStore, widgets: Resource, clock: Clock) -> None:
    clock.time += timedelta(hours=1)
    made = store.create(widgets, "default", widget("a"))
    assert made["metadata"]["creationTimestamp"] == "2026-01-01T01:00:00Z"


def test_what_is_given_is_not_changed_and_not_kept(store: KubeStore, widgets: Resource) -> None:
    given = widget("a", power={})
    store.create(widgets, "default", given)
    assert given == widget("a", power={})
    given["spec"]["size"] = 99
    assert store.get(widgets, "default", "a")["spec"]["size"] == 40


def test_a_stored_object_never_changes_under_a_reader(store: KubeStore, widgets: Resource) -> None:
    before = store.create(widgets, "default", widget("a"))
    store.patch(widgets, "default", "a", {"spec": {"size": 50}})
    assert before["spec"]["size"] == 40


def test_a_copy_and_its_original_go_separate_ways(store: KubeStore, widgets: Resource) -> None:
    store.create(widgets, "default", widget("a"))
    twin = store.copy()
    twin.delete(widgets, "default", "a")
    store.patch(widgets, "default", "a", {"spec": {"size": 50}})
    assert twin.find(widgets, "default", "a") is None
    assert store.get(widgets, "default", "a")["spec"]["size"] == 50


def test_a_stale_patch_changes_nothing_and_tells_nobody(
    store: KubeStore, widgets: Resource
) -> None:
    stale = store.create(widgets, "default", widget("a"))["metadata"]["resourceVersion"]
    store.patch(widgets, "default", "a", {"spec": {"size": 50}})
    version = store.version
    with pytest.raises(ApiError) as refused:
        store.patch(widgets, "default", "a", {"metadata": {"resourceVersion": stale}, "spec": {}})
    assert (refused.value.code, store.version) == (409, version)


def test_the_log_is_bounded_and_says_so(clock: Clock) -> None:
    store = KubeStore(now=clock, history=3)
    maps = store.resource("", "v1", "configmaps")
    for number in range(6):
        store.create(maps, "default", {"metadata": {"name": f"c{number}"}})
    assert len(list(store.log.since(maps.key, store.version - 3))) == 3
    with pytest.raises(ApiError) as refused:
        store.log.since(maps.key, store.version - 4)
    assert refused.value.code == 410


def test_an_event_knows_what_the_object_was_before(store: KubeStore, widgets: Resource) -> None:
    heard: list[WatchEvent] = []
    version = store.create(widgets, "default", widget("a"))["metadata"]["resourceVersion"]
    store.patch(widgets, "default", "a", {"spec": {"size": 50}})
    heard += store.log.since(widgets.key, int(version))

    def size(obj: Mapping[str, Any] | None) -> Any:
        return obj and obj["spec"]["size"]

    assert [(each.type, size(each.old), size(each.object)) for each in heard] == [
        ("MODIFIED", 40, 50)
    ]


def test_listeners_hear_of_every_write_until_they_stop(store: KubeStore, widgets: Resource) -> None:
    heard: list[Any] = []
    stop = store.log.listen(heard.append)
    store.create(widgets, "default", widget("a"))
    stop()
    store.delete(widgets, "default", "a")
    assert heard == [widgets.key]


def test_a_new_default_shows_on_objects_that_are_older(store: KubeStore) -> None:
    crds = store.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    store.create(store.resource(GROUP, "v1", "widgets"), "default", widget("a"))
    changed = definition()
    schema = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    shape = {"type": "string", "default": "round"}
    schema["properties"] = {**schema["properties"], "shape": shape}
    store.patch(crds, None, changed["metadata"]["name"], {"spec": changed["spec"]})
    now = store.get(store.resource(GROUP, "v1", "widgets"), "default", "a")
    assert now["spec"]["shape"] == "round"


def test_a_namespace_goes_with_what_is_in_it(store: KubeStore, widgets: Resource) -> None:
    spaces = store.resource("", "v1", "namespaces")
    store.create(spaces, None, {"metadata": {"name": "shop"}})
    store.create(widgets, "shop", widget("a"))
    store.delete(spaces, None, "shop")
    assert store.list(widgets).items == ()
