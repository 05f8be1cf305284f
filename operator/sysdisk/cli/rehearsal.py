"""What the operator would decide about a manifest that is not applied: the same code, no write.

The API server checks the manifest by a dry run, which needs the right to create or update it. The
account and its Secret are read with the caller's own rights, ECS with the account's: the
observations are the operator's own, and so is `decide`. Other owners of the instance are looked for
in every namespace, or where that is forbidden in the manifest's own. Nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sysdisk.api.durations import format_time
from sysdisk.api.reasons import Reason
from sysdisk.api.spec import SystemDiskSpecSpec
from sysdisk.api.status import SystemDiskSpecStatus
from sysdisk.cli.cluster import Failed
from sysdisk.cli.manifests import Manifest
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.identity import SdkConnection
from sysdisk.controllers.observe import Eyes
from sysdisk.controllers.recorder import Unreadable, read_subject
from sysdisk.controllers.store import AccountKey, Store, account_store, spec_store
from sysdisk.core.decide import decide
from sysdisk.core.model import Key, Look, Subject
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import NotYet
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.threads import Threads
from sysdisk.kube.errors import Forbidden, KubeError
from sysdisk.kube.resources import ACCOUNTS, SPECS

if TYPE_CHECKING:
    from sysdisk.kube.client import KubeClient
    from sysdisk.kube.port import Object

LOOKS_AT_MOST: Final = 12
THREADS: Final = 4
NEVER: Final = timedelta(days=365)
NEW_UID: Final = "not-applied"
RIGHTS: Final = (
    "`plan -f` works with your own rights: create and update of systemdiskspecs (for a dry run), "
    "list of them in all namespaces, get of the EcsAccount and of the Secret that it names. Ask an "
    "admin for them or for the plan, or apply the manifest with `approval: Manual` and read "
    "`sysdisk plan NAME`: nothing begins before it is approved."
)


@asynccontextmanager
async def rehearsing(kube: KubeClient) -> AsyncIterator[Rehearsal]:
    """Yield what tries manifests, one after the other as if each had been applied."""
    specs, known, clock = spec_store(), account_store(), Clock()
    accounts = Accounts(
        kube,
        known,
        specs,
        lambda: SdkConnection(Threads(THREADS), Scrubber()),
        clock=clock,
        resync_interval=NEVER,
    )
    try:
        yield Rehearsal(kube, accounts, specs, known, clock)
    finally:
        await accounts.close()


class Rehearsal:
    """The cluster as it is, and as the manifests tried so far would make it."""

    def __init__(
        self,
        kube: KubeClient,
        accounts: Accounts,
        specs: Store[Key],
        known: Store[AccountKey],
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._accounts = accounts
        self._specs = specs
        self._known = known
        self._clock = clock
        self._listed: set[str | None] = set()
        self.whole = True
        """Whether other owners of the instances were looked for in every namespace."""

    async def of(self, manifest: Manifest) -> SystemDiskSpecStatus:
        """Return the status that the operator would record next, were `manifest` applied now.

        Raises Failed where the account cannot be used, something may not be read, or the API
        server would not take the manifest: its message names the object, the field and the rule.
        """
        try:
            return await self._of(manifest)
        except Forbidden as exc:
            # Not for a 401, nor where an admission policy or a webhook "denied" it.
            by_role = exc.code == HTTPStatus.FORBIDDEN and "denied" not in str(exc)
            raise Failed(f"{manifest}: {exc}" + (f"\n{RIGHTS}" if by_role else "")) from None
        except KubeError as exc:
            raise Failed(f"{manifest}: {exc}") from None

    async def _of(self, manifest: Manifest) -> SystemDiskSpecStatus:
        there = await self._kube.read(SPECS, manifest.namespace, manifest.name)
        applied = await _tried(self._kube, manifest, there)
        subject = _subject(manifest, applied, there)
        if subject.status.operation is not None:
            return subject.status
        await self._list_owners(manifest.namespace)
        await self._read_accounts(subject)
        try:
            return await _decide(
                subject,
                Eyes(
                    self._kube,
                    self._accounts,
                    self._specs,
                    self._clock.monotonic(),
                    dry_run=True,
                ),
                self._accounts,
                self._clock,
            )
        finally:
            self._specs.remember(_as_applied(applied, subject))

    async def _list_owners(self, namespace: str) -> None:
        """Take in every spec there is: an instance may be owned from any namespace."""
        if None in self._listed or namespace in self._listed:
            return
        if self.whole:
            try:
                await self._list(None)
            except Forbidden:
                self.whole = False
        if not self.whole:
            await self._list(namespace)

    async def _list(self, namespace: str | None) -> None:
        async for spec in self._kube.list(SPECS, namespace):
            self._specs.remember(spec)
        self._listed.add(namespace)

    async def _read_accounts(self, subject: Subject) -> None:
        """Take in the accounts of the spec and of its rivals, and see that its keys can be read."""
        own = subject.spec.account_ref.name
        body = await self._account(own)
        ref = ((body or {}).get("spec") or {}).get("credentials", {}).get("secretRef")
        if ref:  # else a refusal would read as if the account were at fault
            await self._kube.read_secret(ref["namespace"], ref["name"])
        for rival in self._specs.claims(subject.spec.instance_id) - {subject.key}:
            facts = self._specs.facts(rival)
            try:
                await self._account(facts.account if facts else own)
            except Forbidden:
                self.whole = False

    async def _account(self, name: str) -> Object | None:
        key = AccountKey(name)
        if key not in self._known:
            body = await self._kube.read(ACCOUNTS, None, name)
            if body is not None:
                self._known.remember(body)
        return self._known.get(key)


def _as_applied(applied: Object, subject: Subject) -> Object:
    """Return what is remembered of a manifest that was tried: it counts for those after it.

    Without resourceVersion: a dry run answers with that of the object as it is now.
    """
    metadata = {
        **applied["metadata"],
        "uid": subject.uid,
        "creationTimestamp": format_time(subject.created_at),
        "resourceVersion": "",
    }
    return {**applied, "metadata": metadata}


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
