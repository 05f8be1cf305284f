"""What an answer of ECS teaches, and how it is told: the second half of every step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import (
    NEW_DISK,
    NOW,
    REQUEST,
    VM,
    accepted,
    account,
    after,
    at,
    error,
    operation,
    ready,
    refused,
    replaced,
    seen,
    stored,
    under_way,
    unknown,
)

from sysdisk.api.reasons import Reason, Standing, standing
from sysdisk.api.status import ErrorClass, Operation, Outcome, Step
from sysdisk.core.answers import Accepted, Answer, Failure, NotSent, Refused
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    ApplyAutoSnapshotPolicy,
    CreateSnapshot,
    Decision,
    ReplaceSystemDisk,
    StartInstance,
    StopInstance,
    Subject,
)
from sysdisk.core.outcome import (
    TOKEN_IN_FLIGHT,
    TOKEN_MISMATCH,
    is_news,
    last_error,
    learn,
)
from sysdisk.core.tell import tell
from sysdisk.core.world import Disk, Grant, Observed
from sysdisk.ecs.catalog import catalog

NOT_SENT = NotSent("the fence fell")


def ask(before: Subject, world: Observed, seconds: float = 5) -> Decision:
    """Return the decision that writes to ECS."""
    decision = decide(before, world, at(seconds))
    assert isinstance(
        decision.action,
        CreateSnapshot | StopInstance | ReplaceSystemDisk | StartInstance | ApplyAutoSnapshotPolicy,
    ), decision
    return decision


def answered(
    before: Subject, world: Observed, answer: Answer, seconds: float = 5
) -> tuple[Operation, Operation]:
    """Return the intent that `before` leads to, and what `answer` makes of it."""
    decision = ask(before, world, seconds)
    action, intent = decision.action, operation(decision)
    assert isinstance(
        action, StopInstance | ReplaceSystemDisk | StartInstance | ApplyAutoSnapshotPolicy
    )
    learned = learn(operation(before), intent, action, VM, answer, at(seconds + 1))
    return intent, learned


STOPPED = seen("Stopped")
FIRST: dict[str, Any] = {}
LOST: dict[str, Any] = {
    "outcome": Outcome.UNKNOWN,
    "first_try_at": NOW,
    "last_try_at": NOW,
    "tries": 1,
}
LOST_LONG_AGO = {**LOST, "last_try_at": at(-30)}
LOST_29_S_AGO, LOST_30_S_AGO = ({**LOST, "last_try_at": at(6 - ago)} for ago in (29, 30))
U, A, RF = Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.REFUSED

# op before, answer -> step, outcome, attempt, ending
REPLACE_ROWS: list[tuple[dict[str, Any], Answer, Step, Outcome, int, str | None]] = [
    (FIRST, accepted(), Step.VERIFY, A, 1, None),
    (FIRST, Accepted(REQUEST), Step.REPLACE, U, 1, None),
    (FIRST, unknown(), Step.REPLACE, U, 1, None),
    (FIRST, unknown("InternalError", http_status=500), Step.REPLACE, U, 1, None),
    (FIRST, refused("Throttling.User", "retry", throttled=True), Step.REPLACE, RF, 1, None),
    (FIRST, refused("InternalError", "retry", http_status=400), Step.REPLACE, RF, 1, None),
    (FIRST, refused("IncorrectDiskStatus", "wait"), Step.REPLACE, RF, 2, None),
    (FIRST, refused(), Step.REPLACE, RF, 1, "Refused"),
    (FIRST, refused("LastTokenProcessing", "retry"), Step.REPLACE, U, 1, None),
    (FIRST, refused("IdempotentParameterMismatch"), Step.REPLACE, U, 1, None),
    (LOST, accepted(), Step.VERIFY, A, 1, None),
    (LOST, unknown(), Step.REPLACE, U, 1, None),
    (LOST, refused("Throttling.User", "retry"), Step.REPLACE, U, 1, None),
    (LOST, refused("ServiceUnavailable", "retry"), Step.REPLACE, U, 1, None),
    (LOST_LONG_AGO, refused("Forbidden.RAM"), Step.REPLACE, U, 1, None),
    (LOST_LONG_AGO, refused("InvalidAccessKeyId.NotFound"), Step.REPLACE, U, 1, None),
    (LOST, refused("LastTokenProcessing", "retry"), Step.REPLACE, U, 1, None),
    (LOST, refused("InvalidIdempotenceParameter.Mismatch"), Step.REPLACE, U, 1, None),
    (LOST, refused("IncorrectInstanceStatus", "wait"), Step.REPLACE, U, 1, None),
    (LOST, refused(), Step.REPLACE, U, 1, None),
    (LOST_LONG_AGO, refused(), Step.REPLACE, RF, 1, "Refused"),
    (LOST_29_S_AGO, refused(), Step.REPLACE, U, 1, None),
    (LOST_30_S_AGO, refused(), Step.REPLACE, RF, 1, "Refused"),
    (LOST_LONG_AGO, refused("Gateway.Denied", known=False), Step.REPLACE, U, 1, None),
    (FIRST, refused("Gateway.Denied", known=False), Step.REPLACE, RF, 1, "Refused"),
    (FIRST, refused("Forbidden.RAM"), Step.REPLACE, RF, 1, "Refused"),
]


@pytest.mark.parametrize(("before", "answer", "step", "outcome", "attempt", "ending"), REPLACE_ROWS)
def test_an_answer_to_a_replacement_is_definite_or_it_is_not(
    before: dict[str, Any],
    answer: Answer,
    step: Step,
    outcome: Outcome,
    attempt: int,
    ending: str | None,
) -> None:
    intent, op = answered(under_way(Step.REPLACE, **before), STOPPED, answer)
    assert (op.step, op.outcome, op.attempt, op.ending) == (step, outcome, attempt, ending)
    assert (op.client_token == intent.client_token) is (attempt == 1)


@pytest.mark.parametrize(
    "code",
    [
        *("Throttling", "Throttling.User", "Rejected.Throttling", "ServiceUnavailable"),
        *("Forbidden", "Forbidden.RAM", "NoPermission", "InvalidRegionId.NotExists"),
        *("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "InvalidAccessKeySecret"),
        *("IncompleteSignature", "SignatureDoesNotMatch", "SignatureNonceUsed"),
        *("InvalidTimeStamp.Expired", "InvalidSecurityToken.Expired", "MissingSecurityToken"),
    ],
)
def test_a_refusal_at_the_gate_says_nothing_about_the_request_before(code: str) -> None:
    _, op = answered(under_way(Step.REPLACE, **LOST_LONG_AGO), STOPPED, refused(code))
    assert (op.outcome, op.attempt, op.ending) == (U, 1, None)


def test_the_stop_before_says_nothing_about_the_first_replacement() -> None:
    for outcome in (U, A):
        throttled = refused("Throttling.User", "retry")
        stopping = under_way(outcome=outcome, first_try_at=at(hours=-1), last_try_at=at(-1))
        _, op = answered(stopping, STOPPED, throttled)
        assert op.outcome is RF
        _, op = answered(stopping, STOPPED, NOT_SENT)
        assert (op.step, op.outcome) == (Step.REPLACE, None)
        assert (op.first_try_at, op.last_try_at) == (None, None)


def test_a_refusal_is_on_record_with_its_time_and_ends_the_watch_of_the_disk() -> None:
    watched = under_way(Step.REPLACE, **LOST_LONG_AGO, unlocked_since=NOW)
    _, op = answered(watched, STOPPED, refused())
    assert (op.outcome, op.outcome_at, op.unlocked_since) == (RF, at(6), None)


def test_a_token_found_to_have_done_nothing_says_nothing_about_the_next_one() -> None:
    watched: dict[str, Any] = {
        **LOST,
        "unlocked_since": NOW,
        "give_back_by": None,
        "first_try_at": at(hours=-1),
    }
    before = under_way(Step.REPLACE, **watched)
    _, op = answered(before, STOPPED, refused("Throttling.User", "retry"), 900)
    assert (op.attempt, op.outcome, op.unlocked_since) == (2, RF, None)
    _, op = answered(before, STOPPED, NOT_SENT, 900)
    assert (op.attempt, op.outcome, op.unlocked_since) == (2, RF, None)
    assert (op.first_try_at, op.last_try_at) == (None, None)


def test_what_was_not_sent_leaves_what_was_known() -> None:
    befores: list[dict[str, Any]] = [{}, LOST, {**LOST, "outcome": RF}]
    for before in befores:
        begun = under_way(Step.REPLACE, **before)
        _, op = answered(begun, STOPPED, NOT_SENT)
        was = operation(begun)
        assert (op.outcome, op.first_try_at, op.last_try_at, op.attempt) == (
            was.outcome,
            was.first_try_at,
            was.last_try_at,
            was.attempt,
        )


def test_an_accepted_replacement_is_known_by_its_new_disk() -> None:
    _, op = answered(under_way(Step.REPLACE), STOPPED, accepted("d-9"))
    assert (op.new_disk_id, op.step, op.step_at, op.last_error) == ("d-9", Step.VERIFY, at(6), None)


@pytest.mark.parametrize(
    ("before", "answer", "outcome", "ending"),
    [
        (None, accepted(), A, None),
        (None, unknown(), U, None),
        (None, refused("IncorrectInstanceStatus", "wait"), RF, None),
        (None, refused(), RF, "Refused"),
        (RF, refused(), RF, "Refused"),
        (U, refused(), U, "Refused"),
        (A, refused("OperationConflict", "retry"), A, None),
        (A, NOT_SENT, A, None),
    ],
)
def test_a_refused_repeat_of_a_stop_does_not_call_the_first_one_back(
    before: Outcome | None, answer: Answer, outcome: Outcome, ending: str | None
) -> None:
    begun = under_way(outcome=before, last_try_at=None)
    _, op = answered(begun, seen(), answer)
    assert (op.step, op.outcome, op.ending) == (Step.STOP, outcome, ending)


def test_a_refused_stop_ends_the_operation_once_nothing_can_come_true_any_more() -> None:
    begun = under_way(outcome=A, last_try_at=None)
    _, learned = answered(begun, seen(), refused())
    begun = replace(begun, status=stored(begun.status.replace(operation=learned)))
    assert decide(begun, seen(), at(60)).status.operation is not None
    assert decide(begun, seen(), at(65)).status.history[-1].result == "Refused"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(accepted(), A), (unknown(), U), (refused("OperationDenied.NoStock", "wait"), RF)],
)
def test_the_outcome_of_a_start_is_kept(answer: Answer, outcome: Outcome) -> None:
    _, op = answered(under_way(Step.START), replaced(), answer)
    assert (op.step, op.outcome) == (Step.START, outcome)


def with_policy(**fields: Any) -> Subject:
    policy = Disk("d-1", "system", "In_use", 40, auto_snapshot_policy_id="sp-1")
    return under_way(Step.FINISH, world=seen(system_disks=(policy,)), **fields)


def finishing(begun: Subject, op: Operation) -> Subject:
    return replace(begun, status=begun.status.replace(operation=op))


BEFORE: dict[str, Any] = {"last_error": last_error(error("Throttling.User", "retry"))}


@pytest.mark.parametrize(
    ("begun", "world"),
    [
        (under_way(last_try_at=None, **BEFORE), seen()),
        (under_way(Step.REPLACE, **LOST, **BEFORE), STOPPED),
        (with_policy(outcome=RF, **BEFORE), replaced("Running")),
    ],
    ids=["stop", "replace", "policy"],
)
def test_what_is_accepted_leaves_no_error_of_the_try_before(
    begun: Subject, world: Observed
) -> None:
    intent, op = answered(begun, world, accepted())
    assert (intent.last_error, op.last_error) == (BEFORE["last_error"], None)


def test_an_operation_that_ends_well_does_not_tell_the_errors_of_its_way() -> None:
    over = decide(under_way(Step.START, outcome=RF, **BEFORE), replaced("Running"), at(9))
    assert (over.status.history[-1].result, over.status.history[-1].message) == ("Replaced", None)
    starting = decide(under_way(Step.VERIFY, **BEFORE), replaced(), at(9))
    assert operation(starting).step is Step.START
    assert operation(starting).last_error == BEFORE["last_error"]


def test_a_step_that_took_no_time_is_told_so() -> None:
    verifying = decide(under_way(Step.REPLACE, **LOST), replaced(), NOW)
    assert [taken.seconds for taken in operation(verifying).steps] == [0, 0]


def test_a_snapshot_policy_is_put_back_and_the_end_says_nothing_of_it() -> None:
    begun = with_policy()
    _, learned = answered(begun, replaced("Running"), accepted())
    over = decide(finishing(begun, learned), replaced("Running"), at(9))
    assert (over.events[0].reason, over.reason) == ("Replaced", Reason.UP_TO_DATE)
    assert over.status.history[-1].result == "Replaced"


@pytest.mark.parametrize(
    ("answer", "outcome"), [(unknown(), U), (refused("InternalError", "retry"), RF)]
)
def test_a_snapshot_policy_is_tried_to_be_put_back_for_a_quarter_of_an_hour(
    answer: Answer, outcome: Outcome
) -> None:
    begun = with_policy(tries=9)
    _, learned = answered(begun, replaced("Running"), answer)
    assert learned.outcome is outcome
    again = decide(finishing(begun, learned), replaced("Running"), at(899))
    assert isinstance(again.action, ApplyAutoSnapshotPolicy)
    over = decide(finishing(begun, learned), replaced("Running"), at(900))
    told_without_policy(over)


def test_a_snapshot_policy_that_a_person_must_mend_is_told_at_once() -> None:
    begun = with_policy()
    answer = refused("InvalidAutoSnapshotPolicyId.NotFound")
    _, learned = answered(begun, replaced("Running"), answer)
    over = decide(finishing(begun, learned), replaced("Running"), at(9))
    told_without_policy(over)
    assert "InvalidAutoSnapshotPolicyId.NotFound" in over.events[0].message


def test_a_snapshot_policy_is_told_where_the_grant_has_gone() -> None:
    over = decide(with_policy(), replaced("Running", account=account(grant=Grant())), at(9))
    assert over.status.history[-1].result == "ReplacedWithDifferences"
    assert "automatic snapshot policy sp-1 is not on disk" in over.events[0].message


def told_without_policy(over: Decision) -> None:
    assert over.events[0].reason == "ReplacedWithDifferences"
    assert over.status.history[-1].result == "ReplacedWithDifferences"
    ready = over.status.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("True", Reason.DRIFTED)
    assert "automatic snapshot policy sp-1 is not on disk d-2" in ready.message


def test_only_what_shows_by_itself_waits_for_the_next_write() -> None:
    intent, op = answered(under_way(last_try_at=None), seen(), accepted())
    assert not is_news(intent, op, StopInstance(VM, False, "KeepCharging"))
    intent, op = answered(under_way(Step.START), replaced(), accepted())
    assert not is_news(intent, op, StartInstance(VM))
    intent, op = answered(under_way(Step.START), replaced(), refused())
    assert is_news(intent, op, StartInstance(VM))
    intent, op = answered(under_way(Step.REPLACE), STOPPED, accepted())
    replacing = ReplaceSystemDisk(VM, op.inputs, op.client_token)
    assert is_news(intent, op, replacing)
    assert is_news(intent, intent.replace(outcome=RF), replacing)
    restoring = ApplyAutoSnapshotPolicy(NEW_DISK, "sp-1")
    intent, op = answered(with_policy(), replaced("Running"), accepted())
    assert not is_news(intent, op, restoring)
    intent, op = answered(with_policy(), replaced("Running"), refused())
    assert is_news(intent, op, restoring)


def test_an_error_is_on_record_with_all_that_ecs_said() -> None:
    assert last_error(error("Odd", "wait", http_status=409)).to_api() == {
        "code": "Odd",
        "httpStatus": 409,
        "message": "Odd it is",
        "requestId": REQUEST,
        "class": "wait",
        "advice": "Do something.",
    }
    silence = last_error(error("NoAnswer", http_status=0, message="", request_id="", advice=""))
    assert silence.to_api() == {"code": "NoAnswer", "class": "user"}


def test_an_answer_without_a_request_id_adds_none_to_the_record() -> None:
    intent, op = answered(under_way(Step.REPLACE), STOPPED, unknown())
    assert op.request_ids == intent.request_ids


# -- telling ----------------------------------------------------------------------------------


def told(
    before: Subject, world: Observed, answer: Answer, seconds: float = 5
) -> tuple[Subject, Decision]:
    """Return the subject with its intent recorded, and the decision that tells `answer`."""
    decision = ask(before, world, seconds)
    intent, learned = answered(before, world, answer, seconds)
    recorded = after(before, decision)
    return recorded, tell(recorded, decision.reason, intent, learned, at(seconds + 1))


ROWS = [(row.code, row.http, row.message) for row in catalog().rows.values()]


@pytest.mark.parametrize(("code", "http", "message"), ROWS)
@pytest.mark.parametrize("before", [FIRST, LOST], ids=["first", "lost"])
def test_every_code_of_the_table_shows_in_the_conditions_within_its_pass(
    code: str, http: int, message: str, before: dict[str, Any]
) -> None:
    entry = catalog().classify(code, http, message)
    kind = ErrorClass(entry.error_class.value)
    failure = Failure(code, message, kind, http, REQUEST, entry.advice)
    _, decision = told(under_way(Step.REPLACE, **before), STOPPED, Refused(failure))
    status, reason, text = ready(decision)
    assert status == "False"
    for part in (code, REQUEST, message.rstrip("."), entry.advice.rstrip(".")):
        assert part in text
    assert decision.events[-1].warning
    assert operation(decision).last_error == last_error(failure)
    assert operation(decision).request_ids[-1] == REQUEST
    if kind is ErrorClass.USER and code not in TOKEN_MISMATCH:
        gate = before is LOST and operation(decision).outcome is U
        assert reason == (Reason.OUTCOME_UNKNOWN if gate else Reason.GIVING_BACK)


@pytest.mark.parametrize("code", sorted(TOKEN_IN_FLIGHT | TOKEN_MISMATCH))
def test_an_answer_about_the_token_alone_is_told_as_unknown(code: str) -> None:
    _, decision = told(under_way(Step.REPLACE), STOPPED, refused(code))
    assert decision.reason is Reason.OUTCOME_UNKNOWN
    assert "never guessed" in ready(decision)[2]


@pytest.mark.parametrize(
    ("before", "world", "answer", "reason", "says"),
    [
        (
            under_way(last_try_at=None),
            seen(),
            refused(),
            Reason.GIVING_BACK,
            "given back with its old disk, and the plan is spent.",
        ),
        (
            under_way(last_try_at=None),
            seen(),
            refused("OperationConflict", "retry"),
            Reason.STOPPING,
            "tried again by itself",
        ),
        (
            under_way(Step.REPLACE),
            STOPPED,
            refused("IncorrectDiskStatus", "wait", message="", advice="", request_id=""),
            Reason.REPLACING,
            "asked again when the state has changed",
        ),
        (
            under_way(Step.START),
            replaced(),
            unknown(),
            Reason.STARTING,
            "tried again until the machine runs",
        ),
        (
            with_policy(),
            replaced("Running"),
            unknown(),
            Reason.FINISHING,
            "tried again by itself",
        ),
    ],
)
def test_an_error_is_told_with_the_call_and_what_follows(
    before: Subject, world: Observed, answer: Answer, reason: Reason, says: str
) -> None:
    _, decision = told(before, world, answer)
    assert decision.reason is reason
    assert says in ready(decision)[2]
    assert standing(decision.reason) is Standing.WORKING
    call = type(ask(before, world).action).__name__
    assert ready(decision)[2].startswith(f"{call} for plan ")
    assert [e.message for e in decision.events if e.message.startswith(f"{call}: ")]


@pytest.mark.parametrize(("ending", "spent"), [("Refused", True), ("StopTimedOut", False)])
def test_only_an_end_that_spends_the_plan_is_told_so(ending: str, spent: bool) -> None:
    before = under_way()
    intent = operation(before)
    error = last_error(refused().failure)
    learned = intent.replace(ending=ending, last_error=error, request_ids=(REQUEST,))
    text = ready(tell(before, Reason.STOPPING, intent, learned, at(6)))[2]
    assert "The machine is given back with its old disk" in text
    assert ("the plan is spent" in text) is spent


def test_an_accepted_replacement_is_told_in_the_words_that_stay() -> None:
    recorded, decision = told(under_way(Step.REPLACE), STOPPED, accepted())
    assert (decision.reason, operation(decision).new_disk_id) == (Reason.VERIFYING, NEW_DISK)
    again = decide(after(recorded, decision), STOPPED, at(8))
    assert again.status == after(recorded, decision).status


def test_what_was_not_sent_tells_no_old_error_once_more() -> None:
    error = last_error(refused().failure)
    given: dict[str, Any] = {**LOST, "outcome": RF, "last_error": error}
    before = under_way(Step.REPLACE, **given)
    recorded, decision = told(before, STOPPED, NOT_SENT)
    assert decision.events == ()
    said = recorded.status.condition("Ready")
    assert said is not None
    assert said.message
    assert ready(decision)[2] == said.message
    assert decision.look_again == timedelta(seconds=1)


def test_an_answer_without_a_condition_to_repeat_is_told_all_the_same() -> None:
    before = under_way(Step.REPLACE)
    decision = ask(before, STOPPED)
    intent, learned = answered(before, STOPPED, NOT_SENT)
    bare = replace(before, status=before.status.replace(conditions=(), operation=intent))
    assert ready(tell(bare, decision.reason, intent, learned, at(6)))[2] == ""


def test_the_cause_of_an_end_outlives_the_errors_of_the_start() -> None:
    before = under_way(Step.REPLACE)
    recorded, decision = told(before, STOPPED, refused("INST_HAS_UNPAID_ORDER"))
    subject = after(recorded, decision)
    recorded, decision = told(subject, STOPPED, refused("IncorrectInstanceStatus", "wait"), 10)
    assert "IncorrectInstanceStatus" in ready(decision)[2]
    over = decide(after(recorded, decision), seen(), at(20))
    assert over.status.plan is not None
    assert over.status.plan.last_error is not None
    assert over.status.plan.last_error.code == "INST_HAS_UNPAID_ORDER"
    assert (over.status.history[-1].message or "").startswith("INST_HAS_UNPAID_ORDER")
    assert "INST_HAS_UNPAID_ORDER" in ready(over)[2]


def test_a_machine_given_back_without_an_error_does_not_blame_its_start() -> None:
    before = under_way(Step.REPLACE)
    recorded, decision = told(before, STOPPED, refused("OperationDenied.NoStock", "wait"), 700)
    assert operation(decision).ending == "GivenBack"
    over = decide(after(recorded, decision), seen(), at(800))
    assert over.status.plan is not None
    assert (over.status.plan.last_error, over.status.history[-1].message) == (None, None)


@pytest.mark.parametrize(("lost", "ending"), [(LOST, None), (LOST_LONG_AGO, "Refused")])
def test_a_request_that_was_refused_after_all_but_happened_is_told_as_replaced(
    lost: dict[str, Any], ending: str | None
) -> None:
    before = under_way(Step.REPLACE, **lost, unlocked_since=NOW)
    recorded, decision = told(before, STOPPED, refused())
    assert operation(decision).ending == ending
    begun = after(recorded, decision)
    verifying = decide(begun, replaced(), at(8))
    op = operation(verifying)
    assert (op.ending, verifying.action) == (None, StartInstance(VM))
    assert (op.outcome_at, op.unlocked_since) == (at(8), None)
