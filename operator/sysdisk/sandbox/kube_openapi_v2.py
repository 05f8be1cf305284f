"""OpenAPI v2, as much of it as kubectl asks for: who validates the fields of a `List`?

kubectl 1.32 to 1.37 ask v3 about everything but a file of kind List; for that they fetch v2, as
protobuf, and look for a PATCH of Namespaces that takes `fieldValidation`. This module writes that
one path. Field numbers: gnostic openapiv2/OpenAPIv2.proto.
"""

from __future__ import annotations

CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")
_KIND = 'group: ""\nkind: Namespace\nversion: v1\n'


def document() -> bytes:
    """Return the encoded document."""
    about = _field(1, b"Kubernetes") + _field(2, b"sysdisk-sandbox")
    kind = _field(1, b"x-kubernetes-group-version-kind") + _field(2, _field(2, _KIND.encode()))
    patch = b"".join(_field(8, _query(name)) for name in _PARAMETERS) + _field(13, kind)
    path = _field(1, b"/api/v1/namespaces/{name}") + _field(2, _field(8, patch))
    return _field(1, b"2.0") + _field(2, about) + _field(8, _field(2, path))


def _query(name: str) -> bytes:
    """Return a ParametersItem: an optional string in the query."""
    inner = _field(2, b"query") + _field(4, name.encode()) + _field(6, b"string")
    return _field(1, _field(2, _field(3, inner)))


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
