"""Objects: versions, conflicts, status, finalizers, lists. The same on both backends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kube.client import Api
from tests.contract.kube.widget import GROUP, widget

JSON_PATCH = "application/json-patch+json"


async def test_a_spec_change_raises_generation_and_other_changes_do_not(
    api: Api, widgets: str
) -> None:
    made = await api.ask("POST", widgets, widget("a"))
    labelled = await api.merge(f"{widgets}/a", {"metadata": {"labels": {"k": "v"}}})
    stated = await api.merge(f"{widgets}/a/status", {"status": {"phase": "Up"}})
    sized = await api.merge(f"{widgets}/a", {"spec": {"size": 41}})
    seen = [each.body["metadata"]["generation"] for each in (made, labelled, stated, sized)]
    assert seen == [1, 1, 1, 2]
    assert (sized.body["status"], made.code) == ({"phase": "Up"}, 201)


async def test_a_write_that_changes_nothing_keeps_the_version(api: Api, widgets: str) -> None:
    made = await api.ask("POST", widgets, widget("a"))
    again = await api.merge(f"{widgets}/a", {"spec": {"size": 40}})
    assert again.body["metadata"]["resourceVersion"] == made.body["metadata"]["resourceVersion"]


@pytest.mark.parametrize("part", ["", "/status"])
async def test_a_merge_patch_with_a_stale_version_is_a_conflict(
    api: Api, widgets: str, part: str
) -> None:
    made = await api.ask("POST", widgets, widget("a"))
    stale = made.body["metadata"]["resourceVersion"]
    await api.merge(f"{widgets}/a", {"spec": {"size": 41}})
    patch = {
        "metadata": {"resourceVersion": stale},
        "spec": {"size": 42},
        "status": {"phase": "Up"},
    }
    refused = await api.merge(f"{widgets}/a{part}", patch)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert "the object has been modified" in refused.body["message"]
    now = await api.ask("GET", f"{widgets}/a")
    assert (now.body["spec"]["size"], now.body.get("status")) == (41, None)


async def test_a_merge_patch_with_the_present_version_is_applied_once(
    api: Api, widgets: str
) -> None:
    made = await api.ask("POST", widgets, widget("a"))
    version = made.body["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "status": {"phase": "Up"}}
    codes = [(await api.merge(f"{widgets}/a/status", patch)).code for _ in range(2)]
    assert codes == [200, 409]


async def test_main_writes_ignore_status_and_status_writes_ignore_the_rest(
    api: Api, widgets: str
) -> None:
    made = await api.ask("POST", widgets, {**widget("a"), "status": {"phase": "Up"}})
    assert "status" not in made.body
    await api.merge(f"{widgets}/a", {"status": {"phase": "Up"}})
    patch = {
        "status": {"phase": "Down"},
        "spec": {"size": 9},
        "metadata": {"labels": {"k": "v"}, "finalizers": ["x.dev/f"]},
    }
    stated = await api.merge(f"{widgets}/a/status", patch)
    assert stated.body["status"] == {"phase": "Down"}
    assert stated.body["spec"]["size"] == 40
    assert not {"labels", "finalizers"} & set(stated.body["metadata"])


async def test_an_object_with_a_finalizer_stays_until_it_is_removed(api: Api, widgets: str) -> None:
    held = widget("a")
    held["metadata"]["finalizers"] = ["x.dev/f"]
    await api.ask("POST", widgets, held)
    deleting = await api.ask("DELETE", f"{widgets}/a")
    assert deleting.code == 200
    assert deleting.body["metadata"]["deletionTimestamp"]
    assert deleting.body["metadata"]["generation"] == 2
    added = await api.merge(f"{widgets}/a", {"metadata": {"finalizers": ["x.dev/f", "x.dev/g"]}})
    assert (added.code, added.body["reason"]) == (422, "Invalid")
    assert "no new finalizers can be added" in added.body["message"]
    released = await api.merge(f"{widgets}/a", {"metadata": {"finalizers": None}})
    assert released.code == 200
    assert (await api.ask("GET", f"{widgets}/a")).code == 404


async def test_a_finalizer_can_be_added_only_to_the_version_that_was_read(
    api: Api, widgets: str
) -> None:
    made = await api.ask("POST", widgets, widget("a"))
    version = made.body["metadata"]["resourceVersion"]
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/finalizers", "value": ["x.dev/f"]},
    ]
    first = await api.ask("PATCH", f"{widgets}/a", operations, kind=JSON_PATCH)
    second = await api.ask("PATCH", f"{widgets}/a", operations, kind=JSON_PATCH)
    assert (first.code, second.code, second.body["reason"]) == (200, 422, "Invalid")


@pytest.mark.parametrize("key", ["uid", "resourceVersion"])
async def test_a_deletion_with_a_failed_precondition_is_a_conflict(
    api: Api, widgets: str, key: str
) -> None:
    await api.ask("POST", widgets, widget("a"))
    refused = await api.ask("DELETE", f"{widgets}/a", {"preconditions": {key: "12"}})
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert (await api.ask("GET", f"{widgets}/a")).code == 200


async def test_a_deletion_says_what_was_deleted(api: Api, widgets: str) -> None:
    made = await api.ask("POST", widgets, widget("a"))
    gone = await api.ask("DELETE", f"{widgets}/a", {"propagationPolicy": "Background"})
    assert gone.body["status"] == "Success"
    assert gone.body["details"] == {
        "name": "a",
        "group": GROUP,
        "kind": "widgets",
        "uid": made.body["metadata"]["uid"],
    }


async def test_what_is_not_there_is_a_404_with_details(api: Api, widgets: str) -> None:
    absent = await api.ask("GET", f"{widgets}/a")
    assert (absent.code, absent.body["reason"]) == (404, "NotFound")
    assert absent.body["message"] == f'widgets.{GROUP} "a" not found'
    assert absent.body["details"] == {"name": "a", "group": GROUP, "kind": "widgets"}


async def test_a_name_is_taken_once(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    again = await api.ask("POST", widgets, widget("a"))
    assert (again.code, again.body["reason"]) == (409, "AlreadyExists")


async def test_a_name_can_be_generated(api: Api, widgets: str) -> None:
    body = widget("")
    body["metadata"] = {"generateName": "web-"}
    made = await api.ask("POST", widgets, body)
    name = made.body["metadata"]["name"]
    assert (made.code, name[:4], len(name)) == (201, "web-", 9)


async def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api, widgets: str) -> None:
    path = f"/apis/{GROUP}/v1/namespaces/nowhere/widgets"
    refused = await api.ask("POST", path, widget("a"))
    assert (refused.code, refused.body["message"]) == (404, 'namespaces "nowhere" not found')


async def test_a_put_needs_a_version(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    refused = await api.ask("PUT", f"{widgets}/a", widget("a"))
    assert (refused.code, refused.causes) == (
        422,
        {("metadata.resourceVersion", "FieldValueInvalid")},
    )


async def test_pages_of_a_list_are_of_one_moment(api: Api, widgets: str) -> None:
    for name in ("a", "b", "c"):
        await api.ask("POST", widgets, widget(name))
    first = await api.ask("GET", f"{widgets}?limit=2")
    assert first.body["metadata"]["remainingItemCount"] == 1
    await api.ask("DELETE", f"{widgets}/c")
    token = first.body["metadata"]["continue"]
    second = await api.ask("GET", f"{widgets}?limit=2&continue={token}")
    assert [each["metadata"]["name"] for each in first.body["items"]] == ["a", "b"]
    assert [each["metadata"]["name"] for each in second.body["items"]] == ["c"]
    versions = {each.body["metadata"]["resourceVersion"] for each in (first, second)}
    assert len(versions) == 1
    assert not second.body["metadata"].get("continue")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("labelSelector=tier%3Dweb", ["a"]),
        ("labelSelector=tier+in+(web,db)", ["a", "b"]),
        ("labelSelector=!tier", ["c"]),
        ("labelSelector=tier!%3Dweb", ["b", "c"]),
        ("fieldSelector=metadata.name%3Db", ["b"]),
    ],
)
async def test_selectors_choose(api: Api, widgets: str, query: str, names: list[str]) -> None:
    for name, labels in (("a", {"tier": "web"}), ("b", {"tier": "db"}), ("c", {})):
        body = widget(name)
        body["metadata"]["labels"] = labels
        await api.ask("POST", widgets, body)
    found = await api.ask("GET", f"{widgets}?{query}")
    assert [each["metadata"]["name"] for each in found.body["items"]] == names


async def test_metadata_can_be_listed_alone(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    found = await api.ask("GET", widgets, accept=accept)
    assert found.body["kind"] == "PartialObjectMetadataList"
    assert [sorted(each) for each in found.body["items"]] == [["apiVersion", "kind", "metadata"]]


async def test_a_table_has_the_columns_of_the_definition(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await api.merge(f"{widgets}/a/status", status)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    found = await api.ask("GET", widgets, accept=accept)
    columns = found.body["columnDefinitions"]
    shown = [(each["name"], each["type"], each["priority"]) for each in columns]
    assert shown == [
        ("Name", "string", 0),
        ("Size", "integer", 0),
        ("Ready", "string", 0),
        ("Color", "string", 1),
        ("Age", "date", 0),
    ]
    row = found.body["rows"][0]
    assert row["cells"][:4] == ["a", 40, "True", "red"]
    assert row["object"]["kind"] == "PartialObjectMetadata"


async def test_secrets_take_plain_strings_and_refuse_what_is_no_base64(
    api: Api, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    body: dict[str, Any] = {"metadata": {"name": "s"}, "stringData": {"p": "a%b&c+d"}}
    made = await api.ask("POST", path, body)
    assert (made.body["data"], made.body["type"]) == ({"p": "YSViJmMrZA=="}, "Opaque")
    assert "stringData" not in made.body
    bad = await api.ask("POST", path, {"metadata": {"name": "t"}, "data": {"p": "!!"}})
    assert (bad.code, bad.body["reason"]) == (400, "BadRequest")


async def test_an_immutable_secret_keeps_its_data(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    body = {"metadata": {"name": "s"}, "immutable": True, "data": {"p": "YQ=="}}
    await api.ask("POST", path, body)
    refused = await api.merge(f"{path}/s", {"data": {"p": "Yg=="}})
    assert (refused.code, refused.causes) == (422, {("data", "FieldValueForbidden")})


async def test_an_event_is_read_through_both_of_its_groups(api: Api, namespace: str) -> None:
    body = {
        "metadata": {"name": "e"},
        "regarding": {"kind": "Widget", "name": "a", "namespace": namespace},
        "reason": "Tested",
        "note": "said",
        "type": "Warning",
        "action": "Test",
        "reportingController": "sysdisk.dev/operator",
        "reportingInstance": "one",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    }
    made = await api.ask("POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
    assert made.code == 201
    chosen = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3Da"
    found = await api.ask("GET", chosen)
    event = found.body["items"][0]
    assert (event["message"], event["involvedObject"]["name"]) == ("said", "a")
    assert event["reportingComponent"] == "sysdisk.dev/operator"


async def test_a_lease_is_taken_by_one_of_two(api: Api, namespace: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
    made = await api.ask("POST", path, {"metadata": {"name": "l"}, "spec": spec})
    writes = [
        await api.ask("PUT", f"{path}/l", {**made.body, "spec": {**spec, "holderIdentity": name}})
        for name in ("b", "c")
    ]
    assert [each.code for each in writes] == [200, 409]


async def test_a_service_account_gets_a_token(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    await api.ask("POST", path, {"metadata": {"name": "operator"}})
    made = await api.ask("POST", f"{path}/operator/token", {"spec": {"expirationSeconds": 600}})
    assert made.code == 201
    assert made.body["status"]["token"]


@pytest.mark.parametrize("query", ["dryRun=All", "dryRun=All&fieldValidation=Strict"])
async def test_a_dry_run_answers_as_the_real_one_and_stores_nothing(
    api: Api, widgets: str, query: str
) -> None:
    trial = await api.ask("POST", f"{widgets}?{query}", widget("a"))
    assert (trial.code, trial.body["spec"]["size"]) == (201, 40)
    assert (await api.ask("GET", f"{widgets}/a")).code == 404
