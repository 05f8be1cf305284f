"""What an answer of ECS teaches: from the recorded intent and the answer to the record after it.

Pure, like `decide`, and as important: whether a request is known to have had no effect is decided
here and nowhere else (I1, I9). Nothing but an answer to *this token* about *this disk* settles an
outcome that was unknown before: a gateway that refuses a retry says nothing about the first try,
nor does a code that is on no list.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, assert_never

from sysdisk.api.status import LastError, Operation, Outcome, Step
from sysdisk.core.answers import Accepted, Answer, ErrorClass, Failure, NotSent, Refused, Unknown
from sysdisk.core.model import (
    ApplyAutoSnapshotPolicy,
    CreateSnapshot,
    EcsWrite,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
)
from sysdisk.core.tokens import client_token, next_snapshot_token

TOKEN_IN_FLIGHT: Final = frozenset({"LastTokenProcessing", "IdempotentProcessing"})
TOKEN_MISMATCH: Final = frozenset(
    {"IdempotentParameterMismatch", "InvalidIdempotenceParameter.Mismatch"}
)
_AT_THE_GATE: Final = (
    "Throttling",
    "Rejected.Throttling",
    "Forbidden",
    "NoPermission",
    "InvalidAccessKeyId",
    "InvalidAccessKeySecret",
    "IncompleteSignature",
    "SignatureDoesNotMatch",
    "SignatureNonceUsed",
    "InvalidTimeStamp",
    "InvalidSecurityToken",
    "MissingSecurityToken",
    "ServiceUnavailable",
    "InvalidRegionId.NotExists",
)
"""Codes (beginnings) that are answered before a request is looked at: they prove nothing about an
earlier one with the same token."""

ON_ITS_WAY: Final = timedelta(seconds=30)
"""For so long a request that nobody answered may still arrive: a refusal of the next one, by then,
does not call it back (found by exploration)."""

ENDING_REFUSED: Final = "Refused"
ENDING_BACKUP_FAILED: Final = "BackupFailed"
NOTHING_TO_SAVE: Final = frozenset(
    {"IncorrectDiskStatus.NeverUsed", "IncorrectDiskStatus.NeverAttached"}
)
"""CreateSnapshot is refused because the disk never held anything."""


def learn(
    before: Operation,
    intent: Operation,
    action: EcsWrite,
    instance_id: str,
    answer: Answer,
    now: datetime,
) -> Operation:
    """Return the operation after `answer` to `action`, whose recorded intent is `intent`.

    `before` is the operation without that intent: where nothing was sent, what was known of
    earlier tries of the same thing holds unchanged.
    """
    known = _known(before, intent)
    match answer:
        case NotSent():
            return intent.replace(
                outcome=known.outcome,
                first_try_at=known.first_try_at,
                last_try_at=known.last_try_at,
            )
        case Accepted(request_id=request_id):
            told = _told(intent, request_id)
        case Refused(failure=failure) | Unknown(failure=failure):
            told = _told(intent, failure.request_id).replace(last_error=last_error(failure))
        case _:
            assert_never(answer)
    match action:
        case CreateSnapshot():
            return _snapshot(told, answer, now)
        case ReplaceSystemDisk():
            return _replace(told, known, instance_id, answer, now)
        case StopInstance():
            return _stop(told, known, answer)
        case StartInstance():
            return _start(told, answer)
        case ApplyAutoSnapshotPolicy():
            return _policy(told, answer)
        case _:
            assert_never(action)


def _known(before: Operation, intent: Operation) -> Operation:
    """Return `before` as far as it tells of the very thing that `intent` tries.

    The outcome of the stop says nothing about the replacement that the same pass goes on to, nor
    that of a token, found to have done nothing, about the next one.
    """
    if before.step is not intent.step:
        return before.replace(outcome=None, first_try_at=None, last_try_at=None)
    tokens = (before.client_token, before.snapshot_token)
    if tokens != (intent.client_token, intent.snapshot_token):
        return before.replace(outcome=Outcome.REFUSED, first_try_at=None, last_try_at=None)
    return before


def last_error(failure: Failure) -> LastError:
    """Return `failure` as it is recorded."""
    return LastError(
        code=failure.code,
        http_status=failure.http_status or None,
        message=failure.message or None,
        request_id=failure.request_id or None,
        class_=failure.error_class,
        advice=failure.advice or None,
    )


def _told(op: Operation, request_id: str) -> Operation:
    return op.replace(request_ids=(*op.request_ids, request_id)) if request_id else op


def _snapshot(op: Operation, answer: Answer, now: datetime) -> Operation:
    """A snapshot too many does no harm, so a definite refusal simply moves on to the next token."""
    if isinstance(answer, Accepted):
        if not answer.snapshot_id:
            return op.replace(outcome=Outcome.UNKNOWN)
        return op.replace(
            snapshot_id=answer.snapshot_id,
            outcome=Outcome.ACCEPTED,
            outcome_at=now,
            last_error=None,
        )
    if isinstance(answer, Unknown):
        return op.replace(outcome=Outcome.UNKNOWN)
    assert isinstance(answer, Refused)
    failure = answer.failure
    if failure.code in TOKEN_IN_FLIGHT:
        return op.replace(outcome=Outcome.UNKNOWN)
    refused = op.replace(
        outcome=Outcome.REFUSED,
        outcome_at=now,
        snapshot_token=next_snapshot_token(op.snapshot_token or ""),
        first_try_at=None,
    )
    if failure.code in NOTHING_TO_SAVE:
        return refused.replace(backup_skipped=f"{failure.code}: {failure.advice}", last_error=None)
    if failure.error_class is ErrorClass.USER and failure.code not in TOKEN_MISMATCH:
        return refused.replace(ending=op.ending or ENDING_BACKUP_FAILED)
    return refused


def _stop(op: Operation, before: Operation, answer: Answer) -> Operation:
    if isinstance(answer, Accepted):
        return op.replace(outcome=Outcome.ACCEPTED, last_error=None)
    if isinstance(answer, Unknown):
        return op.replace(outcome=Outcome.UNKNOWN)
    assert isinstance(answer, Refused)
    # A refused repeat does not call an earlier stop back: that one may still come true.
    sent = before.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN)
    settled = op.replace(outcome=before.outcome if sent else Outcome.REFUSED)
    if answer.failure.error_class is ErrorClass.USER:
        return settled.replace(ending=op.ending or ENDING_REFUSED)
    return settled


def _start(op: Operation, answer: Answer) -> Operation:
    """Keep an accepted start's error: it is why the operation ended, not about the start."""
    match answer:
        case Accepted():
            return op.replace(outcome=Outcome.ACCEPTED)
        case Refused():
            return op.replace(outcome=Outcome.REFUSED)
        case _:
            return op.replace(outcome=Outcome.UNKNOWN)


def _policy(op: Operation, answer: Answer) -> Operation:
    if isinstance(answer, Accepted):
        return op.replace(auto_snapshot_policy_id=None, last_error=None)
    refused = isinstance(answer, Refused)
    return op.replace(outcome=Outcome.REFUSED if refused else Outcome.UNKNOWN)


def _replace(
    op: Operation, before: Operation, instance_id: str, answer: Answer, now: datetime
) -> Operation:
    if isinstance(answer, Accepted):
        if not answer.disk_id:
            return op.replace(outcome=Outcome.UNKNOWN)
        return accepted(op, answer.disk_id, now).replace(last_error=None)
    if isinstance(answer, Unknown):
        return op.replace(outcome=Outcome.UNKNOWN)
    assert isinstance(answer, Refused)
    failure = answer.failure
    doubt = before.outcome is Outcome.UNKNOWN
    if failure.code in TOKEN_IN_FLIGHT or failure.code in TOKEN_MISMATCH:
        return op.replace(outcome=Outcome.UNKNOWN)
    if doubt and (
        failure.error_class is not ErrorClass.USER
        or not failure.known
        or failure.code.startswith(_AT_THE_GATE)
        or now < (before.last_try_at or now) + ON_ITS_WAY
    ):
        return op.replace(outcome=Outcome.UNKNOWN)
    settled = op.replace(outcome=Outcome.REFUSED, outcome_at=now, unlocked_since=None)
    if failure.error_class is ErrorClass.USER:
        return settled.replace(ending=op.ending or ENDING_REFUSED)
    if failure.error_class is ErrorClass.WAIT:
        return next_attempt(settled, instance_id)
    return settled


def accepted(op: Operation, new_disk_id: str, now: datetime) -> Operation:
    """Return `op` with its replacement known to have happened: on to Verify."""
    return enter(op, Step.VERIFY, now).replace(
        new_disk_id=new_disk_id,
        outcome=Outcome.ACCEPTED,
        outcome_at=now,
        unlocked_since=None,
        ending=None,
    )


def next_attempt(op: Operation, instance_id: str) -> Operation:
    """Return `op` with the next attempt and its token: only after a definite refusal."""
    attempt = op.attempt + 1
    return op.replace(
        attempt=attempt,
        client_token=client_token(instance_id, op.old_disk_id, op.plan_id, attempt),
        first_try_at=None,
        unlocked_since=None,
    )


def enter(op: Operation, step: Step, now: datetime) -> Operation:
    """Return `op` in `step`, with the time that the last one took; tries begin anew."""
    if op.step is step:
        return op
    taken = {"step": op.step, "seconds": max(0, int((now - op.step_at) / timedelta(seconds=1)))}
    done = step is Step.FINISH and op.ending is None
    return op.replace(
        step=step,
        step_at=now,
        tries=0,
        last_try_at=None,
        outcome=None,
        last_error=None if done else op.last_error,
        steps=(*op.steps, taken),
    )


def is_news(intent: Operation, learned: Operation, action: EcsWrite) -> bool:
    """Whether `learned` must be recorded at once, or may wait for the next intent.

    That a stop or a start was accepted shows by itself at the next look; that the policy was put
    back, which no other answer tells, is recorded with the end, which comes next.
    """
    unsaid: dict[str, object] = {"request_ids": (), "auto_snapshot_policy_id": None}
    if isinstance(action, StopInstance | StartInstance):
        unsaid |= {"outcome": None}
    return learned.replace(**unsaid) != intent.replace(**unsaid)
