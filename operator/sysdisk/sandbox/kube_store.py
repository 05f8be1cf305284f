"""An in-memory store with the semantics of the Kubernetes API: pure, synchronous, no I/O.

It stands behind the HTTP server of the sandbox, and is used directly, under virtual time, by the
simulation. Objects are JSON mappings. **What the store returns is shared and must not be
changed**; `thaw` makes a private copy. What it is given is never changed nor kept.

It follows k8s.io/apiserver `registry/generic/registry/store.go` and `registry/rest`: optimistic
concurrency by `metadata.resourceVersion`, generation, finalizers, the status subresource, no-op
writes that change nothing. Not here, on purpose: RBAC, admission, owner references (there is no
garbage collector), managed fields, grace periods.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sysdisk.sandbox import kube_errors as errors
from sysdisk.sandbox.kube_errors import ApiError, cause
from sysdisk.sandbox.kube_log import EventLog, WatchEvent
from sysdisk.sandbox.kube_metadata import canonical_metadata, check_metadata
from sysdisk.sandbox.kube_patches import merge_patch
from sysdisk.sandbox.kube_resources import Resource, builtin_resources
from sysdisk.sandbox.kube_selectors import Selector, everything

Json = Mapping[str, Any]
Patch = Callable[[Json], Any]

_SUFFIX = string.digits + string.ascii_lowercase
_FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_SNAPSHOTS_KEPT = 64


def thaw(value: Any) -> Any:
    """Return a private, deep copy of a JSON value."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(item) for item in value]
    return value


def timestamp(moment: datetime) -> str:
    """Return `moment` as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Page:
    """A list: objects ordered by namespace and name, the version they are of, where to go on."""

    items: tuple[Json, ...]
    resource_version: int
    next_token: tuple[int, int] | None = None
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold for a deletion; None means anything."""

    uid: str | None = None
    resource_version: str | None = None


@dataclass(slots=True)
class KubeStore:
    """Objects of all resource types, one version counter, and the log that watches read.

    `now` gives aware datetimes; `new_uid` gives uids (replace it for reproducible ones);
    `history` is how many events per resource type are kept for watches.
    """

    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    new_uid: Callable[[], str] = field(default=lambda: str(uuid.uuid4()))
    history: int = 10_000
    resources: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    version: int = 0
    log: EventLog = field(init=False)
    after_commit: dict[tuple[str, str], Callable[[KubeStore, WatchEvent], None]] = field(
        default_factory=dict
    )
    _objects: dict[tuple[str, str], dict[tuple[str, str], Json]] = field(default_factory=dict)
    _snapshots: dict[int, tuple[Json, ...]] = field(default_factory=dict)
    _snapshot_number: int = 0

    def __post_init__(self) -> None:
        self.log = EventLog(self.history)
        if not self.resources:
            for resource in builtin_resources():
                self.register(resource)
            for name in _FIRST_NAMESPACES:
                self._seed_namespace(name)

    # -- resource types ---------------------------------------------------------------------

    def register(self, resource: Resource) -> None:
        """Serve `resource` from now on, in the place of one of the same group, version, plural."""
        self.resources[resource.group, resource.version, resource.plural] = resource
        self._objects.setdefault(resource.key, {})

    def unregister(self, resource: Resource) -> None:
        """Stop serving `resource`; its objects stay until `drop` is called."""
        self.resources.pop((resource.group, resource.version, resource.plural), None)

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """Return the type. Raises ApiError 404 for one that is not served."""
        found = self.resources.get((group, version, plural))
        if found is None:
            raise errors.no_such_path()
        return found

    def by_kind(self, group: str, kind: str) -> Resource | None:
        """Return the first served type of this group and kind."""
        return next(
            (each for each in self.resources.values() if (each.group, each.kind) == (group, kind)),
            None,
        )

    # -- reading ----------------------------------------------------------------------------

    def find(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        """Return the object as of now, None if there is none."""
        found = self._table(resource).get((namespace or "", name))
        return None if found is None else in_version(resource, found)

    def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Return the object as of now. Raises ApiError 404."""
        return in_version(resource, self._stored(resource, namespace, name))

    def _stored(self, resource: Resource, namespace: str | None, name: str) -> Json:
        found = self._table(resource).get((namespace or "", name))
        if found is None:
            raise errors.not_found(resource.group, resource.plural, name)
        return found

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        selector: Selector = everything,
        limit: int = 0,
        token: tuple[int, int] | None = None,
    ) -> Page:
        """Return objects of one namespace, or of all (None), at most `limit` (0: all).

        Pages of one list, asked for with the `next_token` of the one before, are of one moment.
        Raises ApiError 410 when that moment is no longer kept.
        """
        if token is not None:
            return self._next_page(token, limit)
        items = tuple(
            in_version(resource, obj)
            for (space, _), obj in sorted(self._table(resource).items())
            if namespace in (None, "", space) and selector(obj)
        )
        if not limit or len(items) <= limit:
            return Page(items, self.version)
        self._keep_snapshot(items)
        rest = (self._snapshot_number, limit)
        return Page(items[:limit], self.version, rest, len(items) - limit)

    def _keep_snapshot(self, items: tuple[Json, ...]) -> None:
        self._snapshot_number += 1
        self._snapshots[self._snapshot_number] = (*items, {"version": self.version})
        while len(self._snapshots) > _SNAPSHOTS_KEPT:
            del self._snapshots[next(iter(self._snapshots))]

    def _next_page(self, token: tuple[int, int], limit: int) -> Page:
        number, start = token
        kept = self._snapshots.get(number)
        if kept is None:
            raise errors.gone(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            )
        *items, mark = kept
        end = start + limit if limit else len(items)
        left = len(items) - end
        onward = (number, end) if left > 0 else None
        return Page(tuple(items[start:end]), mark["version"], onward, left if left > 0 else None)

    # -- writing ----------------------------------------------------------------------------

    def create(
        self, resource: Resource, namespace: str | None, obj: Json, *, dry_run: bool = False
    ) -> Json:
        """Return the object as stored: with name, uid, versions and defaults.

        Raises ApiError 404 (no such namespace), 409 (name taken), 422 (invalid).
        """
        new = thaw(obj)
        meta = self._first_metadata(resource, namespace, new)
        if resource.subresource_status and resource.kind != "Namespace":
            new.pop("status", None)
        new = self._admit(resource, new, None)
        key = (meta.get("namespace", ""), meta["name"])
        if key in self._table(resource):
            raise errors.already_exists(resource.group, resource.plural, meta["name"])
        if dry_run:
            return in_version(resource, new)
        return in_version(resource, self._commit(resource, key, "ADDED", new, None))

    def update(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        obj: Json,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json:
        """Return the stored object after replacing it (or, with `status`, its status).

        Raises ApiError 404, 409 when `metadata.resourceVersion` is stale, 422.
        """
        old = self.get(resource, namespace, name)
        if not resource.unconditional_update and not obj["metadata"].get("resourceVersion"):
            detail = "must be specified for an update"
            why = cause("FieldValueInvalid", "metadata.resourceVersion", 0, detail)
            raise errors.invalid(resource.group, resource.kind, name, [why])
        given = obj["metadata"].get("uid")
        if given not in (None, "", old["metadata"]["uid"]):
            self._check_preconditions(resource, old["metadata"], Preconditions(uid=given))
        return self._replace(resource, old, thaw(obj), subresource, dry_run)

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        change: Patch | Json,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json:
        """Return the stored object after `change`: a merge patch, or a function old -> new.

        A patch that sets `metadata.resourceVersion` is refused with 409 if that is stale; one
        without it applies to whatever is there. Raises ApiError 404, 409, 422.
        """
        old = self.get(resource, namespace, name)
        new = change(old) if callable(change) else merge_patch(old, change)
        if not isinstance(new, Mapping) or not isinstance(new.get("metadata"), Mapping):
            raise errors.bad_request(
                f"the name of the object ({name} based on URL) was undeterminable: "
                "name must be provided"
            )
        for head, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
            if new.get(head, wanted) != wanted:
                why = cause("FieldValueInvalid", head, new[head], f"must be {wanted}")
                raise errors.invalid(resource.group, resource.kind, name, [why])
        return self._replace(resource, old, dict(new), subresource, dry_run)

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        preconditions: Preconditions = Preconditions(),
        *,
        dry_run: bool = False,
    ) -> tuple[Json, bool]:
        """Return the object and whether it is gone; with finalizers it stays, marked.

        Raises ApiError 404, 409 (a precondition does not hold).
        """
        old = self._stored(resource, namespace, name)
        meta = old["metadata"]
        self._check_preconditions(resource, meta, preconditions)
        if resource.key == ("", "namespaces"):
            old = self._terminating(old)
            if not dry_run:
                self._empty_namespace(name)
        key = (meta.get("namespace", ""), name)
        if not meta.get("finalizers"):
            return (old if dry_run else self._commit(resource, key, "DELETED", old, old)), True
        if "deletionTimestamp" in meta:
            return old, False
        marked = {
            **meta,
            "deletionTimestamp": timestamp(self.now()),
            "deletionGracePeriodSeconds": 0,
        }
        if meta.get("generation"):
            marked["generation"] = meta["generation"] + 1
        new = {**old, "metadata": marked}
        return (new if dry_run else self._commit(resource, key, "MODIFIED", new, old)), False

    # -- housekeeping -----------------------------------------------------------------------

    def compact(self) -> None:
        """Forget history: watches from before now, and lists under way, are answered 410."""
        self.log.compact(self.version)
        self._snapshots.clear()

    def drop(self, resource: Resource) -> None:
        """Delete all objects of a type, finalizers or not; watches are told."""
        for key, obj in list(self._table(resource).items()):
            self._commit(resource, key, "DELETED", obj, obj)

    def rewrite(self, resource: Resource, change: Callable[[Json], Json]) -> None:
        """Change all stored objects of a type silently, as defaults on reading do."""
        table = self._table(resource)
        for key, obj in table.items():
            table[key] = change(obj)

    def copy(self) -> KubeStore:
        """Return an independent store with the same objects; cheap, since objects are shared."""
        twin = KubeStore(self.now, self.new_uid, self.history, dict(self.resources), self.version)
        twin._objects = {key: dict(table) for key, table in self._objects.items()}
        twin.after_commit = dict(self.after_commit)
        twin.log.compact(self.version)
        return twin

    # -- how a write becomes an object ------------------------------------------------------

    def _table(self, resource: Resource) -> dict[tuple[str, str], Json]:
        return self._objects.setdefault(resource.key, {})

    def _seed_namespace(self, name: str) -> None:
        self.create(self.resource("", "v1", "namespaces"), None, {"metadata": {"name": name}})

    def _first_metadata(
        self, resource: Resource, namespace: str | None, new: dict[str, Any]
    ) -> dict[str, Any]:
        meta = canonical_metadata(new.get("metadata") or {})
        new["metadata"] = meta
        self._place_in_namespace(resource, namespace, meta)
        if not meta.get("name") and meta.get("generateName"):
            ending = "".join(secrets.choice(_SUFFIX) for _ in range(5))
            meta["name"] = f"{meta['generateName'][:58]}{ending}"
        if not meta.get("name"):
            why = cause(
                "FieldValueRequired", "metadata.name", "", "name or generateName is required"
            )
            raise errors.invalid(resource.group, resource.kind, "", [why])
        if meta.get("resourceVersion") not in (None, "", "0"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        for unset in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"):
            meta.pop(unset, None)
        meta["uid"] = self.new_uid()
        meta["creationTimestamp"] = timestamp(self.now())
        meta.pop("generation", None)
        if resource.counts_generation:
            meta["generation"] = 1
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        return meta

    def _place_in_namespace(
        self, resource: Resource, namespace: str | None, meta: dict[str, Any]
    ) -> None:
        if not resource.namespaced:
            meta.pop("namespace", None)
            return
        given = meta.get("namespace")
        if namespace and given and given != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        meta["namespace"] = namespace or given or "default"
        space = self._objects.get(("", "namespaces"), {}).get(("", meta["namespace"]))
        if space is None:
            raise errors.not_found("", "namespaces", meta["namespace"])
        if "deletionTimestamp" in space["metadata"]:
            why = (
                "unable to create new content in namespace "
                f"{meta['namespace']} because it is being terminated"
            )
            raise errors.forbidden(resource.group, resource.plural, meta.get("name", ""), why)

    def _admit(self, resource: Resource, new: dict[str, Any], old: Json | None) -> dict[str, Any]:
        """Return `new` defaulted and pruned, or raise ApiError 422 with every reason against it."""
        before = old["metadata"] if old else None
        any_name = resource.group == "rbac.authorization.k8s.io"
        causes = check_metadata(new["metadata"], before, any_name=any_name)
        if resource.converter is not None:
            new = resource.converter.to_stored(new)
        if resource.strategy is not None:
            new = resource.strategy.prepare(new, old)
            causes = [*causes, *resource.strategy.validate(new, old)]
        if causes:
            raise errors.invalid(resource.group, resource.kind, new["metadata"]["name"], causes)
        return new

    def _replace(
        self, resource: Resource, old: Json, new: dict[str, Any], subresource: str, dry_run: bool
    ) -> Json:
        meta = old["metadata"]
        self._check_version(resource, meta, new["metadata"])
        new = self._merge_halves(resource, old, new, subresource)
        if resource.converter is not None:
            old = resource.converter.to_stored(old)
        new = self._admit(resource, new, old)
        if new == old:
            return in_version(resource, old)
        if resource.counts_generation and _spec_changed(resource, old, new):
            new["metadata"] = {**new["metadata"], "generation": meta.get("generation", 0) + 1}
        if dry_run:
            return in_version(resource, new)
        key = (meta.get("namespace", ""), meta["name"])
        after = new["metadata"]
        released = "deletionTimestamp" in after and not after.get("finalizers")
        change = "DELETED" if released else "MODIFIED"
        return in_version(resource, self._commit(resource, key, change, new, old))

    def _check_version(self, resource: Resource, meta: Json, given: Json) -> None:
        name = meta["name"]
        for field_name in ("name", "namespace"):
            if given.get(field_name) not in (None, "", meta.get(field_name)):
                raise errors.bad_request(
                    f"the {field_name} of the object ({given[field_name]}) does not match the "
                    f"{field_name} on the URL ({meta.get(field_name)})"
                )
        if given.get("uid") not in (None, "", meta["uid"]):
            fixed = cause("FieldValueInvalid", "metadata.uid", given["uid"], "field is immutable")
            raise errors.invalid(resource.group, resource.kind, name, [fixed])
        if given.get("resourceVersion") not in (None, "", meta["resourceVersion"]):
            raise errors.conflict(resource.group, resource.plural, name)

    def _merge_halves(
        self, resource: Resource, old: Json, new: dict[str, Any], subresource: str
    ) -> dict[str, Any]:
        """Return `new` with everything that this kind of write may not change taken from `old`."""
        if subresource == "status":
            half = dict(old)
            half.pop("status", None)
            if new.get("status") is not None:
                half["status"] = new["status"]
            return half
        whole = dict(new)
        if new["metadata"] is not old["metadata"]:
            whole["metadata"] = _kept_metadata(new["metadata"], old["metadata"])
        if resource.subresource_status:
            whole.pop("status", None)
            if "status" in old:
                whole["status"] = old["status"]
        whole["apiVersion"], whole["kind"] = resource.api_version, resource.kind
        return whole

    def _check_preconditions(
        self, resource: Resource, meta: Json, preconditions: Preconditions
    ) -> None:
        for label, wanted, present in (
            ("UID", preconditions.uid, meta["uid"]),
            ("ResourceVersion", preconditions.resource_version, meta["resourceVersion"]),
        ):
            if wanted is not None and wanted != present:
                why = (
                    f"Precondition failed: {label} in precondition: {wanted}, "
                    f"{label} in object meta: {present}"
                )
                raise errors.conflict(resource.group, resource.plural, meta["name"], why)

    def _terminating(self, namespace: Json) -> Json:
        meta = {**namespace["metadata"], "deletionTimestamp": timestamp(self.now())}
        return {**namespace, "metadata": meta, "status": {"phase": "Terminating"}}

    def _empty_namespace(self, namespace: str) -> None:
        """Delete what lives in the namespace; what has a finalizer stays until it is released."""
        spaced = {each.key: each for each in self.resources.values() if each.namespaced}
        for resource in spaced.values():
            for space, name in list(self._table(resource)):
                if space == namespace:
                    self.delete(resource, space, name)

    def _commit(
        self,
        resource: Resource,
        key: tuple[str, str],
        change: str,
        new: Json,
        old: Json | None,
    ) -> Json:
        self.version += 1
        stored: Json = {
            **new,
            "metadata": {**new["metadata"], "resourceVersion": str(self.version)},
        }
        if change == "DELETED":
            self._table(resource).pop(key, None)
        else:
            self._table(resource)[key] = stored
        event = WatchEvent(self.version, change, stored, old)
        self.log.append(resource.key, event)
        if (hook := self.after_commit.get(resource.key)) is not None:
            hook(self, event)
        return stored


def _spec_changed(resource: Resource, old: Json, new: Json) -> bool:
    """Return whether anything but metadata, and status where it is apart, differs."""
    outside = {"metadata", "apiVersion", "kind"}
    if resource.subresource_status:
        outside.add("status")
    return any(old.get(name) != new.get(name) for name in {*old, *new} if name not in outside)


def _kept_metadata(given: Json, old: Json) -> dict[str, Any]:
    """Return the metadata of an update: what the server owns is taken from the stored object."""
    meta = canonical_metadata(given)
    for name in (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ):
        if name in old:
            meta[name] = old[name]
        else:
            meta.pop(name, None)
    return meta


def in_version(resource: Resource, obj: Json) -> Json:
    """Return a stored object in the version of `resource`."""
    if resource.converter is not None:
        return resource.converter.from_stored(obj)
    if obj.get("apiVersion") == resource.api_version:
        return obj
    return {**obj, "apiVersion": resource.api_version}
