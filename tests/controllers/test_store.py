"""The store: slim, indexed, never going back."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from sysdisk.controllers.store import AccountKey, account_store, spec_store
from sysdisk.core.model import Key

WEB = Key("shop", "web-1")


def a_spec(
    name: str = "web-1",
    version: str = "10",
    *,
    uid: str = "u-1",
    instance: str = "i-1",
    account: str | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    spec: dict[str, Any] = {"instanceId": instance, "imageId": "m-1"}
    if account:
        spec["accountRef"] = {"name": account}
    return {
        "apiVersion": "sysdisk.dev/v1alpha1",
        "kind": "SystemDiskSpec",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "resourceVersion": version,
            **metadata,
        },
        "spec": spec,
        "status": status or {},
    }


def test_what_is_remembered_is_what_comes_back_and_changing_it_changes_nothing() -> None:
    store = spec_store()
    assert store.remember(a_spec(finalizers=["other/one"], generation=3))
    first = store.get(WEB)
    assert first is not None
    assert first["metadata"]["finalizers"] == ["other/one"]
    assert first["metadata"]["resourceVersion"] == "10"
    first["spec"]["imageId"] = "changed"
    again = store.get(WEB)
    assert again is not None
    assert again["spec"]["imageId"] == "m-1"


def test_only_our_own_annotations_are_kept_and_nothing_of_the_servers_bookkeeping() -> None:
    store = spec_store()
    store.remember(
        a_spec(
            annotations={"sysdisk.dev/protect": "true", "argocd.argoproj.io/x": "y"},
            managedFields=[{"manager": "kubectl"}],
            labels={"a": "b"},
        )
    )
    kept = store.get(WEB)
    assert kept is not None
    assert kept["metadata"]["annotations"] == {"sysdisk.dev/protect": "true"}
    assert not {"managedFields", "labels"} & set(kept["metadata"])


def test_an_older_version_is_ignored_even_where_it_has_fewer_digits() -> None:
    store = spec_store()
    store.remember(a_spec(version="100", status={"phase": "Ready"}))
    assert not store.remember(a_spec(version="99", status={"phase": "Old"}))
    assert store.get(WEB)["status"] == {"phase": "Ready"}  # type: ignore[index]


def test_an_answer_to_our_own_write_makes_its_echo_from_the_watch_no_news() -> None:
    store = spec_store()
    store.remember(a_spec(version="10"))
    answer = a_spec(version="11", status={"phase": "Stopping"})
    assert store.remember(answer)
    assert not store.remember(answer)


def test_a_new_version_without_new_content_is_kept_for_the_fence_but_is_no_news() -> None:
    store = spec_store()
    store.remember(a_spec(version="10"))
    assert not store.remember(a_spec(version="12", labels={"team": "b"}))
    assert store.versions()[WEB] == ("u-1", "12")


def test_an_object_made_anew_under_the_same_name_is_news() -> None:
    store = spec_store()
    store.remember(a_spec(version="10"))
    assert store.remember(a_spec(version="20", uid="u-2"))


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    store = spec_store()
    store.remember(a_spec(version="10"))
    assert store.forget(WEB, "15")
    assert not store.remember(a_spec(version="12"))
    assert WEB not in store
    assert store.remember(a_spec(version="16", uid="u-2"))


def test_a_late_deletion_does_not_remove_the_object_made_since() -> None:
    store = spec_store()
    store.remember(a_spec(version="20", uid="u-2"))
    assert not store.forget(WEB, "15")
    assert WEB in store


def test_an_object_forgotten_by_a_listing_comes_back_only_at_a_later_version() -> None:
    store = spec_store()
    store.remember(a_spec(version="10"))
    store.forget(WEB)
    assert not store.remember(a_spec(version="10"))
    assert store.remember(a_spec(version="11"))


def test_versions_that_are_no_numbers_are_taken_as_they_come() -> None:
    store = spec_store()
    store.remember(a_spec(version="abc"))
    assert store.remember(a_spec(version="aaa", status={"phase": "Ready"}))
    store.forget(WEB, "abd")
    assert store.remember(a_spec(version="aab"))


def test_claims_accounts_and_operations_are_found_and_follow_changes() -> None:
    store = spec_store()
    operation = {"operation": {"account": "old"}}
    store.remember(a_spec("a", instance="i-1"))
    store.remember(a_spec("b", instance="i-1", account="prod"))
    store.remember(a_spec("c", instance="i-2", account="prod", status=operation))
    a, b, c = (Key("shop", name) for name in "abc")
    assert store.claims("i-1") == {a, b}
    assert store.of_account("default") == {a}
    assert store.of_account("prod") == {b, c}
    assert store.of_account("old") == store.operating("old") == {c}
    store.remember(a_spec("c", "11", instance="i-2", account="prod"))
    store.forget(a, "12")
    assert store.operating("old") == frozenset()
    assert store.claims("i-1") == {b}
    assert store.claims("i-404") == frozenset()


def test_the_fleet_is_counted_by_phase_lock_drift_and_approval() -> None:
    store = spec_store()
    locked = {
        "phase": "Stalled",
        "operationLocks": [{"reason": "financial"}, {"reason": "financial"}],
        "conditions": [{"type": "Drifted", "status": "True"}],
    }
    waiting = {"phase": "Waiting", "conditions": [{"type": "Approved", "status": "False"}]}
    store.remember(a_spec("a", status=locked))
    store.remember(a_spec("b", status=waiting))
    store.remember(a_spec("c"))
    phases, locks, drifted, awaiting = store.tally()
    assert phases == {"Stalled": 1, "Waiting": 1, "": 1}
    assert locks == {"financial": 1}
    assert (drifted, awaiting) == (1, 1)


@pytest.mark.parametrize("body", [{}, {"metadata": None, "spec": None, "status": None}])
def test_a_strange_object_raises_nothing(body: dict[str, Any]) -> None:
    assert spec_store().remember(body)
    assert account_store().remember(body)


def test_an_account_is_found_by_its_name() -> None:
    store = account_store()
    assert store.remember({"metadata": {"name": "prod", "resourceVersion": "1"}, "spec": {}})
    assert list(store.keys()) == [AccountKey("prod")]


def test_ten_thousand_objects_take_less_than_forty_megabytes() -> None:
    history = [
        {
            "planId": f"p{number}-0123456789abcdef0123456789abcdef",
            "result": "Replaced",
            "oldDiskId": f"d-bp67acfmxazb4ph{number:04}",
            "newDiskId": f"d-bp67acfmxazb4pj{number:04}",
            "startedAt": "2026-03-01T12:00:00Z",
            "endedAt": "2026-03-01T12:02:00Z",
            "requestIds": [f"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C{number:03}" for _ in range(4)],
        }
        for number in range(10)
    ]
    store = spec_store()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1000):
        status = {"phase": "Ready", "history": history, "diskId": f"d-{number}"}
        store.remember(a_spec(f"web-{number}", instance=f"i-{number}", status=status))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / 1000 * 10_000 < 40_000_000
