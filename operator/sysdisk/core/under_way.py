"""One look at one operation: what every step of it knows, and how it says what it does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from sysdisk.api.conditions import Kind
from sysdisk.api.reasons import Reason, reason_of
from sysdisk.api.status import Operation, OperationInputs, SystemDiskSpecStatus
from sysdisk.core import words
from sysdisk.core.ending import with_cause
from sysdisk.core.model import POLL, Action, Decision, EcsWrite, Look, Nothing, Subject
from sysdisk.core.tokens import client_token
from sysdisk.core.verdict import verdict, with_sight
from sysdisk.core.wanted import plan_id_of
from sysdisk.core.world import Instance, Observed

SKEW: Final = timedelta(minutes=1)
"""So far two clocks may be apart without anybody's fault."""

TOKEN_LIFE: Final = timedelta(hours=1)
"""An intent older than this is not sent again: ECS may have forgotten its token (unverified)."""

TURN_TOLD: Final = timedelta(seconds=10)
"""A turn that is nearer is waited for without a word: each costs a write."""

TURN_LOOK: Final = timedelta(seconds=15)
"""The longest time between two looks of an operation whose next write waits for its turn."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One look at one operation."""

    subject: Subject
    op: Operation
    observed: Observed
    instance: Instance
    now: datetime

    @property
    def id(self) -> str:
        return self.instance.instance_id

    def with_op(self, op: Operation) -> Pass:
        return replace(self, op=op)

    @property
    def status(self) -> SystemDiskSpecStatus:
        """The status with the operation as it stands.

        Power alone is no reason to write, nor is a lock that goes, nor an image that is seen
        before its disk: the next step tells it.
        """
        base = self.subject.status
        seen = with_sight(base, self.instance, self.observed.system_disk, self.now)
        if seen is not base and base.instance_status is not None:
            locks_went = base.locked and not seen.locked
            locks = base if locks_went else seen
            same = seen.replace(
                instance_status=base.instance_status,
                observed_at=base.observed_at,
                image_id=base.image_id,
                locked=locks.locked,
                operation_locks=locks.operation_locks,
            )
            seen = base if same == base else seen
        return with_cause(seen, self.subject.status.operation, self.op).replace(operation=self.op)

    def say(
        self,
        reason: Reason,
        message: str,
        *,
        action: Action | None = None,
        look_again: timedelta = POLL,
    ) -> Decision:
        return verdict(
            self.subject,
            self.status,
            reason,
            self._told(message),
            self.now,
            action=action,
            look_again=look_again,
        )

    def send(self, sent: Operation, action: EcsWrite, reason: Reason, message: str) -> Decision:
        """Return the decision that records the intent `sent`, and then performs `action`.

        Where that has to wait for its turn, what is known without it is recorded if it takes long,
        or if a deadline begins: that has to run meanwhile.
        """
        wait = self.observed.turn_in(type(action).__name__)
        if not wait:
            return self.with_op(sent).say(reason, message, action=action)
        pause = self.until(self.now + min(wait, TURN_LOOK))
        was = self.subject.status.operation
        if wait < TURN_TOLD and was is not None and was.give_back_by == self.op.give_back_by:
            return Decision(Nothing(), self.subject.status, reason, pause)
        text = f"{message} {waits_text(action, self.op.account)}"
        return self.say(reason, text, look_again=pause)

    def until(self, due: datetime) -> timedelta:
        """Return the time until `due`, and not past the deadline for giving the machine back."""
        by = self.op.give_back_by
        return (min(due, by) if by is not None and self.now < by else due) - self.now

    def _told(self, message: str) -> str:
        """Return `message`, with why a deletion waits where it does not say so itself."""
        if not self.subject.deleting or "being deleted" in message:
            return message
        return f"{message} This object is being deleted: it goes when the operation has ended."


@lru_cache(maxsize=1024)
def believed(op: Operation, instance_id: str) -> bool:
    """Whether plan ID and token recompute from the rest of the record: else it is not ours.

    Asked at every look at an operation, whose record hardly ever changes.
    """
    plan = plan_id_of(
        op.inputs,
        instance_id=instance_id,
        disk_id=op.old_disk_id,
        image_id=op.from_image_id or "",
        size=op.from_size or 0,
        data_disk_ids=op.data_disk_ids,
    )
    token = client_token(instance_id, op.old_disk_id, op.plan_id, op.attempt)
    return plan == op.plan_id and token == op.client_token


def stop_text(instance_id: str, op: Operation) -> str:
    """Return what is said while `op` stops the machine: the same words from its first intent on."""
    by = op.step_at + op.inputs.stop_timeout
    return (
        f"Stopping {instance_id} for plan {op.plan_id} ({op.inputs.stopped_mode}); it may take "
        f"until {by:%Y-%m-%dT%H:%M:%SZ}.{error_text(op)}"
    )


def replace_text(instance_id: str, op: Operation) -> str:
    """Return what is said while `op` asks for the replacement."""
    source = op.inputs.image_id or "disk " + str(op.inputs.advanced and op.inputs.advanced.disk_id)
    then = "the machine is started again with its old disk" if op.was_running else "it is given up"
    by = (
        f" If ECS has not accepted it by {op.give_back_by:%Y-%m-%dT%H:%M:%SZ}, {then}."
        if op.give_back_by
        else ""
    )
    return (
        f"Replacing system disk {op.old_disk_id} of {instance_id} by one of {op.inputs.size} GiB "
        f"from {source} (plan {op.plan_id}, attempt {op.attempt}).{by}{error_text(op)}"
    )


def waits_text(action: EcsWrite, account: str) -> str:
    """Return why a write has to wait for its turn: the same words as long as it does."""
    return (
        f"{type(action).__name__} waits for its turn in EcsAccount {account} "
        "(limits.requestsPerSecond, or ECS throttles it)."
    )


def accept_by(inputs: OperationInputs, closes: datetime | None, now: datetime) -> datetime:
    """Return until when ECS may accept what is asked from `now` on: never past the window's end."""
    by = now + inputs.give_back_after
    return min(by, closes) if closes is not None else by


def by_this_clock(op: Operation, now: datetime) -> Operation:
    """Return `op` with the times that lie well ahead of `now` brought back.

    The clock was set back, or another process's was fast: no machine may stay down until ours has
    caught up. A try in the future counts as none; what is repeated for it is one request to ECS.
    """
    limit = now + SKEW
    deadline = limit + op.inputs.give_back_after
    changes: dict[str, datetime | None] = {}
    if op.step_at > limit:
        changes["step_at"] = now
    if op.last_try_at is not None and op.last_try_at > limit:
        changes["last_try_at"] = None
    if op.unlocked_since is not None and op.unlocked_since > limit:
        changes["unlocked_since"] = None
    if op.first_try_at is not None and op.first_try_at > limit:
        changes["first_try_at"] = now - TOKEN_LIFE  # of unknown age: ECS may have forgotten it
    if op.give_back_by is not None and op.give_back_by > deadline:
        changes["give_back_by"] = accept_by(op.inputs, op.window_ends_at, now)
    return op.replace(**changes) if changes else op


def error_text(op: Operation) -> str:
    """Return a sentence with the last answer that was an error; empty: there was none."""
    return f" Last answer of ECS: {words.answer(op.last_error)}." if op.last_error else ""


def ask(subject: Subject, look: Look) -> Decision:
    """Return the question `look`; nothing is recorded for it."""
    reason = reason_of(subject.status.condition(Kind.READY), Reason.OBSERVING)
    return Decision(look, subject.status, reason, POLL)


def with_secret(p: Pass) -> Operation:
    """Return the operation with the Secret's present version, which it will send, as input."""
    ref, look = p.op.inputs.password_secret_ref, p.observed.secret
    if ref is None or look is None:
        return p.op
    now = ref.replace(uid=look.uid, resource_version=look.resource_version)
    return p.op.replace(inputs=p.op.inputs.replace(password_secret_ref=now))
