"""Every parameter of ReplaceSystemDisk reaches the wire as declared, and no other does.

Booleans are written as the official SDK writes them.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_state import Instance
from tests.support.e2e import World, condition

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "S3cret%with&and+signs"


@dataclass
class Case:
    """A machine, what is declared beyond the image, and what must be sent beyond image and size."""

    what: str
    machine: Instance
    declared: dict[str, Any]
    sent: dict[str, str]
    image: str | None = "ubuntu-24"
    size: int | None = 40


def _digest(password: str) -> str:
    return f"sha256:{hashlib.sha256(password.encode()).hexdigest()}"


async def test_each_declared_parameter_is_sent_and_nothing_else(world: World) -> None:
    pair = world.stage.seeded.key_pair
    other = Fleet(world.stage.cloud).key_pair(world.name("pair")).name
    kms = Fleet(world.stage.cloud).kms_key().id
    secret = world.name("login")
    await world.store_secret(secret, password=PASSWORD)
    new, sealed = world.machine, {"enabled": True}
    cases = [
        Case("image alone", new(), {}, {}),
        Case("image with its size", new(), {}, {}, "big", 100),
        Case("family", new(), {"imageId": None, "imageFamily": "ubuntu-lts"}, {}),
        Case("size", new(), {"size": 77}, {}, size=77),
        Case(
            "password",
            new(key_pair=pair),
            {"login": {"passwordSecretRef": {"name": secret, "key": "password"}}},
            {"Password": _digest(PASSWORD)},
        ),
        Case(
            "password of the image",
            new(key_pair=pair),
            {"login": {"passwordInherit": True}},
            {"PasswordInherit": "True"},
        ),
        Case(
            "another key pair",
            new(key_pair=pair),
            {"login": {"keyPairName": other}},
            {"KeyPairName": other},
        ),
        Case("key pair kept", new(key_pair=pair), {}, {"KeyPairName": pair}),
        Case("encryption", new(), {"encryption": sealed}, {"Encrypted": "True"}),
        Case(
            "encryption with a key",
            new(),
            {"encryption": {**sealed, "kmsKeyId": kms}},
            {"Encrypted": "True", "KMSKeyId": kms},
        ),
        Case("encryption off", new(), {"encryption": {"enabled": False}}, {"Encrypted": "False"}),
        Case(
            "security on",
            new(),
            {"securityEnhancementStrategy": "Active"},
            {"SecurityEnhancementStrategy": "Active"},
        ),
        Case(
            "security off",
            new(),
            {"securityEnhancementStrategy": "Deactive"},
            {"SecurityEnhancementStrategy": "Deactive"},
        ),
        Case(
            "additional service",
            new(),
            {"useAdditionalService": True},
            {"UseAdditionalService": "True"},
        ),
        Case(
            "no additional service",
            new(),
            {"useAdditionalService": False},
            {"UseAdditionalService": "False"},
        ),
        Case("Windows keeps no key pair", new("windows"), {}, {}, "windows-new"),
    ]
    await _all_as_declared(world, cases)


async def test_deprecated_parameters_are_sent_where_the_account_allows_them(world: World) -> None:
    account = world.name("old")
    await world.add_account(account, allowAdvanced=True)
    spare = Fleet(world.stage.cloud).spare_disk(size_gib=40)
    ref = {"accountRef": {"name": account}}
    arn = {"roleType": "service", "roleArn": "acs:ram::1:role/disks", "assumeRoleFor": 1}
    cases = [
        Case(
            "disk in the place of an image",
            world.machine(),
            {
                **ref,
                "advanced": {"diskId": spare.id, "platform": "Ubuntu", "architecture": "x86_64"},
            },
            {"DiskId": spare.id, "Platform": "Ubuntu", "Architecture": "x86_64"},
            image=None,
        ),
        Case(
            "algorithm and roles",
            world.machine(),
            {
                **ref,
                "encryption": {"enabled": True},
                "advanced": {"encryptAlgorithm": "SM4", "arns": [arn]},
            },
            {
                "Encrypted": "True",
                "EncryptAlgorithm": "SM4",
                "Arn.1.RoleType": "service",
                "Arn.1.Rolearn": "acs:ram::1:role/disks",
                "Arn.1.AssumeRoleFor": "1",
            },
        ),
    ]
    await _all_as_declared(world, cases)


async def test_deprecated_parameters_are_refused_before_the_stop_elsewhere(world: World) -> None:
    machine = world.machine()
    name = await world.declare(machine, advanced={"encryptAlgorithm": "SM4"},
                               encryption={"enabled": True})  # fmt: skip
    found = await world.until_not_ready(name, "PreflightFailed")
    assert "allowAdvanced: true" in condition(found, "Ready")["message"]
    world.untouched(machine)


async def test_a_password_and_more_room_come_from_a_secret_and_the_size(world: World) -> None:
    machine = world.machine(key_pair=world.stage.seeded.key_pair)
    secret = world.name("login")
    await world.store_secret(secret, password=PASSWORD)
    login = {"passwordSecretRef": {"name": secret, "key": "password"}}
    name = await world.declare(machine, size=80, login=login)
    found = await world.until_ready(name)
    seen = world.stage.cloud.look(machine.id)
    assert seen.password_sha256 == hashlib.sha256(PASSWORD.encode()).hexdigest()
    assert seen.key_pair == ""
    assert world.stage.cloud.disk_of(machine.id).size_gib == found["status"]["size"] == 80
    assert world.replacements(machine) == 1


async def _all_as_declared(world: World, cases: list[Case]) -> None:
    names = await asyncio.gather(
        *(world.declare(c.machine, c.image or "", **c.declared) for c in cases)
    )
    await asyncio.gather(*(world.until_ready(name) for name in names))
    assert {c.what: _sent(world, c.machine) for c in cases} == {
        c.what: _expected(world, c) for c in cases
    }
    assert {world.replacements(c.machine) for c in cases} == {1}


def _sent(world: World, machine: Instance) -> dict[str, str]:
    return {k: v for k, v in world.sent(machine).items() if k != "ClientToken"}


def _expected(world: World, case: Case) -> dict[str, str]:
    image = {"ImageId": world.image(case.image)} if case.image else {}
    size = {"SystemDisk.Size": str(case.size)} if case.size else {}
    return {"InstanceId": case.machine.id, **image, **size, **case.sent}
