"""Field validation: unknown fields refused or warned about, as `fieldValidation` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sysdisk.sandbox.kube_errors import bad_request, cause, invalid, show
from sysdisk.sandbox.kube_metadata import FIELDS
from sysdisk.sandbox.kube_resources import Resource
from sysdisk.sandbox.kube_schema import prune

Json = Mapping[str, Any]


# Top-level fields of the built-in kinds that are decoded here as strictly as on a real server.
_TOP: dict[tuple[str, str], frozenset[str]] = {
    ("", "secrets"): frozenset({"data", "stringData", "type", "immutable"}),
    ("", "configmaps"): frozenset({"data", "binaryData", "immutable"}),
    ("", "namespaces"): frozenset({"spec", "status"}),
    ("coordination.k8s.io", "leases"): frozenset({"spec"}),
}
_HEAD = frozenset({"apiVersion", "kind", "metadata"})


def unknown_fields(resource: Resource, obj: Json) -> list[str]:
    """Return the paths of fields that would be dropped: in metadata, and by the schema."""
    unknown: list[str] = []
    if resource.schema is not None:
        prune(resource.schema, obj, unknown)
    if (known := _TOP.get(resource.key)) is not None:
        unknown += [name for name in obj if name not in known | _HEAD]
    meta = obj.get("metadata")
    if isinstance(meta, Mapping):
        unknown += [f"metadata.{name}" for name in meta if name not in FIELDS]
    return sorted(unknown)


def refuse_unknown(
    resource: Resource, query: Mapping[str, str], unknown: Sequence[str], patch: Any = None
) -> None:
    """Raise ApiError if there are unknown fields and the request is strict: 422 for a patch."""
    if query.get("fieldValidation") != "Strict" or not unknown:
        return
    listed = ", ".join(f'unknown field "{path}"' for path in unknown)
    text = f"strict decoding error: {listed}"
    if patch is not None:
        why = cause("FieldValueInvalid", "patch", show(patch), text)
        raise invalid("", "", "", [why])
    raise bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a '
        f"{resource.kind}: {text}"
    )


def warning_header(path: str) -> str:
    """Return the value of the Warning header for one unknown field."""
    return f'299 - "unknown field \\"{path}\\""'
