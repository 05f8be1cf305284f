"""One pass's eyes: a `Look` that the decision asked for becomes an `Observed` with the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from sysdisk.controllers.account_health import keeps_out
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.logins import Login, read_login
from sysdisk.controllers.recorder import Unreadable, read_subject, stand_in
from sysdisk.controllers.store import Store
from sysdisk.core.answers import ErrorClass
from sysdisk.core.model import DiskLook, Key, Look, Subject
from sysdisk.core.world import (
    AccountLook,
    Claim,
    Instance,
    Observed,
    SecretLook,
    SecretState,
    Slot,
)
from sysdisk.ecs.account import RegionClient
from sysdisk.ecs.batches import together
from sysdisk.ecs.errors import EcsError, NotYet, Refusal
from sysdisk.ecs.sights import Disks, Sight
from sysdisk.kube.errors import KubeError
from sysdisk.kube.port import Kube

T = TypeVar("T")

WHOLE_SECOND: Final = timedelta(seconds=1)
"""Recorded times are cut to it."""

_DISKS: Final[Mapping[DiskLook, Disks]] = {
    DiskLook.NONE: Disks.NONE,
    DiskLook.KNOWN: Disks.KNOWN,
    DiskLook.ALL: Disks.ALL,
}


class Eyes:
    """The observations of one pass over one spec. `begun`: when the pass had read the record."""

    def __init__(
        self, kube: Kube, accounts: Accounts, specs: Store[Key], begun: float, *, dry_run: bool
    ) -> None:
        self._kube = kube
        self._accounts = accounts
        self._specs = specs
        self._begun = begun
        self._dry_run = dry_run
        self.region: RegionClient | None = None
        self.login: Login | None = None
        self._account: AccountLook | None = None

    async def first(self, subject: Subject) -> Observed:
        """Return what is known without asking ECS: the account."""
        account = await self._accounts.look(subject)
        observed = Observed(account=account, dry_run=self._dry_run)
        try:
            self.region = self._accounts.region(account.name, account.region_id)
        except ValueError as exc:
            return replace(observed, failure=str(exc))
        if self.region is None:
            return replace(
                observed, failure=account.message or f"EcsAccount {account.name} is gone"
            )
        self.region.inventory.register(subject.spec.instance_id)
        return observed

    async def account(self, subject: Subject, observed: Observed) -> Observed:
        """Return `observed` with the account as it is now: a pass can be held up anywhere."""
        self._account = await self._accounts.look(subject)
        same = observed.account == self._account
        return observed if same else replace(observed, account=self._account)

    async def still_granted(self, subject: Subject) -> bool:
        """Whether the account allows what it allowed at the decision (I7): asked before a write.

        The account is read anew: a watch that missed its change must not lead to a write.
        """
        then = self._account
        try:
            if then is not None:
                await self._accounts.recorder.read_again(then.name)
            now = await self._accounts.look(subject)
        except KubeError:
            return False
        return then is not None and (then.state, then.grant, then.suspended) == (
            now.state,
            now.grant,
            now.suspended,
        )

    async def look(self, subject: Subject, observed: Observed, look: Look) -> Observed:
        """Return `observed` with what `look` asks for; with `failure` if ECS could not be asked.

        Raises NotYet where the turn to ask is not near.
        """
        if self.region is None:
            return observed
        try:
            return await self._look(subject, observed, look, self.region)
        except NotYet:
            raise
        except EcsError as exc:
            seen = await self._failed(observed, exc.failure.text().rstrip("."))
            return replace(seen, refused=exc.failure if _for_good(exc) else None)

    async def _look(
        self, subject: Subject, observed: Observed, look: Look, region: RegionClient
    ) -> Observed:
        if look.fresh or look.disks is not DiskLook.NONE or not observed.instance_seen:
            seen = await self._instance(subject, observed, look, region)
            # What was looked up before the pass is not good enough for one that is about to act.
            observed = seen if observed.fresh or not seen.fresh else _without_lookups(seen)
        for fields in await together(self._asked(subject, observed, look, region)):
            observed = replace(observed, **fields)
        return observed

    def _asked(
        self, subject: Subject, observed: Observed, look: Look, region: RegionClient
    ) -> Iterator[Awaitable[dict[str, Any]]]:
        """Yield the questions of `look` beside the instance; each answers fields of Observed."""
        lookups, seen = region.inventory.lookups, observed
        instance, disk = observed.instance, observed.system_disk
        after = self._begun if observed.fresh else None
        if look.image is not None:
            image = lookups.image(look.image, after=after)
            yield _told("images", image, lambda found: (*seen.images, found))
        if look.family is not None:
            yield _told("family", lookups.family(look.family))
        if (pair := look.key_pair) is not None:
            there = lookups.key_pair(pair, after=after)
            yield _told("key_pairs", there, lambda known: (*seen.key_pairs, (pair, known)))
        if look.default_encryption:
            yield _told("default_encryption", lookups.default_encryption(after=after))
        if look.snapshot:
            # What is remembered of our own backup may be older than its end.
            own = op.snapshot_id if (op := subject.status.operation) else None
            running = lookups.snapshot_running(disk.disk_id, own, after=after) if disk else None
            yield _told("snapshot_running", running or _nothing(False))
        if look.transfer:
            moving = lookups.in_transfer(disk.disk_id, after=after) if disk else None
            yield _told("in_transfer", moving or _nothing(False))
        if look.supply and instance is not None:
            yield _told("supply", lookups.supply(Slot.of(instance), after=after))
        if look.cpu_architecture and instance is not None:
            yield _told("cpu_architecture", lookups.cpu_architecture(instance.instance_type))
        if look.source_disk is not None:
            yield self._source_disk(look.source_disk, region, subject.spec.instance_id, after)
        if look.backup is not None:
            yield _told("backup", lookups.snapshot(look.backup))
        if look.secret:
            yield _told("secret", self._secret(subject))

    async def _source_disk(
        self, disk_id: str, region: RegionClient, instance_id: str, after: float | None
    ) -> dict[str, Any]:
        sight = await region.inventory.look(
            instance_id, begun_after=after, disks=Disks.NONE, expect=(disk_id,)
        )
        return {"source_disk": sight.disk(disk_id), "source_disk_seen": True}

    async def _failed(self, observed: Observed, why: str) -> Observed:
        """Return `observed` with why ECS could not be asked.

        The endpoint of a region that does not exist answers nothing at all, so the account's own
        region is asked whether there is such a region.
        """
        account, observed = observed.account, replace(observed, failure=why)
        spec = self._accounts.spec(account.name) if account else None
        if account is None or spec is None or account.region_id == spec.region_id:
            return observed
        home = self._accounts.region(account.name, spec.region_id)
        try:
            regions = await home.inventory.lookups.regions() if home else frozenset()
        except EcsError:
            return observed
        return replace(observed, no_region=bool(regions) and account.region_id not in regions)

    async def _instance(
        self, subject: Subject, observed: Observed, look: Look, region: RegionClient
    ) -> Observed:
        op = subject.status.operation
        after = self._begun if look.fresh or observed.fresh else None
        expect = [d for d in (op.old_disk_id, op.new_disk_id) if d] if op else []
        kind = _DISKS[look.disks]
        named = [*expect, *look.attached] if look.disks is DiskLook.KNOWN else []
        sight = await region.inventory.look(
            subject.spec.instance_id, begun_after=after, disks=kind, expect=named
        )
        if after is None and _before_the_record(sight, subject):
            sight = await region.inventory.look(
                subject.spec.instance_id, begun_after=self._begun, disks=kind, expect=named
            )
        seen = _with(observed, sight, fresh=after is not None)
        if look.attached and seen.instance is not None:
            found = [disk for disk_id in look.attached if (disk := sight.disk(disk_id))]
            there = (d.disk_id for d in found if d.instance_id == subject.spec.instance_id)
            seen = replace(seen, data_disk_ids=frozenset(there))
        if seen.instance is None:
            return seen
        return replace(seen, claims=await self._claims(subject, seen.instance))

    async def _claims(self, subject: Subject, instance: Instance) -> tuple[Claim, ...]:
        """Return the other specs that name the instance and are granted it (I5)."""
        found: list[Claim] = []
        for key in sorted(self._specs.claims(instance.instance_id) - {subject.key}):
            body = self._specs.get(key)
            if body is None:
                continue
            try:
                rival = read_subject(key, body)
            except Unreadable:
                if not body["status"].get("operation"):
                    continue
                rival = stand_in(key, body)  # nobody knows what it is at: it is not disturbed
                found.append(Claim(rival.created_at, rival.uid, key.namespace, key.name, True))
                continue
            under_way = rival.status.operation is not None
            if rival.deleting and not under_way:
                continue
            name = rival.spec.account_ref.name
            if under_way or await self._accounts.grants(key, name, instance):
                found.append(Claim(rival.created_at, rival.uid, key.namespace, key.name, under_way))
        return tuple(found)

    async def _secret(self, subject: Subject) -> SecretLook:
        """Read the login Secret: of the operation's frozen inputs, else of the spec."""
        op, login = subject.status.operation, subject.spec.login
        ref = op.inputs.password_secret_ref if op else login.password_secret_ref if login else None
        if ref is None:
            return SecretLook(SecretState.MISSING)
        self.login = await read_login(
            self._kube,
            subject.key.namespace,
            ref,
            label_required=subject.require.login_secret_label,
        )
        return self.login.look


async def _told(
    field: str, ask: Awaitable[T], put: Callable[[T], object] = lambda found: found
) -> dict[str, Any]:
    """Return the answer of `ask`, under the name of the field of Observed that it is for."""
    return {field: put(await ask)}


async def _nothing(value: T) -> T:
    return value


def _before_the_record(sight: Sight, subject: Subject) -> bool:
    """Whether what is remembered may be older than what is recorded: somebody else saw it since.

    Two processes with different memories would else write over each other for ever.
    """
    recorded = subject.status.observed_at
    return recorded is not None and sight.seen_at < recorded + WHOLE_SECOND


def _with(observed: Observed, sight: Sight, *, fresh: bool) -> Observed:
    return replace(
        observed,
        instance=sight.instance,
        instance_seen=True,
        system_disks=sight.system_disks,
        data_disk_ids=sight.data_disk_ids,
        fresh=fresh,
        seen_at=sight.seen_at,
    )


def _for_good(error: EcsError) -> bool:
    """Whether ECS refused this very read, for a reason that only a person can put right."""
    failure = error.failure
    return (
        isinstance(error, Refusal)
        and failure.error_class is ErrorClass.USER
        and failure.known
        and not keeps_out(failure.code)
    )


def _without_lookups(observed: Observed) -> Observed:
    """Return `observed` without what ECS told beside instance and disks, but for the family."""
    return replace(
        observed,
        images=(),
        key_pairs=(),
        default_encryption=None,
        snapshot_running=None,
        in_transfer=None,
        supply=None,
        source_disk=None,
        source_disk_seen=False,
    )


def with_counts(observed: Observed, account: AccountLook, under_way: int) -> Observed:
    """Return `observed` with the account's operations as they are counted at this very moment."""
    if account.under_way == under_way:
        return observed
    return replace(observed, account=replace(account, under_way=under_way))
