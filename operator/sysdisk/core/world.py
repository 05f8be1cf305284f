"""What the cloud and the cluster look like, as frozen values: the facts of a decision.

Nothing here knows how a fact was come by. `None` always means *not looked at*, never *not there*:
absence has a value of its own, so that a rule can tell ignorance from knowledge and ask for a look.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sysdisk.core.answers import Failure


class Power(StrEnum):
    """Status of an instance. Source: ECS DescribeInstances, Status."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    UNKNOWN = "Unknown"
    """A word that we do not know: nothing is begun on such an instance."""

    @classmethod
    def of(cls, word: str) -> Power:
        try:
            return cls(word)
        except ValueError:
            return cls.UNKNOWN


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """Why an instance is locked. Source: ECS DescribeInstances, OperationLocks.LockReason[]."""

    reason: str
    message: str = ""


FORBIDDING_LOCKS = frozenset(
    {"security", "financial", "recycling", "refunded", "dedicatedhostfinancial"}
)
"""Lock reasons (lower case) that are never the replacement's own. Source: ECS, OperationLocks."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One ECS instance. Sizes in GiB, times aware UTC. Source: ECS DescribeInstances."""

    instance_id: str
    status: str
    region_id: str = ""
    zone_id: str = ""
    image_id: str = ""
    os_type: str = ""
    """`linux` or `windows`, lower case; empty when ECS does not say."""
    instance_type: str = ""
    key_pair_name: str = ""
    host_name: str = ""
    io_optimized: bool = True
    charge_type: str = ""
    spot_strategy: str = ""
    expired_time: datetime | None = None
    stopped_mode: str = ""
    hibernation: bool = False
    login_as_non_root: bool | None = None
    locks: tuple[Lock, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def power(self) -> Power:
        return Power.of(self.status)

    @property
    def is_windows(self) -> bool:
        return self.os_type == "windows"


@dataclass(frozen=True, slots=True)
class Disk:
    """One cloud disk. Size in GiB. Source: ECS DescribeDisks."""

    disk_id: str
    type: str
    """`system` or `data`."""
    status: str
    size: int
    instance_id: str = ""
    zone_id: str = ""
    charge_type: str = ""
    category: str = ""
    performance_level: str = ""
    image_id: str = ""
    encrypted: bool = False
    kms_key_id: str = ""
    multi_attach: str = ""
    storage_cluster_id: str = ""
    auto_snapshot_policy_id: str = ""
    delete_auto_snapshot: bool = False
    device: str = ""
    locks: tuple[Lock, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """One image; `found=False`: ECS knows no such image here. Source: ECS DescribeImages."""

    image_id: str
    found: bool = True
    name: str = ""
    size: int = 0
    status: str = ""
    architecture: str = ""
    os_type: str = ""
    platform: str = ""
    family: str = ""
    product_code: str = ""
    is_subscribed: bool = True
    usable: bool | None = None
    """ECS's own word on whether it can be used right now, where it gives one (Usable)."""
    io_optimized: bool = True
    login_as_non_root: bool | None = None
    has_data_snapshots: bool = False
    encrypted: bool = False
    instance_types: frozenset[str] | None = None
    """Types that can take the image (DescribeImageSupportInstanceTypes, ActionType=ChangeOS)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot; an empty `status` says that ECS shows none of this ID. `progress` as ECS words
    it, such as 42%. Source: ECS DescribeSnapshots."""

    snapshot_id: str
    status: str = ""
    """`progressing`, `accomplished` or `failed`."""
    progress: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """The member that an image family stands for now; no `image_id`: it has none."""

    name: str
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """What a disk would be bought for: an instance of this kind, in this zone, paid like this.

    ECS answers for pay-as-you-go, I/O optimized, not spot where it is not told. "": not known.
    """

    zone_id: str
    instance_type: str
    charge_type: str = ""
    spot_strategy: str = ""
    io_optimized: bool = True

    @classmethod
    def of(cls, instance: Instance) -> Slot:
        return cls(
            instance.zone_id,
            instance.instance_type,
            instance.charge_type,
            instance.spot_strategy,
            instance.io_optimized,
        )


@dataclass(frozen=True, slots=True)
class Supply:
    """The system disks that ECS offers for a slot; `categories` empty: not known.

    Source: ECS DescribeAvailableResource, DestinationResource=SystemDisk.
    """

    slot: Slot
    categories: frozenset[str] = frozenset()
    sold_out: frozenset[str] = frozenset()
    """Those of `categories` that are out of stock at the moment."""

    def lacks(self, category: str) -> bool:
        """Whether disks of `category` are sold out, and others are to be had.

        Where nothing at all is to be had the type may be withdrawn, which says nothing of a machine
        that is there already.
        """
        return category in self.sold_out and self.sold_out != self.categories

    def doubts(self, category: str) -> bool:
        """Whether the answer hints, and no more, that `category` cannot be had."""
        absent = bool(category and self.categories) and category not in self.categories
        return absent or (category in self.sold_out and not self.lacks(category))


class SecretState(StrEnum):
    """What a look at a login Secret told, without its value."""

    OK = "Ok"
    MISSING = "Missing"
    KEY_MISSING = "KeyMissing"
    FORBIDDEN = "Forbidden"
    UNLABELLED = "Unlabelled"
    NOT_TEXT = "NotText"
    AGAINST_RULES = "AgainstRules"


@dataclass(frozen=True, slots=True)
class SecretLook:
    """A login Secret as far as a decision may know it: identity and faults, never the value."""

    state: SecretState
    uid: str = ""
    resource_version: str = ""
    faults: tuple[str, ...] = ()
    """Broken password rules in words, for `AGAINST_RULES`; they never quote the value."""
    leading_slash: bool = False
    """The value begins with a slash, which Windows does not take."""


class AccountState(StrEnum):
    """Whether an EcsAccount can be worked with at all."""

    OK = "Ok"
    MISSING = "Missing"
    NOT_GRANTED = "NotGranted"
    """The namespace is not among `allowedNamespaces`."""
    NOT_READY = "NotReady"
    """Credentials, endpoint or clock: the account's own Ready says why."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Which instances an account lets this namespace reach; `$(namespace)` is already put in."""

    ids: frozenset[str] = frozenset()
    tags: tuple[tuple[str, str], ...] = ()
    regions: frozenset[str] = frozenset()

    def covers(self, instance: Instance) -> bool:
        """Whether `instance` is inside: (its ID or all tags) and its region. Empty: nothing is."""
        if not (self.ids or self.tags or self.regions):
            return False
        if self.regions and instance.region_id not in self.regions:
            return False
        if not (self.ids or self.tags):
            return True
        if instance.instance_id in self.ids:
            return True
        return bool(self.tags) and set(self.tags) <= set(instance.tags)


@dataclass(frozen=True, slots=True)
class AccountLook:
    """The EcsAccount of a spec, as this pass sees it."""

    name: str
    state: AccountState = AccountState.OK
    message: str = ""
    region_id: str = ""
    """The region that the spec works in: its own, else the account's default."""
    grant: Grant = field(default_factory=Grant)
    allow_managed: bool = False
    allow_advanced: bool = False
    suspended: bool = False
    approval_enforced: bool = True
    """False: the account requires approvals, and no admission policy says who may give them."""
    under_way: int = 0
    """Operations of the account under way, without this spec's own."""
    concurrent_replacements: int = 10
    failures_in_a_row: int = 0
    stop_after_failures: int = 3
    first_sights: int = 0
    """Operations begun for specs without a record in the last hour."""
    first_sight_per_hour: int = 20

    @property
    def brake_pulled(self) -> bool:
        """Whether so many operations failed in a row that nothing new begins."""
        return self.failures_in_a_row >= self.stop_after_failures


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """Another spec that names the same instance, and is granted."""

    created_at: datetime
    uid: str
    namespace: str
    name: str
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a pass has looked at so far. A `None` has not been looked at in this pass."""

    account: AccountLook | None = None
    instance: Instance | None = None
    instance_seen: bool = False
    """True once ECS was asked: then `instance is None` means that it is not there."""
    system_disks: tuple[Disk, ...] | None = None
    """The disks attached to the instance as system disk: one, when all is well."""
    data_disk_ids: frozenset[str] | None = None
    fresh: bool = False
    """The looks at the instance and its disks were begun after this pass had read the record."""
    seen_at: datetime | None = None
    images: tuple[Image, ...] = ()
    family: Family | None = None
    secret: SecretLook | None = None
    key_pairs: tuple[tuple[str, bool], ...] = ()
    """Key pair names that were looked up, and whether they exist."""
    default_encryption: bool | None = None
    snapshot_running: bool | None = None
    in_transfer: bool | None = None
    """A change of the system disk's kind is at work (ECS DescribeTasks, ModifyDiskSpec)."""
    supply: Supply | None = None
    """What the instance's zone offers."""
    cpu_architecture: str | None = None
    """Of the instance's type, `X86` or `ARM`; empty where ECS does not tell."""
    source_disk: Disk | None = None
    """The disk that `advanced.diskId` names."""
    source_disk_seen: bool = False
    backup: Snapshot | None = None
    """The snapshot that the operation under way waits for."""
    claims: tuple[Claim, ...] = ()
    turns: tuple[tuple[str, timedelta], ...] = ()
    """ECS writes that have to wait for their turn, and how long: a rate limit, or ECS, says so."""
    dry_run: bool = False
    """Plan, and never write to ECS."""
    failure: str = ""
    """Why ECS could not be asked, when it could not."""
    refused: Failure | None = None
    """The refusal behind `failure`, where only a person can cure it: a permission, as a rule."""
    no_region: bool = False
    """It could not be asked because there is no such region."""

    @property
    def system_disk(self) -> Disk | None:
        """The system disk, if there is exactly one."""
        return self.system_disks[0] if self.system_disks and len(self.system_disks) == 1 else None

    def image(self, image_id: str) -> Image | None:
        return next((i for i in self.images if i.image_id == image_id), None)

    def turn_in(self, action: str) -> timedelta:
        """Return how long a write of this ECS action has to wait; zero: it may leave now."""
        return dict(self.turns).get(action, timedelta(0))

    def key_pair(self, name: str) -> bool | None:
        return next((there for known, there in self.key_pairs if known == name), None)
