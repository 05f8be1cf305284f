"""The values that go into a decision and come out of it.

`Action` is a closed union, so a match over it can be exhaustive. An action is performed only after
`Decision.status` has been recorded; `Look` is no action on the world but a question to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sysdisk.api.account import Defaults, Require
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import OperationInputs, SystemDiskSpecStatus

POLL = timedelta(seconds=3)
"""While something is under way: the longest time between two looks."""

SETTLE = timedelta(seconds=1)
"""Something was just written or answered: look again at once."""

RESYNC = timedelta(minutes=5)
"""At rest, or where a person must act: the world changes without telling us."""


class Key(NamedTuple):
    """Which SystemDiskSpec."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A SystemDiskSpec as it was read: what is wanted, and what is recorded."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    created_at: datetime
    spec: SystemDiskSpecSpec
    status: SystemDiskSpecStatus
    deleting: bool = False
    has_finalizer: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    orders_taken: bool = False
    """The annotations that order something are off the object already, and hold for this pass."""
    orders_new: bool = False
    """An annotation orders something that is not on record yet; see `core.orders.noted`."""
    defaults: Defaults = field(default_factory=Defaults)
    """The account's."""
    require: Require = field(default_factory=Require)
    """The account's."""


class DiskLook(StrEnum):
    """How much of an instance's disks a decision needs to see."""

    NONE = "None"
    KNOWN = "Known"
    """The system disk, and the one that replaced it."""
    ALL = "All"
    """Every attached disk, data disks too."""


@dataclass(frozen=True, slots=True)
class Look:
    """See these before deciding: decide is asked again with them, in the same pass."""

    fresh: bool = False
    disks: DiskLook = DiskLook.NONE
    attached: tuple[str, ...] = ()
    """Which of these disks are attached to the instance, beside what `disks` asks for."""
    image: str | None = None
    family: str | None = None
    key_pair: str | None = None
    secret: bool = False
    default_encryption: bool = False
    snapshot: bool = False
    transfer: bool = False
    supply: bool = False
    cpu_architecture: bool = False
    source_disk: str | None = None
    backup: str | None = None
    """This snapshot, as it is now."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Record the status, if it changed; nothing else."""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put our finalizer on the object, on condition that it is still the one that was read."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Take our finalizer off; others stay."""


@dataclass(frozen=True, slots=True)
class StopInstance:
    """ECS StopInstance."""

    instance_id: str
    force: bool
    stopped_mode: str


@dataclass(frozen=True, slots=True)
class ReplaceSystemDisk:
    """ECS ReplaceSystemDisk, from frozen inputs and the recorded token."""

    instance_id: str
    inputs: OperationInputs
    token: str


@dataclass(frozen=True, slots=True)
class StartInstance:
    """ECS StartInstance."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class CreateSnapshot:
    """ECS CreateSnapshot: the backup. Everything in it follows from the record, so that a repeat
    with the same token is the same request."""

    disk_id: str
    token: str
    name: str
    description: str
    days: int | None
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DropApproval:
    """Take a lapsed approval off the object, on condition that it is still the one read."""


@dataclass(frozen=True, slots=True)
class ApplyAutoSnapshotPolicy:
    """ECS ApplyAutoSnapshotPolicy: put the old disk's policy on the new one."""

    disk_id: str
    policy_id: str


EcsWrite = (
    CreateSnapshot | StopInstance | ReplaceSystemDisk | StartInstance | ApplyAutoSnapshotPolicy
)
Action = Nothing | Look | AddFinalizer | RemoveFinalizer | DropApproval | EcsWrite


@dataclass(frozen=True, slots=True)
class Event:
    """One Kubernetes Event: what just happened, or who is needed."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The single next step, or why there is none."""

    action: Action
    status: SystemDiskSpecStatus
    reason: Reason
    look_again: timedelta
    events: tuple[Event, ...] = ()
