"""What is written on an EcsAccount: status, counts, finalizer; each under the version it rests on.

Many passes write on one account, and so may other processes: a Conflict is read anew and tried
again here, where what is written depends on the account alone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from sysdisk.api import meta
from sysdisk.api.account import EcsAccountStatus, Limits
from sysdisk.controllers.account_records import (
    AccountRecord,
    AccountRecords,
    first_sights,
    no_failures,
    one_more_failure,
    one_more_first_sight,
)
from sysdisk.controllers.recorder import merge_patch
from sysdisk.controllers.store import AccountKey, Store
from sysdisk.core.ending import FAILED_RESULTS
from sysdisk.ecs.clock import Clock
from sysdisk.kube.errors import Conflict, NotThere
from sysdisk.kube.port import Kube
from sysdisk.kube.resources import ACCOUNTS

WRITE_TRIES: Final = 5

Change = Callable[[EcsAccountStatus, datetime], EcsAccountStatus]
"""From the status of an account, at a time, to the one to write."""


class AccountRecorder:
    """Writes on EcsAccounts, and keeps the store in step with the answers."""

    def __init__(
        self, kube: Kube, store: Store[AccountKey], records: AccountRecords, clock: Clock
    ) -> None:
        self._kube = kube
        self._store = store
        self._records = records
        self._clock = clock
        self._uncounted: defaultdict[str, deque[Change]] = defaultdict(deque)

    async def patch(self, record: AccountRecord, after: EcsAccountStatus) -> None:
        """Write `after` over the status of `record` if it differs. Raises KubeError."""
        if after == record.status:
            return
        patch = merge_patch(record.status.to_api(), after.to_api())
        metadata = record.metadata
        answer = await self._kube.patch_status(
            ACCOUNTS,
            None,
            metadata["name"],
            resource_version=metadata["resourceVersion"],
            uid=metadata.get("uid"),
            status=patch,
        )
        self._store.remember(answer)

    async def change(self, name: str, change: Change) -> None:
        """Write `change` of the status as it is now. Raises KubeError."""

        async def write(record: AccountRecord) -> None:
            await self.patch(record, change(record.status, self._clock.now()))

        try:
            await self._insist(name, write)
        except NotThere:
            self._store.forget(AccountKey(name))

    async def count_first_sight(self, name: str) -> bool:
        """Count a spec without a record that is about to begin; return whether one more may.

        Asked and counted in one write: passes side by side, and other processes, share the hour.
        """
        record = self._records.get(name)
        limits = record.spec.limits if record is not None and record.spec is not None else Limits()
        may = True

        def one_more(status: EcsAccountStatus, now: datetime) -> EcsAccountStatus:
            nonlocal may
            may = first_sights(status, now) < limits.first_sight_per_hour
            return one_more_first_sight(status, now) if may else status

        await self.change(name, one_more)
        return may

    async def count_result(self, name: str, result: str, replaced: bool) -> None:
        """Count the end of an operation for the brake: failures in a row, a success ends them.

        Raises KubeError: then it is still to be counted, by `catch_up`.
        """
        if result in FAILED_RESULTS:
            self._uncounted[name].append(one_more_failure)
        elif replaced:
            self._uncounted[name].append(no_failures)
        await self.catch_up(name)

    async def catch_up(self, name: str) -> None:
        """Count the ends that are still to be counted, in their order. Raises KubeError."""
        results = self._uncounted.pop(name, deque())
        try:
            while results:
                await self.change(name, results[0])
                results.popleft()
        finally:
            if results:
                self._uncounted[name].extendleft(reversed(results))

    async def resume(self, name: str) -> bool:
        """Count failures anew where a person ordered it; then take the order off.

        In this sequence: whoever ends in between does it twice, which changes nothing. Returns
        whether it was ordered.
        """
        record = self._records.get(name)
        if record is None or meta.ANNOTATION_RESUME not in record.metadata.get("annotations", {}):
            return False
        await self.change(name, no_failures)
        answer = await self._kube.patch_metadata(
            ACCOUNTS,
            None,
            name,
            uid=record.metadata["uid"],
            resource_version=None,
            annotations={meta.ANNOTATION_RESUME: None},
        )
        self._store.remember(answer)
        return True

    async def hold(self, name: str) -> None:
        """Put our finalizer on the account: an operation is about to use it. Raises KubeError.

        Conflict where it is gone unseen: what was decided rests on an account that is not there.
        """
        try:
            await self._set_finalizer(name, True)
        except NotThere as exc:
            self._store.forget(AccountKey(name))
            raise Conflict(f"EcsAccount {name} is gone", code=409) from exc

    async def let_go(self, name: str) -> None:
        """Take our finalizer off. Raises Conflict, NotThere."""
        await self._set_finalizer(name, False)

    async def _set_finalizer(self, name: str, present: bool) -> None:
        async def write(record: AccountRecord) -> None:
            there = list(record.metadata.get("finalizers", ()))
            if (meta.ACCOUNT_FINALIZER in there) == present:
                return
            others = [finalizer for finalizer in there if finalizer != meta.ACCOUNT_FINALIZER]
            answer = await self._kube.patch_metadata(
                ACCOUNTS,
                None,
                name,
                uid=record.metadata["uid"],
                resource_version=record.metadata["resourceVersion"],
                finalizers=[*others, meta.ACCOUNT_FINALIZER] if present else others,
            )
            after = answer.get("metadata", {})
            if after.get("deletionTimestamp") and not after.get("finalizers"):
                self._store.forget(AccountKey(name), after.get("resourceVersion"))
            else:
                self._store.remember(answer)

        await self._insist(name, write)

    async def _insist(self, name: str, write: Callable[[AccountRecord], Awaitable[None]]) -> None:
        """Do `write` on the newest record; where somebody else wrote first, read it and do again.

        Raises Conflict after the last try, and what `write` raises.
        """
        for attempt in range(WRITE_TRIES):
            record = self._records.get(name)
            if record is None:
                return
            try:
                await write(record)
                return
            except Conflict:
                if attempt == WRITE_TRIES - 1:
                    raise
                await self.read_again(name)

    async def read_again(self, name: str) -> None:
        """Take in the account as the API server has it now. Raises KubeError."""
        fresh = await self._kube.read(ACCOUNTS, None, name)
        if fresh is None:
            self._store.forget(AccountKey(name))
        else:
            self._store.remember(fresh)
