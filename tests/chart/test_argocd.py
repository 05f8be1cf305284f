"""What Argo CD shows for every state that an object of ours can be in."""

from typing import Any, Final

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from sysdisk.api import meta
from sysdisk.api.reasons import Reason, Standing, phase, standing
from tests.chart.rendering import CHART, ROOT, Object

ARGOCD: Final = ROOT / "manifests" / "argocd"

# Argo CD's interpreter is of Lua 5.1 and opens little more than the base and table libraries.
ABSENT: Final = ("string", "io", "os", "debug", "math", "coroutine", "require", "dofile", "python")

HELD_BY_PEOPLE: Final = {
    Reason.SUSPENDED,
    Reason.ACCOUNT_SUSPENDED,
    Reason.PROTECTED,
    Reason.AWAITING_APPROVAL,
    Reason.AWAITING_WINDOW,
    Reason.DRY_RUN,
}
HEALTH: Final = {
    Standing.DONE: "Healthy",
    Standing.WORKING: "Progressing",
    Standing.WAITING: "Progressing",
    Standing.STUCK: "Degraded",
}


def health(kind: str, document: Object) -> tuple[str, str]:
    """Return status and message of Argo CD's health check for an object."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    for name in ABSENT:
        lua.globals()[name] = None
    lua.globals().obj = lua.table_from(document, recursive=True)
    script = ARGOCD / "resource_customizations" / meta.GROUP / kind / "health.lua"
    found: Any = lua.execute(script.read_text())
    return found.status, found.message


def condition(kind: str, status: str, reason: str, generation: int = 3) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": f"what {reason} means",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def spec_with(reason: Reason, *extras: Object) -> Object:
    """Return a SystemDiskSpec in the state of a reason, as the operator would show it."""
    where = standing(reason)
    conditions = [condition("Ready", "True" if where is Standing.DONE else "False", reason)]
    if where is Standing.WORKING:
        conditions.append(condition("Reconciling", "True", reason))
    if where is Standing.STUCK:
        conditions.append(condition("Stalled", "True", reason))
    return {
        "apiVersion": meta.API_VERSION,
        "kind": meta.KIND,
        "metadata": {"name": "web-1", "namespace": "shop", "generation": 3},
        "spec": {"instanceId": "i-1", "imageId": "m-1"},
        "status": {
            "observedGeneration": 3,
            "phase": phase(reason),
            "conditions": sorted([*conditions, *extras], key=lambda c: str(c["type"])),
        },
    }


def annotated(document: Object, value: str) -> Object:
    document["metadata"]["annotations"] = {meta.ANNOTATION_SUSPEND: value}
    return document


def account_with(ready: str, reason: str, **spec: Any) -> Object:
    return {
        "apiVersion": meta.API_VERSION,
        "kind": meta.ACCOUNT_KIND,
        "metadata": {"name": "default", "generation": 3},
        "spec": {"regionId": "cn-hangzhou", **spec},
        "status": {"observedGeneration": 3, "conditions": [condition("Ready", ready, reason)]},
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_health_and_is_told(reason: Reason) -> None:
    wanted = "Suspended" if reason in HELD_BY_PEOPLE else HEALTH[standing(reason)]
    status, message = health(meta.KIND, spec_with(reason))
    assert status == wanted
    assert f"what {reason} means" in message
    assert reason in message or wanted == "Healthy"


def test_drift_that_is_only_reported_is_healthy_and_told() -> None:
    document = spec_with(Reason.DRIFTED, condition("Drifted", "True", "ImageChanged"))
    assert health(meta.KIND, document) == ("Healthy", "ImageChanged: what ImageChanged means")


def test_an_approval_that_was_given_does_not_hide_the_work() -> None:
    document = spec_with(Reason.STOPPING, condition("Approved", "True", "Approved"))
    assert health(meta.KIND, document)[0] == "Progressing"


@pytest.mark.parametrize("kind", [meta.KIND, meta.ACCOUNT_KIND])
@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": 3}])
def test_what_the_operator_has_not_seen_is_progressing(kind: str, status: Object | None) -> None:
    document: Object = {"metadata": {"name": "x", "generation": 3}, "spec": {}}
    if status is not None:
        document["status"] = status
    assert health(kind, document)[0] == "Progressing"


@pytest.mark.parametrize("reason", [Reason.UP_TO_DATE, Reason.IMAGE_NOT_FOUND, Reason.SUSPENDED])
def test_a_change_that_was_not_seen_yet_is_progressing(reason: Reason) -> None:
    document = spec_with(reason)
    document["metadata"]["generation"] = 4
    assert health(meta.KIND, document)[0] == "Progressing"


def test_a_condition_of_an_older_generation_is_not_believed() -> None:
    document = spec_with(Reason.OBSERVING, condition("Stalled", "True", "ImageNotFound", 2))
    assert health(meta.KIND, document)[0] == "Progressing"
    document = spec_with(Reason.UP_TO_DATE)
    document["status"]["conditions"][0]["observedGeneration"] = 2
    assert health(meta.KIND, document)[0] == "Progressing"


@pytest.mark.parametrize("reason", [Reason.UP_TO_DATE, Reason.PLAN_SPENT])
def test_a_deleted_spec_is_progressing_until_it_is_gone(reason: Reason) -> None:
    document = spec_with(reason)
    document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert health(meta.KIND, document)[0] == "Progressing"


def test_readiness_that_is_unknown_is_progressing() -> None:
    document = spec_with(Reason.UP_TO_DATE)
    document["status"]["conditions"][0]["status"] = "Unknown"
    assert health(meta.KIND, document)[0] == "Progressing"
    document["status"]["conditions"] = [condition("Drifted", "False", "None")]
    assert health(meta.KIND, document)[0] == "Progressing"


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        (account_with("True", "CredentialsValid"), "Healthy"),
        (account_with("True", "CredentialsValid", suspend=True), "Suspended"),
        (account_with("False", "BrakePulled", suspend=True), "Suspended"),
        (annotated(account_with("True", "CredentialsValid"), "true"), "Suspended"),
        (annotated(account_with("True", "CredentialsValid"), "yes"), "Suspended"),
        (annotated(account_with("True", "CredentialsValid"), "false"), "Healthy"),
        (annotated(account_with("True", "CredentialsValid"), ""), "Healthy"),
        (account_with("False", "BrakePulled"), "Degraded"),
        (account_with("False", "CredentialsInvalid"), "Degraded"),
        (account_with("False", "Unreachable"), "Degraded"),
        (account_with("False", "ClockSkewed"), "Degraded"),
        (account_with("False", "ApprovalNotEnforced"), "Degraded"),
        (account_with("Unknown", "Checking"), "Progressing"),
    ],
)
def test_an_account_is_as_healthy_as_its_identity(account: Object, wanted: str) -> None:
    assert health(meta.ACCOUNT_KIND, account)[0] == wanted


def test_a_stale_or_deleted_account_is_progressing() -> None:
    stale = account_with("True", "CredentialsValid")
    stale["metadata"]["generation"] = 4
    assert health(meta.ACCOUNT_KIND, stale)[0] == "Progressing"
    deleted = account_with("True", "CredentialsValid")
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert health(meta.ACCOUNT_KIND, deleted)[0] == "Progressing"


def test_the_config_map_holds_both_checks_under_the_names_argo_cd_looks_for() -> None:
    (fragment,) = yaml.safe_load_all((ARGOCD / "argocd-cm.yaml").read_text())
    assert fragment["metadata"]["name"] == "argocd-cm"
    for kind in (meta.KIND, meta.ACCOUNT_KIND):
        script = ARGOCD / "resource_customizations" / meta.GROUP / kind / "health.lua"
        key = f"resource.customizations.health.{meta.GROUP}_{kind}"
        assert fragment["data"][key] == script.read_text()


def applications() -> dict[str, Object]:
    return {
        path.stem: yaml.safe_load(path.read_text()) for path in ARGOCD.glob("application-*.yaml")
    }


def test_the_sample_applications_never_replace_or_force() -> None:
    for name, application in applications().items():
        options = application["spec"]["syncPolicy"]["syncOptions"]
        assert not {"Replace=true", "Force=true"} & set(options), name
        assert "ServerSideApply=true" in options, name


def test_the_operator_comes_before_the_disks_and_from_the_chart() -> None:
    found = applications()
    operator, disks = found["application-operator"], found["application-disks"]
    wave = "argocd.argoproj.io/sync-wave"
    waves = [int(app["metadata"]["annotations"][wave]) for app in (operator, disks)]
    assert waves[0] < waves[1]
    assert ROOT / operator["spec"]["source"]["path"] == CHART


def test_git_never_fights_over_an_approval_and_always_wins_over_a_protection() -> None:
    disks = applications()["application-disks"]["spec"]
    (ignored,) = disks["ignoreDifferences"]
    pointers = {p.rsplit("/", 1)[1].replace("~1", "/") for p in ignored["jsonPointers"]}
    assert pointers == {
        meta.ANNOTATION_APPROVE,
        meta.ANNOTATION_APPROVED_BY,
        meta.ANNOTATION_RETRY,
    }
    assert (ignored["group"], ignored["kind"]) == (meta.GROUP, meta.KIND)
    assert "RespectIgnoreDifferences=true" in disks["syncPolicy"]["syncOptions"]
