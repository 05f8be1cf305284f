"""The patch types that change a JSON object: merge, JSON patch, strategic merge.

All of them return a new object and share what they did not touch with the old one; neither the
old object nor the patch is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sysdisk.sandbox.kube_errors import ApiError, bad_request

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

# Merge keys of the lists in the built-in kinds that people patch or apply here, by the list's
# field name; `ports` is told apart by the fields of its items. Source: the patchMergeKey tags in
# k8s.io/api core/v1 and apps/v1.
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "port"),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey",),
    "hostAliases": ("ip",),
    "resourceClaims": ("name",),
    "validations": ("expression",),
}
_PRIMITIVE_SETS = frozenset({"finalizers"})


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with an RFC 7386 merge patch applied."""
    if not isinstance(patch, Mapping):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = merge_patch(merged.get(key), value)
        else:
            merged[key] = value
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """Return `target` with an RFC 6902 patch applied.

    Raises ApiError 400 for a patch that is malformed, 422 for one that does not fit the object
    (a missing path, a failed test).
    """
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    for operation in operations:
        if not isinstance(operation, Mapping) or "op" not in operation or "path" not in operation:
            raise bad_request("error decoding patch: an operation needs op and path")
        target = _operate(target, operation)
    return target


def _operate(target: Any, operation: Mapping[str, Any]) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _put(target, path, _value(operation), insert=True)
        case "replace":  # of a key that is absent: adds it, as a real server does
            return _put(target, path, _value(operation), insert=False)
        case "remove":
            return _remove(target, path)
        case "test":
            if _look(target, path, missing=None) != operation.get("value"):
                raise _misfit(f"testing path {operation['path']} failed")
            return target
        case "copy":
            source = _pointer(operation.get("from", ""))
            return _put(target, path, _look(target, source), insert=True)
        case "move":
            source = _pointer(operation.get("from", ""))
            value = _look(target, source)
            return _put(_remove(target, source), path, value, insert=True)
    raise _misfit(f"unexpected kind: {operation['op']}")


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise bad_request(f"error decoding patch: {operation['op']} needs a value")
    return operation["value"]


def _misfit(message: str) -> ApiError:
    return ApiError(422, "Invalid", f"the server rejected our request due to an error: {message}")


def _pointer(text: str) -> list[str]:
    if text == "":
        return []
    if not isinstance(text, str) or not text.startswith("/"):
        raise bad_request(f"error decoding patch: {text!r} is no JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")]


_RAISE = object()


def _look(target: Any, path: Sequence[str], missing: Any = _RAISE) -> Any:
    for step in path:
        if isinstance(target, Mapping) and step in target:
            target = target[step]
        elif isinstance(target, list) and step.isdigit() and int(step) < len(target):
            target = target[int(step)]
        elif missing is _RAISE:
            raise _misfit(f"path not found: /{'/'.join(path)}")
        else:
            return missing
    return target


def _put(target: Any, path: Sequence[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(target, list):
        return _put_in_list(target, step, rest, value, insert=insert)
    if not isinstance(target, Mapping) or (rest and step not in target):
        raise _misfit(f"path not found: {step}")
    return {**target, step: _put(target.get(step), rest, value, insert=insert)}


def _put_in_list(
    target: list[Any], step: str, rest: Sequence[str], value: Any, *, insert: bool
) -> list[Any]:
    index = len(target) if step == "-" else _index(step, len(target))
    if rest:
        if index >= len(target):
            raise _misfit(f"index {step} out of range")
        item = _put(target[index], rest, value, insert=insert)
        return [*target[:index], item, *target[index + 1 :]]
    tail = target[index:] if insert else target[index + 1 :]
    return [*target[:index], value, *tail]


def _index(step: str, length: int) -> int:
    if not step.isdigit() or int(step) > length:
        raise _misfit(f"index {step} out of range")
    return int(step)


def _remove(target: Any, path: Sequence[str]) -> Any:
    _look(target, path)
    if not path:
        raise _misfit("the whole object cannot be removed")
    step, rest = path[0], path[1:]
    if isinstance(target, list):
        index = int(step)
        kept = [_remove(target[index], rest)] if rest else []
        return [*target[:index], *kept, *target[index + 1 :]]
    changed = dict(target)
    if rest:
        changed[step] = _remove(target[step], rest)
    else:
        del changed[step]
    return changed


def strategic_merge(target: Any, patch: Any) -> Any:
    """Return `target` with a strategic merge patch applied.

    Knows `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/`,
    `$deleteFromPrimitiveList/`, and lists merged by key for the fields in a table of this module.
    """
    if not isinstance(patch, Mapping):
        return patch
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    merged: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    if "$retainKeys" in patch:
        keep = set(patch["$retainKeys"])
        merged = {key: value for key, value in merged.items() if key in keep}
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(merged, key, value)
    _apply_list_directives(merged, patch)
    return merged


def _merge_field(merged: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, Mapping):
        merged[key] = strategic_merge(merged.get(key), value)
    elif isinstance(value, list):
        merged[key] = _merge_list(key, merged.get(key), value)
    else:
        merged[key] = value


def _merge_list(field: str, target: Any, patch: list[Any]) -> list[Any]:
    present = list(target) if isinstance(target, list) else []
    if field in _PRIMITIVE_SETS:
        return [*present, *(item for item in patch if item not in present)]
    merge_key = _merge_key(field, patch)
    if merge_key is None:
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    for item in patch:
        _merge_item(present, merge_key, item)
    return present


def _merge_key(field: str, items: list[Any]) -> str | None:
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    for candidate in _MERGE_KEYS.get(field, ()):
        if all(candidate in item or item.get("$patch") == "replace" for item in items):
            return candidate
    return None


def _merge_item(present: list[Any], merge_key: str, item: Mapping[str, Any]) -> None:
    name = item[merge_key]
    index = next((n for n, old in enumerate(present) if old.get(merge_key) == name), None)
    if item.get("$patch") == "delete":
        if index is not None:
            del present[index]
    elif index is None:
        present.append(strategic_merge({}, item))
    else:
        present[index] = strategic_merge(present[index], item)


def _apply_list_directives(merged: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        directive, _, field = key.partition("/")
        present = merged.get(field)
        if not field or not isinstance(present, list):
            continue
        if directive == "$deleteFromPrimitiveList":
            merged[field] = [item for item in present if item not in value]
        elif directive == "$setElementOrder":
            merged[field] = _ordered(field, present, value)


def _ordered(field: str, items: list[Any], order: list[Any]) -> list[Any]:
    merge_key = _merge_key(field, order)
    wanted = [entry[merge_key] for entry in order] if merge_key else list(order)

    def place(item: Any) -> int:
        name = item.get(merge_key) if merge_key and isinstance(item, Mapping) else item
        return wanted.index(name) if name in wanted else len(wanted)

    return sorted(items, key=place)
