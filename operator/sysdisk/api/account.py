"""EcsAccount: the admin's guard rail. Who may touch what, with which identity, how fast."""

from typing import Annotated, Final

from pydantic import ConfigDict, WithJsonSchema

from sysdisk.api.base import (
    LABEL_KEY_PATTERN,
    LABEL_KEY_SAYS,
    ApiModel,
    FrozenMap,
    LabelKey,
    LabelName,
    LabelValue,
    ObjectName,
    RegionId,
    ResourceId,
    Time,
    Word,
    described,
    quoted,
    rule,
    rules,
    text,
)
from sysdisk.api.policy import WINDOWS_LIMIT, Approval, Backup, MaintenanceWindow
from sysdisk.api.status import CONDITIONS_LIMIT, Condition

RoleArn = Annotated[
    str, text(256, r"^acs:[^\x00-\x20\x7f]+$", "must be an ARN, such as acs:ram::1234:role/name")
]
RoleName = Annotated[
    str,
    text(
        64,
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "must be the name of a RAM role, not its ARN: letters, digits, dots, dashes and "
        "underscores, a letter or digit first",
    ),
]
SessionName = Annotated[
    str,
    text(
        64,
        r"^[A-Za-z0-9.@_-]{2,64}$",
        "sessionName must have 2 to 64 characters: letters, digits, dots, @, dashes and "
        "underscores",
    ),
]
TagText = Annotated[str, text(128, least=0)]

ECS_ACTIONS: Final = (
    "ApplyAutoSnapshotPolicy", "CreateSnapshot", "DescribeAvailableResource",
    "DescribeDiskEncryptionByDefaultStatus", "DescribeDisks", "DescribeImageFromFamily",
    "DescribeImageSupportInstanceTypes", "DescribeImages", "DescribeInstanceTypes",
    "DescribeInstances", "DescribeKeyPairs", "DescribeRegions", "DescribeSnapshots",
    "DescribeTasks", "ReplaceSystemDisk", "StartInstance", "StopInstance",
)  # fmt: skip
"""Every ECS action that the operator calls: those that a rate can be set for."""

# Not `minimum: 0.01`: kube-apiserver 1.36 cuts a bound to an integer for an integer, and takes 0.
_RATE = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 10000}
Rate = Annotated[float, WithJsonSchema({**_RATE, "description": "Requests a second."})]


class SecretRef(ApiModel):
    """A Secret with the keys accessKeyId, accessKeySecret and, optionally, securityToken."""

    namespace: Annotated[LabelName, described("Namespace of the Secret.")]
    name: Annotated[ObjectName, described("Name of the Secret.")]


class Rrsa(ApiModel):
    """RAM roles for service accounts: a role for the operator's ServiceAccount token."""

    role_arn: Annotated[RoleArn, described("ARN of the RAM role.")]
    oidc_provider_arn: Annotated[RoleArn, described("ARN of the cluster's OIDC provider.")]


class EcsRamRole(ApiModel):
    """The RAM role of the instance that the operator runs on."""

    name: Annotated[RoleName, described("Name of the RAM role.")]


class AssumeRole(ApiModel):
    """A role to assume with the credentials (STS AssumeRole)."""

    role_arn: Annotated[RoleArn, described("ARN of the role to assume.")]
    session_name: Annotated[
        SessionName | None,
        described("Session name, shown in the audit trail (2 to 64 characters)."),
    ] = None
    external_id: Annotated[
        ResourceId | None, described("External ID that the role's trust policy asks for.")
    ] = None


class Credentials(ApiModel):
    """Exactly one source of credentials, and optionally a role to assume with them."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.secretRef), has(self.rrsa), has(self.ecsRamRole), has(self.chain)]"
                ".filter(given, given).size() == 1",
                "credentials: set exactly one of secretRef, rrsa, ecsRamRole and chain",
            )
        )
    )

    secret_ref: Annotated[
        SecretRef | None,
        described("A Secret with accessKeyId, accessKeySecret, optional securityToken."),
    ] = None
    rrsa: Annotated[
        Rrsa | None, described("RAM role for the operator's ServiceAccount (ACK RRSA).")
    ] = None
    ecs_ram_role: Annotated[
        EcsRamRole | None, described("RAM role of the instance the operator runs on.")
    ] = None
    chain: Annotated[
        bool | None,
        described(
            "The SDK's default chain: environment, profile, instance role. Only true.",
            rule("self", "chain can only be true: leave it out to not use the default chain"),
        ),
    ] = None
    assume_role: Annotated[
        AssumeRole | None, described("A role to assume with these credentials (STS AssumeRole).")
    ] = None


class LabelRequirement(ApiModel):
    """One requirement on a namespace's labels, as in any Kubernetes label selector."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 "
                ": !has(self.values) || size(self.values) == 0",
                "values must be given for In and NotIn, and left out for Exists and DoesNotExist",
            )
        )
    )

    key: Annotated[LabelKey, described("Key of the label.")]
    operator: Annotated[
        str,
        described(
            "In, NotIn, Exists or DoesNotExist.", enum=["In", "NotIn", "Exists", "DoesNotExist"]
        ),
    ]
    values: Annotated[
        tuple[LabelValue, ...], described("Values for In and NotIn.", maxItems=50)
    ] = ()


class LabelSelector(ApiModel):
    """A label selector; all of its parts must hold. An empty one selects nothing here."""

    match_labels: Annotated[
        FrozenMap[LabelValue],
        described(
            "Labels that must have these values.",
            rule(
                f"self.all(key, size(key) <= 317 && key.matches('{quoted(LABEL_KEY_PATTERN)}'))",
                f"each key of matchLabels {LABEL_KEY_SAYS}",
            ),
            maxProperties=20,
        ),
    ] = FrozenMap()
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], described("Further requirements.", maxItems=20)
    ] = ()


class AllowedNamespaces(ApiModel):
    """Namespaces whose SystemDiskSpecs may use the account; absent or empty: none."""

    names: Annotated[tuple[LabelName, ...], described("Namespaces by name.", maxItems=500)] = ()
    selector: Annotated[
        LabelSelector | None, described("Namespaces by label. An empty selector selects none.")
    ] = None


class AllowedInstances(ApiModel):
    """Instances that may be touched: (ids or all tags) and regions; absent or empty: none."""

    ids: Annotated[tuple[ResourceId, ...], described("Instances by ID.", maxItems=2000)] = ()
    tags: Annotated[
        FrozenMap[TagText],
        described(
            "Tags that an instance must have, all of them. A value may hold $(namespace), which "
            "stands for the namespace of the SystemDiskSpec.",
            rule(
                "self.all(key, size(key) >= 1 && size(key) <= 128)",
                "each key of allowedInstances.tags must have 1 to 128 characters",
            ),
            rule(
                "self.all(key, !self[key].replace('$(namespace)', '').contains('$('))",
                "a value of allowedInstances.tags may hold $(namespace), and no other variable",
            ),
            maxProperties=20,
        ),
    ] = FrozenMap()
    regions: Annotated[
        tuple[RegionId, ...],
        described("Regions; alone, they grant every instance there.", maxItems=100),
    ] = ()


class Limits(ApiModel):
    """How fast, how many at once, and when to stop by itself."""

    requests_per_second: Annotated[
        FrozenMap[Rate],
        described(
            "Highest rate by ECS action and region, such as DescribeInstances: 5.",
            rule(
                f"self.all(action, action in {list(ECS_ACTIONS)})",
                "limits.requestsPerSecond knows the ECS actions that are called, as ECS spells "
                f"them: {', '.join(ECS_ACTIONS)}",
            ),
            maxProperties=100,
        ),
    ] = FrozenMap()
    headroom_percent: Annotated[
        int | None,
        described(
            "Share of ECS's own request quota, in percent, that is left to others.",
            minimum=0,
            maximum=95,
        ),
    ] = None
    concurrent_replacements: Annotated[
        int, described("Replacements under way at the same time.", minimum=1, maximum=10000)
    ] = 10
    stop_after_failures: Annotated[
        int,
        described(
            "After so many failed or refused operations in a row nothing new begins, until "
            "`sysdisk resume --account NAME`.",
            minimum=1,
            maximum=10000,
        ),
    ] = 3
    first_sight_per_hour: Annotated[
        int,
        described(
            "SystemDiskSpecs without a record whose instance differs begin at most so many times "
            "an hour.",
            minimum=1,
            maximum=10000,
        ),
    ] = 20


class Defaults(ApiModel):
    """What holds for a SystemDiskSpec that does not say."""

    approval: Annotated[
        Approval | None, described("Automatic or Manual, where the spec does not say.")
    ] = None
    backup: Annotated[Backup | None, described("Backup, where the spec does not say.")] = None
    maintenance_windows: Annotated[
        tuple[MaintenanceWindow, ...] | None,
        described("Windows, where the spec does not say.", maxItems=WINDOWS_LIMIT),
    ] = None


class Require(ApiModel):
    """What every SystemDiskSpec is raised to."""

    approval: Annotated[
        Approval | None, described("Manual: every plan of this account needs an approval.")
    ] = None
    backup: Annotated[Backup | None, described("The least backup that every replacement has.")] = (
        None
    )
    maintenance_windows: Annotated[
        tuple[MaintenanceWindow, ...] | None,
        described("Windows that every replacement must begin in.", maxItems=WINDOWS_LIMIT),
    ] = None
    login_secret_label: Annotated[
        bool,
        described('Demand the label sysdisk.dev/login: "true" on login Secrets.'),
    ] = False


_PORT = (
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
)
_NAME = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_LOOPBACK = (
    r"^http://(localhost|127([.](25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})){3}|\\[::1\\])" + _PORT + "/?$"
)
_HTTPS = rf"^(https://)?({_NAME}([.]{_NAME})*[.]?|\\[[0-9A-Fa-f:]+\\]){_PORT}/?$"

Endpoint = Annotated[str, text(256)]


class EcsAccountSpec(ApiModel):
    """Which identity acts, on what, for whom, and how fast."""

    region_id: Annotated[RegionId, described("Region of SystemDiskSpecs that name none.")]
    endpoint: Annotated[
        Endpoint | None,
        described(
            "ECS endpoint of regionId in the place of its own (VPC, proxy, simulator): a host, or "
            "a URL with https. Other regions are reached at their own. Plain http only for a "
            "loopback address, which serves all regions.",
            rule(
                f"self.matches('{_HTTPS}') || self.matches('{_LOOPBACK}')",
                "endpoint must be a host name or an https:// URL without a path, with a port of at "
                "most 65535 if with one; plain http:// only for a loopback address, since "
                "passwords travel in requests",
            ),
        ),
    ] = None
    credentials: Annotated[Credentials, described("The identity to act with: exactly one source.")]
    allowed_namespaces: Annotated[
        AllowedNamespaces, described("Namespaces that may use this account. Empty: none.")
    ] = AllowedNamespaces()
    allowed_instances: Annotated[
        AllowedInstances,
        described("Instances that may be touched: (ids or all tags) and regions. Empty: none."),
    ] = AllowedInstances()
    allow_managed: Annotated[
        bool,
        described("Allow instances that an ACK node pool or a scaling group owns."),
    ] = False
    allow_advanced: Annotated[
        bool, described("Allow the deprecated and not public parameters, `spec.advanced`.")
    ] = False
    suspend: Annotated[bool, described("The brake: nothing new begins in this account.")] = False
    limits: Annotated[Limits, described("How fast, and how many at once.")] = Limits()
    defaults: Annotated[Defaults, described("What holds where a SystemDiskSpec does not say.")] = (
        Defaults()
    )
    require: Annotated[Require, described("What every SystemDiskSpec is raised to.")] = Require()


class Identity(ApiModel):
    """Who the credentials are, as STS says (GetCallerIdentity)."""

    account_id: Annotated[Word | None, described("ID of the Alibaba Cloud account.")] = None
    arn: Annotated[Word | None, described("ARN of the user or role.")] = None
    type: Annotated[Word | None, described("Account, RAMUser or AssumedRoleUser.")] = None


class Counts(ApiModel):
    """How many SystemDiskSpecs use the account, written at most every five minutes."""

    specs: Annotated[int, described("SystemDiskSpecs that name the account.", minimum=0)] = 0
    ready: Annotated[int, described("Those that are Ready.", minimum=0)] = 0
    under_way: Annotated[int, described("Those with an operation.", minimum=0)] = 0
    waiting: Annotated[
        int, described("Those that wait for a window, an approval or a place.", minimum=0)
    ] = 0
    stalled: Annotated[int, described("Those that need a person.", minimum=0)] = 0
    drifted: Annotated[int, described("Those whose instance moved away.", minimum=0)] = 0
    at: Annotated[Time | None, described("When they were counted.")] = None


class Brake(ApiModel):
    """Failures in a row, and since when they hold everything new back."""

    failures: Annotated[int, described("Failed or refused operations in a row.", minimum=0)] = 0
    pulled_at: Annotated[
        Time | None, described("When the brake was pulled; absent: it is not.")
    ] = None


class FirstSight(ApiModel):
    """How many specs without a record began in the present hour."""

    hour: Annotated[Time, described("Beginning of the hour that is counted.")]
    begun: Annotated[int, described("How many began in it.", minimum=0)] = 0


class EcsAccountStatus(ApiModel):
    """Whether the account works, as whom, and what it is doing."""

    observed_generation: Annotated[
        int | None, described("Generation of the spec that was last looked at.", minimum=0)
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        described(
            "Ready, with the caller's identity, or why not.",
            maxItems=CONDITIONS_LIMIT,
        ),
    ] = ()
    identity: Annotated[Identity | None, described("Who the credentials are.")] = None
    counts: Annotated[Counts | None, described("How many SystemDiskSpecs use it.")] = None
    brake: Annotated[Brake | None, described("Failures in a row, and the brake.")] = None
    first_sight: Annotated[
        FirstSight | None, described("Specs without a record that began in this hour.")
    ] = None

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of that type, None if there is none."""
        return next((c for c in self.conditions if c.type == type_), None)
