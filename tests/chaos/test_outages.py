"""The API server restarts, watches are cut, ECS is dark: in the middle of replacements."""

import asyncio

import pytest

from sysdisk.sandbox.ecs_state import Instance
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.stage import Stage
from tests.support.e2e import World, step

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_a_restart_of_the_api_server_costs_nothing_but_time(stormy: World) -> None:
    machines = [stormy.machine() for _ in range(4)]
    async with stormy.operator:
        names = await _declared(stormy, machines)
        await stormy.until(names[0], lambda o: step(o) == "Verify")
        await _restart(stormy.stage)
        await _all_replaced_once(stormy, names, machines)
        assert await stormy.operator.terminate() == 0


async def test_ecs_being_dark_in_the_middle_is_waited_for(stormy: World) -> None:
    machines = [stormy.machine() for _ in range(3)]

    async def unanswered() -> bool:
        failed = 'sysdisk_ecs_requests_total{action="DescribeInstances",code="NoAnswer"}'
        return (await stormy.operator.metrics()).get(failed, 0) >= 5

    async with stormy.operator:
        names = await _declared(stormy, machines)
        await stormy.until(names[0], lambda o: step(o) == "Verify")
        await stormy.stage.ecs.go_dark()
        try:
            await stormy.until_true(unanswered, "questions without an answer")
        finally:
            await stormy.stage.ecs.come_back()
        await _all_replaced_once(stormy, names, machines)


async def test_cut_watches_and_a_forgotten_history_lose_nothing(stormy: World) -> None:
    server = stormy.stage.server
    if server is None:
        pytest.skip("only the embedded API cuts watches one by one; restarts are tested on both")
    machines = [stormy.machine() for _ in range(6)]
    async with stormy.operator:
        names = []
        for number, machine in enumerate(machines):
            names.append(await stormy.declare(machine))
            await _cut(server, forget=number % 2 == 1)
        await _all_replaced_once(stormy, names, machines)


async def _cut(server: KubeServer, *, forget: bool) -> None:
    if forget:
        server.expire_history()
    server.cut_watches()


async def _declared(stormy: World, machines: list[Instance]) -> list[str]:
    return list(await asyncio.gather(*(stormy.declare(machine) for machine in machines)))


async def _all_replaced_once(stormy: World, names: list[str], machines: list[Instance]) -> None:
    await asyncio.gather(*(stormy.until_ready(name) for name in names))
    assert [stormy.replacements(m) for m in machines] == [1] * len(machines)
    assert all(stormy.running(m) for m in machines)


async def _restart(stage: Stage) -> None:
    if stage.server is not None:
        await stage.server.stop()
        await stage.server.start()
    else:
        assert stage.envtest is not None
        await asyncio.to_thread(stage.envtest.restart_apiserver)
