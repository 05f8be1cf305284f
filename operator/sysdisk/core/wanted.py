"""What a spec asks for, what differs from it, and the inputs that a replacement would have.

Two hashes: the *target* is what the machine can be held against (image, size, encryption) and is
kept in `status.settled`; the *inputs* are everything that a replacement would send, and are part
of the plan ID. No secret's value is in either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sysdisk.api.meta import ANNOTATION_REPLACE
from sysdisk.api.spec import Advanced, Login, PasswordSecretRef, SystemDiskSpecSpec
from sysdisk.api.status import (
    TRIGGERS_LIMIT,
    FrozenSecretRef,
    OperationInputs,
    ResolvedFor,
    SystemDiskSpecStatus,
)
from sysdisk.core.model import Subject
from sysdisk.core.tokens import inputs_hash, plan_id
from sysdisk.core.world import Disk, Image, Instance

TRIGGER_TEXT: Final = 120
DATA_DISKS: Final = 64
"""How many data disks the record holds: a plan ID counts no more, so that it recomputes."""

_NOT_SENT: Final = (
    "generation",
    "hash",
    "stopTimeout",
    "forceStop",
    "stoppedMode",
    "startAfter",
    "giveBackAfter",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the machine is not as declared."""

    field: str
    have: str
    want: str

    def line(self) -> str:
        return f"~ {self.field} {self.have or 'none'} -> {self.want}"


def wants_disk(spec: SystemDiskSpecSpec) -> str | None:
    """Return the disk that stands in the place of an image (`advanced.diskId`), if any."""
    return spec.advanced.disk_id if spec.advanced else None


def os_after(image: Image | None, advanced: Advanced | None) -> str:
    """Return the system after a replacement, `windows` or `linux`; empty where nothing tells.

    A disk in the place of an image is what `advanced.platform` says that it holds.
    """
    if image is not None:
        return image.os_type
    platform = (advanced.platform if advanced else None) or ""
    if platform.lower().startswith("windows"):
        return "windows"
    return "linux" if platform else ""


def target_hash(spec: SystemDiskSpecSpec, image_id: str | None) -> str:
    """Return the hash of what the machine can be held against; `image_id` is the resolved one."""
    encryption = spec.encryption.to_api() if spec.encryption else {}
    return inputs_hash(
        {"image": image_id, "disk": wants_disk(spec), "size": spec.size, "encryption": encryption}
    )


def login_hash(login: Login | None) -> str:
    """Return the hash of a declared login: names only."""
    return inputs_hash(login.to_api() if login else {})


def frozen_login(inputs: OperationInputs) -> Login:
    """Return the login that `inputs` were frozen from; a kept key pair was not declared."""
    ref = inputs.password_secret_ref
    return Login(
        password_secret_ref=PasswordSecretRef(name=ref.name, key=ref.key) if ref else None,
        password_inherit=inputs.password_inherit,
        key_pair_name=None if inputs.key_pair_kept else inputs.key_pair_name,
    )


def differences(
    spec: SystemDiskSpecSpec,
    image_id: str | None,
    instance: Instance,
    disk: Disk,
    status: SystemDiskSpecStatus,
) -> tuple[Difference, ...]:
    """Return in what the machine differs from the target. Login is not among it: it waits."""
    found: list[Difference] = []
    if image_id is not None and instance.image_id != image_id:
        found.append(Difference("imageId", instance.image_id, image_id))
    source = wants_disk(spec)
    if source is not None and not (
        status.settled and status.settled.inputs == target_hash(spec, None)
    ):
        found.append(Difference("diskId", disk.disk_id, f"a copy of {source}"))
    if spec.size is not None and spec.size != disk.size:
        found.append(Difference("size", f"{disk.size} GiB", f"{spec.size} GiB"))
    found.extend(_encryption_differences(spec, disk))
    return tuple(found)


def _encryption_differences(spec: SystemDiskSpecSpec, disk: Disk) -> Iterable[Difference]:
    asked = spec.encryption
    if asked is None or asked.enabled is None:
        return
    if asked.enabled != disk.encrypted:
        yield Difference("encrypted", str(disk.encrypted).lower(), str(asked.enabled).lower())
    elif asked.kms_key_id and asked.kms_key_id != disk.kms_key_id:
        yield Difference("kmsKeyId", disk.kms_key_id, asked.kms_key_id)


# -- triggers ---------------------------------------------------------------------------------


def _kept(value: str) -> str:
    """Return `value` as it is recorded: short and on one line, for values are joined by breaks."""
    if len(value) <= TRIGGER_TEXT and "\n" not in value:
        return value
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def trigger_values(subject: Subject) -> tuple[str, ...]:
    """Return the trigger values in force, the annotation's and the spec's, as they are recorded."""
    values = (subject.annotations.get(ANNOTATION_REPLACE), subject.spec.replace_trigger)
    return tuple(dict.fromkeys(_kept(v) for v in values if v))


def baseline(subject: Subject) -> tuple[str, ...]:
    """Return `status.triggers`, with the first observation made its baseline; "" is absence."""
    return subject.status.triggers or trigger_values(subject) or ("",)


def due_trigger(subject: Subject) -> str | None:
    """Return the trigger values that ask for a fresh disk, joined by line breaks; None: none do."""
    new = [v for v in trigger_values(subject) if v not in baseline(subject)]
    return "\n".join(new) or None


def with_trigger(subject: Subject, trigger: str | None) -> tuple[str, ...]:
    """Return `status.triggers` after `trigger` was acted upon: the last 10, those in force kept."""
    seen = list(baseline(subject))
    seen += [v for v in (trigger or "").split("\n") if v and v not in seen]
    in_force = set(trigger_values(subject))
    while len(seen) > TRIGGERS_LIMIT:
        seen.remove(next((v for v in seen if v not in in_force), seen[0]))
    return tuple(seen)


# -- the image family -------------------------------------------------------------------------


def resolved_for(subject: Subject) -> ResolvedFor:
    """Return what the family that the spec names would be resolved for now.

    An edit that asks for nothing new (suspend, power, windows) keeps the member that was taken:
    a newer image must never be the side effect of a pause. So the generation is recorded for
    people, and `inputs` decides.
    """
    return ResolvedFor(
        image_family=subject.spec.image_family or "",
        generation=subject.generation,
        trigger=due_trigger(subject),
        inputs=target_hash(subject.spec, None),
    )


def pinned_image(subject: Subject) -> str | None:
    """Return the image that the spec stands for, None where a family is still to be resolved."""
    if subject.spec.image_family is None:
        return subject.spec.image_id
    was, now = subject.status.resolved_for, resolved_for(subject)
    if was is None or (was.image_family, was.inputs) != (now.image_family, now.inputs):
        return None
    if now.trigger is not None and was.trigger != now.trigger:
        return None
    return subject.status.resolved_image_id


# -- the inputs of a replacement --------------------------------------------------------------


def effective_size(spec: SystemDiskSpecSpec, disk: Disk, image: Image | None) -> int:
    """Return the size to send, in GiB: as given, else the larger of present disk and image.

    Always sent: the API's own default can be below the present disk.
    """
    if spec.size is not None:
        return spec.size
    return max(disk.size, image.size if image else 0)


def frozen_inputs(
    subject: Subject, image: Image | None, instance: Instance, disk: Disk
) -> OperationInputs:
    """Return every input of the replacement that `subject` asks for in this world."""
    spec, login, power = subject.spec, subject.spec.login, subject.spec.power
    kept = _kept_key_pair(subject, image, instance)
    secret = login.password_secret_ref if login else None
    return OperationInputs(
        image_id=image.image_id if image else None,
        size=effective_size(spec, disk, image),
        password_secret_ref=FrozenSecretRef(name=secret.name, key=secret.key) if secret else None,
        password_inherit=login.password_inherit if login else None,
        key_pair_name=(login.key_pair_name if login else None) or kept,
        key_pair_kept=kept is not None,
        encrypted=spec.encryption.enabled if spec.encryption else None,
        kms_key_id=spec.encryption.kms_key_id if spec.encryption else None,
        security_enhancement_strategy=spec.security_enhancement_strategy,
        use_additional_service=spec.use_additional_service,
        advanced=spec.advanced,
        stop_timeout=power.stop_timeout,
        force_stop=power.force_stop,
        stopped_mode=power.stopped_mode,
        start_after=power.start_after,
        give_back_after=power.give_back_after,
        generation=subject.generation,
        hash=target_hash(spec, image.image_id if image else None),
        trigger=due_trigger(subject),
    )


def _kept_key_pair(subject: Subject, image: Image | None, instance: Instance) -> str | None:
    """Return the present key pair where no login is declared: a replacement would drop it."""
    login = subject.spec.login
    if login and (login.password_secret_ref or login.password_inherit or login.key_pair_name):
        return None
    if instance.is_windows or os_after(image, subject.spec.advanced) == "windows":
        return None
    return instance.key_pair_name or None


def sent_inputs(inputs: OperationInputs) -> dict[str, Any]:
    """Return what of `inputs` makes the replacement: without power, and Secret versions."""
    sent = {k: v for k, v in inputs.to_api().items() if k not in _NOT_SENT}
    if inputs.password_secret_ref is not None:
        ref = inputs.password_secret_ref
        sent["passwordSecretRef"] = {"name": ref.name, "key": ref.key}
    return sent


def plan_id_of(
    inputs: OperationInputs,
    *,
    instance_id: str,
    disk_id: str,
    image_id: str,
    size: int,
    data_disk_ids: Iterable[str],
) -> str:
    """Return the plan ID of `inputs` in the world that the rest identifies."""
    return plan_id(
        inputs_hash(sent_inputs(inputs)),
        instance_id=instance_id,
        disk_id=disk_id,
        image_id=image_id,
        size=size,
        data_disk_ids=sorted(data_disk_ids)[:DATA_DISKS],
    )
