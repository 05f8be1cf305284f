"""Errors of the embedded Kubernetes API, in the shape that clients parse: `metav1.Status`.

Messages follow the ones that a real kube-apiserver writes (apimachinery `api/errors` and
`util/validation/field`), because people and scripts read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_CAUSE_WORDS = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueRequired": "Required value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
    "FieldValueNotFound": "Not found",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why an object is refused: the field, a machine-readable reason, a text."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `status.details.causes`."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def cause(reason: str, field: str, value: object, detail: str = "") -> Cause:
    """Return a cause worded as `Invalid value: "x": detail`, the value shown as Go shows it."""
    words = _CAUSE_WORDS[reason]
    shown = "" if reason in {"FieldValueRequired", "FieldValueForbidden"} else show(value)
    parts = [part for part in (words, shown, detail) if part]
    if reason in {"FieldValueTooLong", "FieldValueTooMany"}:
        parts = [words, detail]
    return Cause(field or "<nil>", reason, ": ".join(parts))


def show(value: object) -> str:
    """Return `value` as it stands in a message: JSON, which is how objects and strings appear."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


class ApiError(Exception):
    """A refused request: HTTP code, reason and message as in `metav1.Status`."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        causes: Iterable[Cause] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.causes = tuple(causes)

    def status(self) -> dict[str, Any]:
        """Return the `metav1.Status` that a client receives."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [each.as_json() for each in self.causes]
        answer: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if details:
            answer["details"] = details
        return answer


def qualified(plural: str, group: str) -> str:
    """Return `plural.group`, or `plural` alone for the core group."""
    return f"{plural}.{group}" if group else plural


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    return {
        key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value
    }


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Return the 404 for an object that is not there."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(group, plural, name))


def no_such_path() -> ApiError:
    """Return the 404 for a resource that the server does not know."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """Return the 409 for a name that is taken."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(group, plural, name))


_MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(group: str, plural: str, name: str, why: str = _MODIFIED) -> ApiError:
    """Return the 409 for a write that is based on an older version, or a failed precondition."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group, plural, name))


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> ApiError:
    """Return the 422 that lists every cause."""
    listed = tuple(causes)
    texts = [str(each) for each in dict.fromkeys(listed)]
    body = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {body}'
    return ApiError(422, "Invalid", message, _details(group, kind, name), listed)


def bad_request(message: str) -> ApiError:
    """Return the 400 for a request that cannot be understood."""
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    """Return the 403 for a request that is understood and refused."""
    message = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(group, plural, name))


def gone(message: str) -> ApiError:
    """Return the 410 for a resourceVersion or a continue token that is too old."""
    return ApiError(410, "Expired", message)


def unsupported_media_type(supported: Iterable[str]) -> ApiError:
    """Return the 415 for a body type that is not understood."""
    accepted = ", ".join(supported)
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        f"{accepted}"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def method_not_allowed() -> ApiError:
    """Return the 405 for a verb that the resource does not have."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
    )
