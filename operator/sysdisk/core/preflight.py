"""Every refusal that can be known by reading is known before the machine is stopped.

Each check returns its faults; all are shown at once. `code` is the ECS code that the call would
have been refused with, where there is one: what people search for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sysdisk.api.meta import LABEL_LOGIN
from sysdisk.api.reasons import Reason
from sysdisk.api.status import OperationInputs
from sysdisk.core.model import Look, Subject
from sysdisk.core.sizes import size_range
from sysdisk.core.world import Disk, Image, Instance, Observed, Power, SecretLook, SecretState

MANAGED_TAGS: Final = (
    "ack.aliyun.com",
    "ack.alibabacloud.com/nodepool-id",
    "acs:autoscaling:scalingGroupId",
)
"""Tag keys that ACK node pools and scaling groups put on their instances."""

_ESSD: Final = frozenset({"cloud_essd", "cloud_auto", "cloud_essd_entry"})
_WINDOWS_HOST: Final = re.compile(r"(?!-)(?!\d+$)(?!.*--)[A-Za-z0-9-]{2,15}(?<!-)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason not to begin. `passing`: it ends by itself, nobody has to act."""

    code: str
    cause: str
    advice: str
    reason: Reason = Reason.PREFLIGHT_FAILED
    passing: bool = False

    def text(self) -> str:
        return f"{self.code}: {self.cause} {self.advice}".strip()


def needed_looks(subject: Subject, image_id: str | None, observed: Observed) -> Look | None:
    """Return what a preflight has still to see; None: everything is there."""
    login = subject.spec.login
    pair = login.key_pair_name if login else None
    secret = bool(login and login.password_secret_ref)
    look = Look(
        image=image_id if image_id and observed.image(image_id) is None else None,
        key_pair=pair if pair and observed.key_pair(pair) is None else None,
        secret=secret and observed.secret is None,
        default_encryption=observed.default_encryption is None,
        snapshot=observed.snapshot_running is None,
    )
    return None if look == Look() else look


def faults(
    subject: Subject,
    inputs: OperationInputs,
    image: Image | None,
    instance: Instance,
    observed: Observed,
    now: datetime,
) -> tuple[Fault, ...]:
    """Return every reason not to begin the replacement with `inputs`, the permanent ones first."""
    disk = observed.system_disk
    found: list[Fault] = [*_account_faults(subject, instance, observed)]
    found += _instance_faults(instance, now)
    found += _disk_faults(observed)
    if image is not None:
        found += _image_faults(image, instance)
        found += _kind_faults(image, instance, inputs)
        found += _encryption_faults(image, disk, inputs, observed)
    if disk is not None:
        found += _size_faults(subject, inputs, image, disk)
    found += _login_faults(subject, image, observed)
    return tuple(sorted(found, key=lambda fault: fault.passing))


def _account_faults(subject: Subject, instance: Instance, observed: Observed) -> Iterator[Fault]:
    account = observed.account
    if account is None:
        return
    managed = [key for key, _ in instance.tags if key in MANAGED_TAGS]
    if managed and not account.allow_managed:
        yield Fault(
            "InstanceManaged",
            f"The instance belongs to an ACK node pool or a scaling group (tag {managed[0]}), "
            "which may replace or release it at any time.",
            "Change the image in the node pool or scaling configuration, or ask an admin for "
            f"allowManaged: true in EcsAccount {account.name}.",
            Reason.INSTANCE_MANAGED,
        )
    if subject.spec.advanced is not None and not account.allow_advanced:
        yield Fault(
            "AdvancedNotAllowed",
            "spec.advanced holds parameters that are deprecated or not public.",
            f"Remove it, or ask an admin for allowAdvanced: true in EcsAccount {account.name}.",
        )


def _instance_faults(instance: Instance, now: datetime) -> Iterator[Fault]:
    if instance.locks:
        named = ", ".join(sorted(lock.reason for lock in instance.locks))
        yield Fault(
            "OperationLocked",
            f"ECS has locked the instance ({named}); a machine stopped now might not start again.",
            "Resolve the lock in the ECS console (security event, renewal or payment); "
            "work begins when it is gone.",
            Reason.OPERATION_LOCKED,
        )
    if instance.power is Power.UNKNOWN:
        yield Fault(
            "InstanceStatusUnknown",
            f"The instance is in a state that this version does not know ({instance.status}).",
            "Nothing is touched. Look at the instance in the console; a newer sysdisk may know it.",
            Reason.INSTANCE_NOT_UNDERSTOOD,
        )
    elif instance.power not in (Power.RUNNING, Power.STOPPED):
        yield Fault(
            "IncorrectInstanceStatus",
            f"The instance is {instance.status}.",
            "Waiting until it is Running or Stopped.",
            Reason.INSTANCE_BUSY,
            passing=True,
        )
    if instance.expired_time is not None and instance.expired_time <= now:
        yield Fault(
            "InstanceExpiredOrInArrears",
            f"The instance expired at {instance.expired_time:%Y-%m-%dT%H:%M:%SZ}.",
            "Renew it, then it is taken up again.",
        )
    if instance.hibernation:
        yield Fault(
            "HibernationConfigured.InstanceOperationForbidden",
            "Hibernation is enabled on the instance, which forbids replacing its disk.",
            "Turn hibernation off, or rebuild the instance.",
        )


def _disk_faults(observed: Observed) -> Iterator[Fault]:
    disk = observed.system_disk
    if disk is None:
        count = len(observed.system_disks or ())
        yield Fault(
            "InvalidInstance.NotFoundSystemDisk",
            f"The instance shows {count} system disks instead of one.",
            "Attach or rebuild its system disk outside the operator.",
        )
        return
    if disk.status != "In_use":
        yield Fault(
            "IncorrectDiskStatus",
            f"System disk {disk.disk_id} is {disk.status}.",
            "Waiting until it is In_use.",
            Reason.INSTANCE_BUSY,
            passing=True,
        )
    if disk.locks:
        named = ", ".join(sorted(lock.reason for lock in disk.locks))
        yield Fault(
            "OperationLocked",
            f"ECS has locked system disk {disk.disk_id} ({named}).",
            "Resolve the lock in the ECS console; work begins when it is gone.",
            Reason.OPERATION_LOCKED,
        )
    if disk.multi_attach in ("Enabled", "LegacyShared"):
        yield Fault(
            "InvalidOperation.MultiAttachDisk",
            f"System disk {disk.disk_id} has multi-attach enabled.",
            "Disable it first.",
        )
    if disk.storage_cluster_id:
        yield Fault(
            "DISK_IN_DEDICATED_BLOCK_STORAGE_CLUSTER",
            f"System disk {disk.disk_id} lives in a dedicated block storage cluster.",
            "Move the disk, or exclude the instance.",
        )
    if observed.snapshot_running:
        yield Fault(
            "DiskCreatingSnapshot",
            f"A snapshot of system disk {disk.disk_id} is still being made.",
            "Waiting until it is done.",
            Reason.INSTANCE_BUSY,
            passing=True,
        )


def _image_faults(image: Image, instance: Instance) -> Iterator[Fault]:
    name = image.image_id
    if not image.found:
        yield Fault(
            "InvalidImageId.NotFound",
            f"Image {name} is not known in region {instance.region_id or 'of the account'}.",
            "Correct imageId, or share or copy the image to this account and region.",
            Reason.IMAGE_NOT_FOUND,
        )
        return
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
    if image.has_data_snapshots:
        yield Fault(
            "OperationDenied",
            f"Image {name} contains the snapshot of a data disk.",
            "Use an image of a system disk only.",
        )
    if image.instance_types is not None and instance.instance_type not in image.instance_types:
        yield Fault(
            "InvalidParameter.Conflict",
            f"Image {name} ({image.architecture or 'unknown architecture'}) does not fit "
            f"instance type {instance.instance_type}.",
            "Choose an image for this instance type, or change the type first.",
        )
    if instance.io_optimized and not image.io_optimized:
        yield Fault(
            "IoOptimized.NotSupported",
            f"Image {name} does not support I/O optimized instances.",
            "Choose another image.",
        )
    if image.product_code and not image.is_subscribed:
        yield Fault(
            "ImageNotSubscribed",
            f"Image {name} is a marketplace image that this account has not subscribed to.",
            "Subscribe to it first, or use another image.",
        )
    if instance.login_as_non_root and image.login_as_non_root is False:
        yield Fault(
            "LoginAsNonRoot.ImageNotSupport",
            f"The instance logs in as non-root, which image {name} does not support.",
            "Pick an image that does, or turn the option off on the instance.",
        )


def _kind_faults(image: Image, instance: Instance, inputs: OperationInputs) -> Iterator[Fault]:
    if not image.is_windows:
        if inputs.key_pair_name and not instance.io_optimized:
            yield Fault(
                "DependencyViolation.IoOptimize",
                "Key pairs need an I/O optimized instance.",
                "Remove login.keyPairName, or change the instance.",
            )
        return
    if inputs.key_pair_name:
        yield Fault(
            "DependencyViolation.WindowsInstance",
            f"Image {image.image_id} is Windows, which cannot be logged in to with a key pair.",
            "Use login.passwordSecretRef instead of login.keyPairName.",
        )
    if instance.host_name and not _WINDOWS_HOST.fullmatch(instance.host_name):
        yield Fault(
            "InvalidHostname.MismatchImage",
            f"Host name {instance.host_name} is not legal for Windows (2 to 15 letters, digits "
            "and hyphens, not only digits).",
            "Rename the instance first (ModifyInstanceAttribute).",
        )


def _encryption_faults(
    image: Image, disk: Disk | None, inputs: OperationInputs, observed: Observed
) -> Iterator[Fault]:
    if inputs.encrypted:
        if disk is not None and disk.category and disk.category not in _ESSD:
            yield Fault(
                "NotSupportSnapshotEncrypted.DiskCategory",
                f"A disk of category {disk.category} cannot be an encrypted system disk.",
                "Drop encryption, or change the category first (ModifyDiskSpec).",
            )
        return
    if image.encrypted:
        yield Fault(
            "InvalidEncrypted.NotMatchSnapshot",
            f"Image {image.image_id} comes from an encrypted snapshot.",
            "Set encryption.enabled: true.",
        )
    if observed.default_encryption:
        yield Fault(
            "InvalidEncrypted.NotMatchDiskDefaultEncryption",
            "The account enforces encryption of new disks in this region.",
            "Set encryption.enabled: true.",
        )


def _size_faults(
    subject: Subject, inputs: OperationInputs, image: Image | None, disk: Disk
) -> Iterator[Fault]:
    size = inputs.size or 0
    least, most = size_range(disk.category, disk.performance_level)
    kind = f"{disk.category} {disk.performance_level}".strip()
    if subject.spec.size is not None and size < disk.size:
        yield Fault(
            "InvalidSystemDiskSize.LessThanMinSize",
            f"size {size} GiB is below the present system disk of {disk.size} GiB; "
            "a system disk cannot shrink.",
            f"Set size to {disk.size} or more, or leave it out.",
        )
    if image is not None and size < image.size:
        yield Fault(
            "InvalidSystemDiskSize.LessThanImageSize",
            f"size {size} GiB is below image {image.image_id} of {image.size} GiB.",
            f"Set size to {image.size} or more, or leave it out.",
        )
    if size < least:
        yield Fault(
            "InvalidSystemDiskSize.LessThanMinSize",
            f"size {size} GiB is below the least of category {kind}, {least} GiB.",
            f"Set size to {least} or more.",
        )
    if size > most:
        yield Fault(
            "InvalidSystemDiskSize.MoreThanMaxSize",
            f"size {size} GiB is above the most of category {kind}, {most} GiB.",
            f"Set size to {most} or less.",
        )


def _login_faults(subject: Subject, image: Image | None, observed: Observed) -> Iterator[Fault]:
    login = subject.spec.login
    if login is None:
        return
    if login.key_pair_name and observed.key_pair(login.key_pair_name) is False:
        yield Fault(
            "InvalidKeyPairName.NotFound",
            f"Key pair {login.key_pair_name} does not exist in this region.",
            "Create it, or correct login.keyPairName.",
        )
    ref, secret = login.password_secret_ref, observed.secret
    if ref is not None and secret is not None:
        cause = _secret_cause(f"Secret {ref.name}", ref.key, secret)
        if cause is None and secret.leading_slash and image is not None and image.is_windows:
            cause = (
                f"The password in Secret {ref.name}, key {ref.key}, begins with a slash, "
                "which Windows does not take.",
                "Choose another password.",
            )
        if cause is not None:
            bad = secret.state in (SecretState.AGAINST_RULES, SecretState.NOT_TEXT, SecretState.OK)
            yield Fault(
                "InvalidPassword.Malformed" if bad else f"Secret{secret.state}",
                *cause,
                Reason.SECRET_NOT_USABLE,
            )


def _secret_cause(name: str, key: str, look: SecretLook) -> tuple[str, str] | None:
    """Return cause and advice for a Secret that cannot be used, without its value."""
    match look.state:
        case SecretState.OK:
            return None
        case SecretState.MISSING:
            return f"{name} does not exist in this namespace.", (
                f"Create it with the password under key {key}; it is looked for again by itself."
            )
        case SecretState.KEY_MISSING:
            return f"{name} has no key {key}.", f"Add the key {key}, or correct the reference."
        case SecretState.FORBIDDEN:
            return f"The operator may not read {name}.", (
                "Ask an admin to grant its ServiceAccount `get` on Secrets in this namespace."
            )
        case SecretState.UNLABELLED:
            return f"{name} lacks the label that the account demands.", (
                f'Label it {LABEL_LOGIN}: "true" if it is meant to be a login.'
            )
        case SecretState.NOT_TEXT:
            return f"The value of {name}, key {key}, is not UTF-8 text.", "Store a plain password."
        case SecretState.AGAINST_RULES:
            return (
                f"The password in {name}, key {key}, breaks the rules: {'; '.join(look.faults)}.",
                ("Choose another password."),
            )


def summary(found: Iterable[Fault]) -> tuple[Reason, str]:
    """Return the one reason and the one message for `found`, which is not empty."""
    listed = list(found)
    standing = [fault for fault in listed if not fault.passing] or listed
    reasons = {fault.reason for fault in standing}
    reason = reasons.pop() if len(reasons) == 1 else Reason.PREFLIGHT_FAILED
    if len(standing) == 1:
        return reason, standing[0].text()
    lines = " ".join(f"({n}) {fault.text()}" for n, fault in enumerate(standing, 1))
    return reason, f"{len(standing)} things stand in the way. {lines}"
