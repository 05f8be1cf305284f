"""Tables: what `kubectl get` prints, made by the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sysdisk.sandbox.kube_jsonpath import json_path
from sysdisk.sandbox.kube_resources import Column, Resource

Json = Mapping[str, Any]
_NAME = Column(
    "Name",
    format="name",
    description=(
        "Name must be unique within a namespace. Is required when creating resources, although "
        "some resources may allow a client to request the generation of an appropriate name "
        "automatically. Name is primarily intended for creation idempotence and configuration "
        "definition. Cannot be updated. "
        "More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
    ),
)
_AGE = Column("Age", type="date", path=".metadata.creationTimestamp")


def _text(name: str, path: str, priority: int = 0) -> Column:
    return Column(name, path=path, priority=priority)


# Columns of built-in kinds; a column without a path is computed by _COMPUTED.
_BUILTIN: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "namespaces"): (_text("Status", ".status.phase"), Column("Age")),
    ("", "secrets"): (_text("Type", ".type"), Column("Data"), Column("Age")),
    ("", "configmaps"): (Column("Data"), Column("Age")),
    ("", "serviceaccounts"): (Column("Age"),),
    ("", "events"): (
        Column("Last Seen"),
        _text("Type", ".type"),
        _text("Reason", ".reason"),
        Column("Object"),
        _text("Subobject", ".involvedObject.fieldPath", 1),
        Column("Source", priority=1),
        Column("Message"),
        Column("First Seen", priority=1),
        Column("Count", priority=1),
        _text("Name", ".metadata.name", 1),
    ),
    ("coordination.k8s.io", "leases"): (
        _text("Holder", ".spec.holderIdentity"),
        Column("Age"),
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (
        Column("Created At", type="string", path=".metadata.creationTimestamp"),
    ),
    ("apps", "deployments"): (
        Column("Ready"),
        Column("Up-to-date"),
        Column("Available"),
        Column("Age"),
    ),
}


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """Return the columns of a type, the name first."""
    if resource.key == ("", "events"):
        return _BUILTIN["", "events"]
    if resource.custom:
        return (_NAME, *(resource.columns or (_AGE,)))
    return (_NAME, *_BUILTIN.get(resource.key, (Column("Age"),)))


def table(
    resource: Resource,
    objects: Iterable[Json],
    now: datetime,
    *,
    include: str = "Metadata",
    metadata: Json | None = None,
    with_columns: bool = True,
) -> dict[str, Any]:
    """Return a `meta.k8s.io/v1` Table of the objects.

    `include` is what each row carries along: None, Metadata or Object.
    """
    columns = columns_of(resource)
    answer: dict[str, Any] = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata or {}),
        "columnDefinitions": [_definition(each) for each in columns] if with_columns else None,
        "rows": [_row(resource, columns, obj, now, include) for obj in objects],
    }
    if not with_columns:
        answer["columnDefinitions"] = []
    return answer


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description
        or f"Custom resource definition column (in JSONPath format): {column.path}"
        if column.path
        else column.description,
        "priority": column.priority,
    }


def _row(
    resource: Resource, columns: Iterable[Column], obj: Json, now: datetime, include: str
) -> dict[str, Any]:
    builtin = not resource.custom
    row: dict[str, Any] = {"cells": [_cell(each, obj, now, builtin=builtin) for each in columns]}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = partial(obj)
    return row


def partial(obj: Json) -> dict[str, Any]:
    """Return the PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _cell(column: Column, obj: Json, now: datetime, *, builtin: bool) -> Any:
    if column.format == "name" and not column.path:
        return obj["metadata"]["name"]
    if not column.path:
        return _COMPUTED[column.name](obj, now)
    found = json_path(column.path)(obj)
    if not found or found[0] is None:
        return "" if builtin else None
    return _value(column.type, found[0], now)


def _value(kind: str, value: Any, now: datetime) -> Any:
    match kind:
        case "date":
            return age(value, now) if isinstance(value, str) else "<invalid>"
        case "integer":
            return int(value) if isinstance(value, int | float) else None
        case "number":
            return float(value) if isinstance(value, int | float) else None
        case "boolean":
            return value if isinstance(value, bool) else None
    return _printed(value)


def _printed(value: Any) -> str:
    """Return a value as Go's JSONPath printer writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def age(text: str | None, now: datetime) -> str:
    """Return how long ago a timestamp was, as kubectl shows ages."""
    if not text:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return "<invalid>"
    return human(now.astimezone(UTC) - then)


def human(span: timedelta) -> str:
    """Return a span as apimachinery's `duration.HumanDuration` does: `90s`, `5m30s`, `3d`."""
    seconds = int(span.total_seconds())
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _pair(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def _created(obj: Json, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _event_object(obj: Json, now: datetime) -> str:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_seen(obj: Json, *names: str) -> str | None:
    return next((obj[name] for name in names if obj.get(name)), None)


def _last_seen(obj: Json, now: datetime) -> str:
    series = (obj.get("series") or {}).get("lastObservedTime")
    when = series or _event_seen(
        obj, "lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp"
    )
    return age(when, now)


def _first_seen(obj: Json, now: datetime) -> str:
    return age(_event_seen(obj, "firstTimestamp", "deprecatedFirstTimestamp", "eventTime"), now)


def _source(obj: Json, now: datetime) -> str:
    source = (obj.get("source") or obj.get("deprecatedSource") or {}).get("component")
    return str(source or obj.get("reportingComponent") or obj.get("reportingController") or "")


def _deployment_ready(obj: Json, now: datetime) -> str:
    ready = (obj.get("status") or {}).get("readyReplicas", 0)
    return f"{ready}/{(obj.get('spec') or {}).get('replicas', 1)}"


_COMPUTED: dict[str, Callable[[Json, datetime], Any]] = {
    "Age": _created,
    "Available": lambda obj, now: (obj.get("status") or {}).get("availableReplicas", 0),
    "Count": lambda obj, now: obj.get("count") or obj.get("deprecatedCount") or 1,
    "Data": lambda obj, now: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
    "First Seen": _first_seen,
    "Last Seen": _last_seen,
    "Message": lambda obj, now: str(obj.get("message") or obj.get("note") or "").strip(),
    "Object": _event_object,
    "Ready": _deployment_ready,
    "Source": _source,
    "Up-to-date": lambda obj, now: (obj.get("status") or {}).get("updatedReplicas", 0),
}
