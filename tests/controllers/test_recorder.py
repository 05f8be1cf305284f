"""The recorder: what changed is written under the version that was read, or nothing is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sysdisk.api.meta import ANNOTATION_APPROVE, FINALIZER
from sysdisk.api.status import Outcome, SystemDiskSpecStatus
from sysdisk.controllers.recorder import (
    Recorder,
    Unreadable,
    merge_patch,
    read_subject,
    stand_in,
)
from sysdisk.controllers.store import Slim, Store, spec_store
from sysdisk.core.model import Key, Subject
from sysdisk.kube.errors import Conflict, Unavailable
from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.kube_builtin import complete
from sysdisk.sandbox.kube_patches import merge_patch as merged
from sysdisk.sandbox.kube_resources import Resource
from sysdisk.sandbox.kube_store import KubeStore
from tests.support.builders import NOW, operation, under_way
from tests.support.kube_local import LocalKube
from tests.support.kube_shell import install_crds
from tests.support.virtual_time import virtual_time
from tests.support.wrong_manifests import spec_manifest

OTHERS = "example.com/theirs"
OURS = [OTHERS, FINALIZER]
REST = SystemDiskSpecStatus()
BUSY = under_way().status
AT_ONCE = 10
"""So many writes may follow each other closely."""


def served(kube: LocalKube) -> Resource:
    return kube.store.resource(SPECS.group, SPECS.version, SPECS.plural)


@dataclass(slots=True)
class Desk:
    """A recorder with one object, which it has read."""

    kube: LocalKube
    specs: Store[Key]
    recorder: Recorder
    key: Key

    def subject(self) -> Subject:
        """Return the object as it is in the store."""
        body = self.specs.get(self.key)
        assert body is not None
        return read_subject(self.key, body)

    def written(self) -> dict[str, Any]:
        """Return the object as the API server has it."""
        stored = self.kube.store.find(served(self.kube), self.key.namespace, self.key.name)
        assert stored is not None
        return dict(stored)

    def by_others(self, **changes: Any) -> None:
        """Merge `changes` into the object, unseen by its recorder."""
        part = "status" if "status" in changes else ""
        self.kube.store.patch(
            served(self.kube), self.key.namespace, self.key.name, changes, subresource=part
        )

    def writes(self) -> int:
        """Return how often the object was written to."""
        return sum(verb.startswith("patch") for verb, _ in self.kube.calls)


async def opened(status: SystemDiskSpecStatus = REST, *finalizers: str) -> Desk:
    kube, specs = LocalKube(complete(KubeStore())), spec_store()
    install_crds(kube.store)
    body = spec_manifest()
    body["metadata"]["finalizers"] = list(finalizers)
    await kube.create(SPECS, "default", body)
    key = Key("default", body["metadata"]["name"])
    desk = Desk(kube, specs, Recorder(kube, specs, lambda _: None), key)
    desk.by_others(status=status.to_api())
    assert await desk.recorder.read_again(key) is not None
    return desk


def numbered(status: SystemDiskSpecStatus, number: int) -> SystemDiskSpecStatus:
    """Return `status` with a figure that only tells something."""
    return status.replace(observed_generation=number)


async def flood(desk: Desk, count: int = AT_ONCE) -> None:
    """Write `count` times, at once."""
    for number in range(1, count + 1):
        subject = desk.subject()
        status = numbered(subject.status, 100 + number)
        await desk.recorder.record(subject, status, before=subject.status)


# -- patches --------------------------------------------------------------------------------------

_LEAF = st.one_of(st.integers(0, 2), st.lists(st.integers(0, 1), max_size=2))
_NAMES = st.sampled_from("abc")
_JSON = st.dictionaries(
    _NAMES, st.one_of(_LEAF, st.dictionaries(_NAMES, _LEAF, max_size=2)), max_size=3
)


@given(old=_JSON, new=_JSON)
def test_a_patch_makes_the_new_of_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_patch(old, new)) == new


def test_a_patch_holds_only_what_changed() -> None:
    old = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "f": {"g": 1}, "h": 0}
    new = {"a": 1, "b": {"c": 1, "d": 3}, "e": [1], "f": {"g": 1}, "i": 0}
    assert merge_patch(old, new) == {"b": {"d": 3}, "h": None, "i": 0}


# -- reading --------------------------------------------------------------------------------------


WEB = Key("shop", "web-1")
FULL: dict[str, Any] = {
    "uid": "u-1",
    "resourceVersion": "7",
    "generation": 3,
    "deletionTimestamp": "2026-03-01T13:00:00Z",
    "finalizers": OURS,
    "annotations": {ANNOTATION_APPROVE: "p1-1"},
}


def a_body(spec: Any = None, status: Any = None, **metadata: Any) -> Slim:
    """Return an object that was made at `NOW`, with no more metadata than is given."""
    made = {"name": "web-1", "namespace": "shop", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return {"metadata": {**made, **metadata}, "spec": spec, "status": status}


WISH: dict[str, Any] = {"instanceId": "i-1", "imageId": "m-1"}


def test_an_object_is_read_with_all_that_a_pass_goes_by() -> None:
    read = read_subject(WEB, a_body(WISH, BUSY.to_api(), **FULL))
    assert (read.key, read.uid, read.resource_version, read.generation) == (WEB, "u-1", "7", 3)
    assert (read.created_at, read.deleting, read.has_finalizer) == (NOW, True, True)
    assert read.annotations == {ANNOTATION_APPROVE: "p1-1"}
    assert (read.spec.instance_id, read.status) == ("i-1", BUSY)


def test_an_object_that_says_little_is_read_as_new() -> None:
    read = read_subject(WEB, a_body(WISH, {}))
    assert (read.generation, read.deleting, read.has_finalizer) == (0, False, False)
    assert not read_subject(WEB, a_body(WISH, {}, finalizers=[OTHERS])).has_finalizer


@pytest.mark.parametrize(
    ("spec", "status", "part", "says"),
    [
        ({**WISH, "size": "big"}, {}, "spec", "spec is not understood: spec.size: "),
        (WISH, {"settled": {"inputs": 1}}, "status", "status is not understood: status.settled."),
    ],
)
def test_what_does_not_parse_is_told_by_its_field(
    spec: dict[str, Any], status: dict[str, Any], part: str, says: str
) -> None:
    with pytest.raises(Unreadable) as told:
        read_subject(WEB, a_body(spec, status))
    assert told.value.part == part
    assert str(told.value).startswith(says)


def test_what_does_not_parse_is_still_known_by_its_instance_and_its_conditions() -> None:
    wrong = {**BUSY.to_api(), "history": "odd"}
    read = stand_in(WEB, a_body({**WISH, "size": "big"}, wrong, **FULL))
    assert (read.uid, read.spec.instance_id) == ("u-1", "i-1")
    assert read.status == SystemDiskSpecStatus(conditions=BUSY.conditions)


@pytest.mark.parametrize("part", [None, {}, {"conditions": "odd"}])
def test_what_says_nothing_at_all_has_a_stand_in_as_well(part: dict[str, Any] | None) -> None:
    read = stand_in(WEB, a_body(part, part))
    assert (read.spec.instance_id, read.status) == ("", REST)


# -- recording ------------------------------------------------------------------------------------


@virtual_time
async def test_what_did_not_change_is_not_written() -> None:
    desk = await opened(BUSY)
    read = desk.subject()
    version = await desk.recorder.record(read, read.status, before=read.status)
    assert (version, desk.writes()) == (read.resource_version, 0)


@virtual_time
async def test_what_changed_is_written_and_known_with_its_version() -> None:
    desk = await opened()
    read = desk.subject()
    version = await desk.recorder.record(read, BUSY, before=read.status)
    assert SystemDiskSpecStatus.from_api(desk.written()["status"]) == BUSY
    assert version == desk.written()["metadata"]["resourceVersion"]
    assert (desk.subject().resource_version, desk.subject().status) == (version, BUSY)


@virtual_time
async def test_nothing_is_written_over_a_version_that_was_not_read() -> None:
    desk = await opened()
    read = desk.subject()
    desk.by_others(metadata={"labels": {"a": "b"}})
    with pytest.raises(Conflict):
        await desk.recorder.record(read, BUSY, before=read.status)
    assert await desk.recorder.read_again(desk.key) is not None
    for _ in range(2):
        with pytest.raises(Conflict):
            await desk.recorder.record(read, BUSY, before=read.status)
        with pytest.raises(Conflict):
            await desk.recorder.set_finalizer(read, True)
        desk.specs.forget(desk.key)
    assert "operation" not in desk.written()["status"]
    assert "finalizers" not in desk.written()["metadata"]


@virtual_time
async def test_an_object_that_is_gone_is_forgotten() -> None:
    desk = await opened()
    desk.kube.lose(SPECS, "default", desk.key.name)
    assert await desk.recorder.read_again(desk.key) is None
    assert desk.key not in desk.specs


@virtual_time
async def test_an_object_at_rest_is_not_written_without_end() -> None:
    desk = await opened()
    await flood(desk)
    read = desk.subject()
    with pytest.raises(Unavailable) as told:
        await desk.recorder.record(read, numbered(read.status, 0), before=read.status)
    assert told.value.retry_after is not None
    with pytest.raises(Unavailable):
        await desk.recorder.tell(read, BUSY)
    with pytest.raises(Unavailable):
        await desk.recorder.set_finalizer(read, False)
    await asyncio.sleep(told.value.retry_after - 0.5)
    with pytest.raises(Unavailable):
        await desk.recorder.record(read, numbered(read.status, 0), before=read.status)
    assert desk.writes() == AT_ONCE
    await asyncio.sleep(0.5)
    await desk.recorder.record(read, numbered(read.status, 0), before=read.status)
    assert desk.writes() == AT_ONCE + 1


@virtual_time
async def test_an_operation_is_recorded_however_often_while_its_words_rest() -> None:
    desk = await opened(BUSY, FINALIZER)
    await flood(desk)
    await asyncio.sleep(9.5)  # of the ten seconds between two writes
    read = desk.subject()
    version = await desk.recorder.record(read, numbered(read.status, 0), before=read.status)
    assert (version, desk.writes()) == (read.resource_version, AT_ONCE)
    op = operation(read).replace(outcome=Outcome.ACCEPTED)
    await desk.recorder.record(read, read.status.replace(operation=op), before=read.status)
    assert operation(desk.subject()) == op
    await desk.recorder.record(desk.subject(), REST, before=desk.subject().status)
    assert desk.subject().status == REST
    assert desk.writes() == AT_ONCE + 2


@virtual_time
async def test_an_operation_begins_and_our_finalizer_goes_on_however_often_it_was_written() -> None:
    desk = await opened()
    await flood(desk)
    await desk.recorder.set_finalizer(desk.subject(), True)
    read = desk.subject()
    await desk.recorder.record(read, BUSY, before=read.status)
    assert desk.subject().status == BUSY
    await desk.recorder.set_finalizer(desk.subject(), False)
    assert not desk.subject().has_finalizer


@virtual_time
async def test_of_what_is_not_understood_only_the_conditions_are_written() -> None:
    desk = await opened(REST.replace(disk_id="d-1"))
    body = desk.specs.get(desk.key)
    assert body is not None
    read = stand_in(desk.key, body)
    await desk.recorder.tell(read, REST.replace(observed_generation=5))
    assert desk.writes() == 0
    told = REST.replace(conditions=BUSY.conditions, phase=BUSY.phase, disk_id="d-2")
    await desk.recorder.tell(read, told)
    stored = SystemDiskSpecStatus.from_api(desk.written()["status"])
    assert stored == told.replace(disk_id="d-1")


# -- finalizers and annotations -------------------------------------------------------------------


@virtual_time
async def test_our_finalizer_comes_and_goes_beside_those_of_others() -> None:
    desk = await opened(REST, OTHERS)
    version = await desk.recorder.set_finalizer(desk.subject(), True, {ANNOTATION_APPROVE: "p"})
    assert desk.written()["metadata"]["finalizers"] == OURS
    assert (desk.subject().annotations, desk.subject().has_finalizer) == (
        {ANNOTATION_APPROVE: "p"},
        True,
    )
    assert version == desk.subject().resource_version
    version = await desk.recorder.set_finalizer(desk.subject(), False)
    assert desk.written()["metadata"]["finalizers"] == [OTHERS]
    assert version == desk.subject().resource_version


@virtual_time
async def test_an_object_that_goes_with_our_finalizer_is_forgotten() -> None:
    desk = await opened(REST, FINALIZER)
    desk.kube.lose(SPECS, "default", desk.key.name)
    assert await desk.recorder.read_again(desk.key) is not None
    assert await desk.recorder.set_finalizer(desk.subject(), False) is None
    assert desk.key not in desk.specs


@virtual_time
async def test_an_object_that_others_hold_is_not_forgotten() -> None:
    desk = await opened(REST, *OURS)
    desk.kube.lose(SPECS, "default", desk.key.name)
    assert await desk.recorder.read_again(desk.key) is not None
    assert await desk.recorder.set_finalizer(desk.subject(), False) is not None
    assert desk.key in desk.specs


@virtual_time
async def test_an_annotation_is_merged_into_the_version_that_was_read() -> None:
    desk = await opened()
    read = desk.subject()
    await desk.recorder.annotate(read, {ANNOTATION_APPROVE: "p"})
    assert desk.subject().annotations == {ANNOTATION_APPROVE: "p"}
    with pytest.raises(Conflict):
        await desk.recorder.annotate(read, {ANNOTATION_APPROVE: None})
    await desk.recorder.annotate(desk.subject(), {ANNOTATION_APPROVE: None})
    assert desk.subject().annotations == {}
