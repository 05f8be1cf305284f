"""What the image has against a replacement: itself, with this instance, this disk, this size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sysdisk.api.reasons import Reason
from sysdisk.api.status import OperationInputs
from sysdisk.core.model import Subject
from sysdisk.core.preflight_fault import Fault
from sysdisk.core.sizes import size_range
from sysdisk.core.wanted import os_after
from sysdisk.core.world import Disk, Image, Instance, Observed

_ESSD: Final = frozenset({"cloud_essd", "cloud_auto", "cloud_essd_entry"})
_CPU: Final = {"i386": "X86", "x86_64": "X86", "arm64": "ARM"}
"""Image Architecture to the CpuArchitecture that runs it. Source: DescribeInstanceTypes."""

_NO_FIT: Final = ("InvalidParameter.Conflict", "ImageNotSupportInstanceType")
_ANY_SIZE: Final = ("InvalidSystemDiskSize.ValueNotSupported", "InvalidSystemDiskSize")
_WINDOWS_HOST: Final = re.compile(r"(?!-)(?!\d+$)(?!.*--)[A-Za-z0-9-]{2,15}(?<!-)")


def fits_by_list(image: Image, instance: Instance) -> bool | None:
    """Return whether the image's list of types holds the instance's; None: ECS gave no list."""
    if image.instance_types is None:
        return None
    return instance.instance_type in image.instance_types


def image_faults(image: Image, instance: Instance, observed: Observed) -> Iterator[Fault]:
    """Yield what forbids this image, for any size and login."""
    name = image.image_id
    if not image.found:
        yield Fault(
            "InvalidImageId.NotFound",
            f"Image {name} is not known in region {instance.region_id or 'of the account'}.",
            "Correct imageId, or share or copy the image to this account and region.",
            Reason.IMAGE_NOT_FOUND,
        )
        return
    yield from _state_faults(image)
    yield from _fit_faults(image, instance, observed)
    if image.has_data_snapshots:
        yield Fault(
            "OperationDenied",
            f"Image {name} contains the snapshot of a data disk.",
            "Use an image of a system disk only.",
        )
    if instance.io_optimized and not image.io_optimized:
        yield Fault(
            "IoOptimized.NotSupported",
            f"Image {name} does not support I/O optimized instances.",
            "Choose another image.",
        )
    if instance.login_as_non_root and image.login_as_non_root is False:
        yield Fault(
            "LoginAsNonRoot.ImageNotSupport",
            f"The instance logs in as non-root, which image {name} does not support.",
            "Pick an image that does, or turn the option off on the instance.",
        )


def _state_faults(image: Image) -> Iterator[Fault]:
    """Yield why the image cannot be used at all, at the moment or by this account."""
    name, market = image.image_id, bool(image.product_code)
    if image.status in ("Creating", "Waiting"):
        yield Fault(
            "OperationDenied.ImageNotValid",
            f"Image {name} is still being made ({image.status}).",
            "Waiting until it is Available.",
            Reason.INSTANCE_BUSY,
            passing=True,
        )
    elif image.status != "Available":
        yield Fault(
            "OperationDenied.ImageNotValid",
            f"Image {name} is {image.status or 'in no known state'}.",
            "Choose an image that is Available.",
        )
    elif image.usable is False:
        yield Fault(
            "ImageRemovedInMarket" if market else "OperationDenied.ImageNotValid",
            f"Image {name} cannot be used, says ECS (Usable: false).",
            "Choose another image; one that is based on a withdrawn marketplace product must be "
            "rebuilt from another base.",
        )
    if market and not image.is_subscribed:
        yield Fault(
            "ImageNotSubscribed",
            f"Image {name} is a marketplace image that this account has not subscribed to.",
            "Subscribe to it first, or use another image.",
            also=("QuotaExceed.BuyImage",),
        )


def _fit_faults(image: Image, instance: Instance, observed: Observed) -> Iterator[Fault]:
    """Yield why the image does not run on the instance's type."""
    wants, has = _CPU.get(image.architecture), observed.cpu_architecture
    if wants and has and wants != has:
        yield Fault(
            "InvalidInstanceType.NotSupported",
            f"Image {image.image_id} is for {image.architecture}, and instance type "
            f"{instance.instance_type} is {has}.",
            "Choose an image of the instance's architecture.",
            also=_NO_FIT,
        )
    elif fits_by_list(image, instance) is False:
        yield Fault(
            _NO_FIT[0],
            f"Image {image.image_id} ({image.architecture or 'unknown architecture'}) does not fit "
            f"instance type {instance.instance_type}.",
            "Choose an image for this instance type, or change the type first.",
            also=_NO_FIT[1:],
        )


def system_faults(
    image: Image | None, instance: Instance, inputs: OperationInputs
) -> Iterator[Fault]:
    """Yield what the new operating system, of an image or a disk, does not go together with."""
    if os_after(image, inputs.advanced) != "windows":
        if inputs.key_pair_name and not instance.io_optimized:
            yield Fault(
                "DependencyViolation.IoOptimize",
                "Key pairs need an I/O optimized instance.",
                "Remove login.keyPairName, or change the instance.",
            )
        return
    if inputs.key_pair_name:
        new = f"Image {image.image_id}" if image else "The system on that disk (advanced.platform)"
        yield Fault(
            "DependencyViolation.WindowsInstance",
            f"{new} is Windows, which cannot be logged in to with a key pair.",
            "Use login.passwordSecretRef instead of login.keyPairName.",
        )
    if image and instance.host_name and not _WINDOWS_HOST.fullmatch(instance.host_name):
        yield Fault(
            "InvalidHostname.MismatchImage",
            f"Host name {instance.host_name} is not legal for Windows (2 to 15 letters, digits "
            "and hyphens, not only digits).",
            "Rename the instance first (ModifyInstanceAttribute).",
        )


def encryption_faults(
    image: Image | None, disk: Disk, inputs: OperationInputs, observed: Observed
) -> Iterator[Fault]:
    """Yield why the new disk must be encrypted, or cannot be."""
    if inputs.encrypted:
        if disk.category and disk.category not in _ESSD:
            yield Fault(
                "NotSupportSnapshotEncrypted.DiskCategory",
                f"A disk of category {disk.category} cannot be an encrypted system disk.",
                "Drop encryption, or change the category first (ModifyDiskSpec).",
            )
        return
    if image is not None and image.encrypted:
        absent, refused = "InvalidEncrypted.NotMatchSnapshot", "InvalidParameter.Encrypted"
        yield Fault(
            absent if inputs.encrypted is None else refused,
            f"Image {image.image_id} comes from an encrypted snapshot.",
            "Set encryption.enabled: true.",
            also=(refused if inputs.encrypted is None else absent,),
        )
    if observed.default_encryption:
        yield Fault(
            "InvalidEncrypted.NotMatchDiskDefaultEncryption",
            "The account enforces encryption of new disks in this region.",
            "Set encryption.enabled: true.",
        )


def size_faults(
    subject: Subject, inputs: OperationInputs, image: Image | None, disk: Disk
) -> Iterator[Fault]:
    """Yield which limits the size breaks: present disk, image, category."""
    size = inputs.size or disk.size
    least, most = size_range(disk.category, disk.performance_level)
    kind = f"{disk.category} {disk.performance_level}".strip()
    if subject.spec.size is not None and size < disk.size:
        yield Fault(
            "InvalidSystemDiskSize.LessThanMinSize",
            f"size {size} GiB is below the present system disk of {disk.size} GiB; "
            "a system disk cannot shrink.",
            f"Set size to {disk.size} or more, or leave it out.",
            also=_ANY_SIZE,
        )
    if image is not None and size < image.size:
        yield Fault(
            "InvalidSystemDiskSize.LessThanImageSize",
            f"size {size} GiB is below image {image.image_id} of {image.size} GiB.",
            f"Set size to {image.size} or more, or leave it out.",
            also=_ANY_SIZE,
        )
    if size < least:
        yield Fault(
            "InvalidSystemDiskSize.LessThanMinSize",
            f"size {size} GiB is below the least of category {kind}, {least} GiB.",
            f"Set size to {least} or more.",
            also=_ANY_SIZE,
        )
    if size > most:
        yield Fault(
            "InvalidSystemDiskSize.MoreThanMaxSize",
            f"size {size} GiB is above the most of category {kind}, {most} GiB.",
            f"Set size to {most} or less.",
            also=_ANY_SIZE,
        )
