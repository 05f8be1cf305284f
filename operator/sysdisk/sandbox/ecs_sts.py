"""Who calls, and STS: identities, assumed roles, temporary credentials.

Security is not simulated beyond what an operator meets: tokens are deterministic texts, and an
OIDC token is believed when its subject fits, without a check of its signature.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from sysdisk.sandbox.ecs_faults import EcsFault, common_fault
from sysdisk.sandbox.ecs_params import need, number
from sysdisk.sandbox.ecs_state import AccessKey, Role, Session
from sysdisk.sandbox.ecs_world import Answer, Call, Handler, World, iso

__all__ = ["STS", "Identity", "identify"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The one who calls: `secret` signs, `denied` lists actions that RAM does not allow."""

    key_id: str
    secret: str
    account: str
    arn: str
    denied: tuple[str, ...]


def identify(world: World, key_id: str, token: str = "") -> Identity:
    """Return who an access key id (with its security token) stands for.

    Raises InvalidAccessKeyId.NotFound, Forbidden.AccessKeyDisabled, or the codes of a wrong or
    outdated security token.
    """
    session = world.state.sessions.get(key_id)
    if session is not None:
        return _session_identity(world, session, token)
    key = world.state.keys.get(key_id)
    if key is None:
        raise EcsFault(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if not key.enabled:
        raise common_fault("Forbidden.AccessKeyDisabled")
    if token:
        raise _bad_token()
    return Identity(key.id, key.secret, key.account, key.arn, key.denied)


def _session_identity(world: World, session: Session, token: str) -> Identity:
    if token != session.token:
        raise _bad_token()
    if world.wall() >= session.expires_at:
        raise common_fault("InvalidSecurityToken.Expired")
    role = world.state.roles.get(session.role_arn)
    denied = role.denied if role else ("*",)
    return Identity(session.key_id, session.secret, session.account, session.arn, denied)


def _bad_token() -> EcsFault:
    return EcsFault(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")


def assume_role(world: World, call: Call) -> Answer:
    role = _role(world, need(call.params, "RoleArn"))
    name = need(call.params, "RoleSessionName")
    trusted = role.trusted or (role.account,)
    if call.arn not in trusted and call.account not in trusted:
        raise _not_trusted(role)
    if role.external_id and call.get("ExternalId") != role.external_id:
        raise _not_trusted(role)
    return _open(world, role, name, call)


def assume_role_with_oidc(world: World, call: Call) -> Answer:
    """Exchange an OIDC token. This call alone is not signed: the token is the credential."""
    role = _role(world, need(call.params, "RoleArn"))
    provider = need(call.params, "OIDCProviderArn")
    name, token = need(call.params, "RoleSessionName"), need(call.params, "OIDCToken")
    if not role.oidc_provider or provider != role.oidc_provider:
        raise EcsFault(
            400, "AuthenticationFail.OIDCProvider.NotFound", "The OIDC provider is not trusted."
        )
    subject = _subject(token)
    if role.oidc_subjects and subject not in role.oidc_subjects:
        raise EcsFault(400, "AuthenticationFail.NoPermission", "The subject is not trusted.")
    answer = _open(world, role, name, call)
    return {**answer, "OIDCTokenInfo": {"Subject": subject, "Issuer": provider}}


def _subject(token: str) -> str:
    """Return the `sub` of a JWT, or the whole text of a token that is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return token
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return str(claims["sub"])
    except (ValueError, KeyError, TypeError):
        raise EcsFault(
            400, "AuthenticationFail.OIDCToken.Invalid", "This JWT token is invalid."
        ) from None


def _role(world: World, arn: str) -> Role:
    role = world.state.roles.get(arn)
    if role is None:
        raise EcsFault(404, "EntityNotExist.Role", "The role not exists.")
    return role


def _not_trusted(role: Role) -> EcsFault:
    text = (
        "You are not authorized to do this action. You should be authorized by RAM: the trust "
        f"policy of {role.arn} does not name you."
    )
    return common_fault("NoPermission", message=text)


def _open(world: World, role: Role, name: str, call: Call) -> Answer:
    seconds = number(call.params, "DurationSeconds", 3600)
    if not 900 <= seconds <= 43_200:
        raise EcsFault(
            400,
            "InvalidParameter.DurationSeconds",
            "The Min/Max value of DurationSeconds is 15min/12hr.",
        )
    path = role.arn.partition(":role/")[2]
    session = Session(
        key_id=f"STS.{world.new_hex('sts')[:24]}",
        secret=world.new_hex("sts-secret"),
        token=world.new_hex("sts-token") * 4,
        arn=f"acs:ram::{role.account}:assumed-role/{path}/{name}",
        role_arn=role.arn,
        account=role.account,
        expires_at=world.wall() + seconds,
    )
    world.state.sessions[session.key_id] = session
    return {
        "Credentials": {
            "AccessKeyId": session.key_id,
            "AccessKeySecret": session.secret,
            "SecurityToken": session.token,
            "Expiration": iso(session.expires_at),
        },
        "AssumedRoleUser": {"Arn": session.arn, "AssumedRoleId": f"{path}:{name}"},
    }


def get_caller_identity(world: World, call: Call) -> Answer:
    assumed = ":assumed-role/" in call.arn
    return {
        "AccountId": call.account,
        "Arn": call.arn,
        "IdentityType": "AssumedRoleUser" if assumed else _kind(call.arn),
        "UserId": call.account,
        "PrincipalId": call.arn.rpartition(":")[2],
    }


def _kind(arn: str) -> str:
    return "Account" if arn.endswith(":root") else "RAMUser"


def new_key(world: World, account: str, user: str) -> AccessKey:
    """Return a fresh access key of a RAM user, or of the account itself for `root`."""
    who = "root" if user == "root" else f"user/{user}"
    return AccessKey(
        id=f"LTAI5t{world.new_hex('key')[:18]}",
        secret=world.new_hex("key-secret")[:30],
        account=account,
        arn=f"acs:ram::{account}:{who}",
    )


STS: dict[str, Handler] = {
    "AssumeRole": assume_role,
    "AssumeRoleWithOIDC": assume_role_with_oidc,
    "GetCallerIdentity": get_caller_identity,
}
