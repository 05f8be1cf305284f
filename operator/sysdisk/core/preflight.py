"""Every refusal that can be known by reading is known before the machine is stopped.

Each check yields its faults; all are shown at once. What no read shows is said in the plan
(`unseen`) and, when ECS refuses for it after the stop, told with its code and advice. Which row of
the error table is foreseen how is held complete by a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sysdisk.api.status import OperationInputs
from sysdisk.core.model import Look, Subject
from sysdisk.core.preflight_fault import Fault, summary
from sysdisk.core.preflight_image import (
    encryption_faults,
    fits_by_list,
    image_faults,
    size_faults,
    system_faults,
)
from sysdisk.core.preflight_machine import (
    MANAGED_TAGS,
    account_faults,
    disk_faults,
    instance_faults,
)
from sysdisk.core.preflight_request import login_faults, request_faults, source_faults
from sysdisk.core.world import Disk, Image, Instance, Observed, Supply

__all__ = ["MANAGED_TAGS", "Fault", "faults", "needed_looks", "summary", "unseen"]


def needed_looks(
    subject: Subject,
    inputs: OperationInputs,
    image: Image | None,
    instance: Instance,
    observed: Observed,
) -> Look | None:
    """Return what a preflight has still to see; None: everything is there.

    Only what can matter here is asked for: a read that nobody needs is one too many in a fleet.
    """
    login, pair = subject.spec.login, inputs.key_pair_name
    secret = login is not None and login.password_secret_ref is not None
    source = inputs.advanced.disk_id if inputs.advanced else None
    in_doubt = image is not None and image.found and not fits_by_list(image, instance)
    look = Look(
        key_pair=pair if pair and observed.key_pair(pair) is None else None,
        secret=secret and observed.secret is None,
        default_encryption=not inputs.encrypted and observed.default_encryption is None,
        snapshot=observed.snapshot_running is None,
        transfer=observed.in_transfer is None,
        supply=bool(instance.zone_id and instance.instance_type) and observed.supply is None,
        cpu_architecture=in_doubt and observed.cpu_architecture is None,
        source_disk=source if source and not observed.source_disk_seen else None,
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
    found: list[Fault] = [*account_faults(subject, instance, observed)]
    found += instance_faults(instance, now)
    found += disk_faults(observed)
    if image is not None:
        found += image_faults(image, instance, observed)
    found += system_faults(image, instance, inputs)
    found += request_faults(subject, inputs)
    if disk is not None:
        found += encryption_faults(image, disk, inputs, observed)
        found += size_faults(subject, inputs, image, disk)
        if inputs.advanced and inputs.advanced.disk_id:
            source = inputs.advanced.disk_id
            found += source_faults(source, observed.source_disk, instance)
    found += login_faults(subject, inputs, image, observed)
    return tuple(sorted(found, key=lambda fault: fault.passing))


def unseen(
    inputs: OperationInputs,
    image: Image | None,
    instance: Instance,
    disk: Disk,
    supply: Supply | None,
) -> Iterator[str]:
    """Yield a plan's warnings of what ECS might refuse after the stop, and no read proves."""
    if inputs.encrypted:
        yield (
            "encryption: whether KMS is activated and open to ECS, and its key there, enabled and "
            "symmetric, is not looked at (another product, other permissions); if not, ECS refuses "
            "after the stop"
        )
    if image is not None and image.product_code:
        yield (
            f"marketplace image ({image.product_code}): whether it was withdrawn, or its quota is "
            "used up, no read shows; if so, ECS refuses after the stop"
        )
    if supply is not None and supply.doubts(disk.category):
        yield (
            f"ECS offers no disk of category {disk.category} for {instance.instance_type} in zone "
            f"{instance.zone_id} at the moment (DescribeAvailableResource); if it has none for "
            "this instance either, it refuses after the stop (InvalidDiskCategory."
            "ValueNotSupported or OperationDenied.DiskNoStock)"
        )
    size = inputs.size or disk.size
    if instance.charge_type == "PrePaid" and size > disk.size:
        yield (
            f"{size - disk.size} GiB more on a subscription instance are paid at "
            "once; where the account cannot, ECS refuses after the stop"
        )
