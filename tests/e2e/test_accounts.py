"""Accounts that do not work: they say so, their specs wait, and go on by themselves."""

import asyncio
from typing import Any

import pytest

from sysdisk.kube.resources import ACCOUNTS, EVENTS, SECRETS
from sysdisk.sandbox.stage import SYSTEM, secret
from tests.support.e2e import World, condition, message

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOBODY_THERE = "http://127.0.0.1:1"


async def test_an_account_says_who_it_is(world: World) -> None:
    found = await world.until_account("default", "True", "Verified")
    assert found["status"]["identity"]["arn"] == world.stage.seeded.key.arn
    shown = await world.kubectl("get", "ecsa", "default")
    assert "True" in shown


async def test_an_account_that_does_not_work_says_why_and_its_specs_wait(world: World) -> None:
    await asyncio.gather(
        _wrong_key(world), _no_secret(world), _wrong_region(world), _nobody_there(world)
    )


async def _wrong_key(world: World) -> None:
    keys, real = world.name("keys"), world.stage.seeded.key
    wrong = secret(SYSTEM, keys, accessKeyId=real.id, accessKeySecret="wrong")
    await world.stage.client.create(SECRETS, SYSTEM, wrong)
    right = secret(SYSTEM, keys, accessKeyId=real.id, accessKeySecret=real.secret)

    async def repair(account: str) -> None:
        await world.stage.client.merge(SECRETS, SYSTEM, keys, {"data": right["data"]})

    credentials = {"secretRef": {"namespace": SYSTEM, "name": keys}}
    await _waits(world, {"credentials": credentials}, "CredentialsInvalid", keys, repair)


async def _no_secret(world: World) -> None:
    keys, real = world.name("keys"), world.stage.seeded.key
    right = secret(SYSTEM, keys, accessKeyId=real.id, accessKeySecret=real.secret)

    async def repair(account: str) -> None:
        await world.stage.client.create(SECRETS, SYSTEM, right)

    credentials = {"secretRef": {"namespace": SYSTEM, "name": keys}}
    await _waits(world, {"credentials": credentials}, "CredentialsInvalid", keys, repair)


async def _wrong_region(world: World) -> None:
    async def repair(account: str) -> None:
        region = {"spec": {"regionId": "cn-hangzhou"}}
        await world.stage.client.merge(ACCOUNTS, None, account, region)

    await _waits(world, {"regionId": "cn-nowhere"}, "Unreachable", "cn-nowhere", repair)


async def _nobody_there(world: World) -> None:
    async def repair(account: str) -> None:
        endpoint = {"spec": {"endpoint": world.stage.ecs.url}}
        await world.stage.client.merge(ACCOUNTS, None, account, endpoint)

    await _waits(world, {"endpoint": NOBODY_THERE}, "Unreachable", NOBODY_THERE, repair)


async def _tells(world: World, account: str, severity: str, reason: str) -> None:
    """Return when an Event on the account says so, as `kubectl describe` shows it."""

    async def told() -> bool:
        events = [event async for event in world.stage.client.list(EVENTS, "default")]
        return (account, severity, reason) in {
            (e["involvedObject"]["name"], e["type"], e["reason"]) for e in events
        }

    await world.until_true(told, f"a {severity} {reason} on {account}")


async def _waits(world: World, wrong: dict[str, Any], reason: str, word: str, repair: Any) -> None:
    account, machine = world.name("broken"), world.machine()
    await world.add_account(account, **wrong)
    name = await world.declare(machine, accountRef={"name": account})
    found = await world.until_account(account, "False", reason)
    told = condition(found, "Ready")["message"]
    if reason == "Unreachable":
        assert word in told
    waiting = await world.until_not_ready(name, "AccountNotReady")
    assert account in message(waiting)
    assert condition(waiting, "Stalled") == condition(waiting, "Reconciling") == {}
    world.untouched(machine)
    await _tells(world, account, "Warning", reason)
    await repair(account)
    await world.until_account(account, "True", "Verified")
    await _tells(world, account, "Normal", "Verified")
    await world.until_ready(name)
    assert world.replacements(machine) == 1
