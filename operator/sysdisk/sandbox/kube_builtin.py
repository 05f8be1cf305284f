"""What the built-in kinds ask of their objects, where this operator depends on it.

Namespaces, Secrets, ConfigMaps, Events and Leases are checked as a real server checks them; other
built-in kinds are taken as they are sent.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sysdisk.sandbox.kube_crd import CRD_GROUP, CrdStrategy, serve_definitions
from sysdisk.sandbox.kube_errors import Cause, bad_request, cause
from sysdisk.sandbox.kube_events import EVENTS_V1, EventStrategy
from sysdisk.sandbox.kube_resources import Strategy
from sysdisk.sandbox.kube_store import KubeStore

Json = Mapping[str, Any]
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_FROZEN = "field is immutable when `immutable` is set"
_LIMIT = 1024 * 1024
_REQUIRED = {"kubernetes.io/tls": ("tls.crt", "tls.key")}
_HEAD = ("apiVersion", "kind", "metadata")


def _known(obj: Json, names: Sequence[str]) -> dict[str, Any]:
    return {
        name: obj[name]
        for name in (*_HEAD, *names)
        if obj.get(name) not in (None, {}) or (name in _HEAD and name in obj)
    }


class NamespaceStrategy:
    """A namespace has a phase, and a label with its own name."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with its label, its phase and the finalizer of its kind."""
        meta = dict(obj["metadata"])
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
        spec = {"finalizers": ["kubernetes"], **(obj.get("spec") or {})}
        status = {"phase": "Terminating" if "deletionTimestamp" in meta else "Active"}
        return {**_known(obj, ()), "metadata": meta, "spec": spec, "status": status}

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return whether the name fits into a DNS label."""
        name = obj["metadata"]["name"]
        if len(name) <= 63 and "." not in name:
            return ()
        return [cause("FieldValueInvalid", "metadata.name", name, "must be a DNS-1123 label")]


class SecretStrategy:
    """A Secret holds base64, takes plain strings, and may be immutable."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with `stringData` moved into `data`, and a type.

        Raises ApiError 400 for data that is no base64.
        """
        data = dict(obj.get("data") or {})
        for key, value in data.items():
            _check_base64(key, value)
        for key, value in (obj.get("stringData") or {}).items():
            if not isinstance(value, str):
                raise bad_request(
                    "json: cannot unmarshal value into Go struct field Secret.stringData of type "
                    "string"
                )
            data[key] = base64.b64encode(value.encode()).decode()
        kept = _known(obj, ("immutable",))
        if data:
            kept["data"] = data
        return {**kept, "type": obj.get("type") or "Opaque"}

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return what is wrong with keys, size, or a change of what may not change."""
        return list(self._causes(obj, old))

    def _causes(self, obj: Json, old: Json | None) -> Iterator[Cause]:
        data = obj.get("data") or {}
        for key in data:
            if not _KEY.fullmatch(key) or len(key) > 253:
                yield cause("FieldValueInvalid", f"data[{key}]", key, _KEY_TEXT)
        for key in _REQUIRED.get(obj["type"], ()):
            if key not in data:
                yield cause("FieldValueRequired", f"data[{key}]", "")
        if sum(len(value) * 3 // 4 for value in data.values()) > _LIMIT:
            yield cause("FieldValueTooLong", "data", "", f"may not be more than {_LIMIT} bytes")
        if old is None:
            return
        if obj["type"] != old.get("type"):
            yield cause("FieldValueInvalid", "type", obj["type"], "field is immutable")
        yield from _immutable_causes(obj, old, ("data",))


def _immutable_causes(obj: Json, old: Json, names: Sequence[str]) -> Iterator[Cause]:
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield cause("FieldValueForbidden", "immutable", "", _FROZEN)
    for name in names:
        if obj.get(name) != old.get(name):
            yield cause("FieldValueForbidden", name, "", _FROZEN)


def _check_base64(key: str, value: Any) -> None:
    try:
        if not isinstance(value, str):
            raise TypeError
        base64.b64decode(value, validate=True)
    except (TypeError, binascii.Error) as exc:
        raise bad_request(
            'Secret in version "v1" cannot be handled as a Secret: illegal base64 data '
            f"in data[{key}]"
        ) from exc


class ConfigMapStrategy:
    """A ConfigMap holds strings and may be immutable."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with its known fields. Raises ApiError 400: all values are strings."""
        for value in (obj.get("data") or {}).values():
            if not isinstance(value, str):
                raise bad_request(
                    'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot '
                    "unmarshal value into Go struct field ConfigMap.data of type string"
                )
        return _known(obj, ("data", "binaryData", "immutable"))

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return what is wrong with keys, or a change of what may not change."""
        causes = [
            cause("FieldValueInvalid", f"data[{key}]", key, _KEY_TEXT)
            for key in (obj.get("data") or {})
            if not _KEY.fullmatch(key)
        ]
        if old is not None:
            causes += _immutable_causes(obj, old, ("data", "binaryData"))
        return causes


class LeaseStrategy:
    """A Lease has positive durations."""

    def prepare(self, obj: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `obj` with its known fields."""
        spec = {name: value for name, value in (obj.get("spec") or {}).items() if value is not None}
        return {**_known(obj, ()), "spec": spec}

    def validate(self, obj: Json, old: Json | None) -> Sequence[Cause]:
        """Return what is wrong with the numbers."""
        spec, causes = obj["spec"], []
        seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        if seconds is not None and seconds <= 0:
            detail = "must be greater than 0"
            causes.append(cause("FieldValueInvalid", "spec.leaseDurationSeconds", seconds, detail))
        if transitions is not None and transitions < 0:
            detail = "must be greater than or equal to 0"
            causes.append(cause("FieldValueInvalid", "spec.leaseTransitions", transitions, detail))
        return causes


def _strategies() -> dict[tuple[str, str], Strategy]:
    return {
        ("", "namespaces"): NamespaceStrategy(),
        ("", "secrets"): SecretStrategy(),
        ("", "configmaps"): ConfigMapStrategy(),
        ("", "events"): EventStrategy(),
        ("coordination.k8s.io", "leases"): LeaseStrategy(),
        (CRD_GROUP, "customresourcedefinitions"): CrdStrategy(),
    }


def complete(store: KubeStore) -> KubeStore:
    """Return `store` after giving its built-in kinds their checks, and CRDs their effect."""
    strategies = _strategies()
    for resource in list(store.resources.values()):
        strategy = strategies.get(resource.key, resource.strategy)
        converter = EVENTS_V1 if resource.group == "events.k8s.io" else None
        store.register(replace(resource, strategy=strategy, converter=converter))
    # Those that a store begins with were made before it knew what a namespace is.
    first = NamespaceStrategy()
    store.rewrite(
        store.resource("", "v1", "namespaces"), lambda obj: first.prepare(dict(obj), None)
    )
    serve_definitions(store)
    return store
