"""Values for the tests of the core: a spec, what is seen, what is recorded, with short names.

Everything is complete unless a test says otherwise: the instance is there, runs, is granted, every
look has been taken, so that a decision needs to ask nothing; the account backs nothing up by
default. Times count from `NOW`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sysdisk.api.account import Defaults
from sysdisk.api.policy import Backup
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import ErrorClass, Operation, Step, SystemDiskSpecStatus
from sysdisk.core.answers import Accepted, Failure, Refused, Unknown
from sysdisk.core.decide import decide
from sysdisk.core.model import AddFinalizer, Decision, Key, StopInstance, Subject
from sysdisk.core.orders import ORDERS
from sysdisk.core.world import (
    AccountLook,
    Disk,
    Family,
    Grant,
    Image,
    Instance,
    Lock,
    Observed,
    SecretLook,
    SecretState,
    Slot,
    Supply,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VM = "i-1"
OLD_IMAGE, NEW_IMAGE = "m-1", "m-2"
OLD_DISK, NEW_DISK = "d-1", "d-2"
REGION = "cn-test"
REQUEST = "REQ-1"
NO_BACKUP = Defaults(backup=Backup(enabled=False))


def at(seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> datetime:
    """Return the time so long after `NOW`."""
    return NOW + timedelta(seconds=seconds, minutes=minutes, hours=hours)


def spec(**fields: Any) -> SystemDiskSpecSpec:
    """Return a spec that wants `NEW_IMAGE` on `VM`; API names, None leaves a field out."""
    given = {"instanceId": VM, "imageId": NEW_IMAGE, **fields}
    return SystemDiskSpecSpec.from_api({k: v for k, v in given.items() if v is not None})


def subject(
    status: SystemDiskSpecStatus | None = None,
    *,
    generation: int = 1,
    annotations: Mapping[str, str] | None = None,
    deleting: bool = False,
    has_finalizer: bool = False,
    **fields: Any,
) -> Subject:
    """Return `web-1` of namespace `shop` with `status`, wanting `spec(**fields)`."""
    return Subject(
        key=Key("shop", "web-1"),
        uid="uid-1",
        resource_version="1",
        generation=generation,
        created_at=NOW - timedelta(days=1),
        spec=spec(**fields),
        status=status or SystemDiskSpecStatus(),
        deleting=deleting,
        has_finalizer=has_finalizer,
        annotations=annotations or {},
        defaults=NO_BACKUP,
    )


def account(**fields: Any) -> AccountLook:
    """Return an account that grants `VM`."""
    given = {"name": "default", "region_id": REGION, "grant": Grant(ids=frozenset({VM}))}
    return AccountLook(**{**given, **fields})


def vm(power: str = "Running", **fields: Any) -> Instance:
    """Return the instance, with `OLD_IMAGE`."""
    given = {"region_id": REGION, "image_id": OLD_IMAGE, "os_type": "linux", "instance_type": "t"}
    return Instance(instance_id=VM, status=power, **{**given, **fields})


def disk(disk_id: str = OLD_DISK, **fields: Any) -> Disk:
    """Return a system disk of 40 GiB in use."""
    given = {"type": "system", "status": "In_use", "size": 40, "instance_id": VM}
    return Disk(disk_id=disk_id, **{"category": "cloud_essd", **given, **fields})


def image(image_id: str = NEW_IMAGE, **fields: Any) -> Image:
    """Return an image of 20 GiB that fits."""
    given = {"size": 20, "status": "Available", "architecture": "x86_64", "os_type": "linux"}
    return Image(image_id=image_id, **{**given, **fields})


def seen(power: str = "Running", **fields: Any) -> Observed:
    """Return everything looked at, freshly; `fields` of Observed, or of the instance."""
    names = set(Observed.__dataclass_fields__)
    inside = {name: value for name, value in fields.items() if name not in names}
    given = {name: value for name, value in fields.items() if name in names}
    complete: dict[str, Any] = {
        "account": account(),
        "instance": vm(power, **inside),
        "instance_seen": True,
        "system_disks": (disk(),),
        "data_disk_ids": frozenset({"d-data"}),
        "fresh": True,
        "images": (image(OLD_IMAGE), image()),
        "family": Family("ubuntu", NEW_IMAGE),
        "secret": SecretLook(SecretState.OK, uid="s-1", resource_version="7"),
        "key_pairs": (("ops", True),),
        "default_encryption": False,
        "snapshot_running": False,
        "in_transfer": False,
        "supply": Supply(Slot("", "t")),
        "cpu_architecture": "X86",
    }
    return Observed(**{**complete, **given})


def replaced(power: str = "Stopped", **fields: Any) -> Observed:
    """Return the world after the replacement: `NEW_IMAGE` on `NEW_DISK`."""
    return seen(power, **{"image_id": NEW_IMAGE, "system_disks": (disk(NEW_DISK),), **fields})


LOCKED = (Lock("InstanceReplacing"),)
SECURITY = (Lock("security", "mining"),)


def stored(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Return `status` as it reads back from the API."""
    return SystemDiskSpecStatus.from_api(status.to_api())


def after(before: Subject, decision: Decision) -> Subject:
    """Return `before` with what `decision` records, as it reads back."""
    return replace(before, status=stored(decision.status))


def opened(
    wanting: Subject, world: Observed | None = None, now: datetime = NOW
) -> tuple[Subject, Decision]:
    """Return `wanting` with the operation that `decide` opens for it, and that decision.

    As the controller does: with the finalizer put on, and a retry used up with it.
    """
    world = world or seen()
    first = decide(wanting, world, now)
    if isinstance(first.action, AddFinalizer):
        wanting = replace(wanting, has_finalizer=True, orders_taken=True)
        first = decide(wanting, world, now)
    assert first.status.operation is not None, first
    kept = {k: v for k, v in wanting.annotations.items() if k not in ORDERS}
    return after(replace(wanting, annotations=kept, orders_taken=False), first), first


def under_way(
    step: Step = Step.STOP,
    *,
    wanting: Subject | None = None,
    world: Observed | None = None,
    **fields: Any,
) -> Subject:
    """Return a subject with an operation begun at `NOW`, in `step`, with `fields` of it."""
    begun, decision = opened(wanting or subject(), world)
    op = begun.status.operation
    assert op is not None
    stopped = isinstance(decision.action, StopInstance)
    given: dict[str, Any] = {"step": step, "step_at": NOW}
    if step is not Step.STOP and stopped:
        given |= {"tries": 0, "last_try_at": None, "outcome": None}
    if step is Step.REPLACE and stopped:
        given |= {"give_back_by": NOW + op.inputs.give_back_after}
    if step in (Step.VERIFY, Step.START, Step.FINISH):
        given |= {"new_disk_id": NEW_DISK}
    status = begun.status.replace(operation=op.replace(**{**given, **fields}))
    return replace(begun, status=stored(status))


def with_op(before: Subject, op: Operation | None) -> Subject:
    """Return `before` with its operation recorded as `op`."""
    return replace(before, status=stored(before.status.replace(operation=op)))


def operation(of: Subject | Decision) -> Operation:
    """Return the operation that is recorded in, or by, `of`; there must be one."""
    op = of.status.operation
    assert op is not None
    return op


def ready(decision: Decision) -> tuple[str, str, str]:
    """Return status, reason and message of the Ready condition that `decision` records."""
    condition = decision.status.condition("Ready")
    assert condition is not None
    return condition.status.value, condition.reason, condition.message


def error(code: str, kind: str = "user", **fields: Any) -> Failure:
    """Return an error of ECS of class `kind`."""
    given = {"message": f"{code} it is", "http_status": 403, "request_id": REQUEST}
    return Failure(
        code, error_class=ErrorClass(kind), **{**given, "advice": "Do something.", **fields}
    )


def refused(code: str = "INST_HAS_UNPAID_ORDER", kind: str = "user", **fields: Any) -> Refused:
    """Return a refusal by ECS."""
    return Refused(error(code, kind, **fields))


def unknown(code: str = "NoAnswer", **fields: Any) -> Unknown:
    """Return an answer that never came."""
    return Unknown(error(code, "retry", **{"http_status": 0, "request_id": "", **fields}))


def accepted(disk_id: str = NEW_DISK) -> Accepted:
    """Return ECS's consent."""
    return Accepted(REQUEST, disk_id)
