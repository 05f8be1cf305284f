"""Time that runs fast, and fleets that are large."""

from __future__ import annotations

import json

import pytest
from alibabacloud_ecs20140526 import models as m

from sysdisk.sandbox.ecs_clock import Clock
from sysdisk.sandbox.ecs_fleet import Fleet, seed_fleet
from sysdisk.sandbox.ecs_server import EcsServer
from tests.support.ecs_fleet import REGION, HandClock, Lab, in_thread, sdk


def test_a_clock_runs_as_many_times_as_fast_as_it_was_told() -> None:
    real = HandClock(5.0)
    clock = Clock(100.0, start=1000.0, monotonic=real.now)
    real.pass_(2.0)
    assert (clock.now(), clock.real(8.0)) == (1200.0, 0.08)
    with pytest.raises(ValueError, match="scale"):
        Clock(0)


async def test_a_server_at_scale_begins_empty_and_keeps_the_callers_time_for_signatures() -> None:
    async with EcsServer.at_scale(1000.0) as server:
        key = Fleet(server.cloud).access_key()
        body = (await in_thread(sdk(server, key).describe_regions, m.DescribeRegionsRequest())).body
        assert [r.region_id for r in body.regions.region] == [REGION]


def test_a_fleet_of_ten_thousand_is_read_in_a_hundred_calls_by_id(lab: Lab) -> None:
    ids = [vm.id for vm in seed_fleet(lab.cloud, 10_000).instances]
    seen = []
    for start in range(0, len(ids), 100):
        given = {"InstanceIds": json.dumps(ids[start : start + 100]), "MaxResults": "100"}
        found = lab.call("DescribeInstances", given, RegionId=REGION)
        seen += [vm["InstanceId"] for vm in found["Instances"]["Instance"]]
    assert seen == ids
    assert len(lab.cloud.requests_of("DescribeInstances")) == 100


def test_ten_thousand_stops_are_settled_at_one_look(lab: Lab) -> None:
    ids = [vm.id for vm in seed_fleet(lab.cloud, 10_000).instances]
    for instance_id in ids:
        lab.call("StopInstance", InstanceId=instance_id)
    lab.clock.pass_(60.0)
    assert len(lab.cloud.effects_of("instance_stopped")) == 10_000
