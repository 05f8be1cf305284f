"""`sysdisk retry | suspend | resume | release`: orders to the operator, by annotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from sysdisk.api import meta
from sysdisk.cli.cluster import (
    FAILED,
    NOTHING_DUE,
    Cluster,
    Failed,
    KubeconfigOption,
    Named,
    NamesArgument,
    NamespaceOption,
    YesOption,
    connect,
    finish,
    say,
    sure,
    unless_named,
)

if TYPE_CHECKING:
    from sysdisk.kube.port import Object

NamesOrAccount = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME...]", help="SystemDiskSpecs.")
]
AccountOption = Annotated[
    str | None,
    typer.Option(envvar="SYSDISK_ACCOUNT", metavar="NAME", help="An EcsAccount, in their place."),
]
WARNING: Final = (
    "The operator forgets what it was about to bring to an end. A machine that it had stopped may "
    "stay stopped, and a replacement that was sent may still come true.\n"
    "Look at the instance in the ECS console afterwards."
)


def retry(
    names: NamesArgument,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Try a spent plan once more, exactly that one."""

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            return max([await _retry(cluster, found) for found in await cluster.find_all(names)])

    raise finish(work())


async def _retry(cluster: Cluster, found: Named) -> int:
    plan = found.plan()
    if plan is None or not (plan.spent or plan.rest_until):
        say(f"{found}: no plan of it was tried without success; there is nothing to try again.")
        return FAILED
    await cluster.annotate(found, {meta.ANNOTATION_RETRY: plan.id})
    again = " It needs a new approval: `sysdisk approve`." if _manual(found) else ""
    say(f"{found}: plan {plan.id} is tried once more.{again}")
    return NOTHING_DUE


def _manual(found: Named) -> bool:
    from sysdisk.api.policy import Approval

    plan = found.plan()
    return bool(plan and plan.policy and plan.policy.approval is Approval.MANUAL)


def suspend(
    context: typer.Context,
    names: NamesOrAccount = None,
    account: AccountOption = None,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Begin nothing new; what is under way is brought to a safe end."""
    account = unless_named(context, names, "account", account)
    _one_or_the_other(names, account)

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            if account is not None:
                await _annotate_account(cluster, account, {meta.ANNOTATION_SUSPEND: "true"})
                say(f"EcsAccount {account}: nothing new begins.")
            for found in await cluster.find_all(names or []):
                await cluster.annotate(found, {meta.ANNOTATION_SUSPEND: "true"})
                say(f"{found}: suspended.")
            return NOTHING_DUE

    raise finish(work())


def resume(
    context: typer.Context,
    names: NamesOrAccount = None,
    account: AccountOption = None,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Take up work again; with --account, also release the brake that failures pulled."""
    account = unless_named(context, names, "account", account)
    _one_or_the_other(names, account)

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            codes = [await _resume(cluster, found) for found in await cluster.find_all(names or [])]
            if account is not None:
                codes.append(await _resume_account(cluster, account))
            return max(codes)

    raise finish(work())


async def _resume(cluster: Cluster, found: Named) -> int:
    if meta.ANNOTATION_SUSPEND in found.annotations:
        await cluster.annotate(found, {meta.ANNOTATION_SUSPEND: None})
    if found.body["spec"].get("suspend"):
        say(f"{found}: its spec says suspend: true, which is not changed here. Change it in Git.")
        return FAILED
    say(f"{found}: resumed.")
    return NOTHING_DUE


async def _resume_account(cluster: Cluster, name: str) -> int:
    from datetime import UTC, datetime

    from sysdisk.api.durations import format_time

    order = {meta.ANNOTATION_RESUME: format_time(datetime.now(UTC)), meta.ANNOTATION_SUSPEND: None}
    body = await _annotate_account(cluster, name, order)
    if body["spec"].get("suspend"):
        say(f"EcsAccount {name}: its spec says suspend: true, which is not changed here.")
        return FAILED
    say(f"EcsAccount {name}: resumed; failures are counted anew.")
    return NOTHING_DUE


async def _annotate_account(
    cluster: Cluster, name: str, annotations: dict[str, str | None]
) -> Object:
    from sysdisk.kube.resources import ACCOUNTS

    body = await cluster.kube.read(ACCOUNTS, None, name)
    if body is None:
        raise Failed(f"EcsAccount {name} does not exist")
    uid = body["metadata"]["uid"]
    return await cluster.kube.patch_metadata(
        ACCOUNTS, None, name, uid=uid, resource_version=None, annotations=annotations
    )


def _one_or_the_other(names: list[str] | None, account: str | None) -> None:
    if bool(names) == bool(account):
        raise typer.BadParameter("give either names or --account NAME")


def release(
    names: NamesArgument,
    yes: YesOption = False,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """In an emergency: let an object go although its operation has not ended."""

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            return max(
                [await _release(cluster, found, yes=yes) for found in await cluster.find_all(names)]
            )

    raise finish(work())


async def _release(cluster: Cluster, found: Named, *, yes: bool) -> int:
    from sysdisk.kube.resources import SPECS

    metadata = found.body["metadata"]
    there = metadata.get("finalizers") or []
    if meta.FINALIZER not in there:
        say(f"{found}: it does not carry our finalizer; there is nothing to release.")
        return NOTHING_DUE
    say(_what_is_lost(found), colour=typer.colors.YELLOW)
    if not sure(f"Release {found}?", yes=yes):
        say(f"{found}: left as it is.")
        return FAILED
    await cluster.kube.patch_metadata(
        SPECS,
        found.namespace,
        found.name,
        uid=found.uid,
        resource_version=metadata["resourceVersion"],
        finalizers=[name for name in there if name != meta.FINALIZER],
    )
    if not metadata.get("deletionTimestamp"):
        say(f"{found}: released. A running operator puts the finalizer back while it works.")
    else:
        say(f"{found}: released.")
    return NOTHING_DUE


def _what_is_lost(found: Named) -> str:
    status = found.body.get("status") or {}
    operation = status.get("operation") or {}
    step = operation.get("step")
    if not step:
        return f"{found} carries our finalizer and no operation."
    instance = found.body["spec"].get("instanceId", "")
    return f"{found}: plan {operation.get('planId')} is at step {step} on {instance}.\n{WARNING}"
