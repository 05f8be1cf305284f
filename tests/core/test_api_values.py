"""The models as values: read back as written, hashable, frozen, cut to their limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.crd_check import refusals, samples, schema, unknown_fields
from tests.support.wrong_manifests import account_manifest, spec_manifest

from sysdisk.api.account import AllowedInstances, EcsAccountSpec, EcsAccountStatus
from sysdisk.api.base import ApiModel, FrozenMap
from sysdisk.api.policy import Approval, Backup, MaintenanceWindow
from sysdisk.api.spec import DriftPolicy, ForceStop, Power, SystemDiskSpecSpec
from sysdisk.api.status import (
    Condition,
    ConditionStatus,
    ErrorClass,
    HistoryEntry,
    LastError,
    Operation,
    Step,
    SystemDiskSpecStatus,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def example(node: dict[str, Any]) -> Any:
    """Return a value that fills in every field of a status schema."""
    match node["type"]:
        case "object" if "properties" in node:
            return {name: example(child) for name, child in node["properties"].items()}
        case "object":
            return {"key": example(node["additionalProperties"])}
        case "array":
            return [example(node["items"])]
        case "string" if "enum" in node:
            return node["enum"][-1]
        case "string" if node.get("format") == "date-time":
            return "2026-03-01T12:00:00Z"
        case "string":
            return "1h30m" if node["maxLength"] == 16 else "text"
        case "boolean":
            return True
        case kind:
            return {"integer": 3, "number": 0.5}[kind]


STATUSES = [("SystemDiskSpec", SystemDiskSpecStatus), ("EcsAccount", EcsAccountStatus)]


@pytest.mark.parametrize(("kind", "model"), STATUSES)
def test_a_full_status_survives_the_api_unchanged(kind: str, model: type[ApiModel]) -> None:
    full = example(schema(kind)["properties"]["status"])
    assert model.from_api(full).to_api() == full
    manifest = (spec_manifest() if kind == "SystemDiskSpec" else account_manifest()) | {
        "status": full
    }
    assert (refusals(manifest), unknown_fields(manifest)) == ([], [])


@pytest.mark.parametrize(("kind", "model"), STATUSES)
def test_an_empty_status_is_a_value_and_writes_nothing(kind: str, model: type[ApiModel]) -> None:
    assert model.from_api(None) == model.from_api({}) == model()
    manifest = (spec_manifest() if kind == "SystemDiskSpec" else account_manifest()) | {
        "status": model().to_api()
    }
    assert refusals(manifest) == []


@pytest.mark.parametrize(("file", "manifest"), samples(), ids=lambda part: str(part)[:40])
def test_a_sample_is_read_back_as_it_was_written(file: str, manifest: dict[str, Any]) -> None:
    model = SystemDiskSpecSpec if manifest["kind"] == "SystemDiskSpec" else EcsAccountSpec
    value = model.from_api(manifest["spec"])
    again = model.from_api(value.to_api())
    assert (again, hash(again)) == (value, hash(value)), file
    assert refusals(manifest | {"spec": value.to_api()}) == []


def test_python_names_are_those_of_the_api_in_snake_case() -> None:
    spec = SystemDiskSpecSpec.from_api(
        {
            "instanceId": "i-1",
            "imageId": "m-1",
            "power": {"stopTimeout": "90s", "forceStop": "Always"},
            "maintenanceWindows": [{"schedule": "0 2 * * 6", "duration": "4h"}],
            "approval": "Manual",
        }
    )
    assert spec == SystemDiskSpecSpec(
        instance_id="i-1",
        image_id="m-1",
        power=Power(stop_timeout=timedelta(seconds=90), force_stop=ForceStop.ALWAYS),
        maintenance_windows=(MaintenanceWindow(schedule="0 2 * * 6", duration=timedelta(hours=4)),),
        approval=Approval.MANUAL,
    )
    assert spec.drift_policy is DriftPolicy.REPORT


def test_a_field_of_a_newer_version_is_ignored() -> None:
    assert SystemDiskSpecSpec.from_api(
        {"instanceId": "i-1", "hooks": {"after": "x"}}
    ) == SystemDiskSpecSpec(instance_id="i-1")


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"instanceId": None},
        {"instanceId": "i-1", "driftPolicy": "Undo"},
        {"instanceId": "i-1", "power": {"stopTimeout": "soon"}},
        {"instanceId": "i-1", "size": "large"},
    ],
    ids=str,
)
def test_a_spec_that_is_not_understood_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SystemDiskSpecSpec.from_api(broken)


@pytest.mark.parametrize("missing", ["planId", "step", "clientToken", "inputs", "oldDiskId"])
def test_an_operation_without_its_identity_is_an_error(missing: str) -> None:
    whole = example(schema("SystemDiskSpec")["properties"]["status"])["operation"]
    assert Operation.from_api(whole).step is Step.FINISH
    with pytest.raises(ValidationError):
        Operation.from_api({k: v for k, v in whole.items() if k != missing})


def test_a_step_that_is_not_known_is_an_error() -> None:
    whole = example(schema("SystemDiskSpec")["properties"]["status"])["operation"]
    with pytest.raises(ValidationError):
        Operation.from_api(whole | {"step": "Shuffle"})


def test_values_do_not_change_in_place() -> None:
    backup = Backup(enabled=True)
    with pytest.raises(ValidationError):
        backup.enabled = False  # type: ignore[misc]


def test_a_replaced_value_is_checked_and_the_old_one_stays() -> None:
    condition = Condition(
        type="Ready", status=ConditionStatus.FALSE, reason="Stopping", last_transition_time=NOON
    )
    flipped = condition.replace(status=ConditionStatus.TRUE)
    assert (condition.status, flipped.status) == (ConditionStatus.FALSE, ConditionStatus.TRUE)
    with pytest.raises(ValidationError):
        condition.replace(last_transition_time=NOON.replace(tzinfo=None))


def test_replacing_keeps_a_field_whose_name_is_a_python_keyword() -> None:
    error = LastError(code="Throttling", class_=ErrorClass.RETRY)
    assert error.replace(code="InternalError").to_api() == {
        "code": "InternalError",
        "class": "retry",
    }


def test_times_are_cut_to_seconds_so_that_they_read_back_equal() -> None:
    condition = Condition(
        type="Ready",
        status=ConditionStatus.TRUE,
        reason="UpToDate",
        last_transition_time=NOON.replace(microsecond=999_999),
    )
    assert Condition.from_api(condition.to_api()) == condition


def entry(number: int) -> HistoryEntry:
    """Return one entry of a history."""
    return HistoryEntry(plan_id=f"p-{number}", result="Replaced", started_at=NOON, ended_at=NOON)


def test_a_history_keeps_the_last_ten() -> None:
    status = SystemDiskSpecStatus(history=tuple(entry(n) for n in range(13)))
    assert [e.plan_id for e in status.history] == [f"p-{n}" for n in range(3, 13)]


def test_triggers_keep_the_last_ten_and_an_absence_among_them() -> None:
    status = SystemDiskSpecStatus(triggers=(*"abcdefghij", ""))
    assert status.triggers == (*"bcdefghij", "")


def test_a_long_message_is_cut_instead_of_losing_the_write() -> None:
    error = LastError(code="x" * 1000, message="m" * 10_000)
    assert (len(error.code), len(error.message or "")) == (256, 4096)
    assert error.message is not None
    assert error.message.endswith("…")


def test_a_token_is_never_cut_but_refused() -> None:
    whole = example(schema("SystemDiskSpec")["properties"]["status"])["operation"]
    with pytest.raises(ValidationError, match="64"):
        Operation.from_api(whole | {"clientToken": "t" * 65})


def test_an_explicit_empty_list_of_windows_is_not_the_same_as_none() -> None:
    said = SystemDiskSpecSpec.from_api({"instanceId": "i-1", "maintenanceWindows": []})
    silent = SystemDiskSpecSpec.from_api({"instanceId": "i-1"})
    assert (said.maintenance_windows, silent.maintenance_windows) == ((), None)
    assert said != silent


def test_a_frozen_map_is_a_value_like_any_other() -> None:
    one = FrozenMap({"a": 1, "b": 2})
    assert one == FrozenMap({"b": 2, "a": 1}) == {"a": 1, "b": 2}
    assert hash(one) == hash(FrozenMap({"b": 2, "a": 1}))
    assert (one["a"], len(one), list(one), repr(FrozenMap({"a": 1}))) == (
        1, 2, ["a", "b"], "FrozenMap({'a': 1})",
    )  # fmt: skip


def test_maps_of_the_api_are_checked_and_written_as_objects() -> None:
    granted = AllowedInstances.from_api({"tags": {"team": "$(namespace)"}})
    assert granted.tags["team"] == "$(namespace)"
    assert granted.to_api()["tags"] == {"team": "$(namespace)"}
    assert granted.replace(ids=("i-1",)).tags == granted.tags
    with pytest.raises(ValidationError):
        AllowedInstances.from_api({"tags": {"team": ["a"]}})
