"""How one instance was seen: what the inventory answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sysdisk.core.world import Disk, Instance


class Disks(Enum):
    """How much a look tells about disks."""

    NONE = "none"
    KNOWN = "known"
    """The system disk, by the ID that is known; one listing where none is, or it has gone."""
    ALL = "all"
    """Everything attached, data disks too."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One instance as it was seen. `begun_at` (monotonic) is not after the first request of it.

    `instance` None: ECS has no such instance here. `system_disks` and `data_disk_ids` None: not
    looked at. `disks` answers for the disk IDs that were asked about; None: ECS has no such disk.
    """

    instance_id: str
    instance: Instance | None
    system_disks: tuple[Disk, ...] | None
    data_disk_ids: frozenset[str] | None
    begun_at: float
    seen_at: datetime
    disks: tuple[tuple[str, Disk | None], ...] = ()

    def disk(self, disk_id: str) -> Disk | None:
        """Return a disk that was asked about. Raises KeyError for any other."""
        return dict(self.disks)[disk_id]

    def tells(self, disks: Disks) -> bool:
        """Whether it tells as much as `disks` asks for."""
        if disks is Disks.NONE:
            return True
        return self.system_disks is not None and (
            disks is Disks.KNOWN or self.data_disk_ids is not None
        )

    def is_of_after(self, moment: float | None) -> bool:
        """Whether its requests were begun after `moment` (monotonic); always, for None."""
        return moment is None or self.begun_at > moment

    def looks_like(self, other: Sight | None) -> bool:
        """Whether the instance and its system disks are the same in both."""
        return other is not None and (self.instance, self.system_disks) == (
            other.instance,
            other.system_disks,
        )


@dataclass(frozen=True, slots=True)
class Attached:
    """All disks that are attached to one instance."""

    disks: tuple[Disk, ...] = ()

    @property
    def system(self) -> tuple[Disk, ...]:
        """The system disks, by ID."""
        return tuple(sorted((d for d in self.disks if d.type == "system"), key=_by_id))

    @property
    def data_ids(self) -> frozenset[str]:
        """The IDs of all others."""
        return frozenset(d.disk_id for d in self.disks if d.type != "system")


def system_disks_of(instance_id: str, disks: list[Disk | None]) -> tuple[Disk, ...]:
    """Return those of `disks` that are attached to the instance as system disk, by ID."""
    return Attached(tuple(d for d in disks if d and d.instance_id == instance_id)).system


def _by_id(disk: Disk) -> str:
    return disk.disk_id
