"""The EcsAccounts in use: what each grants, whether it works, and the way to ECS through it.

An account's own pass looks at its credentials and says in `Ready` whether they work. What a spec's
pass sees of an account is an `AccountLook`, made anew each time from the store: a revoked grant
holds from the next write on (I7).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sysdisk.api import meta
from sysdisk.api.account import Brake, EcsAccountSpec, EcsAccountStatus
from sysdisk.api.policy import Approval
from sysdisk.api.reasons import AccountReason
from sysdisk.controllers import account_health
from sysdisk.controllers.account_health import (
    NOT_CHECKED_FOR,
    NOT_ENFORCED,
    UNCHECKED,
    Health,
    of_brake,
)
from sysdisk.controllers.account_recorder import AccountRecorder
from sysdisk.controllers.account_records import AccountRecord, AccountRecords, first_sights
from sysdisk.controllers.counting import counts
from sysdisk.controllers.enforcement import Enforcement
from sysdisk.controllers.grants import allows, grant_for
from sysdisk.controllers.identity import Connection
from sysdisk.controllers.store import AccountKey, Store
from sysdisk.core.answers import ErrorClass, Failure
from sysdisk.core.model import Key, Subject
from sysdisk.core.orders import is_set
from sysdisk.core.world import AccountLook, AccountState, Grant, Instance
from sysdisk.ecs.account import EcsAccountClient, RegionClient
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import CredentialsError, EcsError, NoAnswer, Throttled
from sysdisk.kube.errors import Conflict, KubeError, NotThere
from sysdisk.kube.events import Involved
from sysdisk.kube.port import Kube
from sysdisk.kube.resources import ACCOUNTS, NAMESPACES

log = logging.getLogger(__name__)

CHECK_EVERY: Final = timedelta(minutes=5)
CHECK_AGAIN: Final = timedelta(seconds=15)
LABELS_FOR: Final = 30.0
"""Seconds that a namespace's labels are believed."""


@dataclass(slots=True)
class Account:
    """One account as this process works with it."""

    name: str
    spec: EcsAccountSpec
    connection: Connection
    client: EcsAccountClient
    way: tuple[str, str] = ("", "")
    """The endpoint that the client's transports were made for, and its region."""
    connected: bool = False
    """Whether the connection has taken credentials and endpoint from the spec: until then a way to
    ECS would lead to the vendor's own endpoint, and stay so."""
    health: Health = UNCHECKED
    checked: float | None = None
    told: float | None = None
    """The check whose finding was last written to status."""
    doubted: bool = False
    """ECS did not answer a spec's pass: check it again before long."""
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def close(self) -> None:
        """Give it up, for good."""
        await self.client.close()
        self.connection.close()


class Accounts:
    """Every account that is named, by name. `connect` makes a connection without credentials."""

    def __init__(
        self,
        kube: Kube,
        store: Store[AccountKey],
        specs: Store[Key],
        connect: Callable[[], Connection],
        *,
        clock: Clock,
        resync_interval: timedelta,
        secret_namespaces: tuple[str, ...] | None = None,
        on_request: Callable[[str, str], None] = lambda _action, _code: None,
        on_change: Callable[[str, str], None] = lambda _account, _instance: None,
        on_health: Callable[[Involved, Health], None] = lambda _account, _health: None,
        wake: Callable[[AccountKey], None] = lambda _key: None,
        wake_specs: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._kube = kube
        self._store = store
        self._records = AccountRecords(store)
        self.recorder = AccountRecorder(kube, store, self._records, clock)
        self._specs = specs
        self._connect = connect
        self._clock = clock
        self._resync = resync_interval.total_seconds()
        self._secret_namespaces = secret_namespaces
        self._on_request = on_request
        self._on_change = on_change
        self._on_health = on_health
        self._wake = wake
        self._wake_specs = wake_specs
        self._known: dict[str, Account] = {}
        self._labels: dict[str, tuple[float, Mapping[str, str] | None]] = {}
        self._opening: defaultdict[str, set[Key]] = defaultdict(set)
        self._enforcement = Enforcement(kube, clock)

    @property
    def all(self) -> Mapping[str, Account]:
        """The accounts in use."""
        return self._known

    async def close(self) -> None:
        for account in self._known.values():
            await account.close()
        self._known.clear()

    # -- what a spec's pass sees ---------------------------------------------------------------

    async def look(self, subject: Subject) -> AccountLook:
        """Return the account of `subject` as it is now: that of its operation, if there is one."""
        op = subject.status.operation
        name = op.account if op else subject.spec.account_ref.name
        account = await self._open(name)
        if account is None:
            return AccountLook(name, AccountState.MISSING)
        namespace, spec = subject.key.namespace, account.spec
        allowed = allows(
            spec.allowed_namespaces, namespace, await self._namespace_labels(account, namespace)
        )
        if account.checked is None:
            await self.check(name)
        record = self._records.get(name)
        status = record.status if record else EcsAccountStatus()
        deleting = record is None or "deletionTimestamp" in record.metadata
        state = AccountState.OK if account.health.ready else AccountState.NOT_READY
        region = op.region_id if op else subject.spec.region_id or spec.region_id
        return AccountLook(
            name=name,
            state=state if allowed else AccountState.NOT_GRANTED,
            message=account.health.message,
            region_id=region,
            grant=grant_for(spec, namespace) if allowed else Grant(),
            allow_managed=spec.allow_managed,
            allow_advanced=spec.allow_advanced,
            suspended=spec.suspend or deleting or _suspended(record),
            approval_enforced=await self._enforced(spec),
            under_way=self.under_way(name, subject.key),
            concurrent_replacements=spec.limits.concurrent_replacements,
            failures_in_a_row=status.brake.failures if status.brake else 0,
            stop_after_failures=spec.limits.stop_after_failures,
            first_sights=first_sights(status, self._clock.now()),
            first_sight_per_hour=spec.limits.first_sight_per_hour,
        )

    async def _enforced(self, spec: EcsAccountSpec) -> bool:
        """Whether approvals are enforced, where the account requires them; else nobody asks."""
        return spec.require.approval is not Approval.MANUAL or await self._enforcement.holds()

    def spec(self, name: str) -> EcsAccountSpec | None:
        """Return the spec of an account that was looked at, None if there is none."""
        account = self._known.get(name)
        return account.spec if account else None

    def under_way(self, name: str, but: Key) -> int:
        """Return how many operations of the account are under way or about to be, without `but`."""
        return len((self._specs.operating(name) | self._opening[name]) - {but})

    def reserve(self, name: str, key: Key) -> None:
        """Count `key` as under way from now on, until its operation is recorded or `free`d."""
        self._opening[name].add(key)

    def free(self, key: Key) -> None:
        for opening in self._opening.values():
            opening.discard(key)

    def region(self, name: str, region_id: str) -> RegionClient | None:
        """Return the way to a region, None where there is none yet. Raises ValueError."""
        account = self._known.get(name)
        return account.client.region(region_id) if account and account.connected else None

    async def grants(self, key: Key, account_name: str, instance: Instance) -> bool:
        """Whether the account lets `key` reach `instance`: else its claim does not count."""
        account = await self._open(account_name)
        if account is None:
            return False
        labels = await self._namespace_labels(account, key.namespace)
        return allows(account.spec.allowed_namespaces, key.namespace, labels) and grant_for(
            account.spec, key.namespace
        ).covers(instance)

    async def _namespace_labels(self, account: Account, namespace: str) -> Mapping[str, str] | None:
        if account.spec.allowed_namespaces.selector is None:
            return None
        now = self._clock.monotonic()
        known = self._labels.get(namespace)
        if known is None or now - known[0] > LABELS_FOR:
            body = await self._kube.read(NAMESPACES, None, namespace)
            labels = (body or {}).get("metadata", {}).get("labels", {}) if body else None
            self._labels[namespace] = known = (now, labels)
        return known[1]

    # -- opening and checking ------------------------------------------------------------------

    async def _open(self, name: str) -> Account | None:
        """Return the account with its present spec; one that is gone stays while it is in use."""
        record = self._records.get(name)
        account = self._known.get(name)
        if record is None:
            if account is not None and not self._specs.operating(name):
                self._known.pop(name)
                await account.close()
                return None
            return account
        spec = record.spec
        if spec is None:
            return account
        if account is None:
            connection = self._connect()
            client = EcsAccountClient(
                connection.transport,
                spec.limits,
                clock=self._clock,
                resync_interval=self._resync,
                on_request=self._on_request,
                on_change=lambda _region, instance_id: self._on_change(name, instance_id),
            )
            account = Account(name, spec, connection, client, _way(spec))
            self._known[name] = account
        elif account.spec != spec:
            account.client.configure(spec.limits)
            if account.way != _way(spec):
                account.connected = False
                await account.client.close()
                account.way = _way(spec)
            if (
                account.spec.credentials != spec.credentials
                or account.spec.endpoint != spec.endpoint
                or account.spec.region_id != spec.region_id
            ):
                account.checked = None
        account.spec = spec
        return account

    async def check(self, name: str, *, at_least_after: float | None = None) -> None:
        """Look whether the account works; its health is then known. Concurrent callers share it."""
        account = self._known.get(name)
        if account is None:
            return
        async with account.checking:
            if account.checked is not None and (
                at_least_after is None or account.checked > at_least_after
            ):
                return
            was = account.health
            account.health = await self._examine(account)
            account.checked = self._clock.monotonic()
            account.doubted = False
        if was.ready != account.health.ready:
            log.info(
                "account checked",
                extra={"account": name, "reason": account.health.reason},
            )

    async def _examine(self, account: Account) -> Health:
        try:
            await account.connection.use(account.spec, await self._secret(account))
            account.connected = True
            health = await _identified(account.connection)
            await _look_at_region(account.client.region(account.spec.region_id))
        except ValueError as exc:
            return Health(AccountReason.UNREACHABLE, f"The endpoint cannot be used: {exc}.")
        except (EcsError, KubeError) as exc:
            return account_health.of_failure(exc, account.spec)
        return health

    async def _secret(self, account: Account) -> Mapping[str, bytes] | None:
        ref = account.spec.credentials.secret_ref
        if ref is None:
            return None
        allowed = self._secret_namespaces
        if allowed is not None and ref.namespace not in allowed:
            raise _refused(
                f"the operator reads account Secrets in namespace {', '.join(allowed)} only"
            )
        secret = await self._kube.read_secret(ref.namespace, ref.name)
        if secret is None:
            why = f"Secret {ref.namespace}/{ref.name} does not exist"
            account.connection.lose(why)
            raise _refused(why)
        return secret.data

    def doubt(self, name: str) -> None:
        """Have an account checked again before long: ECS did not answer through it."""
        if name in self._known:
            self._known[name].doubted = True
            self._wake(AccountKey(name))

    # -- the account's own pass ----------------------------------------------------------------

    async def account_pass(self, name: str) -> timedelta | None:
        """Check the account, write its status, hold or drop its finalizer. None: it is gone."""
        begun = self._clock.monotonic()
        account = await self._open(name)
        await self.recorder.catch_up(name)
        record = self._records.get(name)
        if account is None or record is None:
            return None
        was = account.health
        contradicted = _contradicted(account, record.status)
        sure = account.health.ready and not account.doubted and not contradicted
        rest = CHECK_EVERY * 0.9 if sure else CHECK_AGAIN / 2
        if account.checked is None or begun - account.checked > rest.total_seconds():
            await self.check(name, at_least_after=begun)
        elif contradicted:
            return CHECK_AGAIN / 2
        await self._write_status(account, record)
        if await self.recorder.resume(name):
            self._wake_specs(name)
        if not self._specs.operating(name) and not self._opening[name]:
            await self._let_go(name)
        if account.health.ready != was.ready:
            self._wake_specs(name)
        return CHECK_EVERY if account.health.ready else CHECK_AGAIN

    async def _let_go(self, name: str) -> None:
        try:
            await self.recorder.let_go(name)
        except (Conflict, NotThere):
            self._wake(AccountKey(name))

    async def _write_status(self, account: Account, record: AccountRecord) -> None:
        now = self._clock.now()
        before, generation = record.status, record.metadata.get("generation")
        failures = before.brake.failures if before.brake else 0
        held = of_brake(account.name, failures, account.spec.limits.stop_after_failures)
        shown = account.health
        if shown.ready and held is not None:
            shown = held
        if shown.ready and not await self._enforced(account.spec):
            shown = NOT_ENFORCED
        shown = account_health.remarked(_as_told(account, before, shown), account.spec)
        annotations = record.metadata.get("annotations", {})
        suspended = account_health.suspended_by(account.spec, annotations)
        after = before.replace(
            observed_generation=generation,
            conditions=(
                account_health.condition(
                    before, account_health.suspended(shown, suspended), generation, now
                ),
            ),
            identity=account.health.identity or before.identity,
            brake=_dated(before.brake, held is not None, now),
        )
        flipped = _flipped(before, shown)
        counted = counts(self._specs, account.name)
        was = before.counts
        due = was is None or was.at is None or now - was.at >= CHECK_EVERY
        if due and (was is None or was.replace(at=None) != counted):
            after = after.replace(counts=counted.replace(at=now))
        await self.recorder.patch(record, after)
        account.told = account.checked
        if flipped:
            uid = record.metadata.get("uid", "")
            self._on_health(Involved(ACCOUNTS, None, account.name, uid), shown)


def _way(spec: EcsAccountSpec) -> tuple[str, str]:
    return (spec.endpoint, spec.region_id) if spec.endpoint else ("", "")


async def _identified(connection: Connection) -> Health:
    """Return the health of an account by what STS says; ECS works where STS keeps silent, too."""
    try:
        return account_health.of_identity(await connection.identify())
    except (NoAnswer, Throttled) as exc:
        return account_health.unidentified(exc)


async def _look_at_region(region: RegionClient) -> None:
    """Ask the region for something cheap; a missing permission for just that is no fault."""
    try:
        await region.knock()
    except (NoAnswer, CredentialsError):
        raise
    except EcsError as exc:
        if account_health.keeps_out(exc.failure.code):
            raise


def _refused(why: str) -> CredentialsError:
    return CredentialsError(Failure("InvalidCredentials", why, ErrorClass.USER))


def _suspended(record: AccountRecord | None) -> bool:
    annotations = record.metadata.get("annotations", {}) if record else {}
    return is_set(annotations, meta.ANNOTATION_SUSPEND)


def _contradicted(account: Account, status: EcsAccountStatus) -> bool:
    """Whether another process wrote something else since ours told what its check found.

    It may know better: a check comes before another write, or the two would write by turns.
    """
    ready = status.condition("Ready")
    return (
        account.told is not None
        and account.told == account.checked
        and ready is not None
        and ready.reason not in {account.health.reason, *NOT_CHECKED_FOR}
    )


def _dated(brake: Brake | None, pulled: bool, now: datetime) -> Brake | None:
    """Return `brake` with since when it holds, if it does."""
    if brake is None or pulled == (brake.pulled_at is not None):
        return brake
    return brake.replace(pulled_at=now if pulled else None)


def _as_told(account: Account, status: EcsAccountStatus, health: Health) -> Health:
    """Return `health` in the words that status has for it, if our check was told before.

    Another process that came to the same finding says it with another request ID. Each would
    write its own over the other's.
    """
    ready = status.condition("Ready")
    if ready is None or account.told is None or account.told != account.checked:
        return health
    if ready.reason != health.reason:
        return health
    return replace(health, message=account_health.unsuspended(ready.message))


def _flipped(before: EcsAccountStatus, health: Health) -> bool:
    """Whether `health` is to be told: it was well and is not, or the other way round.

    `before` is what was recorded, so it is told once, whoever finds it and however often.
    """
    was = before.condition("Ready")
    if was is None:
        return not health.ready
    return (was.status == "True") is not health.ready
