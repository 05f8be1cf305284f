"""Building what the simulated cloud holds: accounts, regions, images, instances.

`Fleet(cloud)` adds one thing per call and returns it; `seed_fleet` makes a whole plausible fleet.
Everything is deterministic: the same calls in the same order give the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sysdisk.sandbox.ecs_disks import begin_snapshot
from sysdisk.sandbox.ecs_model import DEFAULT_ACCOUNT, Cloud
from sysdisk.sandbox.ecs_state import (
    AccessKey,
    Account,
    Disk,
    Image,
    ImageMapping,
    Instance,
    InstanceType,
    KeyPair,
    KmsKey,
    Region,
    Role,
    Snapshot,
)
from sysdisk.sandbox.ecs_sts import new_key

__all__ = ["TYPES", "Fleet", "Seeded", "seed_fleet"]

TYPES = (
    InstanceType("ecs.g7.large", "ecs.g7", 2, 8),
    InstanceType("ecs.g7.xlarge", "ecs.g7", 4, 16),
    InstanceType("ecs.c7.large", "ecs.c7", 2, 4),
    InstanceType("ecs.r7.large", "ecs.r7", 2, 16),
    InstanceType("ecs.g8y.large", "ecs.g8y", 2, 8, "ARM"),
    InstanceType("ecs.i3.xlarge", "ecs.i3", 4, 32, local_disks=True),
)
HOME = "cn-hangzhou"


class Fleet:
    """Adds records to a cloud, in one account and region unless told otherwise."""

    def __init__(self, cloud: Cloud, region: str = HOME, account: str = DEFAULT_ACCOUNT) -> None:
        self.cloud, self.home, self.owner = cloud, region, account
        for kind in TYPES:
            cloud.state.types.setdefault(kind.id, kind)
        if region not in cloud.state.regions:
            self.region(region)

    def region(self, region_id: str, zones: Sequence[str] = ("h", "i", "j"), **more: Any) -> Region:
        """Add a region with zones `<region>-h` and so on."""
        region = Region(region_id, tuple(f"{region_id}-{z}" for z in zones), **more)
        self.cloud.state.regions[region_id] = region
        return region

    def account(self, account_id: str, **more: Any) -> Account:
        """Add an account."""
        account = Account(account_id, **more)
        self.cloud.state.accounts[account_id] = account
        return account

    def access_key(
        self,
        user: str = "operator",
        *,
        key_id: str = "",
        secret: str = "",
        denied: Sequence[str] = (),
    ) -> AccessKey:
        """Add an access key of a RAM user (`root`: of the account itself)."""
        key = new_key(self.cloud, self.owner, user)
        key.id, key.secret = key_id or key.id, secret or key.secret
        key.denied = tuple(denied)
        self.cloud.state.keys[key.id] = key
        return key

    def role(self, name: str, **more: Any) -> Role:
        """Add a role that may be assumed; see `Role` for who may."""
        role = Role(f"acs:ram::{self.owner}:role/{name}", self.owner, **more)
        self.cloud.state.roles[role.arn] = role
        return role

    def key_pair(self, name: str, region: str = "") -> KeyPair:
        """Add a key pair."""
        region = region or self.home
        pair = KeyPair(
            name=name,
            region=region,
            account=self.owner,
            fingerprint=self.cloud.new_hex("fingerprint"),
            created_at=self.cloud.now(),
        )
        self.cloud.state.key_pairs[self.owner, region, name] = pair
        return pair

    def kms_key(self, key_id: str = "", region: str = "", **more: Any) -> KmsKey:
        """Add a KMS key."""
        region = region or self.home
        key = KmsKey(key_id or f"key-{self.cloud.new_hex('kms')[:24]}", region, self.owner, **more)
        self.cloud.state.kms_keys[key.id] = key
        return key

    def policy(self, region: str = "") -> str:
        """Add an automatic snapshot policy and return its id."""
        region = region or self.home
        policy_id = self.cloud.new_id("sp", region)
        self.cloud.state.policies[policy_id] = region
        return policy_id

    def image(
        self,
        *,
        image_id: str = "",
        region: str = "",
        owner: str = "self",
        os_type: str = "linux",
        platform: str = "",
        size_gib: int = 20,
        family: str = "",
        age_days: float = 0.0,
        data_disks: Sequence[int] = (),
        encrypted: bool = False,
        **more: Any,
    ) -> Image:
        """Add an image; `data_disks` are the sizes of data disk snapshots it carries."""
        region = region or self.home
        snapshot = self.cloud.new_id("s", region)
        system = ImageMapping("system", size_gib, snapshot, encrypted)
        data = [
            ImageMapping("data", size, self.cloud.new_id("s", region), False, f"/dev/xvd{c}")
            for size, c in zip(data_disks, "bcdefghij", strict=False)
        ]
        image = Image(
            id=image_id or self.cloud.new_id("m", region),
            region=region,
            owner=owner,
            account=self.owner if owner == "self" else "0",
            os_type=os_type,
            platform=platform or ("Windows Server 2019" if os_type == "windows" else "Ubuntu"),
            size_gib=size_gib,
            family=family,
            mappings=(system, *data),
            created_at=self.cloud.now() - age_days * 86_400,
            **more,
        )
        self.cloud.state.images[image.id] = image
        return image

    def instance(
        self,
        image: Image,
        *,
        instance_id: str = "",
        zone: str = "",
        type_id: str = "",
        size_gib: int = 40,
        category: str = "cloud_essd",
        performance_level: str | None = None,
        status: str = "Running",
        tags: Mapping[str, str] | None = None,
        policy: str = "",
        data_disks: Sequence[int] = (),
        system_disk: bool = True,
        **more: Any,
    ) -> Instance:
        """Add an instance that runs (or not) from `image`, with a system disk and data disks.

        `more` sets any other field of `Instance`, such as `key_pair` or `charge_type`.
        """
        region = self.cloud.state.regions[image.region]
        arm = image.architecture == "arm64"
        zone = zone or region.zones[0]
        vm = Instance(
            id=instance_id or self.cloud.new_id("i", region.id),
            region=region.id,
            zone=zone,
            account=self.owner,
            type=type_id or ("ecs.g8y.large" if arm else "ecs.g7.large"),
            image_id=image.id,
            os_type=image.os_type,
            status=status,
            tags=dict(tags or {}),
            private_ip=self._address(),
            stopped_mode="KeepCharging" if status == "Stopped" else "Not-applicable",
            **{"created_at": self.cloud.now() - 86_400, **more},
        )
        self.cloud.state.instances[vm.id] = vm
        if performance_level is None:
            performance_level = "PL1" if category == "cloud_essd" else ""
        if system_disk:
            disk = self._disk(vm, "system", size_gib, category, performance_level)
            disk.image_id, disk.auto_snapshot_policy = image.id, policy
            vm.system_disk_id = disk.id
        vm.data_disk_ids = tuple(
            self._disk(vm, "data", size, category, performance_level).id for size in data_disks
        )
        return vm

    def managed_by_ack(self, vm: Instance, cluster: str = "c0ffee") -> Instance:
        """Give an instance the tags of an ACK node pool."""
        vm.tags = {**vm.tags, "ack.aliyun.com": cluster, "ack.alibabacloud.com/nodepool-id": "np1"}
        return vm

    def in_scaling_group(self, vm: Instance, group: str = "asg-bp1sandbox") -> Instance:
        """Give an instance the tag of a scaling group."""
        vm.tags = {**vm.tags, "acs:autoscaling:scalingGroupId": group}
        return vm

    def spare_disk(self, *, size_gib: int = 40, zone: str = "", **more: Any) -> Disk:
        """Add a data disk that is attached to nothing."""
        region = self.cloud.state.regions[self.home]
        disk = Disk(
            id=self.cloud.new_id("d", region.id),
            region=region.id,
            zone=zone or region.zones[0],
            account=self.owner,
            type="data",
            size_gib=size_gib,
            **{"category": "cloud_essd", "performance_level": "PL1", "status": "Available", **more},
        )
        self.cloud.state.disks[disk.id] = disk
        return disk

    def snapshot(self, disk_id: str, *, automatic: bool = False, done: bool = True) -> Snapshot:
        """Add a snapshot of a disk, finished or only begun."""
        snap = begin_snapshot(self.cloud, self.cloud.state.disks[disk_id], automatic=automatic)
        if done:
            snap.status = "accomplished"
            self.cloud.state.work = [w for w in self.cloud.state.work if w.ref != snap.id]
            self.cloud.state.work.sort()
        return snap

    def _address(self) -> str:
        self.cloud.state.counters["address"] += 1
        n = self.cloud.state.counters["address"]
        return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"

    def _disk(self, vm: Instance, kind: str, size: int, category: str, level: str) -> Disk:
        disk = Disk(
            id=self.cloud.new_id("d", vm.region),
            region=vm.region,
            zone=vm.zone,
            account=vm.account,
            type=kind,
            category=category,
            performance_level=level,
            size_gib=size,
            status="In_use",
            instance_id=vm.id,
            charge_type=vm.charge_type,
            device="/dev/xvda" if kind == "system" else "/dev/xvdb",
            created_at=vm.created_at,
        )
        self.cloud.state.disks[disk.id] = disk
        return disk


@dataclass(frozen=True, slots=True)
class Seeded:
    """What `seed_fleet` made: instances in order, images by a plain name, the key and key pair."""

    instances: tuple[Instance, ...]
    images: Mapping[str, Image]
    key: AccessKey
    key_pair: str
    policy: str


def seed_fleet(cloud: Cloud, count: int, region: str = HOME, team: str = "shop") -> Seeded:
    """Add `count` instances as one finds them: mostly Linux, every tenth Windows, every eighth on
    ARM, spread over the zones, tagged, some with data disks and a snapshot policy.

    Images by name: ubuntu-22, ubuntu-24 (family ubuntu-lts), windows, windows-new, arm, arm-new,
    big (100 GiB), with-data, deprecated, encrypted.
    """
    fleet = Fleet(cloud, region)
    images = {
        "ubuntu-22": fleet.image(family="ubuntu-lts", age_days=400, name="ubuntu-22"),
        "ubuntu-24": fleet.image(family="ubuntu-lts", age_days=30, name="ubuntu-24"),
        "windows": fleet.image(os_type="windows", size_gib=40, name="windows-2019"),
        "windows-new": fleet.image(
            os_type="windows", size_gib=40, name="windows-2022", platform="Windows Server 2022"
        ),
        "arm": fleet.image(architecture="arm64", name="ubuntu-arm-22"),
        "arm-new": fleet.image(architecture="arm64", name="ubuntu-arm-24"),
        "big": fleet.image(size_gib=100, name="ubuntu-with-tools"),
        "with-data": fleet.image(data_disks=(100,), name="whole-machine"),
        "deprecated": fleet.image(status="Deprecated", name="ubuntu-20"),
        "encrypted": fleet.image(encrypted=True, name="ubuntu-sealed"),
    }
    pair, policy, key = fleet.key_pair(f"{team}-admins"), fleet.policy(), fleet.access_key()
    zones = cloud.state.regions[region].zones
    made = []
    for n in range(count):
        windows, arm = n % 10 == 9, n % 8 == 7
        image = images["windows" if windows else "arm" if arm else "ubuntu-22"]
        made.append(
            fleet.instance(
                image,
                zone=zones[n % len(zones)],
                name=f"{team}-{n:05d}",
                host_name=f"{team}-{n:05d}",
                key_pair="" if windows else pair.name,
                tags={"team": team, "tier": ("web", "api", "batch")[n % 3]},
                policy=policy if n % 4 == 0 else "",
                data_disks=(100,) if n % 5 == 0 else (),
            )
        )
    return Seeded(tuple(made), images, key, pair.name, policy)
