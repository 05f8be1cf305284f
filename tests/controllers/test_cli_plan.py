"""What `plan` and `approve` say of a spec that was changed just now: never an earlier plan."""

from __future__ import annotations

import asyncio
import json

import pytest

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.stage import TEAM, Stage, spec_manifest
from tests.support.command import PLAN, annotated, planned, sysdisk

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def changed(stage: Stage, name: str) -> None:
    """Leave a spec behind whose plan is that of its first generation."""
    await planned(stage, name)
    await stage.client.merge(SPECS, TEAM, name, {"spec": {"imageId": "m-3"}})


async def noticed(stage: Stage, name: str, **status: object) -> None:
    """Write the status that an operator would for the second generation."""
    body = await stage.client.read(SPECS, TEAM, name)
    assert body is not None
    await stage.client.patch_status(
        SPECS,
        TEAM,
        name,
        resource_version=body["metadata"]["resourceVersion"],
        status={"observedGeneration": 2, **status},
    )


async def test_a_plan_of_an_earlier_spec_is_not_shown_and_exits_1(stage: Stage, name: str) -> None:
    await changed(stage, name)
    code, out, err = await sysdisk(stage, "plan", name, "-n", TEAM, "--wait", "0s")
    assert code == 1
    assert "the spec was changed and is not planned yet" in out
    assert PLAN["id"] not in out
    assert "1 that cannot go on" in err


async def test_the_generation_that_was_planned_is_in_the_data(stage: Stage, name: str) -> None:
    await changed(stage, name)
    ask = ("plan", name, "-n", TEAM, "-o", "json")
    code, out, _ = await sysdisk(stage, *ask, "--wait", "0s")
    (found,) = json.loads(out)
    assert (code, found["due"], found["plan"], found["observedGeneration"]) == (1, None, None, 1)
    assert "not planned yet" in found["message"]
    await noticed(stage, name)
    code, out, _ = await sysdisk(stage, *ask)
    (found,) = json.loads(out)
    assert (code, found["due"], found["observedGeneration"]) == (10, True, 2)


async def test_a_plan_waits_a_while_for_the_operator(stage: Stage, name: str) -> None:
    await changed(stage, name)
    asked = asyncio.create_task(sysdisk(stage, "plan", name, "-n", TEAM, "--wait", "1m"))
    await asyncio.sleep(0.3)
    assert not asked.done()
    await noticed(stage, name, plan=PLAN | {"id": "p1-fedcba9876543210"})
    code, out, _ = await asked
    assert code == 10
    assert "p1-fedcba9876543210" in out


async def test_an_approval_right_after_the_apply_does_not_say_that_nothing_is_due(
    stage: Stage, name: str
) -> None:
    await stage.client.create(
        SPECS, TEAM, spec_manifest(name, instanceId=f"i-{name}", imageId="m-1")
    )
    code, _, err = await sysdisk(stage, "approve", name, "-n", TEAM, "--yes", "--wait", "0s")
    assert code == 1
    assert "not planned yet" in err
    assert "nothing is due" not in err


async def test_an_approval_waits_a_while_and_is_for_the_new_plan(stage: Stage, name: str) -> None:
    await changed(stage, name)
    asked = asyncio.create_task(
        sysdisk(stage, "approve", name, "-n", TEAM, "--yes", "--wait", "1m")
    )
    await asyncio.sleep(0.3)
    await noticed(stage, name, plan=PLAN | {"id": "p1-fedcba9876543210"})
    assert (await asked)[0] == 0
    assert (await annotated(stage, name))["sysdisk.dev/approve"] == "p1-fedcba9876543210"


async def test_no_approval_is_asked_for_where_none_is_needed(stage: Stage, name: str) -> None:
    await planned(stage, name, policy={"approval": "Automatic"})
    code, _, err = await sysdisk(stage, "approve", name, "-n", TEAM)
    assert code == 0
    assert f"its approval is Automatic, so plan {PLAN['id']} needs none" in err
    assert "Approve plan" not in err
    assert await annotated(stage, name) == {}


@pytest.mark.parametrize("command", ["plan", "approve"])
async def test_a_wrong_wait_is_wrong_usage(stage: Stage, command: str) -> None:
    code, _, err = await sysdisk(stage, command, "web", "--wait", "soon")
    assert code == 2
    assert "--wait" in err
