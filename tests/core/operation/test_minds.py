"""Changes of mind: before the first request the machine is given back, after it all goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.core.operation.common import QUIET, WITH_SECRET, Kind, R
from tests.support.builders import (
    LOCKED,
    NEW_DISK,
    NOW,
    VM,
    account,
    after,
    at,
    operation,
    replaced,
    seen,
    subject,
    under_way,
)

from sysdisk.api.meta import ANNOTATION_PROTECT, ANNOTATION_SUSPEND
from sysdisk.api.status import Step, SystemDiskSpecStatus
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    Nothing,
    ReplaceSystemDisk,
    StartInstance,
)
from sysdisk.core.world import AccountState, Grant

MINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Deleted", {"deleting": True}, {}),
    ("Protected", {"annotations": {ANNOTATION_PROTECT: "true"}}, {}),
    ("Suspended", {"annotations": {ANNOTATION_SUSPEND: "true"}}, {}),
    ("Suspended", {"spec": subject(suspend=True).spec}, {}),
    ("GrantRevoked", {}, {"account": account(grant=Grant())}),
    ("GrantRevoked", {}, {"account": account(state=AccountState.NOT_GRANTED)}),
    ("GrantRevoked", {}, {"account": None}),
    ("AccountSuspended", {}, {"account": account(suspended=True)}),
    ("SpecChanged", {"spec": subject(imageId="m-3").spec}, {}),
    ("SpecChanged", {"spec": subject(size=80).spec}, {}),
    ("SpecChanged", {"spec": subject(accountRef={"name": "other"}).spec}, {}),
    ("SpecChanged", {"spec": subject(login={"keyPairName": "ops"}).spec}, {}),
    ("SpecChanged", {"spec": subject(encryption={"enabled": True}).spec}, {}),
    ("SpecChanged", {"spec": subject(useAdditionalService=True).spec}, {}),
    ("SpecChanged", {"spec": subject(securityEnhancementStrategy="Active").spec}, {}),
    ("SpecChanged", {"spec": subject(advanced={"platform": "CentOS"}).spec}, {}),
]


@pytest.mark.parametrize(("word", "change", "world"), MINDS)
def test_a_change_of_mind_before_the_first_request_ends_by_start(
    word: str, change: dict[str, Any], world: dict[str, Any]
) -> None:
    for begun in (under_way(), under_way(Step.REPLACE)):
        decision = decide(replace(begun, **change), seen("Stopped", **world), at(5))
        assert (decision.action, operation(decision).ending) == (StartInstance(VM), word)


@pytest.mark.parametrize(("word", "change", "world"), MINDS)
def test_a_change_of_mind_while_stopping_waits_until_the_stop_is_settled(
    word: str, change: dict[str, Any], world: dict[str, Any]
) -> None:
    begun = replace(under_way(), **change)
    for power in ("Running", "Stopping"):
        decision = decide(begun, seen(power, **world), at(59))
        assert (decision.action, operation(decision).ending) == (Nothing(), word)
    over = decide(begun, seen(**world), at(60))
    assert (over.status.operation, over.status.history[-1].result) == (None, word)


@pytest.mark.parametrize(("word", "change", "world"), MINDS)
def test_a_change_of_mind_after_the_first_request_is_carried_out_as_frozen(
    word: str, change: dict[str, Any], world: dict[str, Any]
) -> None:
    begun = replace(under_way(Step.REPLACE, **QUIET), **change)
    waiting = decide(begun, seen("Stopped", locks=LOCKED, **world), at(60))
    assert (waiting.reason, operation(waiting).ending) == (R.OUTCOME_UNKNOWN, None), word
    done = decide(begun, replaced(**world), at(60))
    assert (done.action, operation(done).new_disk_id) == (StartInstance(VM), NEW_DISK)


def test_a_change_of_mind_that_is_taken_back_does_not_bring_the_operation_back() -> None:
    begun = under_way(ending="Suspended")
    assert decide(begun, seen("Stopped"), at(5)).action == StartInstance(VM)


BENIGN: list[dict[str, Any]] = [
    {"power": {"stopTimeout": "1m"}},
    {"driftPolicy": "Reconcile"},
    {"backup": {"enabled": True}},
    {"approval": "Manual"},
    {"login": {}},
]


@pytest.mark.parametrize("change", BENIGN)
def test_an_edit_that_asks_for_nothing_else_does_not_end_the_operation(
    change: dict[str, Any],
) -> None:
    begun = replace(under_way(Step.REPLACE), spec=subject(**change).spec, generation=2)
    assert isinstance(decide(begun, seen("Stopped"), at(5)).action, ReplaceSystemDisk)


@pytest.mark.parametrize(
    ("login", "same"),
    [
        ({"passwordSecretRef": {"name": "pw", "key": "root"}}, True),
        ({"passwordSecretRef": {"name": "pw", "key": "admin"}}, False),
        ({"passwordInherit": True}, False),
    ],
)
def test_another_login_is_another_wish(login: dict[str, Any], same: bool) -> None:
    begun = replace(under_way(Step.REPLACE, wanting=WITH_SECRET), spec=subject(login=login).spec)
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk) is same


def test_a_kept_key_pair_is_no_change_of_the_declared_login() -> None:
    begun = under_way(Step.REPLACE, world=seen(key_pair_name="ops"))
    assert operation(begun).inputs.key_pair_name == "ops"
    decision = decide(begun, seen("Stopped"), at(5))
    assert isinstance(decision.action, ReplaceSystemDisk)


@pytest.mark.parametrize(
    ("now_set", "kind"), [("a", ReplaceSystemDisk), ("b", StartInstance), (None, StartInstance)]
)
def test_a_trigger_is_wanted_as_long_as_it_is_set(now_set: str | None, kind: Kind) -> None:
    base = SystemDiskSpecStatus(triggers=("",))
    begun = under_way(Step.REPLACE, wanting=subject(base, replaceTrigger="a"))
    begun = replace(begun, spec=subject(replaceTrigger=now_set).spec)
    assert isinstance(decide(begun, seen("Stopped"), at(5)).action, kind)


def test_another_family_or_a_new_trigger_for_it_is_a_change_of_mind() -> None:
    family: dict[str, Any] = {"imageId": None, "imageFamily": "ubuntu"}
    wanting = subject(SystemDiskSpecStatus(triggers=("",)), **family)
    wanting = after(wanting, decide(wanting, seen(), NOW))
    begun = under_way(Step.REPLACE, wanting=wanting)
    stopped = seen("Stopped", family=None)
    assert isinstance(decide(begun, stopped, at(5)).action, ReplaceSystemDisk)
    changes: list[dict[str, Any]] = [{"imageFamily": "debian"}, {"replaceTrigger": "b"}]
    for change in changes:
        changed = replace(begun, spec=subject(**{**family, **change}).spec)
        assert operation(decide(changed, stopped, at(5))).ending == "SpecChanged"
