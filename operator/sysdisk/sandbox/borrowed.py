"""A cluster that a kubeconfig names: when a sandbox may move in, and how it moves out again.

What a sandbox makes carries the label `sysdisk.dev/sandbox: "true"`. It moves in only where nobody
else uses our kinds, since its operator would act on what it finds there. At the end, and at the
start where an earlier sandbox was killed, what carries the label is removed, and nothing else: with
it goes whatever is in a namespace that a sandbox made.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from sysdisk.api import meta
from sysdisk.api.crd import crds
from sysdisk.kube.client import KubeClient
from sysdisk.kube.errors import KubeError, NotThere, Unavailable
from sysdisk.kube.port import Object
from sysdisk.kube.resources import ACCOUNTS, NAMESPACES, SECRETS, SPECS, Resource

LABEL: Final = meta.LABEL_SANDBOX
PATIENCE: Final = 30.0
"""Seconds that a namespace or a CRD may take to go."""

CRDS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
CRD_NAMES: Final = tuple(str(crd["metadata"]["name"]) for crd in crds())


class NotFree(KubeError):
    """Somebody else's objects are where the sandbox wants to be."""


def labelled(manifest: Object) -> Object:
    """Return the manifest with the label of what a sandbox made."""
    metadata = manifest["metadata"]
    labels = {**(metadata.get("labels") or {}), LABEL: "true"}
    return {**manifest, "metadata": {**metadata, "labels": labels}}


def is_ours(body: Object) -> bool:
    """Whether a sandbox made it."""
    return (body["metadata"].get("labels") or {}).get(LABEL) == "true"


def is_loopback(server: str) -> bool:
    """Whether the API server at this URL is on this machine, by its address."""
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Borrowed:
    """The cluster behind `client`; `namespaces` are those of the sandbox, `secrets` its Secrets."""

    def __init__(
        self,
        client: KubeClient,
        server: str,
        *,
        namespaces: Sequence[str],
        secrets: Sequence[tuple[str, str]],
        patience: float = PATIENCE,
    ) -> None:
        self._client = client
        self._server = server
        self._namespaces = namespaces
        self._secrets = secrets
        self._patience = patience

    async def move_in(self) -> None:
        """Make sure that nobody else is there, and remove what an earlier sandbox left.

        Raises NotFree, with nothing changed, where somebody is; KubeError where it cannot be told.
        """
        places = [name for name in self._namespaces if await self._made_here(name)]
        objects = [each async for each in self._objects()]
        foreign = [_title(*each) for each in objects if not _belongs(each[1], places)]
        if foreign:
            listed = ", ".join(foreign[:5]) + (" and more" if len(foreign) > 5 else "")
            raise NotFree(
                f"{self._server} has {listed}, which no sandbox made, and a sandbox would act on "
                "them. Choose a cluster without them, or --kube embedded"
            )
        installed = [await self._client.read(CRDS, None, name) for name in CRD_NAMES]
        if not is_loopback(self._server) and not all(is_ours(crd) for crd in installed if crd):
            raise NotFree(
                f"{self._server} is not on this machine and has the CRDs of sysdisk, which no "
                "sandbox installed: an operator may run there. Choose a cluster without them, or "
                "--kube embedded"
            )
        left = await self._remove_objects(objects)
        left += await self._gone(
            NAMESPACES, [name for name in self._namespaces if await self._is_going(name)]
        )
        if left:
            raise NotFree(f"an earlier sandbox cannot be removed: {'; '.join(left)}")

    async def move_out(self) -> list[str]:
        """Remove what sandboxes made; return what could not be, a line for people each."""
        try:
            # No spec was there when we moved in: those in our namespaces came to the sandbox.
            objects = [each async for each in self._objects()]
            ours = [each for each in objects if _belongs(each[1], self._namespaces)]
            left = await self._remove_objects(ours)
            left += await self._remove_all(NAMESPACES, self._namespaces)
            if users := [_title(*each) async for each in self._objects()]:
                return [*left, f"the CRDs, because of {', '.join(users[:5])}"]
            return left + await self._remove_all(CRDS, CRD_NAMES)
        except KubeError as exc:
            return [f"whatever carries the label {LABEL}=true: {exc}"]

    async def _objects(self) -> AsyncIterator[tuple[Resource, Object]]:
        """Yield all accounts and specs of the cluster."""
        for resource in (ACCOUNTS, SPECS):
            try:
                async for body in self._client.list(resource):
                    yield resource, body
            except NotThere:
                continue

    async def _made_here(self, namespace: str) -> bool:
        body = await self._client.read(NAMESPACES, None, namespace)
        return body is not None and is_ours(body)

    async def _is_going(self, namespace: str) -> bool:
        body = await self._client.read(NAMESPACES, None, namespace)
        return body is not None and "deletionTimestamp" in body["metadata"]

    async def _remove_objects(self, objects: Sequence[tuple[Resource, Object]]) -> list[str]:
        """Remove specs, then accounts, and the Secrets; return what could not be."""
        found = list(objects)
        for namespace, name in self._secrets:
            body = await self._client.read(SECRETS, namespace, name)
            if body is not None and is_ours(body):
                found.append((SECRETS, body))
        return [left for kind, body in reversed(found) if (left := await self._remove(kind, body))]

    async def _remove(self, resource: Resource, body: Object) -> str:
        """Remove one object, our finalizers first; return why it stays, empty where it is gone."""
        metadata = body["metadata"]
        name, namespace, uid = metadata["name"], metadata.get("namespace"), metadata["uid"]
        finalizers = metadata.get("finalizers") or []
        others = [each for each in finalizers if not each.startswith(f"{meta.GROUP}/")]
        try:
            if others != finalizers:
                await self._client.patch_metadata(
                    resource,
                    namespace,
                    name,
                    uid=uid,
                    resource_version=metadata["resourceVersion"],
                    finalizers=others,
                )
            await self._client.delete(resource, namespace, name, uid=uid)
        except Unavailable:
            raise
        except KubeError as exc:
            return f"{_title(resource, body)}: {exc}"
        held = resource not in (NAMESPACES, CRDS) and others
        return f"{_title(resource, body)}: held by {', '.join(others)}" if held else ""

    async def _remove_all(self, resource: Resource, names: Sequence[str]) -> list[str]:
        left, going = [], []
        for name in names:
            body = await self._client.read(resource, None, name)
            if body is not None and is_ours(body):
                going.append(name)
                if why := await self._remove(resource, body):
                    left.append(why)
                    going.pop()
        return left + await self._gone(resource, going)

    async def _gone(self, resource: Resource, names: Sequence[str]) -> list[str]:
        """Wait until these are gone; return those that are not after a while."""
        deadline = asyncio.get_running_loop().time() + self._patience
        there = list(names)
        while True:
            there = [n for n in there if await self._client.read(resource, None, n) is not None]
            if not there or asyncio.get_running_loop().time() > deadline:
                return [f"{resource.kind} {name}: it is still being deleted" for name in there]
            await asyncio.sleep(0.2)


def _belongs(body: Object, namespaces: Sequence[str]) -> bool:
    return is_ours(body) or body["metadata"].get("namespace") in namespaces


def _title(resource: Resource, body: Object) -> str:
    metadata = body["metadata"]
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{resource.kind} {where}{metadata['name']}"
