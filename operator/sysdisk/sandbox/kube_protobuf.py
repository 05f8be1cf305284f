"""Bodies in protobuf: what `kubectl create namespace, secret, configmap, serviceaccount` send.

kubectl's typed clients write protobuf and read JSON when they are answered so. Only the kinds that
those commands make are decoded; field numbers: generated.proto of k8s.io/api core/v1 and
k8s.io/apimachinery meta/v1, v1.36.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from sysdisk.sandbox.kube_errors import bad_request, unsupported_media_type

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
Read = Callable[[Any], Any]
# Field number -> (JSON name, how to read it, `one`, `many` or `map`).
Fields = dict[int, tuple[str, Read, str]]


def _text(raw: Any) -> str:
    return bytes(raw).decode()


def _base64(raw: Any) -> str:
    return base64.b64encode(bytes(raw)).decode()


def _message(fields: Fields) -> Read:
    return lambda raw: _decode(bytes(raw), fields)


def _ignored(_: Any) -> None:
    return None


_META: Fields = {
    1: ("name", _text, "one"),
    2: ("generateName", _text, "one"),
    3: ("namespace", _text, "one"),
    5: ("uid", _text, "one"),
    6: ("resourceVersion", _text, "one"),
    11: ("labels", _text, "map"),
    12: ("annotations", _text, "map"),
    14: ("finalizers", _text, "many"),
}
_REFERENCE: Fields = {1: ("name", _text, "one")}
_TOKEN: Fields = {1: ("audiences", _text, "many"), 4: ("expirationSeconds", int, "one")}
_CONDITIONS: Fields = {1: ("uid", _text, "one"), 2: ("resourceVersion", _text, "one")}
_HEAD: Fields = {1: ("metadata", _message(_META), "one")}
_KINDS: dict[str, Fields] = {
    "Namespace": _HEAD,
    "Secret": _HEAD
    | {
        2: ("data", _base64, "map"),
        3: ("type", _text, "one"),
        4: ("stringData", _text, "map"),
        5: ("immutable", bool, "one"),
    },
    "ConfigMap": _HEAD
    | {
        2: ("data", _text, "map"),
        3: ("binaryData", _base64, "map"),
        4: ("immutable", bool, "one"),
    },
    "ServiceAccount": _HEAD
    | {
        3: ("imagePullSecrets", _message(_REFERENCE), "many"),
        4: ("automountServiceAccountToken", bool, "one"),
    },
    "TokenRequest": _HEAD | {2: ("spec", _message(_TOKEN), "one")},
    "DeleteOptions": {
        2: ("preconditions", _message(_CONDITIONS), "one"),
        4: ("propagationPolicy", _text, "one"),
        5: ("dryRun", _text, "many"),
    },
}
_UNKNOWN: Fields = {
    1: ("type", _message({1: ("apiVersion", _text, "one"), 2: ("kind", _text, "one")}), "one"),
    2: ("raw", bytes, "one"),
}


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in a protobuf body, as JSON has it.

    Raises ApiError 415 for a kind that is not decoded here, 400 for a broken body.
    """
    if not body.startswith(_MAGIC):
        raise bad_request("the body of the request is no Kubernetes protobuf")
    try:
        envelope = _decode(body[len(_MAGIC) :], _UNKNOWN)
        head = envelope.get("type", {})
        fields = _KINDS.get(head.get("kind", ""))
        if fields is None:
            raise unsupported_media_type(("application/json", "application/yaml"))
        return {**head, **_decode(envelope.get("raw", b""), fields)}
    except (IndexError, UnicodeDecodeError) as exc:
        raise bad_request(f"the body of the request is broken: {exc}") from exc


def _decode(raw: bytes, fields: Fields) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for number, value in _entries(raw):
        name, read, shape = fields.get(number, ("", _ignored, ""))
        if shape == "one":
            decoded[name] = read(value)
        elif shape == "many":
            decoded.setdefault(name, []).append(read(value))
        elif shape == "map":
            pair = dict(_entries(bytes(value)))
            decoded.setdefault(name, {})[_text(pair.get(1, b""))] = read(pair.get(2, b""))
    return decoded


def _entries(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Yield field number and value: an int, or bytes."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        match key & 7:
            case 0:
                value, at = _varint(raw, at)
                yield key >> 3, value
            case 2:
                length, at = _varint(raw, at)
                if at + length > len(raw):
                    raise IndexError("a field ends after the body")
                yield key >> 3, raw[at : at + length]
                at += length
            case 1 | 5:
                at += 8 if key & 7 == 1 else 4
            case _:
                raise IndexError("a field of an unknown type")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
