"""Events: one store, two API groups with different field names, and a lifetime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sysdisk.sandbox.kube_errors import Cause, cause

Json = Mapping[str, Any]

# events.k8s.io/v1 name -> core/v1 name; source: k8s.io/kubernetes pkg/apis/events/v1/conversion.go
_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK = {old: new for new, old in _NAMES.items()}
_NULLABLE = ("firstTimestamp", "lastTimestamp", "eventTime")


class EventsV1:
    """Conversion between events.k8s.io/v1 and core/v1, which is what is stored."""

    def to_stored(self, obj: Json) -> dict[str, Any]:
        """Return the core/v1 form."""
        renamed = {_NAMES.get(key, key): value for key, value in obj.items()}
        return {**renamed, "apiVersion": "v1"}

    def from_stored(self, obj: Json) -> dict[str, Any]:
        """Return the events.k8s.io/v1 form."""
        renamed = {_BACK.get(key, key): value for key, value in obj.items()}
        return {**renamed, "apiVersion": "events.k8s.io/v1"}


EVENTS_V1 = EventsV1()


class EventStrategy:
    """An Event is about an object of its own namespace."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with the fields that are always shown."""
        event = dict(obj)
        for name in _NULLABLE:
            event.setdefault(name, None)
        event.setdefault("source", {})
        event.setdefault("reportingComponent", "")
        event.setdefault("reportingInstance", "")
        return event

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return whether the namespaces differ."""
        about = (obj.get("involvedObject") or {}).get("namespace") or "default"
        if about == obj["metadata"]["namespace"]:
            return ()
        detail = "does not match event.namespace"
        return [cause("FieldValueInvalid", "involvedObject.namespace", about, detail)]
