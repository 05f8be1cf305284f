"""Why ReplaceSystemDisk is refused: the preconditions of its error table.

Each rule yields the numbers of table rows that forbid the request, in the order in which they are
looked at; the first one is the answer. Two rows of which the table does not say what they are about
(52, 85) can only be injected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sysdisk.sandbox.ecs_params import flag, optional_flag
from sysdisk.sandbox.ecs_power import locked_for, overdue
from sysdisk.sandbox.ecs_reads import fits_type, kind_of, offers
from sysdisk.sandbox.ecs_state import Disk, Image, Instance
from sysdisk.sandbox.ecs_world import Call, World

__all__ = ["Request", "malformed_password", "refusals", "size_range"]

_ARCHITECTURES = ("i386", "x86_64", "arm64")
_PLATFORMS = (
    *("CentOS", "Ubuntu", "Debian", "Aliyun", "OpenSUSE", "SUSE", "CoreOS", "RedHat"),
    *("Windows Server 2016", "Windows Server 2019", "Windows Server 2022", "Others Linux"),
    *("AlmaLinux", "Rocky Linux", "Fedora", "Anolis", "FreeBSD", "Windows"),
)
_ESSD_FLOOR = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}
_ENCRYPTABLE = ("cloud_essd", "cloud_auto", "cloud_essd_entry")
_SPECIAL_CHARACTERS = "()`~!@#$%^&*-_+=|{}[]:;<>,.?/'\"\\"
_SIZE = "SystemDisk.Size"
ABOVE_ALL = 2048
_OUTAGES = {"unavailable": 31, "denied": 34, "unknown": 35}


@dataclass(frozen=True, slots=True)
class Request:
    """What the rules look at. `image` is None where it is missing or a disk is asked for.

    `source` is the disk named by the deprecated DiskId.
    """

    world: World
    call: Call
    vm: Instance
    disk: Disk | None
    image: Image | None
    source: Disk | None

    @property
    def os_type(self) -> str:
        if self.image is not None:
            return self.image.os_type
        return "windows" if self.call.get("Platform").startswith("Windows") else "linux"

    @property
    def size(self) -> int:
        """The size of the new disk in GiB: as sent, else max(40, image), as the API documents."""
        if self.source is not None:
            return self.source.size_gib
        sent = self.call.get(_SIZE)
        return int(sent) if sent else max(40, self.image.size_gib if self.image else 0)


def size_range(category: str, level: str, image_gib: int) -> tuple[int, int]:
    """Return the least and the greatest size in GiB of a system disk of that category."""
    floor = 20
    if category == "cloud_essd":
        floor = _ESSD_FLOOR.get(level, 20)
    elif category == "cloud_auto":
        floor = 1
    return max(floor, image_gib), 500 if category == "cloud" else ABOVE_ALL


def malformed_password(password: str, windows: bool) -> bool:
    """Whether the API refuses that password: 8-30 characters of three kinds, no leading slash."""
    kinds = [
        any(c.isascii() and c.isupper() for c in password),
        any(c.isascii() and c.islower() for c in password),
        any(c.isascii() and c.isdigit() for c in password),
        any(c in _SPECIAL_CHARACTERS for c in password),
    ]
    legal = all((c.isascii() and c.isalnum()) or c in _SPECIAL_CHARACTERS for c in password)
    good = legal and 8 <= len(password) <= 30 and sum(kinds) >= 3
    return not good or (windows and password.startswith("/"))


def refusals(ask: Request) -> Iterator[int]:
    """Yield the rows that forbid the request, the API's first answer first."""
    if outage := ask.world.region(ask.vm.region).outage:
        yield _OUTAGES[outage]
    yield from _form(ask)
    yield from _instance(ask)
    if ask.disk is None:
        yield 21
        return
    yield from _disk(ask, ask.disk)
    if ask.call.get("DiskId"):
        yield from _source(ask, ask.disk)
    elif ask.image is None:
        yield 81
        return
    else:
        yield from _image(ask, ask.image)
        yield from _size(ask, ask.disk, ask.image)
    yield from _login(ask)
    yield from _encryption(ask, ask.disk)
    yield from _supply(ask, ask.disk)


def _form(ask: Request) -> Iterator[int]:
    """What can be said from the request alone."""
    get, params = ask.call.get, ask.call.params
    if get("DiskId") and get("ImageId"):
        yield 71
    if not get("DiskId") and not get("ImageId"):
        yield 70 if "ImageId" in params else 20
    if get("Password") and flag(params, "PasswordInherit"):
        yield 7
    if get(_SIZE) and not re.fullmatch(r"-?\d{1,7}", get(_SIZE)):
        yield 2
    elif get(_SIZE) and int(get(_SIZE)) <= 0:
        yield 5
    if params.get("SystemDisk.DiskName") is not None and not len(get("SystemDisk.DiskName")) >= 2:
        yield 32
    if get("KMSKeyId") and not flag(params, "Encrypted"):
        yield 61
    if get("EncryptAlgorithm") and not flag(params, "Encrypted"):
        yield 62
    if get("DiskId"):
        yield from _words(get("Architecture"), _ARCHITECTURES, 12, 13)
        yield from _words(get("Platform"), _PLATFORMS, 14, 15)


def _words(value: str, known: tuple[str, ...], missing: int, malformed: int) -> Iterator[int]:
    if not value:
        yield missing
    elif value not in known:
        yield malformed


def _instance(ask: Request) -> Iterator[int]:
    vm = ask.vm
    if vm.status == "Pending":
        yield 50
    if locked_for(vm, "security"):
        yield 40
    if overdue(ask.world, vm):
        yield 43
    if vm.locks or vm.status != "Stopped":
        yield 39
    if vm.hibernation:
        yield 56
    if vm.unpaid_order:
        yield 54 if vm.unpaid_order == "operation" else 49
    if vm.charge_type in ask.world.region(vm.region).fixed_payments:
        yield 44


def _disk(ask: Request, disk: Disk) -> Iterator[int]:
    """What the present system disk forbids."""
    world = ask.world
    if any(
        t.resource_id == disk.id and t.status == "Processing" for t in world.state.tasks.values()
    ):
        yield 37
    if world.snapshot_running(disk.id):
        yield 45
    if disk.status != "In_use" or disk.locks or ask.vm.replacement is not None:
        yield 38
    if disk.multi_attach not in ("Disabled", ""):
        yield 57
    if disk.storage_cluster not in ("", *world.region(ask.vm.region).cluster_free_gib):
        yield 23
    if disk.replication:
        yield 24 if disk.replication == "unknown" else 25
    local = disk.category.startswith(("ephemeral", "local"))
    if local or not offers(world.region(ask.vm.region), kind_of(ask.vm), disk.category):
        yield 9


def _source(ask: Request, disk: Disk) -> Iterator[int]:
    """What the disk named by the deprecated DiskId forbids."""
    source = ask.source
    if source is None:
        yield 16
        return
    if source.status != "Available" or source.locks:
        yield 17
    if source.category.startswith(("ephemeral", "local")) or source.category == "cloud":
        yield 18
    if source.charge_type != "PostPaid":
        yield 19
    if source.kms_key_id:
        yield 22
    if source.zone != disk.zone:
        yield 53


def _image(ask: Request, image: Image) -> Iterator[int]:
    vm, kind = ask.vm, ask.world.state.types.get(ask.vm.type)
    arm = (kind.architecture if kind else "X86") == "ARM"
    if image.status != "Available":
        yield 73
    if image.withdrawn:
        yield 42
    if image.product_code and not image.subscribed:
        yield 41
    if not image.bought:
        yield 48
    if any(m.type == "data" for m in image.mappings):
        yield 8
    if (image.architecture == "arm64") != arm:
        yield 26
    if vm.io_optimized and not image.io_optimized:
        yield 46
    if vm.type in image.not_types:
        yield 3
    if not fits_type(ask.world, image, vm.type):
        yield 47
    region = ask.world.region(vm.region)
    if vm.login_as_non_root and not image.login_as_non_root:
        yield 1
    if vm.login_as_non_root and not region.non_root_login:
        yield 36
    if image.os_type != vm.os_type and not region.os_change:
        yield 72
    if image.os_type == "windows" and not _windows_name(vm.host_name):
        yield 55


def _windows_name(name: str) -> bool:
    legal = re.fullmatch(r"[A-Za-z0-9](?:-?[A-Za-z0-9])*", name) is not None
    return not name or (legal and 2 <= len(name) <= 15 and not name.isdigit())


def _size(ask: Request, disk: Disk, image: Image) -> Iterator[int]:
    if not ask.call.get(_SIZE):
        return  # the API's own default is taken as it is, even below the present disk
    least, most = size_range(disk.category, disk.performance_level, image.size_gib)
    if not image.resizable and ask.size != image.size_gib:
        yield 4
    if ask.size > most:
        yield 82
    if ask.size < image.size_gib:
        yield 83
    if ask.size < max(least, disk.size_gib):
        yield 84


def _login(ask: Request) -> Iterator[int]:
    call, name = ask.call, ask.call.get("KeyPairName")
    windows = ask.os_type == "windows"
    if call.get("Password") and malformed_password(call.get("Password"), windows):
        yield 6
    if not name:
        return
    if windows:
        yield 51
    if not ask.vm.io_optimized:
        yield 11
    if (call.account, call.region, name) not in ask.world.state.key_pairs:
        yield 10


def _encryption(ask: Request, disk: Disk) -> Iterator[int]:
    call, region = ask.call, ask.world.region(ask.vm.region)
    encrypted = optional_flag(call.params, "Encrypted")
    if not encrypted:
        if ask.image is not None and ask.image.encrypted:
            yield 77 if encrypted is None else 33
        if region.default_encryption:
            yield 78
        return
    if not region.encrypted_replace:
        yield 27
    if algorithm := call.get("EncryptAlgorithm"):
        if not region.encrypt_algorithms:
            yield 58
        elif algorithm not in region.encrypt_algorithms:
            yield 60
    if disk.category not in _ENCRYPTABLE:
        yield 69
    if not disk.encryptable:
        yield 68
    yield from _kms(ask)


def _kms(ask: Request) -> Iterator[int]:
    account = ask.world.state.accounts[ask.call.account]
    if not account.kms_enabled:
        yield 63
    if not account.kms_authorized:
        yield 66
    if not (key_id := ask.call.get("KMSKeyId")):
        return
    key = ask.world.state.kms_keys.get(key_id)
    if key is None or (key.region, key.account) != (ask.call.region, ask.call.account):
        yield 65
        return
    if not key.enabled:
        yield 75
    if not key.makes_data_keys:
        yield 64
    if not key.symmetric:
        yield 67
    if not key.taggable:
        yield 76


def _supply(ask: Request, disk: Disk) -> Iterator[int]:
    """Stock, quota and money."""
    vm, region = ask.vm, ask.world.region(ask.vm.region)
    if (vm.zone, disk.category) in region.sold_out:
        yield 74
    if not ask.world.state.accounts[vm.account].may_buy:
        yield 30
    if ask.size > region.cluster_free_gib.get(disk.storage_cluster, ask.size):
        yield 28
    growth = ask.size - disk.size_gib
    quota = region.disk_quota_gib.get((vm.zone, disk.category))
    if quota is not None and growth > 0 and _used(ask.world, vm.zone, disk) + growth > quota:
        yield 29
    payable = ask.world.state.accounts[vm.account].sync_payment
    if vm.charge_type == "PrePaid" and growth > 0 and not payable:
        yield 79


def _used(world: World, zone: str, like: Disk) -> int:
    return sum(
        d.size_gib
        for d in world.state.disks.values()
        if (d.zone, d.category, d.account) == (zone, like.category, like.account)
    )
