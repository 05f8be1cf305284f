"""What the simulated cloud holds: plain records, and nothing that acts.

Containers inside a record are tuples, or dicts that are replaced as a whole and never changed in
place. So a shallow copy of every record is a copy of the world, which is what makes
`State.clone()` cheap enough for a simulation that branches thousands of times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "AccessKey",
    "Account",
    "Disk",
    "Effect",
    "Image",
    "ImageMapping",
    "Instance",
    "InstanceType",
    "KeyPair",
    "KmsKey",
    "Lock",
    "Options",
    "Region",
    "Replacement",
    "RequestRecord",
    "Role",
    "Session",
    "Snapshot",
    "State",
    "Task",
    "Timings",
    "TokenRecord",
    "Work",
]


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the cloud works, in seconds of its own clock.

    `lock_lag` passes between the acceptance of a replacement and the moment its lock is seen.
    """

    stop: float = 8.0
    force_stop: float = 2.0
    start: float = 10.0
    reboot: float = 12.0
    replace: float = 20.0
    lock_lag: float = 1.0
    reinit: float = 15.0
    snapshot: float = 30.0
    create: float = 15.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the reference leaves open, as switches. All have the more demanding value by default.

    token_lifetime: seconds for which a client token is remembered (not documented by ECS).
    token_processing: a repeat while the replacement works is LastTokenProcessing.
    remember_refusals: a token refused by a `user` class answer is refused again.
    replacement_lock: the lock reason seen on an instance whose disk is being replaced, "" for none.
    economical_mode: the account setting that makes StopCharging the default of StopInstance.
    """

    token_lifetime: float = 86_400.0
    token_processing: bool = False
    remember_refusals: bool = True
    replacement_lock: str = "SystemDiskReplacing"
    economical_mode: bool = False


@dataclass(frozen=True, slots=True)
class Lock:
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A system disk replacement that was accepted and is at work."""

    new_disk_id: str
    old_disk_id: str
    image_id: str
    size_gib: int
    key_pair: str
    lock_at: float
    params: Mapping[str, str]


@dataclass(slots=True)
class Instance:
    """`status` is Pending, Starting, Running, Stopping or Stopped. `work` numbers its asynchronous
    work: a piece of work that was started under another number has been overtaken.
    """

    id: str
    region: str
    zone: str
    account: str
    type: str
    image_id: str
    os_type: str
    status: str
    name: str = ""
    host_name: str = ""
    system_disk_id: str = ""
    data_disk_ids: tuple[str, ...] = ()
    key_pair: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    locks: tuple[Lock, ...] = ()
    charge_type: str = "PostPaid"
    expired_time: float | None = None
    stopped_mode: str = "Not-applicable"
    private_ip: str = ""
    public_ip: str = ""
    io_optimized: bool = True
    hibernation: bool = False
    login_as_non_root: bool = False
    deletion_protection: bool = False
    spot_strategy: str = "NoSpot"
    local_disks: bool = False
    created_at: float = 0.0
    ever_started: bool = True
    unpaid_order: str = ""
    password_sha256: str = ""
    replacement: Replacement | None = None
    work: int = 0
    frozen: bool = False


@dataclass(slots=True)
class Disk:
    """`status` is one of In_use, Available, Creating, ReIniting, Attaching, Detaching."""

    id: str
    region: str
    zone: str
    account: str
    type: str
    category: str
    size_gib: int
    status: str
    instance_id: str = ""
    performance_level: str = ""
    image_id: str = ""
    source_snapshot_id: str = ""
    encrypted: bool = False
    kms_key_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    description: str = ""
    device: str = "/dev/xvda"
    charge_type: str = "PostPaid"
    auto_snapshot_policy: str = ""
    delete_auto_snapshot: bool = True
    delete_with_instance: bool = True
    multi_attach: str = "Disabled"
    storage_cluster: str = ""
    locks: tuple[Lock, ...] = ()
    replication: str = ""
    encryptable: bool = True
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageMapping:
    type: str
    size_gib: int
    snapshot_id: str = ""
    encrypted: bool = False
    device: str = "/dev/xvda"


@dataclass(slots=True)
class Image:
    """`owner` is the ImageOwnerAlias as its own account sees it: self, system, marketplace, or
    others (a community image where `public`). `shared_with` lists accounts it is shared with.
    """

    id: str
    region: str
    owner: str
    account: str
    os_type: str
    platform: str
    size_gib: int
    name: str = ""
    family: str = ""
    status: str = "Available"
    architecture: str = "x86_64"
    public: bool = False
    shared_with: tuple[str, ...] = ()
    product_code: str = ""
    subscribed: bool = True
    withdrawn: bool = False
    bought: bool = True
    mappings: tuple[ImageMapping, ...] = ()
    io_optimized: bool = True
    cloudinit: bool = True
    login_as_non_root: bool = True
    resizable: bool = True
    preset_password: bool = True
    only_types: tuple[str, ...] = ()
    not_types: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0

    @property
    def encrypted(self) -> bool:
        return any(m.encrypted for m in self.mappings if m.type == "system")


@dataclass(slots=True)
class Snapshot:
    id: str
    region: str
    account: str
    disk_id: str
    disk_type: str
    instance_id: str
    size_gib: int
    name: str = ""
    description: str = ""
    status: str = "progressing"
    automatic: bool = False
    encrypted: bool = False
    retention_days: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0
    due: float = 0.0


@dataclass(slots=True)
class KeyPair:
    name: str
    region: str
    account: str
    fingerprint: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0


@dataclass(slots=True)
class KmsKey:
    id: str
    region: str
    account: str
    enabled: bool = True
    symmetric: bool = True
    taggable: bool = True
    makes_data_keys: bool = True


@dataclass(frozen=True, slots=True)
class InstanceType:
    id: str
    family: str
    cpu: int
    memory_gib: float
    architecture: str = "X86"
    local_disks: bool = False


@dataclass(slots=True)
class Region:
    id: str
    zones: tuple[str, ...]
    os_change: bool = True
    non_root_login: bool = True
    encrypted_replace: bool = True
    encrypt_algorithms: tuple[str, ...] = ("AES256", "SM4")
    default_encryption: bool = False
    sold_out: tuple[tuple[str, str], ...] = ()  # (zone, disk category or instance type)
    unsupported: tuple[tuple[str, str], ...] = ()
    """(instance type, InstanceChargeType, SpotStrategy or IoOptimized; disk category)"""
    disk_quota_gib: Mapping[tuple[str, str], int] = field(default_factory=dict)
    cluster_free_gib: Mapping[str, int] = field(default_factory=dict)
    """Free capacity of the storage clusters in which a system disk may be replaced at all."""
    fixed_payments: tuple[str, ...] = ()
    """InstanceChargeTypes whose disks are not replaced here."""
    outage: str = ""
    """How ReplaceSystemDisk fails for now: unavailable, denied or unknown; "": it does not."""


@dataclass(slots=True)
class Account:
    id: str
    name: str = ""
    kms_enabled: bool = True
    kms_authorized: bool = True
    sync_payment: bool = True
    may_buy: bool = True
    snapshot_service: bool = True
    balance_ok: bool = True


@dataclass(slots=True)
class AccessKey:
    """`denied` holds actions, or `*`, that the RAM policy of this identity does not allow."""

    id: str
    secret: str
    account: str
    arn: str
    denied: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(slots=True)
class Role:
    """`trusted` lists the ARNs, or account ids, that may assume it; `oidc_subjects` the subjects
    that may through `oidc_provider`. Empty: everyone of the account, every subject.
    """

    arn: str
    account: str
    trusted: tuple[str, ...] = ()
    external_id: str = ""
    oidc_provider: str = ""
    oidc_subjects: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials of an assumed role."""

    key_id: str
    secret: str
    token: str
    arn: str
    role_arn: str
    account: str
    expires_at: float


@dataclass(slots=True)
class Task:
    id: str
    region: str
    account: str
    resource_id: str
    action: str = "ModifyDiskSpec"
    status: str = "Processing"
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What a client token was used for; exactly one of `answer` and `refusal` is set."""

    fingerprint: str
    at: float
    instance_id: str
    answer: Mapping[str, Any] | None = None
    refusal: tuple[int, str, str] | None = None
    disk_id: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Work:
    """Asynchronous work that ends at `due`. Order: by time, then by the order of its beginning."""

    due: float
    seq: int
    kind: str
    ref: str
    number: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that became true in the cloud, at `at` of its clock. Details hold no password."""

    at: float
    kind: str
    instance_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as the cloud saw it. `code` is "OK", an error code, or the name of a fault."""

    at: float
    action: str
    region: str
    caller: str
    code: str
    http: int
    request_id: str
    instance_id: str = ""
    token: str = ""


@dataclass(slots=True)
class State:
    """The whole world, and its logs. Maps are keyed by id; key pairs by account, region, name."""

    options: Options = field(default_factory=Options)
    regions: dict[str, Region] = field(default_factory=dict)
    types: dict[str, InstanceType] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    keys: dict[str, AccessKey] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    key_pairs: dict[tuple[str, str, str], KeyPair] = field(default_factory=dict)
    kms_keys: dict[str, KmsKey] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)  # auto snapshot policy id: region
    tasks: dict[str, Task] = field(default_factory=dict)
    tokens: dict[tuple[str, str, str], TokenRecord] = field(default_factory=dict)
    work: list[Work] = field(default_factory=list)
    held: list[Work] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)

    def clone(self) -> State:
        """Return an independent copy; see the module's text for why shallow copies suffice."""
        twin = copy(self)
        for name in _RECORDS:
            setattr(twin, name, {key: copy(value) for key, value in getattr(self, name).items()})
        for name in _SHARED:
            setattr(twin, name, copy(getattr(self, name)))
        return twin


_RECORDS = (
    *("regions", "accounts", "keys", "roles", "instances", "disks", "images", "snapshots"),
    *("key_pairs", "kms_keys", "tasks"),
)
_SHARED = (
    *("types", "sessions", "policies", "tokens", "work", "held", "effects", "requests"),
    "counters",
)
