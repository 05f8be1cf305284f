"""EcsAccounts as the watch last showed them, each parsed once per version; and counts in status.

Every pass of every spec asks for its account, which hardly ever changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pydantic

from sysdisk.api.account import Brake, EcsAccountSpec, EcsAccountStatus, FirstSight
from sysdisk.controllers.store import AccountKey, Slim, Store

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """One version of an account. `spec` is None where it does not parse. Never to be changed."""

    uid: str
    version: str
    body: Slim
    spec: EcsAccountSpec | None
    status: EcsAccountStatus

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self.body["metadata"]
        return metadata


class AccountRecords:
    """The records of a store of accounts, by name."""

    def __init__(self, store: Store[AccountKey]) -> None:
        self._store = store
        self._parsed: dict[str, AccountRecord] = {}

    def get(self, name: str) -> AccountRecord | None:
        """Return the newest version that is known, None if there is none."""
        key = AccountKey(name)
        version = self._store.version(key)
        if version is None:
            self._parsed.pop(name, None)
            return None
        known = self._parsed.get(name)
        if known is not None and (known.uid, known.version) == version:
            return known
        body = self._store.get(key)
        assert body is not None
        same = known is not None and known.body["spec"] == body["spec"]
        spec = known.spec if known is not None and same else _spec(body)
        record = AccountRecord(*version, body, spec, _status(body))
        self._parsed[name] = record
        return record


def _spec(body: Slim) -> EcsAccountSpec | None:
    try:
        return EcsAccountSpec.from_api(body["spec"])
    except pydantic.ValidationError:
        return None


def _status(body: Slim) -> EcsAccountStatus:
    try:
        return EcsAccountStatus.from_api(body.get("status"))
    except pydantic.ValidationError:
        return EcsAccountStatus()


def first_sights(status: EcsAccountStatus, now: datetime) -> int:
    """Return how many specs without a record have begun in the hour that `now` is in."""
    seen = status.first_sight
    return 0 if seen is None or now - seen.hour >= HOUR else seen.begun


def one_more_first_sight(status: EcsAccountStatus, now: datetime) -> EcsAccountStatus:
    """Return `status` with one more spec without a record begun in the present hour."""
    begun, seen = first_sights(status, now), status.first_sight
    hour = seen.hour if seen is not None and begun else now
    return status.replace(first_sight=FirstSight(hour=hour, begun=begun + 1))


def one_more_failure(status: EcsAccountStatus, now: datetime) -> EcsAccountStatus:
    """Return `status` with one more failure in a row."""
    brake = status.brake or Brake()
    return status.replace(brake=brake.replace(failures=brake.failures + 1))


def no_failures(status: EcsAccountStatus, now: datetime) -> EcsAccountStatus:
    """Return `status` without failures in a row."""
    return status if status.brake is None else status.replace(brake=None)
