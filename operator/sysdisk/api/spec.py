"""`spec` of a SystemDiskSpec: what people declare about the system disk of one instance."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict

from sysdisk.api.base import (
    ApiModel,
    Duration,
    LabelName,
    ObjectName,
    RegionId,
    ResourceId,
    described,
    duration_rule,
    rule,
    rules,
    text,
)
from sysdisk.api.meta import DEFAULT_ACCOUNT
from sysdisk.api.policy import WINDOWS_LIMIT, Approval, Backup, MaintenanceWindow


class ForceStop(StrEnum):
    """Whether the machine may be switched off like a pulled plug (ECS ForceStop)."""

    NEVER = "Never"
    AFTER_TIMEOUT = "AfterTimeout"
    ALWAYS = "Always"


class StoppedMode(StrEnum):
    """Whether a stopped machine keeps its place, and its price (ECS StoppedMode)."""

    KEEP_CHARGING = "KeepCharging"
    STOP_CHARGING = "StopCharging"


class StartAfter(StrEnum):
    """Whether the machine is started when its disk is replaced."""

    IF_IT_WAS_RUNNING = "IfItWasRunning"
    ALWAYS = "Always"
    NEVER = "Never"


class DriftPolicy(StrEnum):
    """What to do when the cloud side moved away while the spec stood still."""

    REPORT = "Report"
    RECONCILE = "Reconcile"
    IGNORE = "Ignore"


class SecurityEnhancementStrategy(StrEnum):
    """Whether the Security Center agent is installed (the spelling is that of ECS)."""

    ACTIVE = "Active"
    DEACTIVE = "Deactive"


ARCHITECTURES: Final = ("i386", "x86_64", "arm64")
"""What ECS takes as the architecture of a disk that stands in the place of an image."""

SecretKey = Annotated[
    str,
    text(253, r"^[-._a-zA-Z0-9]+$", "must be a key of a Secret: letters, digits, -, _ and ."),
]
FreeText = Annotated[str, text(256)]


class AccountRef(ApiModel):
    """Which EcsAccount to act through."""

    name: Annotated[LabelName, described("Name of the EcsAccount to act through.")] = (
        DEFAULT_ACCOUNT
    )


class PasswordSecretRef(ApiModel):
    """Where the login password is; the Secret is in the namespace of the SystemDiskSpec."""

    name: Annotated[ObjectName, described("Name of the Secret, in the same namespace.")]
    key: Annotated[SecretKey, described("Key in the Secret that holds the password.")]


class Login(ApiModel):
    """How people log in after the replacement; at most one way."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.passwordSecretRef), has(self.passwordInherit), has(self.keyPairName)]"
                ".filter(given, given).size() <= 1",
                "login: set at most one of passwordSecretRef, passwordInherit and keyPairName",
            )
        )
    )

    password_secret_ref: Annotated[
        PasswordSecretRef | None,
        described("Set the password that a Secret holds (ECS Password)."),
    ] = None
    password_inherit: Annotated[
        bool | None,
        described(
            "Use the password that is preset in the image (ECS PasswordInherit). Only true.",
            rule("self", "passwordInherit can only be true: leave it out to not inherit"),
        ),
    ] = None
    key_pair_name: Annotated[
        ResourceId | None,
        described("Bind this key pair, Linux only (ECS KeyPairName)."),
    ] = None


class Encryption(ApiModel):
    """Whether and with which key the new disk is encrypted."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.kmsKeyId) || (has(self.enabled) && self.enabled)",
                "encryption.kmsKeyId needs encryption.enabled: true",
                field=".kmsKeyId",
            )
        )
    )

    enabled: Annotated[bool | None, described("Encrypt the new system disk (ECS Encrypted).")] = (
        None
    )
    kms_key_id: Annotated[
        ResourceId | None,
        described("KMS key to encrypt with; absent: the service key (ECS KMSKeyId)."),
    ] = None


class Arn(ApiModel):
    """One entry of the parameter Arn, which ECS keeps for itself."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.roleArn) || has(self.roleType) || has(self.assumeRoleFor)",
                "an entry of advanced.arns must say roleArn, roleType or assumeRoleFor",
            )
        )
    )

    role_arn: Annotated[FreeText | None, described("ECS Arn.N.Rolearn.")] = None
    role_type: Annotated[FreeText | None, described("ECS Arn.N.RoleType.")] = None
    assume_role_for: Annotated[
        int | None, described("ECS Arn.N.AssumeRoleFor, the ID of an account.", minimum=0)
    ] = None


class Advanced(ApiModel):
    """Deprecated and not public parameters, sent as given where the account allows them."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.diskId) || (has(self.platform) && has(self.architecture))",
                "advanced.diskId needs advanced.platform and advanced.architecture",
                field=".diskId",
            ),
            rule(
                "has(self.diskId) || !has(self.platform)",
                "advanced.platform goes with advanced.diskId, and with nothing else",
                field=".platform",
            ),
            rule(
                "has(self.diskId) || !has(self.architecture)",
                "advanced.architecture goes with advanced.diskId, and with nothing else",
                field=".architecture",
            ),
        )
    )

    disk_id: Annotated[
        ResourceId | None,
        described("Disk to replace with, in the place of an image. Deprecated (ECS DiskId)."),
    ] = None
    platform: Annotated[
        FreeText | None, described("Goes with diskId. Deprecated (ECS Platform).")
    ] = None
    architecture: Annotated[
        FreeText | None,
        described(
            "i386, x86_64 or arm64; goes with diskId. Deprecated (ECS Architecture).",
            rule(
                f"self in {list(ARCHITECTURES)}",
                f"advanced.architecture must be one of {', '.join(ARCHITECTURES)}",
            ),
        ),
    ] = None
    encrypt_algorithm: Annotated[
        FreeText | None,
        described("Needs encryption.enabled: true. Not public (ECS EncryptAlgorithm)."),
    ] = None
    arns: Annotated[
        tuple[Arn, ...], described("Roles to assume. Not public (ECS Arn.N).", maxItems=20)
    ] = ()


class Power(ApiModel):
    """How the machine is stopped, and started again."""

    stop_timeout: Annotated[
        Duration,
        described(
            "How long a stop may take, 1s to 24h, before forceStop decides.",
            duration_rule("power.stopTimeout", "1s", "24h"),
        ),
    ] = timedelta(minutes=5)
    force_stop: Annotated[
        ForceStop,
        described(
            "Switch the machine off without shutting it down: Never, AfterTimeout or Always "
            "(ECS ForceStop). What was not yet written is lost."
        ),
    ] = ForceStop.NEVER
    stopped_mode: Annotated[
        StoppedMode,
        described(
            "KeepCharging keeps the place of the machine while it is stopped; after StopCharging "
            "it may find none when it is started again (ECS StoppedMode)."
        ),
    ] = StoppedMode.KEEP_CHARGING
    start_after: Annotated[
        StartAfter,
        described("Start the machine at the end: IfItWasRunning, Always or Never."),
    ] = StartAfter.IF_IT_WAS_RUNNING
    give_back_after: Annotated[
        Duration,
        described(
            "How long, 1s to 24h, a stopped machine waits for ECS to accept the replacement "
            "before it is started again with its old disk.",
            duration_rule("power.giveBackAfter", "1s", "24h"),
        ),
    ] = timedelta(minutes=10)


_SPEC_RULES = rules(
    rule(
        "[has(self.imageId), has(self.imageFamily), "
        "has(self.advanced) && has(self.advanced.diskId)].filter(given, given).size() == 1",
        "set exactly one of imageId and imageFamily (or advanced.diskId in their place)",
    ),
    rule(
        "has(self.regionId) == has(oldSelf.regionId) && "
        "(!has(self.regionId) || self.regionId == oldSelf.regionId)",
        "regionId is immutable, and can be neither added nor removed later: "
        "delete this object and create another one",
        field=".regionId",
    ),
    rule(
        "!has(self.advanced) || !has(self.advanced.encryptAlgorithm) || "
        "(has(self.encryption) && has(self.encryption.enabled) && self.encryption.enabled)",
        "advanced.encryptAlgorithm needs encryption.enabled: true",
        field=".advanced.encryptAlgorithm",
    ),
)


class SystemDiskSpecSpec(ApiModel):
    """What the system disk of one instance should be."""

    model_config = ConfigDict(json_schema_extra=_SPEC_RULES)

    account_ref: Annotated[AccountRef, described("The EcsAccount to act through.")] = AccountRef()
    instance_id: Annotated[
        ResourceId,
        described(
            "The instance whose system disk this is (ECS InstanceId). Immutable.",
            rule(
                "self == oldSelf",
                "instanceId is immutable: delete this object and create another one",
            ),
        ),
    ]
    region_id: Annotated[
        RegionId | None,
        described(
            "Region of the instance; absent: that of the account. Immutable, and can be neither "
            "added nor removed later."
        ),
    ] = None
    image_id: Annotated[
        ResourceId | None,
        described("Image of the system disk (ECS ImageId). Exactly one of this and imageFamily."),
    ] = None
    image_family: Annotated[
        ResourceId | None,
        described(
            "Image family whose newest member is taken, once per generation of this object and "
            "trigger (ECS ImageFamily). A newer member is told, never acted upon."
        ),
    ] = None
    size: Annotated[
        int | None,
        described(
            "Size in GiB (ECS SystemDisk.Size). Absent: that of the present disk, or of the "
            "image if that is larger. A change of size replaces the disk: its data goes.",
            minimum=1,
            maximum=2048,
        ),
    ] = None
    login: Annotated[
        Login | None,
        described(
            "How to log in afterwards, at most one way. Absent: the present key pair of a Linux "
            "instance is kept. A change takes effect with the next replacement."
        ),
    ] = None
    encryption: Annotated[Encryption | None, described("Encryption of the new disk.")] = None
    security_enhancement_strategy: Annotated[
        SecurityEnhancementStrategy | None,
        described(
            "Active installs the Security Center agent (public images only), Deactive does not "
            "(ECS SecurityEnhancementStrategy)."
        ),
    ] = None
    use_additional_service: Annotated[
        bool | None,
        described(
            "Let Alibaba Cloud set up time, licence and package servers in the system "
            "(ECS UseAdditionalService)."
        ),
    ] = None
    advanced: Annotated[
        Advanced | None,
        described(
            "Deprecated and not public parameters of ECS ReplaceSystemDisk, sent as given. The "
            "account must say allowAdvanced: true."
        ),
    ] = None
    power: Annotated[Power, described("How the machine is stopped and started.")] = Power()
    backup: Annotated[
        Backup | None,
        described(
            "Snapshot of the old disk before it is released. Absent: as the account says, else one "
            "is made and kept for 7 days."
        ),
    ] = None
    approval: Annotated[
        Approval | None,
        described(
            "Automatic, or Manual: every plan waits for `sysdisk approve`. Absent: as the "
            "account says."
        ),
    ] = None
    maintenance_windows: Annotated[
        tuple[MaintenanceWindow, ...] | None,
        described(
            "A replacement begins only inside one of these. Empty: any time. Absent: as the "
            "account says.",
            maxItems=WINDOWS_LIMIT,
        ),
    ] = None
    drift_policy: Annotated[
        DriftPolicy,
        described(
            "When the cloud side moved away while this spec stood still: Report it, Reconcile by "
            "a replacement, or Ignore it."
        ),
    ] = DriftPolicy.REPORT
    replace_trigger: Annotated[
        FreeText | None,
        described(
            "A new text asks for a fresh disk although image and size match. The first value is "
            "the baseline; removal, or a value used before, triggers nothing."
        ),
    ] = None
    suspend: Annotated[
        bool,
        described("Nothing new begins; what is under way is brought to a safe end."),
    ] = False
