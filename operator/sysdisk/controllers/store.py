"""What is known of our objects, in memory: slim copies, found by key, by instance and by account.

The watch fills it, and so does every answer to a write of our own. It is a cache and nothing more:
a pass may read from it, but what it then writes is fenced by the resourceVersion that it read.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sysdisk.api import meta
from sysdisk.core.model import Key

Body = Mapping[str, Any]
Slim = dict[str, Any]

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
)
_TOMBSTONES = 4096


@dataclass(frozen=True, slots=True, order=True)
class AccountKey:
    """Which EcsAccount."""

    name: str

    def __str__(self) -> str:
        return f"account/{self.name}"


AnyKey = Key | AccountKey
"""What a worker can be given to do; a spec or an account."""

K = TypeVar("K", bound=Key | AccountKey)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is counted and looked up without opening a record."""

    instance_id: str = ""
    account: str = ""
    operates_through: str = ""
    """The account of the operation under way, empty at rest."""
    phase: str = ""
    drifted: bool = False
    awaiting_approval: bool = False
    locks: tuple[str, ...] = ()
    concerns_specs: int = 0
    """Hash of what an account means to its specs; 0 for a spec."""


@dataclass(frozen=True, slots=True)
class _Record:
    uid: str
    version: str
    content: int
    """Hash of everything but the resourceVersion."""
    facts: Facts
    packed: bytes


def slim(body: Body) -> Slim:
    """Return the parts of an object that a pass reads: no managedFields, no foreign annotations."""
    metadata = body.get("metadata") or {}
    kept: Slim = {name: metadata[name] for name in _METADATA if metadata.get(name) is not None}
    prefix = f"{meta.GROUP}/"
    ours = {
        name: text
        for name, text in (metadata.get("annotations") or {}).items()
        if name.startswith(prefix)
    }
    if ours:
        kept["annotations"] = ours
    return {
        "metadata": kept,
        "spec": body.get("spec") or {},
        "status": body.get("status") or {},
    }


def spec_key(body: Body) -> Key:
    metadata = body.get("metadata") or {}
    return Key(metadata.get("namespace") or "", metadata.get("name") or "")


def account_key(body: Body) -> AccountKey:
    return AccountKey((body.get("metadata") or {}).get("name") or "")


def spec_facts(body: Slim) -> Facts:
    """Return the facts of a SystemDiskSpec; a strange shape counts as absent, it never raises."""
    spec, status = body["spec"], body["status"]
    conditions = {
        condition.get("type"): condition.get("status")
        for condition in status.get("conditions") or ()
    }
    operation = status.get("operation") or {}
    return Facts(
        instance_id=spec.get("instanceId") or "",
        account=(spec.get("accountRef") or {}).get("name") or meta.DEFAULT_ACCOUNT,
        operates_through=operation.get("account") or "",
        phase=status.get("phase") or "",
        drifted=conditions.get("Drifted") == "True",
        awaiting_approval=conditions.get("Approved") == "False",
        locks=tuple(lock.get("reason") or "" for lock in status.get("operationLocks") or ()),
    )


def account_facts(body: Slim) -> Facts:
    """Return the facts of an EcsAccount. What is only counted in it concerns no spec."""
    metadata, status = body["metadata"], body["status"]
    ready = [c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"]
    told = [
        metadata.get("uid"),
        metadata.get("deletionTimestamp"),
        metadata.get("annotations"),
        body["spec"],
        status.get("brake"),
        ready,
    ]
    return Facts(
        account=metadata.get("name") or "",
        concerns_specs=hash(json.dumps(told, sort_keys=True)),
    )


class Store(Generic[K]):
    """Slim, compressed records of one kind. Never goes back to an older resourceVersion."""

    def __init__(self, key_of: Callable[[Body], K], facts_of: Callable[[Slim], Facts]) -> None:
        self._key_of = key_of
        self._facts_of = facts_of
        self._records: dict[K, _Record] = {}
        self._gone: OrderedDict[K, str] = OrderedDict()
        self._by_instance: dict[str, set[K]] = {}
        self._by_account: dict[str, set[K]] = {}
        self._operating: dict[str, set[K]] = {}
        self._own: dict[K, set[str]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def key_of(self, body: Body) -> K:
        return self._key_of(body)

    def remember(self, body: Body) -> bool:
        """Keep a slim copy; return whether it says anything that was not known.

        An older resourceVersion than the one kept is ignored, and so is anything not newer than
        a deletion that was seen. A new resourceVersion alone (a label) is kept, but is not news.
        """
        key = self._key_of(body)
        metadata = body.get("metadata") or {}
        uid, version = metadata.get("uid", ""), metadata.get("resourceVersion", "")
        known = self._records.get(key)
        if known is not None and (
            (known.uid, known.version) == (uid, version) or _older(version, known.version)
        ):
            return False
        if key in self._gone and _not_newer(version, self._gone[key]):
            return False
        self._gone.pop(key, None)
        record = self._pack(slim(body))
        self._unindex(key)
        self._records[key] = record
        self._index(key, record.facts)
        return known is None or (known.uid, known.content) != (record.uid, record.content)

    @contextmanager
    def own_write(self, key: K, news: Callable[[K], None]) -> Iterator[Callable[[Body], None]]:
        """Tell the watch's copy of one's own write, which may come before its answer, from news.

        The context is given what remembers the answer. While it is open, one for a key at a time,
        the watch is `overheard`; `news` is called at its end if there was more than the answer.
        """
        heard = self._own[key] = set()
        answered: set[str] = set()

        def remember(answer: Body) -> None:
            answered.add(answer["metadata"]["resourceVersion"])
            self.remember(answer)

        try:
            yield remember
        finally:
            del self._own[key]
            if heard - answered:
                news(key)

    def overheard(self, key: K, body: Body) -> bool:
        """Whether one's own write on `key` is under way, whose end will tell if this is news."""
        if key not in self._own:
            return False
        self._own[key].add(body["metadata"].get("resourceVersion", ""))
        return True

    def forget(self, key: K, version: str | None = None) -> bool:
        """Drop the record; return whether there was one. `version`: that of the deletion.

        A record that is newer than `version` is another object of the same name, and stays.
        """
        known = self._records.get(key)
        if known is not None and version is not None and _older(version, known.version):
            return False
        self._gone[key] = version or (known.version if known else "")
        self._gone.move_to_end(key)
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        self._unindex(key)
        return self._records.pop(key, None) is not None

    def get(self, key: K) -> Slim | None:
        """Return a fresh copy of {metadata, spec, status}, None if there is none."""
        record = self._records.get(key)
        if record is None:
            return None
        loaded: Slim = json.loads(zlib.decompress(record.packed))
        loaded["metadata"]["resourceVersion"] = record.version
        return loaded

    def version(self, key: K) -> tuple[str, str] | None:
        """Return uid and resourceVersion of a record, None if there is none."""
        record = self._records.get(key)
        return (record.uid, record.version) if record else None

    def facts(self, key: K) -> Facts | None:
        record = self._records.get(key)
        return record.facts if record else None

    def keys(self) -> Iterator[K]:
        return iter(tuple(self._records))

    def versions(self) -> dict[K, tuple[str, str]]:
        """Return uid and resourceVersion of every record, as they are now."""
        return {key: (record.uid, record.version) for key, record in self._records.items()}

    def claims(self, instance_id: str) -> frozenset[K]:
        """Return the keys of all specs that name this instance, granted or not."""
        return frozenset(self._by_instance.get(instance_id, ()))

    def of_account(self, account: str) -> frozenset[K]:
        """Return the keys of what names this account, or operates through it."""
        naming = self._by_account.get(account, set())
        return frozenset(naming | self._operating.get(account, set()))

    def operating(self, account: str) -> frozenset[K]:
        """Return the keys whose recorded operation goes through this account."""
        return frozenset(self._operating.get(account, ()))

    def tally(self) -> tuple[Counter[str], Counter[str], int, int]:
        """Return the numbers of records by phase and by lock reason, drifted, awaiting approval."""
        phases: Counter[str] = Counter()
        locks: Counter[str] = Counter()
        drifted = awaiting = 0
        for record in self._records.values():
            phases[record.facts.phase] += 1
            locks.update(set(record.facts.locks))
            drifted += record.facts.drifted
            awaiting += record.facts.awaiting_approval
        return phases, locks, drifted, awaiting

    def _pack(self, copy: Slim) -> _Record:
        version = copy["metadata"].pop("resourceVersion", "")
        text = json.dumps(copy, sort_keys=True, separators=(",", ":")).encode()
        return _Record(
            uid=copy["metadata"].get("uid", ""),
            version=version,
            content=hash(text),
            facts=self._facts_of(copy),
            packed=zlib.compress(text, 1),
        )

    def _index(self, key: K, facts: Facts) -> None:
        for index, value in self._entries(facts):
            index.setdefault(value, set()).add(key)

    def _unindex(self, key: K) -> None:
        known = self._records.get(key)
        for index, value in self._entries(known.facts) if known else ():
            index[value].discard(key)
            if not index[value]:
                del index[value]

    def _entries(self, facts: Facts) -> tuple[tuple[dict[str, set[K]], str], ...]:
        pairs = (
            (self._by_instance, facts.instance_id),
            (self._by_account, facts.account),
            (self._operating, facts.operates_through),
        )
        return tuple((index, value) for index, value in pairs if value)


def spec_store() -> Store[Key]:
    return Store(spec_key, spec_facts)


def account_store() -> Store[AccountKey]:
    return Store(account_key, account_facts)


def _older(left: str, right: str) -> bool:
    """Whether `left` is certainly older. Versions that are not decimal cannot be compared.

    Source: Kubernetes API concepts, "Resource versions": comparable as numbers since 1.35.
    """
    return left.isdecimal() and right.isdecimal() and int(left) < int(right)


def _not_newer(left: str, right: str) -> bool:
    return left.isdecimal() and right.isdecimal() and int(left) <= int(right)
