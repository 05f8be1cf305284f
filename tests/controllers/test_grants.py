"""What an EcsAccount grants to a namespace: nothing by default, and no more than it says (I7)."""

from __future__ import annotations

from typing import Any

import pytest

from sysdisk.api.account import AllowedNamespaces, EcsAccountSpec
from sysdisk.controllers.grants import allows, grant_for
from sysdisk.core.world import Instance


def selecting(**test: Any) -> dict[str, Any]:
    return {"selector": {"matchExpressions": [{"key": "team", **test}]}}


IN = selecting(operator="In", values=["shop"])
NOT_IN = selecting(operator="NotIn", values=["shop"])
THERE, NOT_THERE = selecting(operator="Exists"), selecting(operator="DoesNotExist")
VM = Instance("i-1", "Running", region_id="cn-hangzhou", tags=(("team", "shop"), ("tier", "web")))


@pytest.mark.parametrize(
    ("allowed", "labels", "allows_it"),
    [
        ({}, None, False),
        ({"names": ["shop"]}, None, True),
        ({"names": ["other"]}, {"team": "shop"}, False),
        ({"selector": {}}, {"team": "shop"}, False),
        ({"selector": {"matchLabels": {"team": "shop"}}}, {"team": "shop"}, True),
        ({"selector": {"matchLabels": {"team": "shop", "tier": "web"}}}, {"team": "shop"}, False),
        ({"selector": {"matchLabels": {"team": "shop"}}}, None, False),
        (IN, {"team": "shop"}, True),
        (IN, {"team": "other"}, False),
        (NOT_IN, {"team": "shop"}, False),
        (NOT_IN, {}, True),
        (THERE, {"team": "any"}, True),
        (THERE, {}, False),
        (NOT_THERE, {}, True),
        (NOT_THERE, {"team": "any"}, False),
    ],
)
def test_a_namespace_may_use_an_account_that_names_or_selects_it(
    allowed: dict[str, Any], labels: dict[str, str] | None, allows_it: bool
) -> None:
    assert allows(AllowedNamespaces.from_api(allowed), "shop", labels) is allows_it


@pytest.mark.parametrize(
    "test",
    [
        {"key": "a b", "operator": "DoesNotExist"},
        {"key": "a\n", "operator": "DoesNotExist"},
        {"key": "", "operator": "DoesNotExist"},
        {"key": f"{'p' * 254}/x", "operator": "DoesNotExist"},
        {"key": "a b", "operator": "NotIn", "values": ["shop"]},
        {"key": "team", "operator": "NotIn", "values": ["shop", "c d"]},
    ],
)
def test_a_stored_test_of_a_label_that_there_cannot_be_grants_nothing(test: dict[str, Any]) -> None:
    allowed = AllowedNamespaces.from_api({"selector": {"matchExpressions": [test]}})
    assert not allows(allowed, "shop", {})
    assert not allows(allowed, "shop", {"team": "other"})


@pytest.mark.parametrize(
    ("allowed", "covers"),
    [
        ({}, False),
        ({"ids": ["i-1"]}, True),
        ({"ids": ["i-2"]}, False),
        ({"ids": ["i-1"], "regions": ["cn-beijing"]}, False),
        ({"regions": ["cn-hangzhou"]}, True),
        ({"tags": {"team": "shop"}}, True),
        ({"tags": {"team": "shop", "tier": "web"}}, True),
        ({"tags": {"team": "shop", "tier": "db"}}, False),
        ({"tags": {"team": "$(namespace)"}}, True),
        ({"tags": {"team": "$(namespace)-x"}}, False),
        ({"ids": ["i-2"], "tags": {"team": "shop"}}, True),
    ],
)
def test_an_instance_is_reached_by_its_id_or_by_all_tags_and_in_its_region(
    allowed: dict[str, Any], covers: bool
) -> None:
    account = {"regionId": "cn-hangzhou", "credentials": {"chain": True}}
    spec = EcsAccountSpec.from_api({**account, "allowedInstances": allowed})
    assert grant_for(spec, "shop").covers(VM) is covers
