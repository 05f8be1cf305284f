"""Custom resources: what the schema refuses, drops and fills in, and what definitions must be."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.kube.client import Api
from tests.contract.kube.widget import CRDS, GROUP, definition, widget

UNCHECKED = ("<nil>", "FieldValueInvalid")

REFUSALS: list[tuple[dict[str, Any], set[tuple[str, str]], str]] = [
    ({"id": ""}, {("spec.id", "FieldValueInvalid")}, "at least 1 chars long"),
    ({"id": "A B"}, {("spec.id", "FieldValueInvalid")}, "should match '^[a-z0-9-]+$'"),
    ({"id": "x" * 21}, {("spec.id", "FieldValueTooLong"), UNCHECKED}, "Too long"),
    ({"id": 5}, {("spec.id", "FieldValueTypeInvalid"), UNCHECKED}, "must be of type string"),
    ({"id": None}, {("spec.id", "FieldValueRequired"), UNCHECKED}, "Required value"),
    ({"size": 0}, {("spec.size", "FieldValueInvalid")}, "greater than or equal to 1"),
    ({"size": 101}, {("spec.size", "FieldValueInvalid")}, "less than or equal to 100"),
    ({"size": "5"}, {("spec.size", "FieldValueTypeInvalid"), UNCHECKED}, "of type integer"),
    (
        {"color": "blue"},
        {("spec.color", "FieldValueNotSupported"), UNCHECKED},
        'Unsupported value: "blue": supported values: "red", "green"',
    ),
    (
        {"image": "a", "family": "b"},
        {("spec", "FieldValueInvalid")},
        "spec: Invalid value: image or family, not both",
    ),
    (
        {"power": {"timeout": "0s"}},
        {("spec.power.timeout", "FieldValueInvalid")},
        'spec.power.timeout: Invalid value: "0s": too short: 0s',
    ),
    (
        {"power": {"tags": ["a", "a"]}},
        {("spec.power.tags[1]", "FieldValueDuplicate")},
        'Duplicate value: "a"',
    ),
    (
        {"power": {"tags": ["a", "b", "c", "d"]}},
        {("spec.power.tags", "FieldValueTooMany"), UNCHECKED},
        "Too many: 4: must have at most 3 items",
    ),
    ({"port": True}, {("spec.port", "FieldValueTypeInvalid"), UNCHECKED}, "integer,string"),
    ({"labels": {"a": 1}}, {("spec.labels.a", "FieldValueTypeInvalid"), UNCHECKED}, "string"),
    ({"when": "today"}, {("spec.when", "FieldValueTypeInvalid"), UNCHECKED}, "date-time"),
]


@pytest.mark.parametrize(("spec", "causes", "words"), REFUSALS, ids=[str(r[0]) for r in REFUSALS])
async def test_a_wrong_object_is_refused_by_field_and_rule(
    api: Api, widgets: str, spec: dict[str, Any], causes: set[tuple[str, str]], words: str
) -> None:
    refused = await api.ask("POST", widgets, widget("a", **spec))
    assert (refused.code, refused.body["reason"], refused.causes) == (422, "Invalid", causes)
    assert words in refused.body["message"]


async def test_defaults_are_filled_in_and_unknown_fields_dropped(api: Api, widgets: str) -> None:
    body = widget("a", power={}, free={"any": {"thing": 1}}, unknown=1, image=None)
    made = await api.ask("POST", widgets, body)
    assert made.body["spec"] == {
        "id": "x",
        "size": 40,
        "color": "red",
        "power": {"timeout": "5m"},
        "free": {"any": {"thing": 1}},
    }
    assert "spec.unknown" in made.headers["Warning"]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "+08:00"])
async def test_a_rule_reads_a_time_in_a_zone(api: Api, widgets: str, zone: str) -> None:
    assert (await api.ask("POST", widgets, widget("a", zone=zone))).code == 201


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("UTC", "it is not six there"),
        ("Mars/Olympus", "unknown time zone Mars/Olympus evaluating rule: it is not six there"),
        ("asia/shanghai", "unknown time zone asia/shanghai evaluating rule"),
    ],
)
async def test_a_rule_about_a_zone_that_there_is_not_is_an_error(
    api: Api, widgets: str, zone: str, words: str
) -> None:
    refused = await api.ask("POST", widgets, widget("a", zone=zone))
    assert (refused.code, {name for name, _ in refused.causes}) == (422, {"spec.zone"})
    assert words in refused.body["message"]


async def test_null_stays_only_where_it_is_allowed(api: Api, widgets: str) -> None:
    made = await api.ask("POST", widgets, widget("a", note=None, color=None, family=None))
    assert made.body["spec"] == {"id": "x", "size": 40, "color": "red", "note": None}


async def test_strict_validation_refuses_unknown_fields(api: Api, widgets: str) -> None:
    refused = await api.ask("POST", f"{widgets}?fieldValidation=Strict", widget("a", sise=1))
    assert refused.code == 400
    assert 'strict decoding error: unknown field "spec.sise"' in refused.body["message"]
    await api.ask("POST", widgets, widget("a"))
    patched = await api.merge(f"{widgets}/a?fieldValidation=Strict", {"spec": {"sise": 1}})
    assert (patched.code, patched.causes) == (422, {("patch", "FieldValueInvalid")})


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"id": "y"}, "spec.id", "id is fixed"),
        ({"region": "r"}, "spec", "region is fixed"),
    ],
)
async def test_transition_rules_hold_on_update_only(
    api: Api, widgets: str, change: dict[str, Any], field: str, words: str
) -> None:
    assert (await api.ask("POST", widgets, widget("a"))).code == 201
    refused = await api.merge(f"{widgets}/a", {"spec": change})
    assert (refused.code, {name for name, _ in refused.causes}) == (422, {field})
    assert words in refused.body["message"]


async def test_status_is_checked_against_its_schema(api: Api, widgets: str) -> None:
    await api.ask("POST", widgets, widget("a"))
    wrong = await api.merge(f"{widgets}/a/status", {"status": {"phase": "Sideways"}})
    assert ("status.phase", "FieldValueNotSupported") in wrong.causes
    double = [{"type": "Ready", "status": each} for each in ("True", "False")]
    twice = await api.merge(f"{widgets}/a/status", {"status": {"conditions": double}})
    assert ("status.conditions[1]", "FieldValueDuplicate") in twice.causes
    pruned = await api.merge(f"{widgets}/a/status", {"status": {"phase": "Up", "odd": 1}})
    assert pruned.body["status"] == {"phase": "Up"}


async def test_a_definition_becomes_established_and_goes_with_its_objects(
    api: Api, namespace: str
) -> None:
    made = definition("gadgets", "Gadget", "gd")
    assert (await api.ask("POST", CRDS, made)).code == 201
    path = f"{CRDS}/{made['metadata']['name']}"

    def established(answer: Any) -> bool:
        conditions = answer.body.get("status", {}).get("conditions") or []
        return ("Established", "True") in {(each["type"], each["status"]) for each in conditions}

    await api.until(path, established)
    gadgets = f"/apis/contract.sysdisk.dev/v1/namespaces/{namespace}/gadgets"
    await api.until(gadgets, lambda answer: answer.code == 200)
    await api.ask("POST", gadgets, {**widget("a"), "kind": "Gadget"})
    await api.ask("DELETE", path)
    await api.until(path, lambda answer: answer.code == 404)
    await api.until(gadgets, lambda answer: answer.code == 404)


def _break(change: str) -> dict[str, Any]:
    broken = copy.deepcopy(definition("broken", "Broken", "br"))
    spec = broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    match change:
        case "a field without a type":
            del spec["properties"]["size"]["type"]
        case "a type that there is not":
            spec["properties"]["size"]["type"] = "nonsense"
        case "a column of a type that there is not":
            broken["spec"]["versions"][0]["additionalPrinterColumns"][0]["type"] = "nonsense"
        case "a rule that does not parse":
            spec["x-kubernetes-validations"][0]["rule"] = "self."
        case "a rule about an undeclared field":
            spec["x-kubernetes-validations"][0]["rule"] = "has(self.nope)"
        case "a default that its schema refuses":
            spec["properties"]["size"]["default"] = 0
        case "no storage version":
            broken["spec"]["versions"][0]["storage"] = False
        case "a name that is not plural and group":
            broken["metadata"]["name"] = "other.contract.sysdisk.dev"
    return broken


@pytest.mark.parametrize(
    "change",
    [
        "a field without a type",
        "a type that there is not",
        "a column of a type that there is not",
        "a rule that does not parse",
        "a rule about an undeclared field",
        "a default that its schema refuses",
        "no storage version",
        "a name that is not plural and group",
    ],
)
async def test_a_definition_is_refused_for(api: Api, change: str) -> None:
    refused = await api.ask("POST", CRDS, _break(change))
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")


async def test_a_definition_says_which_types_there_are(api: Api) -> None:
    refused = await api.ask("POST", CRDS, _break("a type that there is not"))
    assert (
        'properties[size].type: Unsupported value: "nonsense": supported values: "array", '
        in (refused.body["message"])
    )


async def test_a_patch_of_a_definition_is_checked_like_a_new_one(api: Api, widgets: str) -> None:
    path = f"{CRDS}/widgets.{GROUP}"
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/note/type"
    patch = [{"op": "replace", "path": field, "value": "nonsense"}]
    refused = await api.ask("PATCH", path, patch, kind="application/json-patch+json")
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
