"""The RPC protocol of ECS as the SDKs speak it: reading requests, checking signatures.

Two ways of signing are in use. `ACS3-HMAC-SHA256` puts all of it into headers (the SDK
`alibabacloud_ecs20140526`); the older one, HMAC-SHA1, puts it into the query (`aliyunsdkcore`, and
the credentials library when it talks to STS). Both are verified, with their dates and nonces.
AssumeRoleWithOIDC alone carries no signature.

Answers are JSON; XML, the default of the older protocol, is not spoken.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from sysdisk.sandbox.ecs_faults import EcsFault, common_fault
from sysdisk.sandbox.ecs_params import need
from sysdisk.sandbox.ecs_sts import STS, Identity, identify
from sysdisk.sandbox.ecs_world import World

__all__ = ["ACS3", "Gate", "RawRequest", "Request", "acs3_signature", "hmac_sha1_signature"]

ACS3 = "ACS3-HMAC-SHA256"
MAX_SKEW = 900.0
_NONCES_KEPT = 50_000
_VERSIONS = {"ecs": "2014-05-26", "sts": "2015-04-01"}
_PROTOCOL = frozenset(
    {
        *("Action", "Version", "Format", "AccessKeyId", "Signature", "SignatureMethod"),
        *("SignatureVersion", "SignatureNonce", "SignatureType", "Timestamp", "SecurityToken"),
    }
)
_AUTHORIZATION = re.compile(
    r"(?P<how>\S+) Credential=(?P<key>[^,]*),SignedHeaders=(?P<names>[^,]*),Signature=(?P<sig>\S*)"
)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """An HTTP request as it came: header names in lower case, the query still encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    def pairs(self) -> list[tuple[str, str]]:
        """Return the decoded parameters of query and form body."""
        found = parse_qsl(self.query, keep_blank_values=True)
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            found += parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return found


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be served: what is asked, with the call's own parameters, and by whom."""

    action: str
    params: Mapping[str, str]
    caller: str


class Gate:
    """Lets a request in, or says why not. It remembers nonces, and nothing else.

    `wall` is ECS's own clock, in seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self._nonces: OrderedDict[str, None] = OrderedDict()

    def admit(self, world: World, raw: RawRequest) -> Request:
        """Return the request. Raises `EcsFault` with the gateway's code for a wrong one."""
        pairs = raw.pairs()
        given = dict(pairs)
        action = raw.headers.get("x-acs-action") or need(given, "Action")
        version = raw.headers.get("x-acs-version") or need(given, "Version")
        if version != _VERSIONS["sts" if action in STS else "ecs"]:
            raise EcsFault(400, "InvalidVersion", "Specified parameter Version is not valid.")
        params = {k: v for k, v in given.items() if k not in _PROTOCOL}
        if action == "AssumeRoleWithOIDC" and "Signature" not in given:
            return Request(action, params, "")
        if "authorization" in raw.headers:
            who = self._acs3(world, raw, parse_qsl(raw.query, keep_blank_values=True))
        else:
            who = self._query(world, raw, pairs)
        return Request(action, params, who.key_id)

    def _acs3(self, world: World, raw: RawRequest, query: Sequence[tuple[str, str]]) -> Identity:
        found = _AUTHORIZATION.fullmatch(raw.headers["authorization"])
        if found is None or found["how"] != ACS3:
            raise common_fault("IncompleteSignature")
        self._fresh(raw.headers.get("x-acs-date", ""))
        who = identify(world, found["key"], raw.headers.get("x-acs-security-token", ""))
        names = found["names"].split(";")
        demanded = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"}
        if raw.headers.get("x-acs-security-token"):
            demanded.add("x-acs-security-token")
        digest = hashlib.sha256(raw.body).hexdigest()
        if not demanded <= set(names) or raw.headers.get("x-acs-content-sha256") != digest:
            raise common_fault("IncompleteSignature")
        wanted = acs3_signature(who.secret, raw.method, raw.path, query, raw.headers, names, digest)
        if not hmac.compare_digest(wanted, found["sig"]):
            raise common_fault("IncompleteSignature")
        self._once(who.key_id, raw.headers.get("x-acs-signature-nonce", ""))
        return who

    def _query(self, world: World, raw: RawRequest, pairs: Sequence[tuple[str, str]]) -> Identity:
        given = dict(pairs)
        key_id, signature = need(given, "AccessKeyId"), need(given, "Signature")
        self._fresh(given.get("Timestamp", ""))
        who = identify(world, key_id, given.get("SecurityToken", ""))
        if given.get("SignatureMethod", "HMAC-SHA1") != "HMAC-SHA1":
            raise common_fault("IncompleteSignature")
        wanted = hmac_sha1_signature(who.secret, raw.method, pairs)
        if not hmac.compare_digest(wanted, signature):
            raise common_fault("IncompleteSignature")
        self._once(who.key_id, given.get("SignatureNonce", ""))
        return who

    def _fresh(self, date: str) -> None:
        try:
            at = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            text = "Specified time stamp or date value is not well formatted."
            raise EcsFault(400, "InvalidTimeStamp.Format", text) from None
        if abs(at - self.wall()) > MAX_SKEW:
            raise common_fault("InvalidTimeStamp.Expired")

    def _once(self, key_id: str, nonce: str) -> None:
        if not nonce or f"{key_id}/{nonce}" in self._nonces:
            raise common_fault("SignatureNonceUsed")
        self._nonces[f"{key_id}/{nonce}"] = None
        if len(self._nonces) > _NONCES_KEPT:
            self._nonces.popitem(last=False)


def acs3_signature(
    secret: str,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    signed: Sequence[str],
    payload_sha256: str,
) -> str:
    """Return the ACS3-HMAC-SHA256 signature in hexadecimal. `headers` has names in lower case."""
    canonical_query = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(query))
    canonical_headers = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
    request = "\n".join(
        (method, path, canonical_query, canonical_headers, ";".join(signed), payload_sha256)
    )
    text = f"{ACS3}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def hmac_sha1_signature(secret: str, method: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return the older signature over all parameters but `Signature`, in base64."""
    kept = sorted((k, v) for k, v in pairs if k != "Signature")
    canonical = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in kept)
    text = f"{method}&%2F&{_quoted(canonical)}"
    mac = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1)
    return base64.b64encode(mac.digest()).decode()


def _quoted(text: str) -> str:
    return quote(text, safe="~")
