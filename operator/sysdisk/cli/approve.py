"""`sysdisk approve`: a person reads a plan and lets exactly that one begin."""

from __future__ import annotations

from sysdisk.api import meta
from sysdisk.cli.cluster import (
    A_WHILE,
    FAILED,
    NOTHING_DUE,
    Cluster,
    Failed,
    KubeconfigOption,
    Named,
    NamesArgument,
    NamespaceOption,
    WaitOption,
    YesOption,
    connect,
    duration,
    finish,
    say,
    sure,
)
from sysdisk.cli.plan_text import described


def approve(
    names: NamesArgument,
    yes: YesOption = False,
    wait: WaitOption = A_WHILE,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show the plan, ask, and approve it; the approval holds for this plan and no other."""

    within = duration(wait, "--wait")

    async def work() -> int:
        async with connect(kubeconfig, namespace) as cluster:
            specs = await cluster.find_current(names, within)
            user = await who_am_i(cluster)
            return max([await _approve(cluster, found, user, yes=yes) for found in specs])

    raise finish(work())


async def who_am_i(cluster: Cluster) -> str:
    """Return the user name that the API server knows the caller by. Source: SelfSubjectReview."""
    from sysdisk.kube.resources import Resource

    group, version, kind = "authentication.k8s.io", "v1", "SelfSubjectReview"
    reviews = Resource(group, version, "selfsubjectreviews", kind, namespaced=False)
    asked = {"apiVersion": reviews.api_version, "kind": kind}
    answer = await cluster.kube.create(reviews, None, asked)
    name = answer.get("status", {}).get("userInfo", {}).get("username")
    if not name:
        raise Failed("the API server does not say who you are (SelfSubjectReview)")
    return str(name)


async def _approve(cluster: Cluster, found: Named, user: str, *, yes: bool) -> int:
    from sysdisk.api.policy import Approval

    status = found.status()
    plan = status.plan
    if status.operation is not None:
        say(f"{found}: plan {status.operation.plan_id} is under way already.")
        return NOTHING_DUE
    if not found.current():
        say(f"{found}: {found.unplanned()}")
        return FAILED
    if plan is None:
        say(f"{found}: nothing is due, so there is nothing to approve.")
        return FAILED
    say(described(str(found), status))
    taken = status.retry.plan_id if status.retry else None
    if plan.spent and plan.id not in (found.annotations.get(meta.ANNOTATION_RETRY), taken):
        say(f"{found}: this plan is spent. Run `sysdisk retry {found.name}` first.")
        return FAILED
    if plan.policy is not None and plan.policy.approval is not Approval.MANUAL:
        say(f"{found}: its approval is Automatic, so plan {plan.id} needs none.")
        return NOTHING_DUE
    if not sure(f"Approve plan {plan.id} as {user}?", yes=yes):
        say(f"{found}: not approved.")
        return FAILED
    await cluster.annotate(
        found, {meta.ANNOTATION_APPROVE: plan.id, meta.ANNOTATION_APPROVED_BY: user}
    )
    say(f"{found}: plan {plan.id} is approved by {user}.")
    return NOTHING_DUE
