"""Manifests that must be refused at apply, with the words that the refusal must hold.

Data only: the core tests hold them to the generated schemas, the contract and end-to-end tests
send them to servers. A refusal names the field and the rule.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class WrongManifest:
    """One manifest that a server must refuse."""

    name: str
    manifest: Json
    field: str
    """The path that the refusal must name; empty for the object itself (servers say `<nil>`)."""
    message: str
    """Words that the refusal must hold."""
    before: Json | None = None
    """The manifest that is applied first, for rules about changes."""


def spec_manifest(changes: Mapping[str, Any] | None = None) -> Json:
    """Return a valid SystemDiskSpec with `changes` to its spec; None removes a field."""
    spec = {"instanceId": "i-bp1wrong000000001", "imageId": "m-bp1wrong000000001"}
    return _manifest("SystemDiskSpec", "wrong", spec, changes or {})


def account_manifest(changes: Mapping[str, Any] | None = None, name: str = "wrong") -> Json:
    """Return a valid EcsAccount with `changes` to its spec; None removes a field."""
    spec = {"regionId": "cn-hangzhou", "credentials": {"chain": True}}
    return _manifest("EcsAccount", name, spec, changes or {})


def _manifest(kind: str, name: str, spec: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    merged = {k: v for k, v in {**spec, **changes}.items() if v is not None}
    return {
        "apiVersion": "sysdisk.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": deepcopy(merged),
    }


def _spec(name: str, changes: Json, field: str, message: str) -> WrongManifest:
    return WrongManifest(name, spec_manifest(changes), field, message)


def _account(name: str, changes: Json, field: str, message: str) -> WrongManifest:
    return WrongManifest(name, account_manifest(changes), field, message)


def _change(name: str, before: Json, after: Json, field: str, message: str) -> WrongManifest:
    return WrongManifest(name, spec_manifest(after), field, message, before=spec_manifest(before))


def _selecting(name: str, selector: Json, field: str, message: str) -> WrongManifest:
    path = f"spec.allowedNamespaces.selector.{field}"
    return _account(name, {"allowedNamespaces": {"selector": selector}}, path, message)


def _window(**fields: Any) -> Json:
    window = {"schedule": "0 2 * * 6", "duration": "4h", **fields}
    return {"maintenanceWindows": [{k: v for k, v in window.items() if v is not None}]}


_ID = "holds no spaces and no control characters"
_LABEL = "must be a DNS label"
_NAME = "must be a DNS name"
_ARN = "must be an ARN"
_LABEL_KEY = "must be the key of a label, such as team or example.com/team"
_LABEL_VALUE = "must be the value of a label"
_BY_DISK = {"diskId": "d-1", "platform": "Ubuntu", "architecture": "x86_64"}
_ASSUMED = {"roleArn": "acs:ram::1:role/x"}
_REGION_ID = "must be a region ID"
_ONE_IMAGE = "set exactly one of imageId and imageFamily"
_ONE_LOGIN = "set at most one of passwordSecretRef, passwordInherit and keyPairName"
_ONE_SOURCE = "set exactly one of secretRef, rrsa, ecsRamRole and chain"
_SECRET = {"name": "login", "key": "password"}
_STOP = "power.stopTimeout must be a duration from 1s to 24h"
_ENDPOINT = "plain http:// only for a loopback address"
_REGION = "regionId is immutable, and can be neither added nor removed later"

WRONG_SPECS: tuple[WrongManifest, ...] = (
    _spec("no instance", {"instanceId": None}, "spec.instanceId", "Required value"),
    _spec("instance with a space", {"instanceId": "i-1 2"}, "spec.instanceId", _ID),
    _spec("instance with a tab", {"instanceId": "i-1\t"}, "spec.instanceId", _ID),
    _spec("empty instance", {"instanceId": ""}, "spec.instanceId", "at least 1 char"),
    _spec("endless instance", {"instanceId": "i" * 129}, "spec.instanceId", "Too long"),
    _spec("instance as number", {"instanceId": 7}, "spec.instanceId", "must be of type string"),
    _spec("no image", {"imageId": None}, "spec", _ONE_IMAGE),
    _spec("image and family", {"imageFamily": "web"}, "spec", _ONE_IMAGE),
    _spec("image and disk", {"advanced": {"diskId": "d-1"}}, "spec", _ONE_IMAGE),
    _spec(
        "family and disk",
        {"imageId": None, "imageFamily": "web", "advanced": {"diskId": "d-1"}},
        "spec",
        _ONE_IMAGE,
    ),
    _spec("size zero", {"size": 0}, "spec.size", "greater than or equal to 1"),
    _spec("size too large", {"size": 2049}, "spec.size", "less than or equal to 2048"),
    _spec("size with a unit", {"size": "40Gi"}, "spec.size", "must be of type integer"),
    _spec(
        "two logins",
        {"login": {"passwordSecretRef": _SECRET, "keyPairName": "admins"}},
        "spec.login",
        _ONE_LOGIN,
    ),
    _spec(
        "inherit and key pair",
        {"login": {"passwordInherit": True, "keyPairName": "admins"}},
        "spec.login",
        _ONE_LOGIN,
    ),
    _spec(
        "inherit false",
        {"login": {"passwordInherit": False}},
        "spec.login.passwordInherit",
        "passwordInherit can only be true",
    ),
    _spec(
        "password without key",
        {"login": {"passwordSecretRef": {"name": "login"}}},
        "spec.login.passwordSecretRef.key",
        "Required value",
    ),
    _spec(
        "secret name in capitals",
        {"login": {"passwordSecretRef": {"name": "Login", "key": "password"}}},
        "spec.login.passwordSecretRef.name",
        _NAME,
    ),
    _spec(
        "key without encryption",
        {"encryption": {"kmsKeyId": "key-1"}},
        "spec.encryption.kmsKeyId",
        "encryption.kmsKeyId needs encryption.enabled: true",
    ),
    _spec(
        "key with encryption off",
        {"encryption": {"enabled": False, "kmsKeyId": "key-1"}},
        "spec.encryption.kmsKeyId",
        "encryption.kmsKeyId needs encryption.enabled: true",
    ),
    _spec(
        "algorithm without encryption",
        {"advanced": {"encryptAlgorithm": "aes-256"}},
        "spec.advanced.encryptAlgorithm",
        "advanced.encryptAlgorithm needs encryption.enabled: true",
    ),
    _spec(
        "disk without platform",
        {"imageId": None, "advanced": {"diskId": "d-1", "architecture": "x86_64"}},
        "spec.advanced.diskId",
        "advanced.diskId needs advanced.platform and advanced.architecture",
    ),
    _spec(
        "disk without architecture",
        {"imageId": None, "advanced": {"diskId": "d-1", "platform": "Ubuntu"}},
        "spec.advanced.diskId",
        "advanced.diskId needs advanced.platform and advanced.architecture",
    ),
    _spec(
        "disk of an unknown architecture",
        {"imageId": None, "advanced": {**_BY_DISK, "architecture": "amd64"}},
        "spec.advanced.architecture",
        "advanced.architecture must be one of i386, x86_64, arm64",
    ),
    _spec(
        "platform without disk",
        {"advanced": {"platform": "Ubuntu"}},
        "spec.advanced.platform",
        "advanced.platform goes with advanced.diskId",
    ),
    _spec(
        "architecture without disk",
        {"advanced": {"architecture": "arm64"}},
        "spec.advanced.architecture",
        "advanced.architecture goes with advanced.diskId",
    ),
    _spec(
        "a role that says nothing",
        {"advanced": {"arns": [{}]}},
        "spec.advanced.arns[0]",
        "an entry of advanced.arns must say roleArn, roleType or assumeRoleFor",
    ),
    _spec(
        "security strategy misspelt",
        {"securityEnhancementStrategy": "Inactive"},
        "spec.securityEnhancementStrategy",
        'supported values: "Active", "Deactive"',
    ),
    _spec(
        "approval unknown",
        {"approval": "Never"},
        "spec.approval",
        'supported values: "Automatic", "Manual"',
    ),
    _spec("drift unknown", {"driftPolicy": "Undo"}, "spec.driftPolicy", "supported values"),
    _spec(
        "force unknown",
        {"power": {"forceStop": "Yes"}},
        "spec.power.forceStop",
        "Unsupported value",
    ),
    _spec("timeout a number", {"power": {"stopTimeout": "300"}}, "spec.power.stopTimeout", _STOP),
    _spec("timeout of days", {"power": {"stopTimeout": "2d"}}, "spec.power.stopTimeout", _STOP),
    _spec("timeout of zero", {"power": {"stopTimeout": "0s"}}, "spec.power.stopTimeout", _STOP),
    _spec("timeout too long", {"power": {"stopTimeout": "25h"}}, "spec.power.stopTimeout", _STOP),
    _spec(
        "giving back negative",
        {"power": {"giveBackAfter": "-10m"}},
        "spec.power.giveBackAfter",
        "power.giveBackAfter must be a duration",
    ),
    _spec(
        "giving back after nothing",
        {"power": {"giveBackAfter": ""}},
        "spec.power.giveBackAfter",
        "power.giveBackAfter must be a duration",
    ),
    _spec(
        "backup for no day",
        {"backup": {"enabled": True, "retentionDays": 0}},
        "spec.backup.retentionDays",
        "greater than or equal to 1",
    ),
    _spec(
        "cron of six fields",
        _window(schedule="0 0 2 * * 6"),
        "spec.maintenanceWindows[0].schedule",
        "cron expression of five fields",
    ),
    _spec(
        "cron of an hour that there is not",
        _window(schedule="0 25 * * *"),
        "spec.maintenanceWindows[0].schedule",
        "hour 0-23",
    ),
    _spec(
        "cron by name",
        _window(schedule="@midnight"),
        "spec.maintenanceWindows[0].schedule",
        "cron expression of five fields",
    ),
    _spec(
        "zone with a space",
        _window(timeZone="Asia Shanghai"),
        "spec.maintenanceWindows[0].timeZone",
        "name of an IANA time zone",
    ),
    *(
        _spec(
            f"zone {zone}",
            _window(timeZone=zone),
            "spec.maintenanceWindows[0].timeZone",
            "timeZone must be the name of an IANA time zone",
        )
        for zone in ("Mars/Olympus", "CST", "UTC+8", "Asia/Beijing", "asia/shanghai", "Local")
    ),
    *(
        _spec(
            f"a day that never comes, {schedule}",
            _window(schedule=schedule),
            "spec.maintenanceWindows[0].schedule",
            "schedule names a day of the month that never comes",
        )
        for schedule in (
            "0 2 30 2 *",
            "0 2 31 6 *",
            "0 2 30,31 FEB *",
            "0 2 30-31 feb,2 */2",
            "0 2 31 sep,11,apr *",
        )
    ),
    *(
        _spec(
            f"backwards, {schedule}",
            _window(schedule=schedule),
            "spec.maintenanceWindows[0].schedule",
            "schedule holds a range that runs backwards",
        )
        for schedule in (
            "0 22-2 * * *",
            "0 2 * * FRI-MON",
            "0 2 * * sat-sun",
            "0 2 * NOV-FEB *",
            "9-08 2 * * *",
            "0 1,4-5,10-9/2 * * *",
        )
    ),
    _spec(
        "window without length",
        _window(duration=None),
        "spec.maintenanceWindows[0].duration",
        "Required value",
    ),
    _spec(
        "window too short",
        _window(duration="1m"),
        "spec.maintenanceWindows[0].duration",
        "duration must be a duration from 5m to 168h",
    ),
    _spec(
        "seventeen windows",
        {"maintenanceWindows": [{"schedule": "0 2 * * 6", "duration": "4h"}] * 17},
        "spec.maintenanceWindows",
        "must have at most 16 items",
    ),
    _spec(
        "account not a DNS label",
        {"accountRef": {"name": "Team_A"}},
        "spec.accountRef.name",
        _LABEL,
    ),
    _spec("empty trigger", {"replaceTrigger": ""}, "spec.replaceTrigger", "at least 1 char"),
    _spec("region with a dot", {"regionId": "cn.evil"}, "spec.regionId", _REGION_ID),
    _spec("region with a dash at its end", {"regionId": "cn-a-"}, "spec.regionId", _REGION_ID),
    _spec("suspend as text", {"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    WrongManifest(
        "no spec",
        {
            "apiVersion": "sysdisk.dev/v1alpha1",
            "kind": "SystemDiskSpec",
            "metadata": {"name": "wrong"},
        },
        "spec",
        "Required value",
    ),
)

WRONG_CHANGES: tuple[WrongManifest, ...] = (
    _change(
        "another instance",
        {},
        {"instanceId": "i-bp1wrong000000002"},
        "spec.instanceId",
        "instanceId is immutable",
    ),
    _change("region added", {}, {"regionId": "cn-hangzhou"}, "spec.regionId", _REGION),
    _change("region removed", {"regionId": "cn-hangzhou"}, {}, "spec.regionId", _REGION),
    _change(
        "region changed",
        {"regionId": "cn-hangzhou"},
        {"regionId": "cn-shanghai"},
        "spec.regionId",
        _REGION,
    ),
)

WRONG_ACCOUNTS: tuple[WrongManifest, ...] = (
    _account("no region", {"regionId": None}, "spec.regionId", "Required value"),
    _account("no credentials", {"credentials": None}, "spec.credentials", "Required value"),
    _account("empty credentials", {"credentials": {}}, "spec.credentials", _ONE_SOURCE),
    _account(
        "two sources",
        {"credentials": {"chain": True, "ecsRamRole": {"name": "node"}}},
        "spec.credentials",
        _ONE_SOURCE,
    ),
    _account(
        "only a role to assume",
        {"credentials": {"assumeRole": {"roleArn": "acs:ram::1:role/x"}}},
        "spec.credentials",
        _ONE_SOURCE,
    ),
    _account(
        "chain false",
        {"credentials": {"chain": False}},
        "spec.credentials.chain",
        "chain can only be true",
    ),
    _account(
        "role that is no ARN",
        {"credentials": {"chain": True, "assumeRole": {"roleArn": "sysdisk"}}},
        "spec.credentials.assumeRole.roleArn",
        _ARN,
    ),
    _account(
        "session of one letter",
        {"credentials": {"chain": True, "assumeRole": {**_ASSUMED, "sessionName": "a"}}},
        "spec.credentials.assumeRole.sessionName",
        "sessionName must have 2 to 64 characters",
    ),
    _account(
        "session with spaces",
        {"credentials": {"chain": True, "assumeRole": {**_ASSUMED, "sessionName": "a b"}}},
        "spec.credentials.assumeRole.sessionName",
        "sessionName must have 2 to 64 characters",
    ),
    *(
        _account(
            f"instance role {role!r}",
            {"credentials": {"ecsRamRole": {"name": role}}},
            "spec.credentials.ecsRamRole.name",
            "must be the name of a RAM role",
        )
        for role in ("../x", "a b", "acs:ram::1:role/x", "..")
    ),
    _account(
        "secret without namespace",
        {"credentials": {"secretRef": {"name": "key"}}},
        "spec.credentials.secretRef.namespace",
        "Required value",
    ),
    _account(
        "http to another host",
        {"endpoint": "http://ecs.cn-hangzhou.aliyuncs.com"},
        "spec.endpoint",
        _ENDPOINT,
    ),
    _account(
        "http to a host that looks like loopback",
        {"endpoint": "http://127.0.0.1.example.com"},
        "spec.endpoint",
        _ENDPOINT,
    ),
    _account(
        "http with loopback as a user",
        {"endpoint": "http://127.0.0.1@example.com"},
        "spec.endpoint",
        _ENDPOINT,
    ),
    _account("endpoint with a path", {"endpoint": "https://a.b/c"}, "spec.endpoint", _ENDPOINT),
    *(
        _account(f"endpoint {endpoint}", {"endpoint": endpoint}, "spec.endpoint", _ENDPOINT)
        for endpoint in (
            "...",
            "-",
            "a..b",
            "https://-a.b",
            "https://a.b:99999",
            "https://a.b:65536",
            "a.b:0",
            "http://127.0.0.1:99999",
        )
    ),
    _account("another scheme", {"endpoint": "ftp://a.b"}, "spec.endpoint", _ENDPOINT),
    _account(
        "namespace in capitals",
        {"allowedNamespaces": {"names": ["Shop"]}},
        "spec.allowedNamespaces.names[0]",
        _LABEL,
    ),
    _account(
        "selector without values",
        {"allowedNamespaces": {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
        "spec.allowedNamespaces.selector.matchExpressions[0]",
        "values must be given for In and NotIn",
    ),
    *(
        _selecting(
            f"{operator} on a key that no label has, {key[:12]!r}",
            {"matchExpressions": [{"key": key, "operator": operator, **more}]},
            "matchExpressions[0].key",
            _LABEL_KEY,
        )
        for operator, more in (("DoesNotExist", {}), ("NotIn", {"values": ["b"]}))
        for key in ("a b", "Team/a", "a/b/c", "-a", "/a", "a..b/c", "t" * 64)
    ),
    _selecting(
        "NotIn with a value that no label has",
        {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b", "c d"]}]},
        "matchExpressions[0].values[1]",
        _LABEL_VALUE,
    ),
    _selecting(
        "a label that there cannot be", {"matchLabels": {"a b": "c"}}, "matchLabels", _LABEL_KEY
    ),
    _selecting(
        "a label with a value that there cannot be",
        {"matchLabels": {"a": "c d"}},
        "matchLabels.a",
        _LABEL_VALUE,
    ),
    _account(
        "a variable that there is not",
        {"allowedInstances": {"tags": {"team": "$(ns)"}}},
        "spec.allowedInstances.tags",
        "may hold $(namespace), and no other variable",
    ),
    _account(
        "a tag without a key",
        {"allowedInstances": {"tags": {"": "shop"}}},
        "spec.allowedInstances.tags",
        "each key of allowedInstances.tags must have 1 to 128 characters",
    ),
    _account(
        "granted ID with a space",
        {"allowedInstances": {"ids": ["i-1 i-2"]}},
        "spec.allowedInstances.ids[0]",
        _ID,
    ),
    _account(
        "rate of zero",
        {"limits": {"requestsPerSecond": {"DescribeInstances": 0}}},
        "spec.limits.requestsPerSecond.DescribeInstances",
        "should be greater than 0",
    ),
    _account(
        "rates of actions that there are not",
        {"limits": {"requestsPerSecond": {"describeinstances": 1, "foo bar": 2}}},
        "spec.limits.requestsPerSecond",
        "limits.requestsPerSecond knows the ECS actions that are called, as ECS spells them",
    ),
    _account(
        "none at once",
        {"limits": {"concurrentReplacements": 0}},
        "spec.limits.concurrentReplacements",
        "greater than or equal to 1",
    ),
    _account(
        "all quota left to others",
        {"limits": {"headroomPercent": 100}},
        "spec.limits.headroomPercent",
        "less than or equal to 95",
    ),
    _account(
        "default zone that there is not",
        {"defaults": _window(timeZone="CST")},
        "spec.defaults.maintenanceWindows[0].timeZone",
        "timeZone must be the name of an IANA time zone",
    ),
    _account(
        "required schedule that never comes",
        {"require": _window(schedule="0 2 31 4 *")},
        "spec.require.maintenanceWindows[0].schedule",
        "schedule names a day of the month that never comes",
    ),
    _account(
        "required approval unknown",
        {"require": {"approval": "Always"}},
        "spec.require.approval",
        "Unsupported value",
    ),
    WrongManifest(
        "account not named by a DNS label",
        account_manifest(name="team.a"),
        "",
        "the name of an EcsAccount must be a DNS label",
    ),
)

WRONG_MANIFESTS: tuple[WrongManifest, ...] = WRONG_SPECS + WRONG_CHANGES + WRONG_ACCOUNTS
