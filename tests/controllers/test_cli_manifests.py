"""`plan -f`: owners in every namespace and in the same file, rights, and files that are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from sysdisk.kube.resources import ACCOUNTS, SPECS
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.kube_faults import Fault
from sysdisk.sandbox.stage import TEAM, Stage, spec_manifest
from tests.support.command import sysdisk

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYWHERE = "/apis/sysdisk.dev/v1alpha1/systemdiskspecs"


@pytest.fixture
def machine(stage: Stage) -> str:
    """A machine of the team's that no spec names yet."""
    image = stage.seeded.images["ubuntu-22"]
    return Fleet(stage.cloud).instance(image, tags={"team": TEAM}).id


def manifest(stage: Stage, name: str, machine: str, **more: Any) -> dict[str, Any]:
    image = stage.seeded.images["ubuntu-24"].id
    return spec_manifest(name, instanceId=machine, imageId=image, **more)


async def elsewhere(stage: Stage, name: str, machine: str, **more: Any) -> None:
    """Create a spec for `machine` in another namespace."""
    body = manifest(stage, name, machine, **more)
    body["metadata"]["namespace"] = "default"
    await stage.client.create(SPECS, "default", body)


async def planned(stage: Stage, *manifests: object) -> tuple[int, list[Any], str]:
    """Return exit code, answers and what was said of `plan -f -`."""
    text = yaml.safe_dump_all(manifests)
    code, out, err = await sysdisk(stage, "plan", "-f", "-", "-o", "json", given=text)
    return code, json.loads(out) if out else [], err


def forbid(stage: Stage, method: str, path: str, message: str = "no") -> None:
    assert stage.server is not None
    stage.server.faults.add(Fault(method, path, status=403, message=message))


async def test_an_owner_in_another_namespace_is_seen(stage: Stage, name: str, machine: str) -> None:
    await elsewhere(stage, name, machine)
    code, (found,), err = await planned(stage, manifest(stage, name, machine))
    assert (code, found["reason"]) == (1, "InstanceOwned")
    assert "not looked for" not in err


async def test_an_owner_through_another_account_is_seen(
    stage: Stage, name: str, machine: str
) -> None:
    other = stage.account_manifest()
    other["metadata"] = {"name": name}
    await stage.client.create(ACCOUNTS, None, other)
    await elsewhere(stage, name, machine, accountRef={"name": name})
    code, (found,), _ = await planned(stage, manifest(stage, name, machine))
    assert (code, found["reason"]) == (1, "InstanceOwned")


async def test_who_may_not_list_everywhere_is_told_what_was_not_looked_for(
    stage: Stage, name: str, machine: str
) -> None:
    await elsewhere(stage, name, machine)
    forbid(stage, "GET", EVERYWHERE)
    code, _, err = await planned(stage, manifest(stage, name, machine))
    assert code == 10
    assert "Owners elsewhere were not looked for" in err


async def test_of_two_manifests_for_one_machine_the_first_is_its_owner(
    stage: Stage, name: str, machine: str
) -> None:
    first, second = manifest(stage, f"{name}-b", machine), manifest(stage, f"{name}-a", machine)
    code, found, _ = await planned(stage, first, second)
    assert code == 1
    assert [each["due"] for each in found] == [True, False]
    assert found[1]["reason"] == "InstanceOwned"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ".*/systemdiskspecs"),
        ("GET", ".*/ecsaccounts/default"),
        ("GET", ".*/secrets/.*"),
    ],
)
async def test_who_lacks_a_right_is_told_which_ones_it_takes_and_the_other_way(
    stage: Stage, name: str, machine: str, method: str, path: str
) -> None:
    forbid(stage, method, path)
    code, _, err = await planned(stage, manifest(stage, name, machine))
    assert code == 1
    assert f"{TEAM}/{name}: {method} " in err
    assert "get of the EcsAccount and of the Secret that it names" in err
    assert "approval: Manual" in err


async def test_what_a_policy_denies_is_no_question_of_rights(
    stage: Stage, name: str, machine: str
) -> None:
    forbid(stage, "POST", ".*/systemdiskspecs", "ValidatingAdmissionPolicy 'x' denied request: no")
    code, _, err = await planned(stage, manifest(stage, name, machine))
    assert code == 1
    assert "denied request" in err
    assert "approval: Manual" not in err


@pytest.mark.parametrize(
    ("words", "given"), [("annotations", 5), ("labels", ["a"]), ("labels", "a=b")]
)
async def test_metadata_of_a_wrong_shape_is_named_and_no_traceback(
    stage: Stage, name: str, machine: str, words: str, given: object
) -> None:
    await stage.client.create(SPECS, TEAM, manifest(stage, name, machine))
    wrong = manifest(stage, name, machine)
    wrong["metadata"][words] = given
    code, _, err = await planned(stage, wrong)
    assert code == 1
    assert f"{TEAM}/{name}: metadata.{words} is not a mapping" in err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: List\nitems: 5\n", "the standard input: the items of a List are not a list"),
        ("a: b\nc: [1\nd: 2\n", "the standard input is not YAML: line 3, column 2: expected"),
        ("kind: Pod\napiVersion: v1\n", "the standard input holds no SystemDiskSpec"),
        (
            "kind: SystemDiskSpec\nmetadata: {name: web}\n",
            "SystemDiskSpec web is one without apiVersion",
        ),
        (
            "apiVersion: sysdisk.dev/v1alpha1\nkind: SystemDiskSpec\nmetadata: {name: a}\n---\n"
            "apiVersion: sysdisk.dev/v1\nkind: SystemDiskSpec\nmetadata: {name: b}\n",
            "SystemDiskSpec b is one of sysdisk.dev/v1; this command reads sysdisk.dev/v1alpha1",
        ),
        (
            "apiVersion: sysdisk.dev/v1alpha1\nkind: SystemDiskSpec\nmetadata: {name: a}\n"
            "spec: &a {imageId: *a}\n",
            "shop/a holds something that JSON cannot say",
        ),
    ],
)
async def test_a_wrong_file_is_told_with_what_is_wrong_and_where(
    stage: Stage, text: str, why: str
) -> None:
    code, out, err = await sysdisk(stage, "plan", "-f", "-", "-n", TEAM, given=text)
    assert (code, out) == (1, "")
    assert why in err


async def test_a_time_is_a_text_as_kubectl_takes_it(stage: Stage, name: str, machine: str) -> None:
    text = yaml.safe_dump(manifest(stage, name, machine, replaceTrigger="AT"))
    given = text.replace("AT", "2026-03-01")
    code, _, err = await sysdisk(stage, "plan", "-f", "-", given=given)
    assert code == 10, err


async def test_what_the_api_server_refuses_names_the_object(stage: Stage, name: str) -> None:
    code, _, err = await planned(stage, spec_manifest(name, instanceId="i-1"))
    assert code == 1
    assert f"{TEAM}/{name}: " in err
