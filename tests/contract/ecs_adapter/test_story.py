"""One replacement from look to look, through the real SDK and the account's client."""

from __future__ import annotations

import asyncio

from sysdisk.core.answers import Accepted
from sysdisk.core.world import Disk, Power
from sysdisk.ecs.account import RegionClient
from sysdisk.ecs.inventory import Disks
from tests.contract.ecs_adapter.conftest import Site
from tests.contract.ecs_adapter.test_requests_on_the_wire import BARE


async def until_power(region: RegionClient, instance_id: str, power: Power) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        while True:
            sight = await region.inventory.look(
                instance_id, begun_after=loop.time(), disks=Disks.NONE
            )
            if sight.instance is not None and sight.instance.power is power:
                return


async def until_attached(region: RegionClient, instance_id: str, disk_id: str) -> Disk:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        while True:
            sight = await region.inventory.look(
                instance_id, begun_after=loop.time(), expect=[disk_id]
            )
            for disk in sight.system_disks or ():
                if disk.disk_id == disk_id and disk.status == "In_use":
                    return disk


async def test_a_machine_is_stopped_replaced_and_started(site: Site) -> None:
    vm = site.fleet.instance(site.image, data_disks=(20,))
    region = site.region()
    region.inventory.register(vm.id)
    before = await region.inventory.look(vm.id, disks=Disks.ALL)
    assert isinstance(await region.stop_instance(vm.id), Accepted)
    await until_power(region, vm.id, Power.STOPPED)
    answer = await region.replace_system_disk(
        BARE.replace(image_id=site.newer.id, size=80),
        instance_id=vm.id,
        client_token="t-1",
        password="Pa%55&wo+rd/1",
    )
    assert isinstance(answer, Accepted)
    disk = await until_attached(region, vm.id, answer.disk_id)
    assert (disk.size, disk.image_id) == (80, site.newer.id)
    assert isinstance(await region.start_instance(vm.id), Accepted)
    await until_power(region, vm.id, Power.RUNNING)
    after = await region.inventory.look(
        vm.id, begun_after=asyncio.get_running_loop().time(), disks=Disks.ALL
    )
    assert after.data_disk_ids == before.data_disk_ids
    assert after.instance is not None
    assert after.instance.image_id == site.newer.id
    await region.inventory.close()
