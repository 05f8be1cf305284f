"""What the operator would decide about a manifest that is not applied: the same code, no write.

The API server checks the manifest by a dry run, which needs the right to create or update it. The
account and its Secret are read with the caller's own rights, ECS with the account's: the
observations are the operator's own, and so is `decide`. Nothing is written anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sysdisk.api.reasons import Reason
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import SystemDiskSpecStatus
from sysdisk.cli.cluster import Failed
from sysdisk.cli.manifests import Manifest
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.identity import SdkConnection
from sysdisk.controllers.observe import Eyes
from sysdisk.controllers.recorder import Unreadable, read_subject
from sysdisk.controllers.store import account_store, spec_store
from sysdisk.core.decide import decide
from sysdisk.core.model import Key, Look, Subject
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import NotYet
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.threads import Threads
from sysdisk.kube.resources import ACCOUNTS, SPECS

if TYPE_CHECKING:
    from sysdisk.kube.client import KubeClient
    from sysdisk.kube.port import Object

LOOKS_AT_MOST: Final = 12
THREADS: Final = 4
NEVER: Final = timedelta(days=365)
NEW_UID: Final = "not-applied"


async def rehearse(kube: KubeClient, manifest: Manifest) -> SystemDiskSpecStatus:
    """Return the status that the operator would record next, were `manifest` applied now.

    Raises Failed where the account cannot be used, KubeError where something may not be read or
    the API server would not take the manifest: its message names the field and the rule.
    """
    there = await kube.read(SPECS, manifest.namespace, manifest.name)
    applied = await _tried(kube, manifest, there)
    subject = _subject(manifest, applied, there)
    if subject.status.operation is not None:
        return subject.status
    specs, known = spec_store(), account_store()
    name = subject.spec.account_ref.name
    body = await kube.read(ACCOUNTS, None, name)
    if body is not None:
        known.remember(body)
    clock = Clock()
    accounts = Accounts(
        kube,
        known,
        specs,
        lambda: SdkConnection(Threads(THREADS), Scrubber()),
        clock=clock,
        resync_interval=NEVER,
    )
    try:
        async for spec in kube.list(SPECS, manifest.namespace):
            specs.remember(spec)
        return await _decide(
            subject,
            Eyes(kube, accounts, specs, clock.monotonic(), dry_run=True),
            accounts,
            clock,
        )
    finally:
        await accounts.close()


async def _tried(kube: KubeClient, manifest: Manifest, there: Object | None) -> Object:
    """Return the object as the API server would store it; it stores nothing."""
    given = manifest.body.get("metadata") or {}
    if there is None:
        body = {**manifest.body, "metadata": {**given, "namespace": manifest.namespace}}
        return await kube.try_create(SPECS, manifest.namespace, body)
    was = there["metadata"]
    metadata = {**was, **given, "namespace": manifest.namespace}
    for words in ("annotations", "labels"):
        metadata[words] = {**(was.get(words) or {}), **(given.get(words) or {})}
    body = {**manifest.body, "metadata": metadata}
    return await kube.try_replace(SPECS, manifest.namespace, manifest.name, body)


def _subject(manifest: Manifest, applied: Object, there: Object | None) -> Subject:
    """Return the object as it would be after `kubectl apply`, with the record that it has."""
    key = Key(manifest.namespace, manifest.name)
    spec = SystemDiskSpecSpec.from_api(applied["spec"])
    annotations = applied["metadata"].get("annotations") or {}
    if there is None:
        return Subject(
            key=key,
            uid=NEW_UID,
            resource_version="",
            generation=1,
            created_at=Clock().now(),
            spec=spec,
            status=SystemDiskSpecStatus(),
            annotations=annotations,
        )
    try:
        was = read_subject(key, there)
    except Unreadable as exc:
        raise Failed(f"{key}: {exc}") from None
    return replace(
        was,
        spec=spec,
        generation=was.generation + (was.spec != spec),
        annotations=annotations,
    )


async def _decide(
    subject: Subject, eyes: Eyes, accounts: Accounts, clock: Clock
) -> SystemDiskSpecStatus:
    observed = await eyes.first(subject)
    account = accounts.spec(observed.account.name) if observed.account else None
    if account is not None:
        subject = replace(subject, defaults=account.defaults, require=account.require)
    for _ in range(LOOKS_AT_MOST):
        decision = decide(subject, observed, clock.now())
        if isinstance(decision.action, Look):
            try:
                observed = await eyes.look(subject, observed, decision.action)
            except NotYet as later:
                await clock.sleep(later.seconds)
        elif decision.status.resolved_image_id != subject.status.resolved_image_id:
            subject = replace(subject, status=decision.status)
        else:
            return _without_dry_run(decision.status)
    raise Failed(f"{subject.key}: ECS does not give a whole picture of the instance")


def _without_dry_run(status: SystemDiskSpecStatus) -> SystemDiskSpecStatus:
    """Say what the operator would do: a rehearsal always has to stop short of it."""
    ready = status.condition("Ready")
    if ready is None or ready.reason != Reason.DRY_RUN or status.plan is None:
        return status
    told = ready.model_copy(
        update={
            "reason": str(Reason.PLANNED),
            "message": f"Plan {status.plan.id} would begin as soon as the manifest is applied.",
        }
    )
    others = (told if each is ready else each for each in status.conditions)
    return status.model_copy(update={"conditions": tuple(others)})
