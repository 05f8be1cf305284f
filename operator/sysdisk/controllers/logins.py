"""The login Secret of a pass: its value for the one request, its look for the decision."""

from __future__ import annotations

from dataclasses import dataclass, field

from sysdisk.api.meta import LABEL_LOGIN
from sysdisk.api.spec import PasswordSecretRef
from sysdisk.core.passwords import password_faults
from sysdisk.core.world import SecretLook, SecretState
from sysdisk.kube.errors import Forbidden
from sysdisk.kube.port import Kube, SecretData


@dataclass(frozen=True, slots=True)
class Login:
    """A login Secret as it was read in this pass. Its repr hides the value."""

    look: SecretLook
    password: str | None = field(default=None, repr=False)


async def read_login(
    kube: Kube, namespace: str, ref: PasswordSecretRef, *, label_required: bool
) -> Login:
    """Return the Secret that `ref` names, judged. Read by name only; raises KubeError."""
    try:
        secret = await kube.read_secret(namespace, ref.name)
    except Forbidden:
        return Login(SecretLook(SecretState.FORBIDDEN))
    if secret is None:
        return Login(SecretLook(SecretState.MISSING))
    return judge(secret, ref.key, label_required=label_required)


def judge(secret: SecretData, key: str, *, label_required: bool) -> Login:
    """Return what `secret` is worth as a login: a look that may be shown, and the value."""

    def look(state: SecretState, *faults: str, slash: bool = False) -> SecretLook:
        return SecretLook(state, secret.uid, secret.resource_version, faults, slash)

    if label_required and secret.labels.get(LABEL_LOGIN) != "true":
        return Login(look(SecretState.UNLABELLED))
    raw = secret.data.get(key)
    if raw is None:
        return Login(look(SecretState.KEY_MISSING))
    try:
        password = raw.decode()
    except UnicodeDecodeError:
        return Login(look(SecretState.NOT_TEXT))
    if faults := password_faults(password):
        return Login(look(SecretState.AGAINST_RULES, *faults))
    return Login(look(SecretState.OK, slash=password.startswith("/")), password)
