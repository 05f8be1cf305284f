"""Object metadata: which fields there are, what they may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sysdisk.sandbox.kube_errors import Cause, bad_request, cause

Json = Mapping[str, Any]

FIELDS = frozenset(
    {
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_STRING_MAPS = ("labels", "annotations")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_KEY_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_ANNOTATIONS_LIMIT = 256 * 1024


def canonical_metadata(given: Json) -> dict[str, Any]:
    """Return the known fields of `given`, without empty ones.

    Raises ApiError 400 where a field has the wrong type, as decoding does on a real server.
    """
    meta: dict[str, Any] = {}
    for name, value in given.items():
        if name not in FIELDS or name in ("managedFields", "selfLink"):
            continue
        if value is None or value in ("", {}, []):
            continue
        meta[name] = _typed(name, value)
    return meta


def _typed(name: str, value: Any) -> Any:
    if name in _STRING_MAPS:
        if not isinstance(value, Mapping):
            raise _undecodable(name, "map[string]string")
        for item in value.values():
            if not isinstance(item, str):
                raise _undecodable(f"{name}", "string")
        return value
    if name == "finalizers":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _undecodable(name, "[]string")
        return list(dict.fromkeys(value))
    if name in ("name", "generateName", "namespace", "uid") and not isinstance(value, str):
        raise _undecodable(name, "string")
    return value


def _undecodable(name: str, go_type: str) -> Exception:
    return bad_request(
        f"json: cannot unmarshal value into Go struct field ObjectMeta.metadata.{name} "
        f"of type {go_type}"
    )


def check_metadata(meta: Json, old: Json | None, *, any_name: bool = False) -> list[Cause]:
    """Return what is wrong with the metadata; `old` is that of the stored object.

    With `any_name` a name is whatever fits into a path, as for Roles: `team:reader`.
    """
    if old is not None and meta is old:
        return []
    causes: list[Cause] = []
    if old is None:
        causes += _name_causes(meta["name"], any_name=any_name)
    causes += _label_causes(meta.get("labels") or {})
    causes += _annotation_causes(meta.get("annotations") or {})
    causes += _finalizer_causes(meta.get("finalizers") or (), meta, old)
    return causes


def _name_causes(name: str, *, any_name: bool) -> list[Cause]:
    if any_name:
        if "/" not in name and "%" not in name and name not in (".", ".."):
            return []
        return [cause("FieldValueInvalid", "metadata.name", name, "may not contain '/' or '%'")]
    if len(name) > 253:
        return [cause("FieldValueInvalid", "metadata.name", name, _too_long(253))]
    if not _SUBDOMAIN.fullmatch(name):
        return [cause("FieldValueInvalid", "metadata.name", name, _SUBDOMAIN_TEXT)]
    return []


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _key_causes(field: str, key: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and (not _SUBDOMAIN.fullmatch(prefix) or len(prefix) > 253):
        return [cause("FieldValueInvalid", field, key, f"prefix part {_SUBDOMAIN_TEXT}")]
    if len(name) > 63:
        return [cause("FieldValueInvalid", field, key, f"name part {_too_long(63)}")]
    if not _KEY_NAME.fullmatch(name):
        return [cause("FieldValueInvalid", field, key, _KEY_TEXT)]
    return []


def _label_causes(labels: Mapping[str, str]) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in labels.items():
        causes += _key_causes("metadata.labels", key)
        if len(value) > 63:
            causes.append(cause("FieldValueInvalid", "metadata.labels", value, _too_long(63)))
        elif not _LABEL.fullmatch(value):
            causes.append(cause("FieldValueInvalid", "metadata.labels", value, _LABEL_TEXT))
    return causes


def _annotation_causes(annotations: Mapping[str, str]) -> list[Cause]:
    causes: list[Cause] = []
    for key in annotations:
        causes += _key_causes("metadata.annotations", key.lower())
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > _ANNOTATIONS_LIMIT:
        detail = f"may not be more than {_ANNOTATIONS_LIMIT} bytes"
        causes.append(cause("FieldValueTooLong", "metadata.annotations", "", detail))
    return causes


def _finalizer_causes(finalizers: Sequence[str], meta: Json, old: Json | None) -> list[Cause]:
    causes: list[Cause] = []
    for name in finalizers:
        causes += _key_causes("metadata.finalizers", name)
    if old is not None and "deletionTimestamp" in meta:
        added = [name for name in finalizers if name not in (old.get("finalizers") or ())]
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            detail = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            causes.append(cause("FieldValueForbidden", "metadata.finalizers", "", detail))
    return causes
