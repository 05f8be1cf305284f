"""The rights that the chart grants by default are enough for the work: RBAC enforced."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sysdisk.kube.resources import SECRETS
from sysdisk.sandbox.stage import ENVTEST, SYSTEM, TEAM, secret
from tests.chart.rendering import NAMESPACE, RELEASE, rendered
from tests.support.command import sysdisk
from tests.support.e2e import World
from tests.support.operator_process import OperatorProcess

Asked = Callable[..., Awaitable[tuple[int, str, str]]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_charts_service_account_can_do_the_work_and_is_never_forbidden(
    world: World, tmp_path: Path
) -> None:
    envtest = world.stage.envtest
    if envtest is None:
        pytest.skip("the embedded API enforces no RBAC")
    assert world.stage.kube == ENVTEST
    await world.kubectl("create", "namespace", NAMESPACE)
    objects = [o for o in rendered({}) if o["kind"] != "CustomResourceDefinition"]
    (tmp_path / "chart.yaml").write_text(yaml.safe_dump_all(objects))
    await world.kubectl("apply", f"--namespace={NAMESPACE}", f"--filename={tmp_path}/chart.yaml")
    account = next(o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount")
    token = await world.kubectl("create", "token", account, f"--namespace={NAMESPACE}")
    kubeconfig = envtest.write_kubeconfig(tmp_path / "kubeconfig", token=token.strip())

    key = world.stage.seeded.key
    keys = secret(NAMESPACE, "keys", accessKeyId=key.id, accessKeySecret=key.secret)
    await world.stage.client.create(SECRETS, NAMESPACE, keys)
    ecs_account = world.name("chart")
    await world.add_account(
        ecs_account, credentials={"secretRef": {"namespace": NAMESPACE, "name": "keys"}}
    )
    login = world.name("login")
    await world.store_secret(login, password="Fine&long7")
    machine = world.machine(policy=world.stage.seeded.policy)
    operator = OperatorProcess(
        kubeconfig, tmp_path, "--log-level=debug", f"--account-secret-namespaces={NAMESPACE}"
    )
    try:
        async with world.without_operator(), operator:
            name = await world.declare(
                machine,
                accountRef={"name": ecs_account},
                login={"passwordSecretRef": {"name": login, "key": "password"}},
            )
            await world.until_ready(name)

            async def told() -> bool:
                return "Replaced" in {event["reason"] for event in await world.events(name)}

            await world.until_true(told, "the event Replaced")
            assert (await operator.get("/readyz"))[0] == 200
            assert await operator.terminate() == 0
    finally:  # its admission policy lets nobody else write status: other stories' operators, too
        await world.kubectl(
            "delete",
            f"--namespace={NAMESPACE}",
            f"--filename={tmp_path}/chart.yaml",
            "--wait=false",
        )
    assert "forbidden" not in operator.log.lower()
    assert world.replacements(machine) == 1
    assert RELEASE in account


async def test_a_team_reads_plans_by_name_and_is_told_what_the_plan_of_a_file_takes(
    world: World, tmp_path: Path
) -> None:
    envtest = world.stage.envtest
    if envtest is None:
        pytest.skip("the embedded API enforces no RBAC")
    team, kubectl = world.name("team"), world.kubectl
    roles = [o for o in rendered({}) if o["kind"] == "ClusterRole" and _for_teams(o)]
    await kubectl("create", "serviceaccount", team)
    who = f"--serviceaccount={TEAM}:{team}"
    for body in roles:
        await kubectl("apply", "--filename=-", given=body)
        role = body["metadata"]["name"]
        await kubectl("create", "rolebinding", f"{team}-{role}", f"--clusterrole={role}", who)
    token = await kubectl("create", "token", team)
    kubeconfig = envtest.write_kubeconfig(tmp_path / "kubeconfig", token=token.strip())

    async def asked(*arguments: str, given: str = "") -> tuple[int, str, str]:
        variable = {"SYSDISK_KUBECONFIG": str(kubeconfig)}
        return await sysdisk(world.stage, "plan", "-n", TEAM, *arguments, given=given, **variable)

    applied = await world.declare(world.machine(), approval="Manual")
    await world.until_not_ready(applied, "AwaitingApproval")
    code, out, _ = await asked(applied)
    assert (code, "~ imageId" in out) == (10, True)

    manifest = yaml.safe_dump(world.spec(world.machine()))
    code, _, err = await asked("-f", "-", given=manifest)
    assert (code, "ecsaccounts" in err, "approval: Manual" in err) == (1, True, True)

    await kubectl("create", "clusterrole", team, "--verb=get", "--resource=ecsaccounts")
    await kubectl("create", "clusterrolebinding", team, f"--clusterrole={team}", who)
    await world.until_true(lambda: _refused(asked, manifest, "secrets"), "the account is read")

    there = f"--namespace={SYSTEM}"
    await kubectl("create", "role", team, "--verb=get", "--resource=secrets", there)
    await kubectl("create", "rolebinding", team, f"--role={team}", who, there)

    async def planned() -> bool:
        code, _, err = await asked("-f", "-", given=manifest)
        return (code, "Owners elsewhere were not looked for" in err) == (10, True)

    await world.until_true(planned, "the plan of the file")


def _for_teams(role: dict[str, Any]) -> bool:
    return str(role["metadata"]["name"]).endswith(("-view", "-edit"))


async def _refused(asked: Asked, manifest: str, resource: str) -> bool:
    code, _, err = await asked("-f", "-", given=manifest)
    return (code, f'"{resource}"' in err) == (1, True)
