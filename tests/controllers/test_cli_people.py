"""The commands that people run, against a sandbox without an operator."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from sysdisk.api.durations import parse_time
from sysdisk.kube.resources import ACCOUNTS, SPECS
from sysdisk.sandbox.stage import TEAM, Stage, spec_manifest
from tests.support.command import PLAN, annotated, planned, sysdisk

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def told(stage: Stage, name: str, reason: str, **conditions: str) -> None:
    """Create a spec with these conditions and no plan."""
    made = await stage.client.create(
        SPECS, TEAM, spec_manifest(name, instanceId=f"i-{name}", imageId="m-1")
    )
    listed = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": reason,
            "observedGeneration": 1,
            "lastTransitionTime": "2026-03-01T12:00:00Z",
        }
        for kind, status in conditions.items()
    ]
    await stage.client.patch_status(
        SPECS,
        TEAM,
        name,
        resource_version=made["metadata"]["resourceVersion"],
        status={"observedGeneration": 1, "conditions": listed},
    )


async def test_a_plan_is_shown_by_name_and_something_due_exits_10(stage: Stage, name: str) -> None:
    await planned(stage, name)
    code, out, err = await sysdisk(stage, "plan", name, "-n", TEAM)
    assert code == 10
    assert "p1-0123456789abcdef" in out
    assert "- disk d-1 and its data are destroyed" in out
    assert "approval Manual, backup kept 7 days" in out
    assert "\x1b" not in out
    assert "1 to do" in err


async def test_a_spec_with_nothing_due_exits_0(stage: Stage, name: str) -> None:
    await told(stage, name, "UpToDate", Ready="True")
    code, out, _ = await sysdisk(stage, "plan", name, "-n", TEAM, "-o", "json")
    assert code == 0
    assert json.loads(out)[0]["plan"] is None


async def test_a_stalled_spec_exits_1_because_nothing_is_known_to_be_due(
    stage: Stage, name: str
) -> None:
    await told(stage, name, "InstanceNotFound", Ready="False", Stalled="True")
    code, out, err = await sysdisk(stage, "plan", name, "-n", TEAM)
    assert code == 1
    assert "InstanceNotFound" in out
    assert "1 that cannot go on" in err


async def test_a_spec_that_no_operator_has_seen_exits_1_and_says_so(
    stage: Stage, name: str
) -> None:
    await stage.client.create(
        SPECS, TEAM, spec_manifest(name, instanceId=f"i-{name}", imageId="m-1")
    )
    code, out, _ = await sysdisk(stage, "plan", name, "-n", TEAM, "--wait", "0s")
    assert code == 1
    assert "no operator has looked at it" in out


async def test_a_name_that_does_not_exist_is_an_error(stage: Stage) -> None:
    code, out, err = await sysdisk(stage, "plan", "none", "-n", TEAM)
    assert (code, out) == (1, "")
    assert "SystemDiskSpec none does not exist in namespace shop" in err


@pytest.mark.parametrize("arguments", [("plan",), ("suspend",), ("plan", "a", "-f", "-")])
async def test_wrong_usage_exits_2(stage: Stage, arguments: tuple[str, ...]) -> None:
    code, _, err = await sysdisk(stage, *arguments)
    assert code == 2
    assert "give either names or" in err


async def test_a_manifest_is_planned_with_the_operators_own_eyes_and_nothing_is_written(
    stage: Stage,
    name: str,
) -> None:
    vm = stage.seeded.instances[1]
    image = stage.seeded.images["ubuntu-24"]
    text = yaml.safe_dump(spec_manifest(name, instanceId=vm.id, imageId=image.id))
    code, out, _ = await sysdisk(stage, "plan", "-f", "-", "-o", "yaml", given=text)
    (found,) = yaml.safe_load(out)
    assert (code, found["name"], found["due"]) == (10, f"shop/{name}", True)
    assert f"~ imageId {vm.image_id} -> {image.id}" in found["plan"]["changes"]
    assert await stage.client.read(SPECS, TEAM, name) is None
    assert not [e for e in stage.cloud.effects if e.instance_id == vm.id]


async def test_a_manifest_that_matches_its_machine_exits_0(stage: Stage, name: str) -> None:
    vm = stage.seeded.instances[1]
    text = yaml.safe_dump(spec_manifest(name, instanceId=vm.id, imageId=vm.image_id))
    code, out, _ = await sysdisk(stage, "plan", "-f", "-", given=text)
    assert code == 0
    assert "UpToDate" in out


async def test_a_manifest_of_an_image_that_does_not_exist_says_so(stage: Stage, name: str) -> None:
    vm = stage.seeded.instances[1]
    text = yaml.safe_dump(spec_manifest(name, instanceId=vm.id, imageId="m-none"))
    code, out, _ = await sysdisk(stage, "plan", "-f", "-", "-o", "json", given=text)
    (found,) = json.loads(out)
    assert (code, found["reason"]) == (1, "ImageNotFound")


async def test_a_plan_of_a_manifest_does_not_speak_of_a_dry_run(stage: Stage, name: str) -> None:
    vm = stage.seeded.instances[2]
    image = stage.seeded.images["ubuntu-24"]
    text = yaml.safe_dump(spec_manifest(name, instanceId=vm.id, imageId=image.id))
    code, out, _ = await sysdisk(stage, "plan", "-f", "-", given=text)
    assert code == 10
    assert "would begin as soon as the manifest is applied" in out
    assert "dry-run" not in out


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"instanceId": "i-1", "imageId": "m-1", "imageFamily": "f"}, "imageFamily"),
        ({"instanceId": "i-1", "imageId": "m-1", "siez": 40}, 'unknown field "spec.siez"'),
        ({"instanceId": "i-1", "imageId": "m-1", "size": "big"}, "spec.size"),
    ],
)
async def test_a_manifest_that_the_api_server_refuses_is_not_planned(
    stage: Stage, name: str, spec: dict[str, Any], why: str
) -> None:
    text = yaml.safe_dump(spec_manifest(name, **spec))
    code, out, err = await sysdisk(stage, "plan", "-f", "-", given=text)
    assert (code, out) == (1, "")
    assert why in err


async def test_a_manifest_that_changes_what_is_immutable_is_refused_and_nothing_changes(
    stage: Stage, name: str
) -> None:
    vm, other = stage.seeded.instances[3], stage.seeded.instances[4]
    first = spec_manifest(name, instanceId=vm.id, imageId=vm.image_id)
    made = await stage.client.create(SPECS, TEAM, first)
    moved = yaml.safe_dump(spec_manifest(name, instanceId=other.id, imageId=vm.image_id))
    code, _, err = await sysdisk(stage, "plan", "-f", "-", given=moved)
    grown = spec_manifest(name, instanceId=vm.id, imageId=vm.image_id, size=80)
    larger, out, _ = await sysdisk(stage, "plan", "-f", "-", given=yaml.safe_dump(grown))
    assert (code, larger) == (1, 10)
    assert "instanceId" in err
    assert "size 40 GiB -> 80 GiB" in out
    assert await stage.client.read(SPECS, TEAM, name) == made
    await stage.client.delete(SPECS, TEAM, name, uid=made["metadata"]["uid"])


async def test_a_manifest_of_a_machine_that_is_not_granted_exits_1(stage: Stage, name: str) -> None:
    text = yaml.safe_dump(spec_manifest(name, instanceId="i-nowhere", imageId="m-1"))
    code, out, _ = await sysdisk(stage, "plan", "-f", "-", "-o", "json", given=text)
    (found,) = json.loads(out)
    assert (code, found["reason"], found["due"]) == (1, "InstanceNotFound", False)


async def test_a_file_without_specs_is_an_error(stage: Stage) -> None:
    code, _, err = await sysdisk(stage, "plan", "-f", "-", given="kind: Pod\napiVersion: v1\n")
    assert code == 1
    assert "holds no SystemDiskSpec" in err


async def test_approving_names_the_plan_and_the_caller(stage: Stage, name: str) -> None:
    await planned(stage, name)
    code, _, err = await sysdisk(stage, "approve", name, "-n", TEAM, "--yes")
    assert code == 0
    assert "destroyed: disk d-1" in err
    assert await annotated(stage, name) == {
        "sysdisk.dev/approve": PLAN["id"],
        "sysdisk.dev/approved-by": "sandbox-admin",
    }


async def test_an_approval_that_is_not_confirmed_is_not_given(stage: Stage, name: str) -> None:
    await planned(stage, name)
    code, _, err = await sysdisk(stage, "approve", name, "-n", TEAM, given="n\n")
    assert code == 1
    assert "Approve plan" in err
    assert await annotated(stage, name) == {}


async def test_a_spent_plan_is_not_approved_before_a_retry(stage: Stage, name: str) -> None:
    await planned(stage, name, spent=True)
    code, _, err = await sysdisk(stage, "approve", name, "-n", TEAM, "--yes")
    assert code == 1
    assert f"sysdisk retry {name}" in err
    assert await annotated(stage, name) == {}


async def test_a_spent_plan_whose_retry_is_on_record_is_approved(stage: Stage, name: str) -> None:
    taken = {"planId": PLAN["id"], "taken": True}
    await planned(stage, name, {"retry": taken}, spent=True)
    code, _, err = await sysdisk(stage, "approve", name, "-n", TEAM, "--yes")
    assert code == 0, err
    assert (await annotated(stage, name))["sysdisk.dev/approve"] == PLAN["id"]


async def test_a_retry_names_the_spent_plan_and_says_that_it_needs_an_approval(
    stage: Stage,
    name: str,
) -> None:
    await planned(stage, name, spent=True)
    code, _, err = await sysdisk(stage, "retry", name, "-n", TEAM)
    assert code == 0
    assert "sysdisk approve" in err
    assert await annotated(stage, name) == {"sysdisk.dev/retry": PLAN["id"]}


async def test_there_is_nothing_to_retry_where_nothing_failed(stage: Stage, name: str) -> None:
    await planned(stage, name)
    code, _, _ = await sysdisk(stage, "retry", name, "-n", TEAM)
    assert (code, await annotated(stage, name)) == (1, {})


async def test_suspend_and_resume_set_and_remove_the_annotation(stage: Stage, name: str) -> None:
    await planned(stage, name)
    assert (await sysdisk(stage, "suspend", name, "-n", TEAM))[0] == 0
    assert await annotated(stage, name) == {"sysdisk.dev/suspend": "true"}
    assert (await sysdisk(stage, "resume", name, "-n", TEAM))[0] == 0
    assert await annotated(stage, name) == {}


async def test_resume_says_where_the_spec_itself_is_suspended(stage: Stage, name: str) -> None:
    await planned(stage, name)
    await stage.client.merge(SPECS, TEAM, name, {"spec": {"suspend": True}})
    code, _, err = await sysdisk(stage, "resume", name, "-n", TEAM)
    assert code == 1
    assert "Change it in Git" in err


async def test_an_account_is_suspended_and_resumed_with_the_time_of_the_order(stage: Stage) -> None:
    assert (await sysdisk(stage, "suspend", "--account", "default"))[0] == 0
    suspended = await stage.client.read(ACCOUNTS, None, "default")
    assert (await sysdisk(stage, "resume", "--account", "default"))[0] == 0
    resumed = await stage.client.read(ACCOUNTS, None, "default")
    assert suspended is not None
    assert resumed is not None
    assert suspended["metadata"]["annotations"] == {"sysdisk.dev/suspend": "true"}
    assert list(resumed["metadata"]["annotations"]) == ["sysdisk.dev/resume"]
    assert parse_time(resumed["metadata"]["annotations"]["sysdisk.dev/resume"])


@pytest.mark.parametrize("command", ["suspend", "resume"])
async def test_a_name_wins_over_the_account_of_a_variable(
    stage: Stage, name: str, command: str
) -> None:
    await planned(stage, name)
    before = await stage.client.read(ACCOUNTS, None, "default")
    code, _, err = await sysdisk(stage, command, name, "-n", TEAM, SYSDISK_ACCOUNT="default")
    assert (code, f"{TEAM}/{name}" in err) == (0, True)
    assert await stage.client.read(ACCOUNTS, None, "default") == before
    code, _, _ = await sysdisk(stage, command, name, "-n", TEAM, "--account", "default")
    assert code == 2


async def test_a_name_wins_over_the_file_of_a_variable(stage: Stage, name: str) -> None:
    await planned(stage, name)
    assert (await sysdisk(stage, "plan", name, "-n", TEAM, SYSDISK_FILENAME="none"))[0] == 10


async def test_release_takes_our_finalizer_alone_and_warns_first(stage: Stage, name: str) -> None:
    await planned(stage, name)
    both = ["example.com/other", "sysdisk.dev/operation"]
    await stage.client.merge(SPECS, TEAM, name, {"metadata": {"finalizers": both}})
    refused = await sysdisk(stage, "release", name, "-n", TEAM, given="n\n")
    assert refused[0] == 1
    code, _, err = await sysdisk(stage, "release", name, "-n", TEAM, "--yes")
    body = await stage.client.read(SPECS, TEAM, name)
    assert body is not None
    assert (code, body["metadata"]["finalizers"]) == (0, ["example.com/other"])
    assert "carries our finalizer" in err
