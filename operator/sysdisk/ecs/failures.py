"""The errors that a transport raises, made in one place: whoever carries a call names the case.

Texts here are ours, or ECS's Message after scrubbing; none holds a parameter's value.
"""

from __future__ import annotations

from http import HTTPStatus

from sysdisk.core.answers import ErrorClass, Failure
from sysdisk.ecs.catalog import classify
from sysdisk.ecs.errors import (
    CredentialsError,
    EcsError,
    NoAnswer,
    NotYet,
    Refusal,
    Throttled,
    TooLate,
)

_UNREADABLE = "Check the endpoint, and any proxy between the operator and it."


def refusal(
    code: str,
    http: int,
    message: str,
    request_id: str = "",
    *,
    retry_after: float | None = None,
) -> EcsError:
    """Return the error for an answer of ECS with an error code, classified by the catalogue.

    A 5xx is `NoAnswer`, its code kept: the server failed, and the call may have had its effect. So
    is a 408, which a gateway answers when it has waited for long enough.
    `retry_after` is in seconds, where ECS named a time.
    """
    entry = classify(code, http, message)
    failure = Failure(
        code=code,
        message=message,
        error_class=ErrorClass(entry.error_class),
        http_status=http,
        request_id=request_id,
        advice=entry.advice,
        throttled=entry.throttled,
        known=entry.known,
    )
    if entry.throttled:
        return Throttled(failure, retry_after)
    unsure = http >= HTTPStatus.INTERNAL_SERVER_ERROR or http == HTTPStatus.REQUEST_TIMEOUT
    return NoAnswer(failure) if unsure else Refusal(failure)


def no_answer(action: str) -> NoAnswer:
    """Return the error for a call that nothing came back from."""
    text = f"no answer to {action}: the connection failed, was lost, or timed out"
    advice = "Check that the endpoint can be reached from the operator."
    return NoAnswer(Failure("NoAnswer", text, ErrorClass.RETRY, advice=advice))


def unreadable(what: str, http: int = 200) -> NoAnswer:
    """Return the error for an answer that is not what ECS sends; `what` says what is wrong."""
    text = f"the answer cannot be read: {what}"
    return NoAnswer(
        Failure("Unreadable", text, ErrorClass.RETRY, http_status=http, advice=_UNREADABLE)
    )


def no_credentials(why: str) -> CredentialsError:
    """Return the error for a call that could not be signed; `why` holds no secret."""
    advice = "Check `credentials` of the EcsAccount, and the Secret or role that it names."
    return CredentialsError(Failure("CredentialsInvalid", why, ErrorClass.USER, advice=advice))


def closed() -> NoAnswer:
    """Return the error for who still waits when the account is no longer in use."""
    text = "the account was taken out of use while a call was waited for"
    return NoAnswer(Failure("Closed", text, ErrorClass.RETRY))


def credentials_out_of_reach(why: str) -> CredentialsError:
    """Return the error for a call that could not be signed now: their source did not answer."""
    advice = "Check that STS can be reached from the operator."
    return CredentialsError(Failure("CredentialsUnavailable", why, ErrorClass.RETRY, advice=advice))


def too_late(action: str) -> TooLate:
    """Return the error for a call whose fence fell before it could leave."""
    text = f"{action} waited too long for its turn and was not sent"
    return TooLate(Failure("TooLate", text, ErrorClass.RETRY))


def not_yet(why: str, seconds: float) -> NotYet:
    """Return the error for a read that would have to wait so long for its turn."""
    return NotYet(Failure("NotYet", why, ErrorClass.RETRY), seconds)
