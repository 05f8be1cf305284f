"""What the request has against itself: its login, and the parameters that are deprecated.

Most of this is refused at `kubectl apply`; it is held here as well, for objects that were stored
under an older schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sysdisk.api.meta import LABEL_LOGIN
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import ARCHITECTURES, Advanced
from sysdisk.api.status import OperationInputs
from sysdisk.core.model import Subject
from sysdisk.core.preflight_fault import Fault
from sysdisk.core.wanted import os_after
from sysdisk.core.world import Disk, Image, Instance, Observed, SecretLook, SecretState

_LOCAL_DISKS: Final = ("ephemeral", "local")
_OTHER_DISK: Final = "Name another disk in advanced.diskId, or use imageId."

_SECRET_WORDS: Final = {
    SecretState.MISSING: (
        "{name} does not exist in this namespace.",
        "Create it with the password under key {key}; it is looked for again by itself.",
    ),
    SecretState.KEY_MISSING: (
        "{name} has no key {key}.",
        "Add the key {key}, or correct the reference.",
    ),
    SecretState.FORBIDDEN: (
        "The operator may not read {name}.",
        "Ask an admin to grant its ServiceAccount `get` on Secrets in this namespace.",
    ),
    SecretState.UNLABELLED: (
        "{name} lacks the label that the account demands.",
        f'Label it {LABEL_LOGIN}: "true" if it is meant to be a login.',
    ),
    SecretState.NOT_TEXT: (
        "The value of {name}, key {key}, is not UTF-8 text.",
        "Store a plain password.",
    ),
    SecretState.AGAINST_RULES: (
        "The password in {name}, key {key}, breaks the rules: {rules}.",
        "Choose another password.",
    ),
}
"""What is wrong with a Secret in each state but the good one, and what to do."""


def request_faults(subject: Subject, inputs: OperationInputs) -> Iterator[Fault]:
    """Yield which parameters contradict each other."""
    login, advanced = subject.spec.login, inputs.advanced
    if login is not None and login.password_secret_ref and login.password_inherit:
        yield Fault(
            "InvalidPasswordParam.Mismatch",
            "login holds both passwordSecretRef and passwordInherit.",
            "Use one of the two.",
        )
    if inputs.kms_key_id and not inputs.encrypted:
        yield Fault(
            "InvalidEncrypted.NotMatchKmsKeyId",
            "encryption.kmsKeyId is given without encryption.enabled: true.",
            "Set encryption.enabled: true, or remove the key.",
        )
    if advanced is None:
        return
    if advanced.encrypt_algorithm and not inputs.encrypted:
        yield Fault(
            "InvalidEncrypted.NotMatchEncryptAlgorithm",
            "advanced.encryptAlgorithm is given without encryption.enabled: true.",
            "Set encryption.enabled: true, or remove the algorithm.",
        )
    if advanced.disk_id:
        yield from _by_disk_faults(subject, advanced)


def _by_disk_faults(subject: Subject, advanced: Advanced) -> Iterator[Fault]:
    if subject.spec.image_id or subject.spec.image_family:
        yield Fault(
            "InvalidParameter.Conflict",
            "Both an image and advanced.diskId are given.",
            "Use either imageId or advanced.diskId.",
        )
    if advanced.architecture not in ARCHITECTURES:
        missing, bad = "MissingParameter.Architecture", "InvalidArchitecture.Malformed"
        yield Fault(
            bad if advanced.architecture else missing,
            f"advanced.diskId needs advanced.architecture, and {advanced.architecture or 'none'} "
            "is given.",
            f"Set it to one of {', '.join(ARCHITECTURES)}; or use imageId.",
        )
    if not advanced.platform:
        yield Fault(
            "MissingParameter.Platform",
            "advanced.diskId needs advanced.platform, and none is given.",
            "Set it to the system on that disk, such as Ubuntu; or use imageId.",
        )


def source_faults(disk_id: str, source: Disk | None, instance: Instance) -> Iterator[Fault]:
    """Yield what forbids the disk that is to stand in the place of an image.

    Source: the error table alone; what its rows exactly mean is not documented.
    """
    if source is None:
        yield Fault(
            "InvalidDiskId.NotFound",
            f"advanced.diskId {disk_id} does not exist in region {instance.region_id}.",
            _OTHER_DISK,
        )
        return
    zones = {source.zone_id, instance.zone_id} - {""}
    findings = (
        (
            source.status != "Available" or source.locks,
            "InvalidDatadisk.DiskStatusViolation",
            f"is {source.status}{' and locked' if source.locks else ''}, and must be Available",
        ),
        (
            source.category.startswith(_LOCAL_DISKS) or source.category == "cloud",
            "InvalidDatadisk.DiskCategoryViolation",
            f"is of category {source.category}, which a system disk cannot be made from",
        ),
        (
            source.charge_type == "PrePaid",
            "InvalidDatadisk.ChargeTypeViolation",
            "is paid by subscription",
        ),
        (source.kms_key_id, "InvalidParameter.DiskType", "is encrypted with a KMS key"),
        (
            len(zones) > 1,
            "ResourcesNotInSameZone",
            f"is in zone {source.zone_id}, the instance in {instance.zone_id}",
        ),
    )
    for wrong, code, what in findings:
        if wrong:
            yield Fault(code, f"Disk {disk_id} (advanced.diskId) {what}.", _OTHER_DISK)


def login_faults(
    subject: Subject, inputs: OperationInputs, image: Image | None, observed: Observed
) -> Iterator[Fault]:
    """Yield why the login would not be taken; never a word of a secret value."""
    pair = inputs.key_pair_name
    if pair and observed.key_pair(pair) is False:
        kept = "the one that the instance has now; a replacement would send it again"
        yield Fault(
            "InvalidKeyPairName.NotFound",
            f"Key pair {pair}{f' ({kept})' if inputs.key_pair_kept else ''} does not exist in "
            "this region.",
            "Create it, or set login to one that does.",
        )
    login = subject.spec.login
    ref, secret = login.password_secret_ref if login else None, observed.secret
    if ref is None or secret is None:
        return
    cause = _secret_cause(f"Secret {ref.name}", ref.key, secret)
    windows = os_after(image, inputs.advanced) == "windows"
    if cause is None and secret.leading_slash and windows:
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
            ours=not bad,
        )


def _secret_cause(name: str, key: str, look: SecretLook) -> tuple[str, str] | None:
    """Return cause and advice for a Secret that cannot be used, without its value."""
    found = _SECRET_WORDS.get(look.state)
    if found is None:
        return None
    words = {"name": name, "key": key, "rules": "; ".join(look.faults)}
    return found[0].format(**words), found[1].format(**words)
