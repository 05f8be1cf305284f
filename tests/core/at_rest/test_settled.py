"""What is right already: drift, the login, families."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.at_rest.common import R, planned, settled
from tests.support.builders import (
    NEW_DISK,
    NEW_IMAGE,
    NOW,
    OLD_DISK,
    OLD_IMAGE,
    after,
    at,
    opened,
    ready,
    replaced,
    seen,
    subject,
)

from sysdisk.api.meta import (
    ANNOTATION_REPLACE,
)
from sysdisk.api.policy import MaintenanceWindow
from sysdisk.api.reasons import Reason, Standing, standing
from sysdisk.api.status import (
    Settled,
    SystemDiskSpecStatus,
)
from sysdisk.core.decide import decide
from sysdisk.core.model import (
    AddFinalizer,
    Look,
    Nothing,
    StopInstance,
    Subject,
)
from sysdisk.core.world import Family

# -- right already, drift, login ---------------------------------------------------------------


def test_a_machine_that_matches_is_settled_once() -> None:
    right = settled()
    assert right.status.settled is not None
    assert decide(right, replaced("Running"), at(hours=5)).status == right.status


@pytest.mark.parametrize(
    ("policy", "reason", "stands"),
    [
        ("Report", R.DRIFTED, "True"),
        ("Ignore", R.UP_TO_DATE, "True"),
        ("Reconcile", R.SUSPENDED, "False"),
    ],
)
def test_drift_is_treated_as_the_policy_says(policy: str, reason: Reason, stands: str) -> None:
    drifted = settled(driftPolicy=policy, suspend=True)
    decision = decide(drifted, seen(), at(1))
    assert (decision.reason, ready(decision)[0]) == (reason, stands)
    shown = decision.status.condition("Drifted")
    assert (shown is not None) is (policy != "Ignore")
    assert shown is None or shown.status == "True"


def test_ignored_drift_says_what_differs_and_that_it_is_left_so() -> None:
    message = ready(decide(settled(driftPolicy="Ignore"), seen(), at(1)))[2]
    assert message.startswith("i-1 is not as declared: ~ imageId m-1 -> m-2. It is left so")
    assert "as declared." not in message.partition(":")[2]


def test_reported_drift_blames_no_replacement_that_never_was() -> None:
    message = ready(decide(settled(), seen(), at(1)))[2]
    assert "changed out of band" in message
    assert "The replacement ended" not in message


def test_drift_that_is_only_reported_has_no_plan() -> None:
    was = settled()
    left = replace(was, status=was.status.replace(plan=planned().plan))
    assert decide(left, seen(), at(1)).status.plan is None


def test_drift_is_replaced_under_reconcile() -> None:
    begun, decision = opened(settled(driftPolicy="Reconcile"))
    assert isinstance(decision.action, StopInstance)
    assert begun.status.condition("Drifted") is not None


def test_what_differs_after_its_own_replacement_is_not_replaced_for_ever() -> None:
    was = settled(driftPolicy="Reconcile")
    assert was.status.settled is not None
    differs = was.status.settled.replace(differs=True)
    decision = decide(replace(was, status=was.status.replace(settled=differs)), seen(), at(1))
    assert (decision.reason, decision.action) == (R.DRIFTED, Nothing())
    assert "not tried again" in ready(decision)[2]


def test_a_new_wish_is_a_plan_and_not_drift() -> None:
    decision = decide(settled(imageId=OLD_IMAGE), replaced("Running"), at(1))
    assert decision.action == AddFinalizer()
    held = decide(settled(imageId=OLD_IMAGE, suspend=True), replaced("Running"), at(1))
    assert (held.reason, held.status.condition("Drifted")) == (R.SUSPENDED, None)


@pytest.mark.parametrize(
    ("policy", "generation", "told"),
    [("Report", 1, True), ("Reconcile", 1, True), ("Ignore", 1, False), ("Report", 2, False)],
)
def test_what_a_replacement_left_the_machine_without_is_told_until_the_spec_is_edited(
    policy: str, generation: int, told: bool
) -> None:
    was = settled(driftPolicy=policy)
    assert was.status.settled is not None
    lost = was.status.settled.replace(lost=("policy sp-1 is not on the disk",))
    left = replace(was, status=was.status.replace(settled=lost), generation=generation)
    decision = decide(left, replaced("Running"), at(1))
    assert ready(decision)[:2] == ("True", R.DRIFTED if told else R.UP_TO_DATE)
    assert ("policy sp-1 is not on the disk" in ready(decision)[2]) is told
    shown = decision.status.condition("Drifted")
    assert (shown is not None and shown.status == "True") is told


def test_a_trigger_overrules_the_drift_policy() -> None:
    asked = replace(settled(driftPolicy="Ignore"), annotations={ANNOTATION_REPLACE: "now"})
    assert decide(asked, seen(), at(1)).action == AddFinalizer()


def test_a_changed_login_waits_for_the_next_replacement() -> None:
    changed = settled(login={"passwordInherit": True})
    decision = decide(changed, replaced("Running"), at(1))
    assert (decision.reason, ready(decision)[0]) == (R.LOGIN_PENDING, "True")


def test_a_record_without_a_login_is_no_reason_to_wait_for_one() -> None:
    was = settled()
    assert was.status.settled is not None
    bare = Settled(inputs=was.status.settled.inputs, at=NOW)
    right = replace(was, status=was.status.replace(settled=bare))
    assert decide(right, replaced("Running"), at(1)).reason is R.UP_TO_DATE


def test_an_instance_without_a_system_disk_is_told_and_left_alone() -> None:
    decision = decide(subject(), seen(system_disks=()), NOW)
    assert (decision.action, standing(decision.reason)) == (Nothing(), Standing.STUCK)


def test_the_first_disk_seen_has_no_predecessor_and_the_next_one_has() -> None:
    first = after(subject(), decide(subject(suspend=True), seen(), NOW))
    assert (first.status.disk_id, first.status.previous_disk_id) == (OLD_DISK, None)
    second = decide(first, replaced("Running"), at(1))
    assert (second.status.disk_id, second.status.previous_disk_id) == (NEW_DISK, OLD_DISK)


# -- families ----------------------------------------------------------------------------------

FAMILY: dict[str, Any] = {"imageId": None, "imageFamily": "ubuntu"}


def pinned(**fields: Any) -> Subject:
    wanting = subject(**{**FAMILY, **fields})
    return after(wanting, decide(wanting, seen(), NOW))


def test_a_family_is_resolved_once_and_a_newer_member_is_told() -> None:
    assert pinned().status.resolved_image_id == NEW_IMAGE
    assert decide(subject(**FAMILY), seen(), NOW).look_again == timedelta(0)
    decision = decide(pinned(), replaced("Running", family=Family("ubuntu", "m-9")), at(1))
    assert decision.reason is R.UP_TO_DATE
    assert "NewerImageInFamily" in ready(decision)[2]
    assert decision.status.resolved_image_id == NEW_IMAGE


def test_the_present_member_of_a_family_is_looked_at_where_all_is_right() -> None:
    decision = decide(pinned(), replaced("Running", family=None), at(1))
    assert decision.action == Look(family="ubuntu")


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"suspend": True}, False),
        ({"power": {"stopTimeout": "1m"}}, False),
        ({"imageFamily": "debian"}, True),
        ({"size": 80}, True),
        ({"replaceTrigger": "b"}, True),
    ],
)
def test_a_family_is_resolved_anew_where_something_new_is_asked_for(
    change: dict[str, Any], anew: bool
) -> None:
    edited = replace(pinned(), spec=subject(**{**FAMILY, **change}).spec, generation=2)
    decision = decide(edited, replaced("Running", family=Family("x", "m-9")), at(1))
    assert (decision.status.resolved_image_id == "m-9") is anew


def test_a_trigger_that_is_taken_back_resolves_no_family_anew() -> None:
    wanting = subject(SystemDiskSpecStatus(triggers=("",)), **FAMILY, replaceTrigger="b")
    asked = after(wanting, decide(wanting, seen(), NOW))
    assert asked.status.resolved_for is not None
    assert asked.status.resolved_for.trigger == "b"
    back = replace(asked, spec=subject(**FAMILY).spec, generation=2)
    decision = decide(back, replaced("Running", family=Family("ubuntu", "m-9")), at(1))
    assert decision.status.resolved_image_id == NEW_IMAGE


# -- remarks ------------------------------------------------------------------------------------

UNREADABLE = MaintenanceWindow(schedule="0 2 * * FRI-1", duration=timedelta(hours=4))


@pytest.mark.parametrize(
    ("by", "where"),
    [
        ("spec", "spec.maintenanceWindows[0]: schedule '0 2 * * FRI-1'"),
        ("defaults", "EcsAccount default, defaults.maintenanceWindows[0]: schedule"),
        ("require", "EcsAccount default, require.maintenanceWindows[0]: schedule"),
    ],
)
def test_windows_that_are_not_understood_are_told_before_a_plan_is_due(by: str, where: str) -> None:
    wrong = settled()
    part = getattr(wrong, by).replace(maintenance_windows=(UNREADABLE,))
    decision = decide(replace(wrong, **{by: part}), replaced("Running"), at(1))
    status, reason, message = ready(decision)
    assert (status, reason) == ("True", Reason.UP_TO_DATE)
    assert f"as declared. But no replacement can begin: {where}" in message


def test_windows_that_are_understood_are_no_matter_at_rest() -> None:
    right = settled(maintenanceWindows=[{"schedule": "0 2 * * 6", "duration": "4h"}])
    assert ready(decide(right, replaced("Running"), at(1)))[2].endswith("as declared.")


@pytest.mark.parametrize(
    ("advanced", "told"),
    [
        ({"encryptAlgorithm": "SM4"}, "spec.advanced is in use (encryptAlgorithm): deprecated"),
        (
            {"arns": [{"roleType": "service"}], "encryptAlgorithm": "SM4"},
            "spec.advanced is in use (encryptAlgorithm, arns): deprecated",
        ),
    ],
)
def test_parameters_that_are_deprecated_or_not_public_are_told_while_in_use(
    advanced: dict[str, Any], told: str
) -> None:
    decision = decide(settled(advanced=advanced), replaced("Running"), at(1))
    status, _, message = ready(decision)
    assert status == "True"
    assert f"as declared. {told}" in message


def test_an_advanced_that_says_nothing_is_not_in_use() -> None:
    decision = decide(settled(advanced={}), replaced("Running"), at(1))
    assert "advanced" not in ready(decision)[2]
