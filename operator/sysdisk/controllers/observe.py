"""One pass's eyes: a `Look` that the decision asked for becomes an `Observed` that has the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.logins import Login, read_login
from sysdisk.controllers.recorder import Unreadable, read_subject
from sysdisk.controllers.store import Store
from sysdisk.core.model import DiskLook, Key, Look, Subject
from sysdisk.core.world import AccountLook, Claim, Instance, Observed, SecretLook, SecretState
from sysdisk.ecs.account import RegionClient
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.sights import Disks, Sight
from sysdisk.kube.port import Kube

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

    async def look(self, subject: Subject, observed: Observed, look: Look) -> Observed:
        """Return `observed` with what `look` asks for; `failure` set where ECS could not be asked."""
        if self.region is None:
            return observed
        try:
            return await self._look(subject, observed, look, self.region)
        except EcsError as exc:
            return replace(observed, failure=exc.failure.text())

    async def _look(
        self, subject: Subject, observed: Observed, look: Look, region: RegionClient
    ) -> Observed:
        inventory = region.inventory
        if look.fresh or look.disks is not DiskLook.NONE or not observed.instance_seen:
            observed = await self._instance(subject, observed, look, region)
        if look.image is not None:
            observed = replace(
                observed, images=(*observed.images, await inventory.image(look.image))
            )
        if look.family is not None:
            observed = replace(observed, family=await inventory.family(look.family))
        if look.key_pair is not None:
            there = await inventory.key_pair(look.key_pair)
            observed = replace(observed, key_pairs=(*observed.key_pairs, (look.key_pair, there)))
        if look.default_encryption:
            observed = replace(observed, default_encryption=await inventory.default_encryption())
        if look.snapshot and observed.system_disk is not None:
            running = await inventory.snapshot_running(observed.system_disk.disk_id)
            observed = replace(observed, snapshot_running=running)
        elif look.snapshot:
            observed = replace(observed, snapshot_running=False)
        if look.secret:
            observed = replace(observed, secret=await self._secret(subject))
        return observed

    async def _instance(
        self, subject: Subject, observed: Observed, look: Look, region: RegionClient
    ) -> Observed:
        op = subject.status.operation
        after = self._begun if look.fresh or observed.fresh else None
        expect = [d for d in (op.old_disk_id, op.new_disk_id) if d] if op else []
        sight = await region.inventory.look(
            subject.spec.instance_id,
            begun_after=after,
            disks=_DISKS[look.disks],
            expect=expect if look.disks is DiskLook.KNOWN else (),
        )
        seen = _with(observed, sight, fresh=after is not None)
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


def with_counts(observed: Observed, account: AccountLook, under_way: int) -> Observed:
    """Return `observed` with the account's operations as they are counted at this very moment."""
    return replace(observed, account=replace(account, under_way=under_way))
