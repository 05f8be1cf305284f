"""What a preflight asks ECS for, and how the answers are read: shared, paged, and never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import REGION, vm

from sysdisk.core.answers import ErrorClass, Failure
from sysdisk.core.world import Slot, Supply
from sysdisk.ecs import parse
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.errors import NoAnswer, Refusal, Throttled
from sysdisk.ecs.lookups import PAGES_AT_MOST, Lookups

ZONE, TYPE = f"{REGION}-h", "ecs.g7.large"
SLOT = Slot(ZONE, TYPE)
FORBIDDEN = Refusal(Failure("Forbidden.RAM", "no", ErrorClass.USER, http_status=403))


class Ecs:
    """Answers by action; a list is answered one item a call, the last one for ever."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def read(self, action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        self.asked.append((action, params))
        found = self._answers[action]
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, Exception):
            raise found
        answer: Mapping[str, Any] = found
        return answer

    def lookups(self) -> Lookups:
        return Lookups(self.read, REGION, Clock(), gather=0.0)


def tasks(*resources: str, total: int | None = None) -> dict[str, Any]:
    listed = [{"TaskId": f"t-{r}", "ResourceId": r} for r in resources]
    return {"TaskSet": {"Task": listed}, "TotalCount": len(listed) if total is None else total}


def offered(*resources: Mapping[str, str], zone: str = ZONE, kind: str = "SystemDisk") -> Any:
    part = {"Type": kind, "SupportedResources": {"SupportedResource": list(resources)}}
    return {
        "AvailableZones": {
            "AvailableZone": [{"ZoneId": zone, "AvailableResources": {"AvailableResource": [part]}}]
        }
    }


@pytest.mark.parametrize(
    ("stock", "sold_out"),
    [
        ({"Status": "Available", "StatusCategory": "WithStock"}, False),
        ({"Status": "Available", "StatusCategory": "ClosedWithStock"}, False),
        ({"Status": "SoldOut", "StatusCategory": "WithoutStock"}, True),
        ({"Status": "SoldOut", "StatusCategory": "ClosedWithoutStock"}, True),
        ({"Status": "Available"}, False),
        ({"Status": "SoldOut"}, True),
        ({}, False),
    ],
)
def test_stock_is_what_the_category_of_the_status_says(
    stock: dict[str, str], sold_out: bool
) -> None:
    found = parse.supply(SLOT, offered({"Value": "cloud_essd", **stock}))
    assert found.categories == {"cloud_essd"}
    assert found.sold_out == ({"cloud_essd"} if sold_out else frozenset())


@pytest.mark.parametrize(
    "body",
    [
        offered({"Value": "cloud_essd"}, zone="elsewhere"),
        offered({"Value": "ecs.g7.large"}, kind="InstanceType"),
        offered(),
        {"AvailableZones": {"AvailableZone": [{"ZoneId": ZONE}]}},
        {"AvailableZones": {"AvailableZone": []}},
    ],
)
def test_a_zone_that_offers_nothing_that_we_asked_for_is_not_known(body: dict[str, Any]) -> None:
    assert parse.supply(SLOT, body) == Supply(SLOT)


@pytest.mark.parametrize(
    "body", [{}, {"AvailableZones": None}, {"AvailableZones": {"AvailableZone": "h"}}]
)
def test_a_broken_answer_about_supply_is_not_believed(body: dict[str, Any]) -> None:
    with pytest.raises(NoAnswer):
        parse.supply(SLOT, body)


def test_the_architecture_is_that_of_the_type_that_was_asked_for() -> None:
    rows = [
        {"InstanceTypeId": "ecs.g8y.large", "CpuArchitecture": "ARM"},
        {"InstanceTypeId": TYPE, "CpuArchitecture": "X86"},
    ]
    body = {"InstanceTypes": {"InstanceType": rows}}
    assert parse.cpu_architecture(TYPE, body) == "X86"
    assert parse.cpu_architecture("ecs.none", body) == ""
    with pytest.raises(NoAnswer):
        parse.cpu_architecture(TYPE, {})


def test_a_region_without_an_id_is_an_answer_that_is_not_understood() -> None:
    rows = [{"RegionId": "cn-a"}, {"RegionId": "cn-b"}]
    assert parse.region_ids({"Regions": {"Region": rows}}) == {"cn-a", "cn-b"}
    with pytest.raises(NoAnswer):
        parse.region_ids({"Regions": {"Region": [{}]}})


async def test_all_pages_of_the_tasks_are_read_once_for_everybody() -> None:
    pages = [tasks("d-1", total=3), tasks("d-2", "", total=3)]
    ecs = Ecs(DescribeTasks=pages)
    lookups = ecs.lookups()
    found = await asyncio.gather(*(lookups.in_transfer(f"d-{n}") for n in (1, 2, 3)))
    assert found == [True, True, False]
    assert [params["PageNumber"] for _, params in ecs.asked] == ["1", "2"]
    assert {params["TaskStatus"] for _, params in ecs.asked} == {"Processing"}


async def test_a_list_of_tasks_that_shrinks_while_it_is_read_ends() -> None:
    ecs = Ecs(DescribeTasks=[tasks("d-1", total=3), tasks(total=3)])
    assert await ecs.lookups().in_transfer("d-1")


async def test_pages_of_tasks_without_an_end_are_not_read_for_ever() -> None:
    ecs = Ecs(DescribeTasks=tasks("d-1", total=10**9))
    with pytest.raises(NoAnswer, match="do not end"):
        await ecs.lookups().in_transfer("d-1")
    assert len(ecs.asked) == PAGES_AT_MOST


async def test_a_refused_look_forbids_nothing() -> None:
    ecs = Ecs(
        DescribeTasks=FORBIDDEN,
        DescribeAvailableResource=FORBIDDEN,
        DescribeInstanceTypes=FORBIDDEN,
    )
    lookups = ecs.lookups()
    assert not await lookups.in_transfer("d-1")
    assert await lookups.supply(SLOT) == Supply(SLOT)
    assert await lookups.cpu_architecture(TYPE) == ""


@pytest.mark.parametrize("error", [Throttled, NoAnswer])
async def test_a_look_that_may_still_be_answered_is_not_given_up(
    error: type[Throttled] | type[NoAnswer],
) -> None:
    fault = error(Failure("Throttling.User", "later", ErrorClass.RETRY))
    lookups = Ecs(DescribeTasks=fault, DescribeAvailableResource=fault).lookups()
    with pytest.raises(error):
        await lookups.in_transfer("d-1")
    with pytest.raises(error):
        await lookups.supply(SLOT)


def test_the_slot_is_that_of_the_machine() -> None:
    fields = {"instance_type": TYPE, "charge_type": "PrePaid", "spot_strategy": "NoSpot"}
    told = Slot.of(vm(zone_id=ZONE, io_optimized=False, **fields))
    assert told == Slot(ZONE, TYPE, "PrePaid", "NoSpot", io_optimized=False)


async def test_supply_is_asked_for_once_a_slot() -> None:
    ecs = Ecs(DescribeAvailableResource=offered({"Value": "cloud_essd"}))
    lookups = ecs.lookups()
    slots = [
        SLOT,
        replace(SLOT, instance_type="ecs.c7.large"),
        replace(SLOT, charge_type="PrePaid"),
        replace(SLOT, spot_strategy="SpotAsPriceGo"),
        replace(SLOT, io_optimized=False),
    ]
    for slot in slots:
        await asyncio.gather(*(lookups.supply(slot) for _ in range(20)))
    names = ("InstanceType", "InstanceChargeType", "SpotStrategy", "IoOptimized")
    assert [tuple(params.get(name) for name in names) for _, params in ecs.asked] == [
        (TYPE, None, None, "optimized"),
        ("ecs.c7.large", None, None, "optimized"),
        (TYPE, "PrePaid", None, "optimized"),
        (TYPE, None, "SpotAsPriceGo", "optimized"),
        (TYPE, None, None, "none"),
    ]
