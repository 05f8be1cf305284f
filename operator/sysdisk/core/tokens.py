"""Names that are computed once and then only read: plan IDs and client tokens.

Both are hashes over what a replacement is about, never over when or by whom it is decided: a
second operator, a restart and a spec recreated by GitOps arrive at the same ones (I1).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any, Final

PLAN_VERSION: Final = "p1"
TOKEN_VERSION: Final = "sd1"  # noqa: S105 - part of a name, not a secret
SNAPSHOT_TOKEN_VERSION: Final = "sb1"  # noqa: S105 - part of a name, not a secret


def _digest(value: Any, length: int) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def inputs_hash(wanted: dict[str, Any]) -> str:
    """Return the hash of wanted inputs, a JSON object without any secret's value: 16 hex digits."""
    return _digest(wanted, 16)


def plan_id(
    inputs: str,
    *,
    instance_id: str,
    disk_id: str,
    image_id: str,
    size: int,
    data_disk_ids: Collection[str],
) -> str:
    """Return the ID of the plan that brings this disk to these inputs: `p1-` and 16 hex digits.

    `inputs` is the hash of the wanted inputs; the rest identifies the world that the plan was
    made for. Power state and locks are left out: they change by themselves.
    """
    world = [inputs, instance_id, disk_id, image_id, size, sorted(data_disk_ids)]
    return f"{PLAN_VERSION}-{_digest(world, 16)}"


def client_token(instance_id: str, old_disk_id: str, plan: str, attempt: int) -> str:
    """Return the ClientToken of one attempt: ASCII, at most 64 characters.

    Source: ECS ReplaceSystemDisk, ClientToken. ECS gives a replaced disk a new ID, so a token
    made from the old one names one replacement only.
    """
    return f"{TOKEN_VERSION}-{_digest([instance_id, old_disk_id, plan, attempt], 48)}"


def snapshot_token(instance_id: str, disk_id: str, plan: str, begun: str) -> str:
    """Return the ClientToken of an operation's first CreateSnapshot.

    Source: ECS CreateSnapshot, ClientToken. When the operation began is part of it: a backup of
    last week must not be the answer to today's request.
    """
    return f"{SNAPSHOT_TOKEN_VERSION}-{_digest([instance_id, disk_id, plan, begun], 48)}"


def next_snapshot_token(token: str) -> str:
    """Return the token after `token`, for a snapshot that was refused or failed for certain."""
    return f"{SNAPSHOT_TOKEN_VERSION}-{_digest(token, 48)}"
