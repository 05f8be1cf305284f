"""The operator as a process: probes, metrics, SIGTERM, one namespace only."""

import asyncio

import pytest

from sysdisk.kube.resources import SPECS
from sysdisk.sandbox.stage import TEAM
from tests.support.e2e import World, condition, step

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_probes_answer(world: World) -> None:
    assert (await world.operator.get("/healthz"))[0] == 200
    assert (await world.operator.get("/readyz"))[0] == 200


async def test_the_metrics_count_what_was_done(world: World) -> None:
    before = await world.operator.metrics()
    done, refused = world.machine(), world.machine(unpaid_order="order")
    names = [await world.declare(done), await world.declare(refused)]
    await world.until_ready(names[0])
    await world.until_not_ready(names[1], "PlanSpent")
    after = await world.operator.metrics()

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown('sysdisk_replacements_total{result="Replaced"}') == 1
    assert grown('sysdisk_replacements_total{result="Refused"}') == 1
    ecs = "sysdisk_ecs_requests_total"
    assert grown(f'{ecs}{{action="ReplaceSystemDisk",code="OK"}}') == 1
    assert grown(f'{ecs}{{action="ReplaceSystemDisk",code="INST_HAS_UNPAID_ORDER"}}') == 1
    assert grown(f'{ecs}{{action="StopInstance",code="OK"}}') == 2
    assert grown('sysdisk_step_seconds_count{step="Stop"}') == 2
    assert after['sysdisk_specs{phase="Ready"}'] >= 1
    assert after['sysdisk_specs{phase="Stalled"}'] >= 1
    assert after["sysdisk_leader"] == 1
    assert after["sysdisk_observation_age_seconds"] >= 0


async def test_sigterm_in_the_middle_ends_in_order_and_the_next_one_goes_on(world: World) -> None:
    machine = world.machine()
    async with world.without_operator(), world.another() as operator:
        name = await world.declare(machine)
        await world.until(name, lambda o: step(o) == "Verify")
        assert await operator.terminate() == 0
        ended = operator.records("stopped")
        assert [record["in_order"] for record in ended] == [True]
        assert step(await world.look(name)) == "Verify"
    await world.until_ready(name)
    assert world.replacements(machine) == 1
    assert world.running(machine)


async def test_an_operator_for_one_namespace_leaves_the_others_alone(world: World) -> None:
    ours, theirs = world.machine(), world.machine(tags={"team": TEAM})
    other = world.spec(theirs)
    other["metadata"]["namespace"] = "default"
    async with world.without_operator():
        await world.stage.client.create(SPECS, "default", other)
        async with world.another(f"--namespace={TEAM}") as operator:
            await world.until_ready(await world.declare(ours))
            assert await operator.terminate() == 0
        untold = await world.stage.client.read(SPECS, "default", other["metadata"]["name"])
        assert untold is not None
        assert "status" not in untold
        world.untouched(theirs)

    async def taken_up() -> bool:
        found = await world.stage.client.read(SPECS, "default", other["metadata"]["name"])
        return found is not None and condition(found, "Ready").get("status") == "True"

    await world.until_true(taken_up, "the other namespace is served again")


async def test_a_dry_run_plans_and_touches_nothing(world: World) -> None:
    machine = world.machine()
    async with world.without_operator(), world.another("--dry-run") as operator:
        name = await world.declare(machine)
        found = await world.until_not_ready(name, "DryRun")
        assert found["status"]["plan"]["changes"]
        assert await operator.terminate() == 0
        world.untouched(machine)
    await world.until_ready(name)


async def test_ten_specs_at_once_are_all_carried_out(world: World) -> None:
    machines = [world.machine() for _ in range(10)]
    names = await asyncio.gather(*(world.declare(machine) for machine in machines))
    await asyncio.gather(*(world.until_ready(name) for name in names))
    assert [world.replacements(machine) for machine in machines] == [1] * 10
