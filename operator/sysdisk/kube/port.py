"""What the operator asks of the Kubernetes API: a Protocol over plain JSON objects.

The client and the simulation's model both implement it, so that a pass runs unchanged over either.
Every method raises a `KubeError`; none retries: the pass does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sysdisk.kube.resources import Resource

Object = dict[str, Any]
"""One Kubernetes object as decoded JSON."""


@dataclass(frozen=True, slots=True)
class SecretData:
    """A Secret as it was read. Its repr hides the values."""

    uid: str
    resource_version: str
    labels: Mapping[str, str]
    data: Mapping[str, bytes] = field(repr=False)


class Kube(Protocol):
    """The calls that the operator makes. `namespace` is None for a cluster-scoped kind."""

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Return the object as it is now (a consistent read), None if there is none."""
        ...

    def list(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[Object]:
        """Yield every object, of one namespace or of all, page by page.

        Raises Expired in the middle where paging took too long: what was yielded is then not all.
        """
        ...

    def list_metadata(
        self, resource: Resource, namespace: str | None = None
    ) -> AsyncIterator[Object]:
        """Yield every object's PartialObjectMetadata: `metadata` alone, no spec, no status."""
        ...

    async def probe(self, resource: Resource, namespace: str | None = None) -> None:
        """Return if the kind can be listed; NotThere where it is not installed."""
        ...

    async def patch_status(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        resource_version: str,
        status: Mapping[str, Any],
        uid: str | None = None,
    ) -> Object:
        """Merge `status` into the status (None removes a field); return the object as written.

        Raises Conflict, with nothing done, unless the object still has this resourceVersion (and
        this uid, where one is given). NotThere says that it is gone.
        """
        ...

    async def patch_metadata(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        resource_version: str | None,
        finalizers: Sequence[str] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> Object:
        """Set the whole list of finalizers and merge annotations; return the object as written.

        `finalizers` replaces the list, so it needs a `resource_version` (a ValueError without):
        other owners' finalizers written in between would be lost. Raises Conflict as above.
        """
        ...

    async def read_secret(self, namespace: str, name: str) -> SecretData | None:
        """Return the Secret with its values decoded, None if there is none."""
        ...

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """Create an object and return it as stored; Conflict if the name is taken."""
        ...

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Object
    ) -> Object:
        """Put a whole object in the place of the one whose resourceVersion `body` carries."""
        ...

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object
    ) -> Object:
        """Merge-patch an object without a precondition: for events, which have one writer."""
        ...
