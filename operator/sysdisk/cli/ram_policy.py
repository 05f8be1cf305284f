"""`sysdisk ram-policy`: what an account's identity must be allowed to do, as a RAM policy."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import typer

from sysdisk.api.base import REGION_PATTERN
from sysdisk.cli.output import as_json

READS: Final = {
    "ecs:DescribeAvailableResource": "stock of the disk category in the zone",
    "ecs:DescribeDiskEncryptionByDefaultStatus": "whether a new disk is encrypted by itself",
    "ecs:DescribeDisks": "the disks of the instances",
    "ecs:DescribeImageFromFamily": "imageFamily",
    "ecs:DescribeImageSupportInstanceTypes": "whether an image fits an instance type",
    "ecs:DescribeImages": "the images",
    "ecs:DescribeInstanceTypes": "the architecture of an instance type",
    "ecs:DescribeInstances": "the instances: status, locks, image, tags",
    "ecs:DescribeKeyPairs": "login.keyPairName",
    "ecs:DescribeRegions": "whether regionId exists, when it does not answer",
    "ecs:DescribeSnapshots": "snapshots under way, and the backup",
    "ecs:DescribeTasks": "disks whose kind is being changed",
}
"""Action to what it is needed for. Source: ECS API reference, "RAM authorization"."""

WRITES: Final = {
    "ecs:ApplyAutoSnapshotPolicy": "putting back the automatic snapshot policy",
    "ecs:CreateSnapshot": "the backup",
    "ecs:ReplaceSystemDisk": "the replacement",
    "ecs:StartInstance": "starting what was stopped",
    "ecs:StopInstance": "stopping before the replacement",
}


ANY: Final = "*"
_ACCOUNT_ID: Final = r"[0-9]{5,32}"
_ROLE: Final = r"acs:ram:[a-z0-9-]*:[0-9]{5,32}:role/[A-Za-z0-9._/-]+"
"""Source: RAM, "Overview of RAM roles": the ARN of a role."""


def policy(
    *, read_only: bool, region: str = ANY, account: str = ANY, role_arn: str | None = None
) -> dict[str, Any]:
    """Return the policy document. `read_only` suits `sysdisk run --dry-run` and `sysdisk plan`."""
    resource = f"acs:ecs:{region}:{account}:*"
    statements = [_allow(sorted(READS), resource)]
    if not read_only:
        statements.append(_allow(sorted(WRITES), resource))
    if role_arn:
        statements.append(_allow(["sts:AssumeRole"], role_arn))
    return {"Version": "1", "Statement": statements}


def _allow(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": [resource]}


def ram_policy(
    read_only: Annotated[
        bool,
        typer.Option("--read-only", envvar="SYSDISK_READ_ONLY", help="Without any write."),
    ] = False,
    region: Annotated[
        str, typer.Option(envvar="SYSDISK_REGION", help="Only in this region, such as cn-hangzhou.")
    ] = ANY,
    account_id: Annotated[
        str, typer.Option(envvar="SYSDISK_ACCOUNT_ID", help="Only in this Alibaba Cloud account.")
    ] = ANY,
    assume_role: Annotated[
        str | None,
        typer.Option(
            envvar="SYSDISK_ASSUME_ROLE",
            help="Also allow taking this role (its ARN), for credentials.assumeRole.",
        ),
    ] = None,
) -> None:
    """Print the RAM policy that an EcsAccount's identity needs, as JSON."""
    if region != ANY:
        _check(region, REGION_PATTERN, "--region", "a region ID, such as cn-hangzhou")
    if account_id != ANY:
        _check(account_id, _ACCOUNT_ID, "--account-id", "the number of an account")
    if assume_role:
        wanted = "the ARN of a role, acs:ram::NUMBER:role/NAME"
        _check(assume_role, _ROLE, "--assume-role", wanted)
    typer.echo(
        as_json(
            policy(read_only=read_only, region=region, account=account_id, role_arn=assume_role)
        )
    )


def _check(given: str, pattern: str, flag: str, wanted: str) -> None:
    if not re.fullmatch(pattern, given):
        raise typer.BadParameter(f"{given!r} is not {wanted}", param_hint=flag)
