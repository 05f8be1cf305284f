"""What holds for every spec, every world, every record and every time: the safety of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import (
    LOCKED,
    NEW_DISK,
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    SECURITY,
    VM,
    accepted,
    account,
    after,
    at,
    disk,
    error,
    image,
    refused,
    seen,
    subject,
    under_way,
    unknown,
)

from sysdisk.api.meta import (
    ANNOTATION_PROTECT,
    ANNOTATION_REPLACE,
    ANNOTATION_RETRY,
    ANNOTATION_SUSPEND,
)
from sysdisk.api.reasons import Reason, Standing, standing
from sysdisk.api.status import Condition, Operation, Outcome, Step, SystemDiskSpecStatus
from sysdisk.core.answers import Answer, NotSent
from sysdisk.core.decide import decide
from sysdisk.core.mind import changed_mind
from sysdisk.core.model import (
    ApplyAutoSnapshotPolicy,
    Decision,
    EcsWrite,
    Look,
    Nothing,
    RemoveFinalizer,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import TOKEN_MISMATCH, last_error, learn
from sysdisk.core.tell import tell
from sysdisk.core.tokens import client_token
from sysdisk.core.under_way import Pass
from sysdisk.core.world import (
    AccountLook,
    AccountState,
    Claim,
    Family,
    Grant,
    Image,
    Observed,
    SecretLook,
    SecretState,
)

WRITES = (StopInstance, ReplaceSystemDisk, StartInstance, ApplyAutoSnapshotPolicy)

# -- everything there may be --------------------------------------------------------------------

times = st.one_of(st.integers(-600, 5000), st.sampled_from([0, 30, 60, 300, 600, 900, 90000])).map(
    at
)
powers = st.sampled_from(["Running", "Stopped", "Stopping", "Starting", "Pending", "Strange"])
accounts = st.one_of(
    st.none(),
    st.just(account()),
    st.builds(
        AccountLook,
        name=st.just("default"),
        state=st.sampled_from(AccountState),
        region_id=st.just("cn-test"),
        grant=st.sampled_from([Grant(), Grant(ids=frozenset({VM}))]),
        suspended=st.booleans(),
        under_way=st.sampled_from([0, 10]),
        failures_in_a_row=st.sampled_from([0, 3]),
        first_sights=st.sampled_from([0, 20]),
    ),
)
disk_ids = st.sampled_from([OLD_DISK, NEW_DISK, "d-9"])
disks = st.builds(
    disk,
    disk_ids,
    status=st.sampled_from(["In_use", "In_use", "Creating", "Odd"]),
    size=st.sampled_from([40, 40, 80]),
    auto_snapshot_policy_id=st.sampled_from(["", "sp-1"]),
    encrypted=st.booleans(),
)
secrets = st.one_of(
    st.none(),
    st.builds(
        SecretLook,
        st.sampled_from(SecretState),
        uid=st.just("s-1"),
        resource_version=st.sampled_from(["7", "8"]),
    ),
)
claims = st.lists(
    st.builds(
        Claim,
        st.sampled_from([NOW - timedelta(days=2), NOW]),
        st.sampled_from(["a", "z"]),
        st.sampled_from(["shop", "other"]),
        st.just("x"),
        st.booleans(),
    ),
    max_size=2,
).map(tuple)
images = st.lists(
    st.sampled_from([image(OLD_IMAGE), image(), Image("m-3", found=False), image("m-3", size=200)]),
    max_size=3,
).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """Return anything that may be seen, or not yet have been."""
    gone = draw(st.integers(0, 9)) == 0
    inside = {
        "locks": draw(st.sampled_from([(), (), LOCKED, SECURITY])),
        "image_id": draw(st.sampled_from([OLD_IMAGE, NEW_IMAGE, "m-3"])),
        "key_pair_name": draw(st.sampled_from(["", "ops"])),
    }
    fields: dict[str, Any] = {
        "account": draw(accounts),
        "system_disks": draw(st.one_of(st.none(), st.lists(disks, max_size=2).map(tuple))),
        "data_disk_ids": draw(st.sampled_from([None, frozenset(), frozenset({"d-data"})])),
        "fresh": draw(st.booleans()),
        "images": draw(images),
        "family": draw(st.sampled_from([None, Family("ubuntu"), Family("ubuntu", NEW_IMAGE)])),
        "secret": draw(secrets),
        "claims": draw(claims),
        "dry_run": draw(st.booleans()),
        "failure": draw(st.sampled_from(["", "", "", "no answer (request ID R)"])),
        "instance_seen": draw(st.booleans()) or gone,
    }
    world = seen(draw(powers), **inside, **fields)
    return replace(world, instance=None) if gone or not fields["instance_seen"] else world


def of(**fields: Any) -> dict[str, Any]:
    return fields


specs = st.sampled_from(
    [
        {},
        {},
        of(size=80),
        of(imageId=None, imageFamily="ubuntu"),
        of(imageId="m-3"),
        of(login={"passwordSecretRef": {"name": "pw", "key": "root"}}),
        of(login={"keyPairName": "ops"}),
        of(suspend=True),
        of(driftPolicy="Reconcile"),
        of(replaceTrigger="a\nb"),
        of(power={"startAfter": "Never", "forceStop": "AfterTimeout"}),
        of(power={"startAfter": "Always", "forceStop": "Always"}),
        of(encryption={"enabled": True}),
        of(imageId=None, advanced={"diskId": "d-source"}),
    ]
)
marks: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    [
        {},
        {},
        {ANNOTATION_PROTECT: "true"},
        {ANNOTATION_SUSPEND: "true"},
        {ANNOTATION_REPLACE: "x"},
        {ANNOTATION_RETRY: "p1-1"},
    ]
)
errors = st.sampled_from(
    [
        None,
        last_error(error("INST_HAS_UNPAID_ORDER")),
        last_error(error("IncorrectInstanceStatus", "wait")),
        last_error(error("InternalError", "retry")),
        last_error(error(sorted(TOKEN_MISMATCH)[0])),
    ]
)
maybe = st.one_of(st.none(), times)


@st.composite
def records(
    draw: st.DrawFn, steps: Sequence[Step] = tuple(Step), outcomes: Sequence[Outcome | None] = ()
) -> Subject:
    """Return a subject with any operation under way that we may have recorded, or changed since."""
    wanting = subject(**draw(specs.filter(lambda s: "imageFamily" not in s and "suspend" not in s)))
    began = seen(
        draw(st.sampled_from(["Running", "Stopped"])),
        images=(image(OLD_IMAGE), image(), image("m-3")),
        system_disks=(disk(auto_snapshot_policy_id=draw(st.sampled_from(["", "sp-1"]))),),
    )
    wanting = replace(wanting, spec=wanting.spec.replace(advanced=None, image_id=NEW_IMAGE))
    wanting = replace(wanting, spec=wanting.spec.replace(encryption=None))
    attempt = draw(st.integers(1, 3))
    begun = under_way(draw(st.sampled_from(steps)), wanting=wanting, world=began)
    op = begun.status.operation
    assert op is not None
    op = op.replace(
        attempt=attempt,
        client_token=client_token(VM, op.old_disk_id, op.plan_id, attempt),
        tries=draw(st.integers(0, 6)),
        outcome=draw(st.sampled_from(outcomes or [None, *Outcome])),
        first_try_at=draw(maybe),
        last_try_at=draw(maybe),
        step_at=draw(times),
        give_back_by=draw(maybe),
        unlocked_since=draw(maybe),
        ending=draw(st.sampled_from([None, None, "Refused", "Suspended"])),
        last_error=draw(errors),
    )
    changed = draw(st.one_of(st.none(), specs))
    begun = replace(
        begun,
        status=begun.status.replace(operation=op),
        annotations=draw(marks),
        deleting=draw(st.integers(0, 4)) == 0,
    )
    return begun if changed is None else replace(begun, spec=subject(**changed).spec, generation=2)


@st.composite
def resting(draw: st.DrawFn) -> Subject:
    """Return a subject without an operation: new, settled, or with a plan that was tried."""
    wanting = subject(**draw(specs), annotations=draw(marks))
    for _ in range(draw(st.integers(0, 2))):
        decision = decide(wanting, draw(worlds()), draw(times))
        if decision.status.operation is None:
            wanting = after(wanting, decision)
    plan = wanting.status.plan
    if plan is not None:
        tried = plan.replace(spent=draw(st.booleans()), rest_until=draw(maybe), rounds=1)
        wanting = replace(wanting, status=wanting.status.replace(plan=tried))
    return replace(
        wanting, deleting=draw(st.integers(0, 9)) == 0, has_finalizer=draw(st.booleans())
    )


anything = st.one_of(resting(), records())
MANY = settings(max_examples=150, deadline=None)


# -- every decision -------------------------------------------------------------------------------


@MANY
@given(what=anything, world=worlds(), now=times)
def test_a_decision_never_raises_and_its_conditions_are_those_of_kstatus(
    what: Subject, world: Observed, now: datetime
) -> None:
    decision = decide(what, world, now)
    if isinstance(decision.action, Look):
        assert decision.status == what.status
        return
    kinds = {c.type: c for c in decision.status.conditions}
    if decision.status == what.status:
        return
    assert "Ready" in kinds
    assert not ("Reconciling" in kinds and "Stalled" in kinds)
    where = standing(Reason(kinds["Ready"].reason))
    assert (kinds["Ready"].status == "True") is (where is Standing.DONE)
    assert ("Reconciling" in kinds) is (where is Standing.WORKING)
    assert ("Stalled" in kinds) is (where is Standing.STUCK)
    assert all(c.observed_generation == what.generation for c in kinds.values())
    assert decision.status.observed_generation == what.generation
    assert decision.look_again >= timedelta(0)


@MANY
@given(what=anything, world=worlds(), now=times)
def test_a_disk_is_replaced_only_if_stopped_unlocked_fresh_granted_and_recorded(
    what: Subject, world: Observed, now: datetime
) -> None:
    decision = decide(what, world, now)
    if not isinstance(decision.action, ReplaceSystemDisk):
        return
    op, vm = decision.status.operation, world.instance
    assert op is not None
    assert vm is not None
    assert (vm.status, vm.locks, world.fresh) == ("Stopped", (), True)
    assert world.account is not None
    assert world.account.grant.covers(vm)
    assert world.system_disk is not None
    assert (world.system_disk.disk_id, world.system_disk.status) == (op.old_disk_id, "In_use")
    token = client_token(VM, op.old_disk_id, op.plan_id, op.attempt)
    assert decision.action.token == op.client_token == token
    assert decision.action.inputs == op.inputs
    assert (op.step, op.outcome, op.last_try_at) == (Step.REPLACE, Outcome.UNKNOWN, now)
    before = what.status.operation
    was = before.tries if before is not None and before.step is Step.REPLACE else 0
    assert op.tries == was + 1
    ref = op.inputs.password_secret_ref
    if ref is not None:
        assert world.secret is not None
        assert (world.secret.uid, world.secret.resource_version) == (ref.uid, ref.resource_version)


@MANY
@given(what=anything, world=worlds(), now=times)
def test_a_machine_is_stopped_only_when_seen_fresh_and_with_the_intent_in_the_same_decision(
    what: Subject, world: Observed, now: datetime
) -> None:
    decision = decide(what, world, now)
    if not isinstance(decision.action, StopInstance):
        return
    op = decision.status.operation
    assert op is not None
    assert world.fresh
    assert world.instance is not None
    assert world.account is not None
    assert world.account.grant.covers(world.instance)
    assert (op.stopped_by_us, op.last_try_at, op.outcome) == (True, now, Outcome.UNKNOWN)
    if world.instance.status == "Stopping":
        assert now >= op.step_at + op.inputs.stop_timeout
        assert decision.action.force
    else:
        assert world.instance.status == "Running"
    if what.status.operation is None:
        assert (world.instance.locks, what.has_finalizer) == ((), True)


SETTLED = [None, Outcome.ACCEPTED, Outcome.REFUSED]


@MANY
@given(what=records((Step.STOP, Step.REPLACE), SETTLED), world=worlds(), now=times)
def test_after_a_change_of_mind_nothing_new_is_sent_but_a_start(
    what: Subject, world: Observed, now: datetime
) -> None:
    op = what.status.operation
    assert op is not None
    if world.instance is None:
        return
    if op.ending or changed_mind(Pass(what, op, world, world.instance, now)):
        action = decide(what, world, now).action
        assert not isinstance(action, StopInstance | ReplaceSystemDisk)


@MANY
@given(what=records((Step.REPLACE,), (Outcome.UNKNOWN,)), world=worlds(), now=times)
def test_while_an_outcome_is_unknown_no_start_and_no_new_token(
    what: Subject, world: Observed, now: datetime
) -> None:
    op = what.status.operation
    assert op is not None
    attached = {d.disk_id for d in world.system_disks or ()}
    watched = op.unlocked_since is not None and now >= op.unlocked_since + timedelta(minutes=15)
    if watched or attached - {op.old_disk_id}:
        return
    decision = decide(what, world, now)
    left = decision.status.operation
    assert not isinstance(decision.action, StartInstance)
    assert left is not None
    assert (left.client_token, left.attempt) == (op.client_token, op.attempt)


@MANY
@given(what=records(), world=worlds(), now=times)
def test_a_machine_is_started_only_if_the_record_says_that_we_stopped_it_or_it_is_granted(
    what: Subject, world: Observed, now: datetime
) -> None:
    decision = decide(what, world, now)
    if not isinstance(decision.action, StartInstance):
        return
    op = decision.status.operation
    assert op is not None
    assert world.instance is not None
    assert world.instance.status == "Stopped"
    assert not (set(world.instance.locks) & set(SECURITY))
    granted = world.account is not None and world.account.grant.covers(world.instance)
    assert op.stopped_by_us or granted


@MANY
@given(what=anything, world=worlds(), now=times)
def test_an_operation_is_never_dropped_without_its_place_in_the_history(
    what: Subject, world: Observed, now: datetime
) -> None:
    decision = decide(what, world, now)
    before = what.status.operation
    if isinstance(decision.action, RemoveFinalizer):
        assert decision.status.operation is None
    if before is not None and decision.status.operation is None:
        assert decision.status.history[-1].plan_id == before.plan_id
        assert isinstance(decision.action, RemoveFinalizer)


@MANY
@given(what=anything, world=worlds(), now=times)
def test_with_dry_run_nothing_begins(what: Subject, world: Observed, now: datetime) -> None:
    decision = decide(what, replace(world, dry_run=True), now)
    if what.status.operation is None:
        assert decision.status.operation is None
        assert not isinstance(decision.action, WRITES)


# -- nothing is written while nothing changes -----------------------------------------------------


@MANY
@given(what=anything, world=worlds(), now=times, later=st.integers(0, 2))
def test_the_same_world_a_moment_later_is_no_reason_to_write(
    what: Subject, world: Observed, now: datetime, later: int
) -> None:
    """A decision that only waits comes out the same again: its status is recorded once."""
    now = now.replace(microsecond=0)
    once = decide(what, world, now)
    if not isinstance(once.action, Nothing):
        return
    recorded = after(what, once)
    twice = decide(recorded, world, now + timedelta(seconds=later))
    if isinstance(twice.action, Nothing) and twice.reason is once.reason:
        assert twice.status == recorded.status
        assert twice.events == ()


@MANY
@given(what=anything, world=worlds(), now=times)
def test_what_is_recorded_reads_back_as_it_was_written(
    what: Subject, world: Observed, now: datetime
) -> None:
    status = decide(what, world, now).status
    assert SystemDiskSpecStatus.from_api(status.to_api()) == status


# -- answers --------------------------------------------------------------------------------------

answers: st.SearchStrategy[Answer] = st.sampled_from(
    [
        accepted(),
        accepted(""),
        NotSent("held"),
        unknown(),
        unknown("InternalError", http_status=500),
        refused(),
        refused("Throttling.User", "retry", throttled=True),
        refused("LastTokenProcessing", "retry"),
        refused("IdempotentParameterMismatch"),
        refused("IncorrectInstanceStatus", "wait"),
        refused("Forbidden.RAM"),
    ]
)


@MANY
@given(what=anything, world=worlds(), now=times, answer=answers)
def test_an_answer_never_loses_the_operation_and_raises_attempt_only_when_refused(
    what: Subject, world: Observed, now: datetime, answer: Answer
) -> None:
    decision = decide(what, world, now)
    action, intent = decision.action, decision.status.operation
    if not isinstance(action, WRITES) or intent is None:
        return
    write: EcsWrite = action
    before = what.status.operation or intent.replace(
        outcome=None, first_try_at=None, last_try_at=None
    )
    learned: Operation = learn(before, intent, write, VM, answer, now)
    told: Decision = tell(after(what, decision), decision.reason, intent, learned, now)
    assert told.status.operation == learned
    assert ready(told) is not None
    if learned.attempt != intent.attempt:
        assert isinstance(action, ReplaceSystemDisk)
        assert learned.outcome is Outcome.REFUSED
        assert learned.attempt == intent.attempt + 1
    if isinstance(answer, type(unknown())):
        assert learned.outcome in (Outcome.UNKNOWN, None)
    token = client_token(VM, learned.old_disk_id, learned.plan_id, learned.attempt)
    assert learned.client_token == token


def ready(decision: Decision) -> Condition | None:
    return decision.status.condition("Ready")
