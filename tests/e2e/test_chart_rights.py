"""The rights that the chart grants by default are enough for the work: RBAC enforced."""

from pathlib import Path

import pytest
import yaml

from sysdisk.kube.resources import SECRETS
from sysdisk.sandbox.stage import ENVTEST, secret
from tests.chart.rendering import NAMESPACE, RELEASE, rendered
from tests.support.e2e import World
from tests.support.operator_process import OperatorProcess

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
