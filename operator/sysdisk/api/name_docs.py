"""`docs/annotations.md`: every name that we put on objects, or read from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from sysdisk.api import meta

SPEC: Final = meta.KIND
ACCOUNT: Final = meta.ACCOUNT_KIND

ANNOTATIONS: Final[dict[str, tuple[str, str, str]]] = {
    meta.ANNOTATION_PROTECT: (
        SPEC,
        "people",
        "No replacement, whatever the spec says. Every value but `false` and the empty one counts.",
    ),
    meta.ANNOTATION_SUSPEND: (
        f"{SPEC}, {ACCOUNT}",
        "people, `sysdisk suspend` and `sysdisk resume`",
        "Nothing new begins; what is under way is brought to a safe end. Every value but `false` "
        "and the empty one counts. On an account it holds for all specs that name it.",
    ),
    meta.ANNOTATION_REPLACE: (
        SPEC,
        "people",
        "A new text asks for a fresh disk, like `spec.replaceTrigger`.",
    ),
    meta.ANNOTATION_APPROVE: (
        SPEC,
        "`sysdisk approve`",
        "The ID of the plan that is approved. The operator takes it off when the plan begins, or "
        "when it has lapsed.",
    ),
    meta.ANNOTATION_APPROVED_BY: (
        SPEC,
        "`sysdisk approve`",
        "Who approved it; kept in `status.history`. The chart's admission policy holds it to the "
        "user who writes it.",
    ),
    meta.ANNOTATION_RETRY: (
        SPEC,
        "`sysdisk retry`",
        "The ID of a spent or resting plan that is to be tried once more. The operator takes it "
        "off when the plan begins.",
    ),
    meta.ANNOTATION_RESUME: (
        ACCOUNT,
        "`sysdisk resume --account`",
        "A time: failures in a row are counted anew, which releases the brake. The operator takes "
        "it off then.",
    ),
}
"""Annotation to the kinds that it is read on, who sets it, and what it does."""

LABELS: Final[dict[str, tuple[str, str, str]]] = {
    meta.LABEL_LOGIN: (
        "Secret",
        "people",
        "`true` lets it be used as a login where the account demands that "
        "(`require.loginSecretLabel`).",
    ),
    meta.LABEL_SANDBOX: (
        "what a sandbox made",
        "`sysdisk sandbox`",
        "What carries it is removed when the sandbox ends.",
    ),
}

FINALIZERS: Final[dict[str, tuple[str, str]]] = {
    meta.FINALIZER: (
        SPEC,
        "From just before an operation's first step until it is finished: a deletion waits for its "
        "safe end. `sysdisk release NAME` takes it off in an emergency.",
    ),
    meta.ACCOUNT_FINALIZER: (
        ACCOUNT,
        "While an operation uses the account: its machines must get back what was taken.",
    ),
}

TAGS: Final[dict[str, str]] = {
    f"{meta.GROUP}/spec": "Namespace and name of the spec that had the snapshot made.",
    f"{meta.GROUP}/plan": "The plan that it was made for.",
    f"{meta.GROUP}/begun": "When that operation began.",
}
"""Tags of the snapshots that we have ECS make."""

_HEAD: Final = """# Annotations, labels, finalizers

<!-- Made by `make generate` from operator/sysdisk/api/name_docs.py. -->

These names are public: manifests and scripts may rely on them. The operator writes no
annotation but to take an order off, and keeps nothing of its own in them; GitOps tools leave them
alone.
"""


def render() -> str:
    """Return the page."""
    parts = [_HEAD]
    for title, names in (("Annotations", ANNOTATIONS), ("Labels", LABELS)):
        parts.append(
            f"\n## {title}\n\n| name | on | set by | meaning |\n| --- | --- | --- | --- |\n"
        )
        for name, (kind, by, means) in names.items():
            parts.append(f"| `{name}` | {kind} | {by} | {means} |\n")
    parts.append("\n## Finalizers\n\n| name | on | meaning |\n| --- | --- | --- |\n")
    for name, (kind, means) in FINALIZERS.items():
        parts.append(f"| `{name}` | {kind} | {means} |\n")
    parts.append("\n## Tags of backup snapshots, in ECS\n\n| tag | meaning |\n| --- | --- |\n")
    for name, means in TAGS.items():
        parts.append(f"| `{name}` | {means} |\n")
    parts.append(
        "\n## The admission policy\n\n"
        f"`{meta.APPROVAL_POLICY}` is the name of the ValidatingAdmissionPolicy and of its binding "
        "that say who may approve. An account that requires approvals looks for it.\n"
    )
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
