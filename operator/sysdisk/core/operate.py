"""The operation under way: from its recorded step to the next one.

Everything needed is in `status.operation`: inputs, account and region were frozen by the intent to
stop, and no plan is made until `close`. Each function returns the decision for one step; a step
that turns out to be over hands on to the next within the same pass, so that one status write
records both.

The promise behind the shape (I3): whatever happens, the way out leads through Start.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, assert_never

from sysdisk.api.conditions import Kind
from sysdisk.api.reasons import Reason, reason_of
from sysdisk.api.spec import ForceStop, StartAfter
from sysdisk.api.status import ErrorClass, LastError, Operation, Outcome, Step
from sysdisk.core import backup, words
from sysdisk.core.backoff import backoff
from sysdisk.core.ending import close
from sysdisk.core.mind import changed_mind, granted
from sysdisk.core.model import (
    POLL,
    ApplyAutoSnapshotPolicy,
    Decision,
    DiskLook,
    Look,
    Nothing,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.not_ours import not_ours
from sysdisk.core.outcome import TOKEN_MISMATCH, accepted, enter, next_attempt
from sysdisk.core.second_look import second_look
from sysdisk.core.under_way import (
    TOKEN_LIFE,
    Pass,
    accept_by,
    ask,
    believed,
    by_this_clock,
    error_text,
    replace_text,
    stop_text,
    with_secret,
)
from sysdisk.core.verdict import verdict
from sysdisk.core.world import FORBIDDING_LOCKS, Disk, Observed, Power, SecretState

WATCH: Final = timedelta(minutes=15)
"""How long an unlocked old disk is watched before a lost request counts as never done."""

VERIFY_OVERDUE: Final = timedelta(minutes=15)
STOP_SETTLES: Final = timedelta(seconds=60)
"""A stop that was sent may still come true for so long after the machine was seen running."""

STOP_AGAIN: Final = timedelta(seconds=30)
LOST_START: Final = timedelta(seconds=5)
START_OVERDUE: Final = timedelta(minutes=10)
POLICY_PATIENCE: Final = timedelta(minutes=15)
"""How long the automatic snapshot policy is tried to be put back, before a person is told."""

GONE_FOR: Final = timedelta(minutes=15)
UNREACHABLE_FOR: Final = timedelta(minutes=1)
UNREACHABLE_LOOK: Final = timedelta(seconds=30)
"""The longest time until ECS is asked again, when it has not answered for long."""
"""So long after the last step or try, that ECS cannot be asked is no news yet: calls do fail."""

ENDING_GIVEN_BACK: Final = "GivenBack"
ENDING_STARTED: Final = "StartedByOthers"
ENDING_STOP_TIMED_OUT: Final = "StopTimedOut"
ENDING_NO_NEW_DISK: Final = "EndedWithoutNewDisk"
ENDING_WORLD_CHANGED: Final = "WorldChanged"


def operate(subject: Subject, op: Operation, observed: Observed, now: datetime) -> Decision:
    """Return the next step of `op`. Never raises."""
    instance_id = subject.spec.instance_id
    if not believed(op, instance_id):
        return not_ours(subject, op, observed, now)
    op = by_this_clock(op, now)
    if observed.failure:
        return _unreachable(subject, op, observed, now)
    if op.step is Step.BACKUP and op.snapshot_id is not None and observed.backup is None:
        return ask(subject, Look(backup=op.snapshot_id))
    if not (observed.fresh and observed.instance_seen):
        saving = _still_saving(subject, op, observed, now)
        return saving or ask(subject, Look(fresh=True, disks=_disks_for(op, observed)))
    if observed.instance is None:
        return _gone(subject, op, now)
    p = Pass(subject, op, observed, observed.instance, now)
    match op.step:
        case Step.BACKUP:
            return _backup(p)
        case Step.STOP:
            return _stop(p)
        case Step.REPLACE:
            return _replace(p)
        case Step.VERIFY:
            return _verify(p)
        case Step.START:
            return _start(p)
        case Step.FINISH:
            return _finish(p)
        case _:
            assert_never(op.step)


def _still_saving(
    subject: Subject, op: Operation, observed: Observed, now: datetime
) -> Decision | None:
    """Return that the snapshot is waited for: nothing is done, so no fresh look is spent on it."""
    if op.step is not Step.BACKUP or op.ending is not None or observed.instance is None:
        return None
    p = Pass(subject, op, observed, observed.instance, now)
    return None if changed_mind(p) else backup.progress(p)


def _disks_for(op: Operation, observed: Observed) -> DiskLook:
    if op.step is Step.BACKUP and backup.settled(op, observed.backup):
        return DiskLook.ALL  # what follows is the second look
    sees = (Step.BACKUP, Step.REPLACE, Step.VERIFY)
    return DiskLook.KNOWN if op.step in sees else DiskLook.NONE


def _unreachable(subject: Subject, op: Operation, observed: Observed, now: datetime) -> Decision:
    """ECS cannot be asked: nothing is done; a machine that stays stopped is shouted about."""
    waited = now - max(op.step_at, op.last_try_at or op.step_at)
    if waited < UNREACHABLE_FOR:
        ready = subject.status.condition(Kind.READY)
        reason = reason_of(ready, Reason.ACCOUNT_NOT_READY)
        return Decision(Nothing(), subject.status, reason, backoff(op.tries + 1))
    if op.stopped_by_us:
        reason = Reason.MACHINE_LEFT_STOPPED
        text = (
            f"The machine was stopped for plan {op.plan_id}, and ECS cannot be asked to go on: "
            f"{words.clause(observed.failure)}. Repair EcsAccount {op.account} (see its Ready "
            f"condition), or start {subject.spec.instance_id} by hand; it goes on by itself."
        )
    else:
        reason = Reason.ACCOUNT_NOT_READY
        text = (
            f"ECS cannot be asked about plan {op.plan_id}: {words.clause(observed.failure)}. See "
            f"the Ready condition of EcsAccount {op.account}; it goes on by itself."
        )
    return verdict(
        subject,
        subject.status,
        reason,
        words.steady(subject.status.condition(Kind.READY), text),
        now,
        look_again=max(backoff(op.tries + 1), min(waited / 10, UNREACHABLE_LOOK)),
    )


def _gone(subject: Subject, op: Operation, now: datetime) -> Decision:
    """The instance is gone. One empty answer is no proof: a deletion waits 15 min."""
    status = subject.status
    if status.instance_status is not None or status.observed_at is None:
        status = status.replace(instance_status=None, observed_at=now)
    since = status.observed_at or now
    if subject.deleting and now - since >= GONE_FOR:
        return close(subject, op, None, now, result="InstanceGone")
    return verdict(
        subject,
        status,
        Reason.INSTANCE_NOT_FOUND,
        f"Instance {subject.spec.instance_id} is not found any more, in the middle of plan "
        f"{op.plan_id} (step {op.step}). If it was released, delete this object: it goes 15 min "
        f"after {since:%Y-%m-%dT%H:%M:%SZ}, or at once with `sysdisk release "
        f"{subject.key.name} -n {subject.key.namespace}`.",
        now,
        look_again=timedelta(seconds=30),
    )


def _leave(p: Pass, ending: str) -> Decision:
    """Bring the operation to its safe end: the machine gets back the power that it had."""
    return _start(p.with_op(enter(p.op.replace(ending=ending), Step.START, p.now)))


# -- Backup -----------------------------------------------------------------------------------


def _backup(p: Pass) -> Decision:
    ending = p.op.ending or changed_mind(p)
    if ending:
        return _leave(p, ending)
    found = backup.back_up(p)
    if isinstance(found, backup.GoOn):
        return _before_the_stop(p)
    return _leave(p.with_op(found.op), found.ending) if isinstance(found, backup.Leave) else found


def _before_the_stop(p: Pass) -> Decision:
    """The backup is there: everything is looked at once more, because time has gone by."""
    found = second_look(p)
    if isinstance(found, Decision):
        return found
    if isinstance(found, backup.Leave):
        return _leave(p.with_op(found.op), found.ending)
    op = with_secret(p).replace(was_running=p.instance.power is Power.RUNNING, first_try_at=None)
    return _stop(p.with_op(enter(op, Step.STOP, p.now).replace(last_error=None)))


# -- Stop -------------------------------------------------------------------------------------


def _stop(p: Pass) -> Decision:
    power = p.instance.power
    ending = p.op.ending or changed_mind(p)
    if power is Power.STOPPED:
        return _leave(p, ending) if ending else _enter_replace(p)
    if ending is None and _stop_given_up(p):
        ending = ENDING_STOP_TIMED_OUT
    if ending:
        return _unstop(p, ending)
    if power is Power.UNKNOWN:
        return p.say(
            Reason.INSTANCE_NOT_UNDERSTOOD,
            f"{p.id} is in a state that this version does not know ({p.instance.status}), while it "
            f"is being stopped for plan {p.op.plan_id}. Nothing is done until it is Running or "
            "Stopped: look at it in the ECS console.",
        )
    if power is Power.RUNNING or (power is Power.STOPPING and _stop_timed_out(p)):
        return _send_stop(p)
    return p.say(Reason.STOPPING, stop_text(p.id, p.op))


def _stop_timed_out(p: Pass) -> bool:
    return p.now >= p.op.step_at + p.op.inputs.stop_timeout


def _stop_given_up(p: Pass) -> bool:
    """Whether the time for the stop is over: a stop that is to be forced then gets it once more."""
    inputs = p.op.inputs
    patience = 2 if inputs.force_stop is ForceStop.AFTER_TIMEOUT else 1
    return p.now >= p.op.step_at + patience * inputs.stop_timeout


def _unstop(p: Pass, ending: str) -> Decision:
    """Not wanted any more while stopping: over when running for good, or stopped and started."""
    op = p.op.replace(ending=ending)
    p = p.with_op(op)
    last = op.last_try_at or op.step_at
    settled = op.outcome in (None, Outcome.REFUSED) or p.now >= last + STOP_SETTLES
    if p.instance.power is Power.RUNNING and settled:
        return _finish(p.with_op(enter(op, Step.FINISH, p.now)))
    return p.say(
        Reason.GIVING_BACK,
        f"Plan {op.plan_id} is not carried out, because {words.why(ending)}. This ends when "
        f"{p.id} is seen running for good, or has stopped and is started again.{error_text(op)}",
    )


def _send_stop(p: Pass) -> Decision:
    op = p.op
    force = op.inputs.force_stop is ForceStop.ALWAYS or _stop_timed_out(p)
    if op.last_try_at is not None and p.now < op.last_try_at + _stop_pause(op):
        return p.say(Reason.STOPPING, stop_text(p.id, p.op))
    sent = op.replace(
        tries=op.tries + 1, last_try_at=p.now, outcome=Outcome.UNKNOWN, stopped_by_us=True
    )
    stop = StopInstance(p.id, force=force, stopped_mode=op.inputs.stopped_mode)
    return p.send(sent, stop, Reason.STOPPING, stop_text(p.id, op))


def _stop_pause(op: Operation) -> timedelta:
    """Return how long to wait for a stop before it is asked for again.

    One that was not answered may still be on its way: were it to arrive after a second one has done
    its work, nobody would expect it (found by exploration). So it is given the time to get lost.
    """
    if op.outcome is Outcome.REFUSED:
        return backoff(op.tries)
    return STOP_AGAIN


# -- Replace ----------------------------------------------------------------------------------


def _enter_replace(p: Pass) -> Decision:
    op = enter(p.op, Step.REPLACE, p.now).replace(
        last_error=None,
        give_back_by=accept_by(p.op.inputs, p.op.window_ends_at, p.now),
    )
    return _replace(p.with_op(op))


def _replace(p: Pass) -> Decision:
    op, disk = p.op, p.observed.system_disk
    if p.observed.system_disks is None:
        return ask(p.subject, Look(fresh=True, disks=DiskLook.KNOWN))
    if disk is not None and disk.disk_id != op.old_disk_id:
        if op.outcome is None:  # nothing was ever sent: it was somebody else
            return _leave(p, ENDING_WORLD_CHANGED)
        return _verify(p.with_op(accepted(op, disk.disk_id, p.now)))
    if op.outcome is Outcome.UNKNOWN:
        return _find_out(p, disk)
    return _ask_to_replace(p, disk)


def _find_out(p: Pass, disk: Disk | None) -> Decision:
    """A request was sent and its answer is not known: the same token, or else watch the disk."""
    op = p.op
    quiet = disk is not None and not p.instance.locks and disk.status == "In_use"
    if quiet and _may_send_again(p):
        if op.inputs.password_secret_ref is not None and p.observed.secret is None:
            return ask(p.subject, Look(secret=True))
        if _secret_unchanged(p):
            return _send_replace(p)
    if not quiet:
        p = p.with_op(op.replace(unlocked_since=None))
        return _held_by_lock(p) or _wait_unknown(p)
    since = op.unlocked_since or p.now
    p = p.with_op(op.replace(unlocked_since=since))
    if p.now < max(since, op.last_try_at or since) + WATCH:
        return _wait_unknown(p)
    fresh = next_attempt(p.op, p.id).replace(outcome=Outcome.REFUSED, outcome_at=p.now)
    return _ask_to_replace(p.with_op(fresh), disk)


def _may_send_again(p: Pass) -> bool:
    """Whether the same request may go out once more: it can only tell, or do what was meant.

    Not after an answer that blames the token, or a state that the first try may have caused.
    """
    op, error = p.op, p.op.last_error
    young = op.first_try_at is not None and p.now < op.first_try_at + TOKEN_LIFE
    state = error is not None and error.class_ is ErrorClass.WAIT and not _server_fault(error)
    blamed = state or (error is not None and error.code in TOKEN_MISMATCH)
    return young and not blamed and p.instance.power is Power.STOPPED and granted(p)


def _server_fault(error: LastError) -> bool:
    """Whether nothing was looked at: a region under maintenance blames no state of ours."""
    return (error.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR


def _secret_unchanged(p: Pass) -> bool:
    """Whether the login Secret is still the intent's: else the request would be another."""
    ref, look = p.op.inputs.password_secret_ref, p.observed.secret
    if ref is None:
        return True
    return look is not None and (look.uid, look.resource_version) == (ref.uid, ref.resource_version)


def _wait_unknown(p: Pass) -> Decision:
    return p.say(
        Reason.OUTCOME_UNKNOWN,
        f"ReplaceSystemDisk was sent for plan {p.op.plan_id} and its outcome is not known yet. "
        f"Disk and locks of {p.id} are watched; nothing else is tried until it is."
        f"{_locked_text(p)}{error_text(p.op)}",
        look_again=timedelta(seconds=5),
    )


def _locked_text(p: Pass) -> str:
    return f" ECS has locked it ({words.locks(p.instance.locks)})." if p.instance.locks else ""


def _ask_to_replace(p: Pass, disk: Disk | None) -> Decision:
    """Nothing is in flight: the old disk is there, and the next request may go out, or none."""
    op, power = p.op, p.instance.power
    ending = op.ending or changed_mind(p)
    if ending:
        return _leave(p, ending)
    if power is Power.RUNNING or power is Power.STARTING:
        return _leave(p, ENDING_STARTED)
    if op.give_back_by is not None and p.now >= op.give_back_by:
        return _leave(p, ENDING_GIVEN_BACK)
    ready = power is Power.STOPPED and not p.instance.locks
    if not ready or disk is None or disk.status != "In_use":
        return p.say(Reason.REPLACING, replace_text(p.id, p.op))
    if op.inputs.password_secret_ref is not None:
        if p.observed.secret is None:
            return ask(p.subject, Look(secret=True))
        if p.observed.secret.state is not SecretState.OK:
            return p.say(
                Reason.REPLACING,
                f"Secret {op.inputs.password_secret_ref.name} cannot be used any more "
                f"({p.observed.secret.state}). {replace_text(p.id, p.op)}",
            )
    return _send_replace(p)


def _send_replace(p: Pass) -> Decision:
    op = p.op
    due = op.last_try_at + backoff(op.tries) if op.last_try_at is not None else p.now
    if p.now < due:
        unknown = op.outcome is Outcome.UNKNOWN
        reason = Reason.OUTCOME_UNKNOWN if unknown else Reason.REPLACING
        text = _unknown_text(p) if unknown else replace_text(p.id, p.op)
        return p.say(reason, text, look_again=p.until(due))
    sent = with_secret(p).replace(
        tries=op.tries + 1,
        outcome=Outcome.UNKNOWN,
        first_try_at=op.first_try_at or p.now,
        last_try_at=p.now,
        last_error=op.last_error if op.first_try_at else None,
    )
    replace = ReplaceSystemDisk(p.id, sent.inputs, sent.client_token)
    return p.send(sent, replace, Reason.REPLACING, replace_text(p.id, op))


def _unknown_text(p: Pass) -> str:
    return (
        f"ReplaceSystemDisk was sent for plan {p.op.plan_id} and its answer was lost. The same "
        f"request, under the same token, finds out whether ECS did it; {p.id} is not started "
        f"before that is known.{error_text(p.op)}"
    )


# -- Verify -----------------------------------------------------------------------------------


def _verify(p: Pass) -> Decision:
    op, disk = p.op, p.observed.system_disk
    if p.observed.system_disks is None:
        return ask(p.subject, Look(fresh=True, disks=DiskLook.KNOWN))
    overdue = p.now >= op.step_at + VERIFY_OVERDUE
    if held := _held_by_lock(p):
        return held
    in_place = disk is not None and disk.status == "In_use"
    if in_place and disk is not None and disk.disk_id != op.old_disk_id:
        # A third disk was put in by hand; the one that ECS accepted is still to come.
        promised = disk.disk_id == op.new_disk_id and not p.instance.locks
        if promised or overdue:
            done = op.replace(new_disk_id=disk.disk_id)
            return _start(p.with_op(enter(done, Step.START, p.now)))
    elif in_place and overdue and not p.instance.locks:
        return _leave(p.with_op(op.replace(new_disk_id=None)), ENDING_NO_NEW_DISK)
    text = (
        f"ECS accepted the replacement of {op.old_disk_id}; waiting until new disk "
        f"{op.new_disk_id} is in use and the old one is gone."
    )
    if overdue:
        found = words.locks(p.instance.locks)
        locked = f", and ECS has locked the instance ({found})" if found else ""
        return p.say(
            Reason.VERIFY_OVERDUE,
            f"{text} That was due by {op.step_at + VERIFY_OVERDUE:%Y-%m-%dT%H:%M:%SZ}{locked}: "
            "look at the instance in the ECS console.",
            look_again=timedelta(seconds=15),
        )
    return p.say(Reason.VERIFYING, text)


def _held_by_lock(p: Pass) -> Decision | None:
    """Return that a lock which is not the replacement's own holds the machine; None: there is none.

    Nothing is sent before it is resolved, and a person hears of it.
    """
    forbidding = sorted(k.reason for k in p.instance.locks if k.reason.lower() in FORBIDDING_LOCKS)
    if not forbidding:
        return None
    named = ", ".join(forbidding)
    left = "The machine is stopped and cannot be started" if p.op.stopped_by_us else "It is held"
    return p.say(
        Reason.MACHINE_LEFT_STOPPED if p.op.stopped_by_us else Reason.OPERATION_LOCKED,
        f"ECS has locked {p.id} ({named}) in the middle of plan {p.op.plan_id}. {left} until the "
        "lock is resolved in the ECS console; then it goes on by itself.",
        look_again=timedelta(seconds=30),
    )


# -- Start ------------------------------------------------------------------------------------


def _wants_start(op: Operation) -> bool:
    """Whether the machine is to run: after a replacement as asked, else as it was."""
    if op.new_disk_id is None:
        return op.stopped_by_us and op.was_running
    after = op.inputs.start_after
    return after is StartAfter.ALWAYS or (op.was_running and after is not StartAfter.NEVER)


def _start(p: Pass) -> Decision:
    op, power = p.op, p.instance.power
    may = op.stopped_by_us or granted(p)
    if not (may and _wants_start(op)) or power is Power.RUNNING:
        return _finish(p.with_op(enter(op, Step.FINISH, p.now)))
    if power is not Power.STOPPED:
        return p.say(_start_reason(p), _start_text(p))
    if held := _held_by_lock(p):
        return held
    if op.last_try_at is not None:
        due = op.last_try_at + _start_pause(op)
        if p.now < due:
            return p.say(_start_reason(p), _start_text(p), look_again=min(due - p.now, POLL))
    sent = op.replace(tries=op.tries + 1, last_try_at=p.now, outcome=Outcome.UNKNOWN)
    # Told as it stands before this try: who reads it is not to be calmed by each one that begins.
    return p.send(sent, StartInstance(p.id), _start_reason(p), _start_text(p))


def _start_pause(op: Operation) -> timedelta:
    """Return how long to wait before the next StartInstance: long where it is refused."""
    error = op.last_error
    if op.outcome is not Outcome.REFUSED or error is None:
        return STOP_AGAIN if op.outcome is not Outcome.UNKNOWN else backoff(op.tries, LOST_START)
    busy = error.code.startswith(("IncorrectInstanceStatus", "InstanceNotReady", "DiskError"))
    if busy or error.class_ is ErrorClass.RETRY:
        return backoff(op.tries)
    return backoff(op.tries, first=timedelta(seconds=15))


def _start_reason(p: Pass) -> Reason:
    op, error = p.op, p.op.last_error
    refused = (
        op.outcome is Outcome.REFUSED
        and error is not None
        and error.class_ is not ErrorClass.RETRY
        and op.tries > 1
    )
    if refused or p.now >= op.step_at + START_OVERDUE:
        return Reason.MACHINE_LEFT_STOPPED
    return Reason.GIVING_BACK if op.ending else Reason.STARTING


def _start_text(p: Pass) -> str:
    op = p.op
    if _start_reason(p) is Reason.MACHINE_LEFT_STOPPED:
        return (
            f"{p.id} was stopped by plan {op.plan_id} and does not start; it is tried again and "
            f"again. Start it by hand if you can: the operation ends when it runs."
            f"{error_text(op)}"
        )
    if op.ending:
        return (
            f"Starting {p.id} again: plan {op.plan_id} is not carried out, because "
            f"{words.why(op.ending)}.{error_text(op)}"
        )
    return f"Starting {p.id} for plan {op.plan_id}.{error_text(op)}"


# -- Finish -----------------------------------------------------------------------------------


def _finish(p: Pass) -> Decision:
    op = p.op
    policy, new = op.auto_snapshot_policy_id, op.new_disk_id
    if policy is None or new is None or _policy_given_up(p):
        return close(p.subject, op, p.observed, p.now)
    if op.last_try_at is not None:
        due = op.last_try_at + backoff(op.tries)
        if p.now < due:
            return p.say(Reason.FINISHING, _finish_text(op), look_again=due - p.now)
    sent = op.replace(tries=op.tries + 1, last_try_at=p.now)
    restore = ApplyAutoSnapshotPolicy(new, policy)
    return p.send(sent, restore, Reason.FINISHING, _finish_text(op))


def _policy_given_up(p: Pass) -> bool:
    """Whether the policy stays off the new disk: a person is told, the machine runs already."""
    op, error = p.op, p.op.last_error
    final = op.outcome is Outcome.REFUSED and error is not None and error.class_ is ErrorClass.USER
    return final or not granted(p) or p.now >= op.step_at + POLICY_PATIENCE


def _finish_text(op: Operation) -> str:
    return (
        f"Putting automatic snapshot policy {op.auto_snapshot_policy_id} back on disk "
        f"{op.new_disk_id}.{error_text(op)}"
    )
