"""Names that other programs depend on: group, kinds, annotations, finalizers, labels.

Everything here is public API: manifests, dashboards and scripts hold these texts.
"""

from typing import Final

GROUP: Final = "sysdisk.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "sysdisk"

KIND: Final = "SystemDiskSpec"
PLURAL: Final = "systemdiskspecs"
SINGULAR: Final = "systemdiskspec"
SHORT_NAME: Final = "sds"

ACCOUNT_KIND: Final = "EcsAccount"
ACCOUNT_PLURAL: Final = "ecsaccounts"
ACCOUNT_SINGULAR: Final = "ecsaccount"
ACCOUNT_SHORT_NAME: Final = "ecsa"
DEFAULT_ACCOUNT: Final = "default"

FINALIZER: Final = f"{GROUP}/operation"
"""On a SystemDiskSpec from just before an operation's intent until it is finished."""

ACCOUNT_FINALIZER: Final = f"{GROUP}/in-use"
"""On an EcsAccount while an operation uses it."""

ANNOTATION_PROTECT: Final = f"{GROUP}/protect"
"""`"true"`: no replacement, whatever the spec says."""

ANNOTATION_SUSPEND: Final = f"{GROUP}/suspend"
"""`"true"`: nothing new begins; what is under way is brought to a safe end."""

ANNOTATION_REPLACE: Final = f"{GROUP}/replace"
"""A new text asks for a fresh disk, like `spec.replaceTrigger`."""

ANNOTATION_APPROVE: Final = f"{GROUP}/approve"
"""The ID of the plan that is approved."""

ANNOTATION_APPROVED_BY: Final = f"{GROUP}/approved-by"
"""Who approved it; kept in the history."""

ANNOTATION_RETRY: Final = f"{GROUP}/retry"
"""The ID of a spent plan that may be tried once more."""

ANNOTATION_RESUME: Final = f"{GROUP}/resume"
"""On an EcsAccount, a time: failures in a row are counted anew; the operator removes it then."""

LABEL_LOGIN: Final = f"{GROUP}/login"
"""`"true"` on a Secret that may be used as a login, where the account demands it."""

LABEL_SANDBOX: Final = f"{GROUP}/sandbox"
"""`"true"` on what a sandbox made, and removes."""

APPROVAL_POLICY: Final = f"approve.{GROUP}"
"""The ValidatingAdmissionPolicy, and its binding, that say who may approve."""
