"""What a spec asks for, in which plan and under which policy: hashes, lines, triggers, limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import (
    NOW,
    OLD_DISK,
    VM,
    accepted,
    at,
    disk,
    error,
    image,
    operation,
    replaced,
    seen,
    spec,
    subject,
    under_way,
    vm,
)

from sysdisk.api.account import Defaults, Require
from sysdisk.api.conditions import MESSAGE_LIMIT, Extra, Kind, conditions
from sysdisk.api.meta import ANNOTATION_REPLACE
from sysdisk.api.policy import Approval, Backup, MaintenanceWindow
from sysdisk.api.reasons import PHASES, Reason, Standing, phase, reason_of, standing
from sysdisk.api.spec import Advanced
from sysdisk.api.status import Condition, HistoryEntry, Plan, Step, StepTaken, SystemDiskSpecStatus
from sysdisk.core.backoff import LONGEST, backoff
from sysdisk.core.decide import decide
from sysdisk.core.model import Key, Subject
from sysdisk.core.outcome import enter, learn
from sysdisk.core.passwords import password_faults
from sysdisk.core.policy import effective
from sysdisk.core.sizes import size_range
from sysdisk.core.tokens import client_token, plan_id
from sysdisk.core.wanted import (
    baseline,
    differences,
    due_trigger,
    os_after,
    target_hash,
    trigger_values,
    with_trigger,
)
from sysdisk.core.world import Grant, Image, Observed, Power


def plan_of(wanting: Subject, world: Observed | None = None) -> Plan:
    """Return the plan for `wanting`, which is suspended so that nothing begins."""
    held = replace(wanting, spec=wanting.spec.replace(suspend=True))
    plan = decide(held, world or seen(), NOW).status.plan
    assert plan is not None
    return plan


# -- names that are hashes ------------------------------------------------------------------------

WISHES: list[dict[str, Any]] = [
    {},
    {"imageId": "m-1", "size": 80},
    {"size": 80},
    {"login": {"passwordSecretRef": {"name": "pw", "key": "a"}}},
    {"login": {"passwordSecretRef": {"name": "pw", "key": "b"}}},
    {"login": {"passwordInherit": True}},
    {"login": {"keyPairName": "ops"}},
    {"encryption": {"enabled": True}},
    {"encryption": {"enabled": True, "kmsKeyId": "k"}},
    {"securityEnhancementStrategy": "Active"},
    {"useAdditionalService": True},
    {"advanced": {"platform": "CentOS"}},
]


def test_every_wish_has_its_own_plan() -> None:
    assert len({plan_of(subject(**wish)).id for wish in WISHES}) == len(WISHES)


@pytest.mark.parametrize(
    "same",
    [
        {"power": {"stopTimeout": "1m", "forceStop": "Always", "startAfter": "Never"}},
        {"driftPolicy": "Reconcile"},
        {"approval": "Automatic"},
        {"login": {}},
    ],
)
def test_how_it_is_done_is_not_part_of_the_plan(same: dict[str, Any]) -> None:
    assert plan_of(subject(**same)).id == plan_of(subject()).id


def test_neither_time_nor_name_nor_a_secrets_version_is_part_of_the_plan() -> None:
    wanting = subject(login={"passwordSecretRef": {"name": "pw", "key": "a"}}, suspend=True)
    other = replace(wanting, uid="u-9", key=Key("elsewhere", "x"), generation=9)
    first = decide(wanting, seen(), NOW).status.plan
    second = decide(other, seen("Stopped", secret=None), at(hours=9)).status.plan
    assert first is not None
    assert second is not None
    assert first.id == second.id


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300), st.integers(1))
def test_a_token_is_short_ascii_and_its_own(vm_id: str, disk_id: str, plan: str, n: int) -> None:
    token = client_token(vm_id, disk_id, plan, n)
    assert token.isascii()
    assert len(token) <= 64
    assert token == client_token(vm_id, disk_id, plan, n)
    assert token != client_token(vm_id, disk_id, plan, n + 1)


def test_a_plan_id_is_kept_for_ever() -> None:
    made = plan_id(
        "0", instance_id="i", disk_id="d", image_id="m", size=1, data_disk_ids=["b", "a"]
    )
    assert made == plan_id(
        "0", instance_id="i", disk_id="d", image_id="m", size=1, data_disk_ids=["a", "b"]
    )
    assert made.startswith("p1-")
    assert client_token("i", "d", made, 1).startswith("sd1-")


# -- differences ----------------------------------------------------------------------------------

ENCRYPTED = disk(encrypted=True, kms_key_id="k-1")


@pytest.mark.parametrize(
    ("wish", "present", "lines"),
    [
        ({}, disk(), ["~ imageId m-1 -> m-2"]),
        ({"imageId": "m-1"}, disk(), []),
        ({"imageId": "m-1", "size": 40}, disk(), []),
        ({"imageId": "m-1", "size": 41}, disk(), ["~ size 40 GiB -> 41 GiB"]),
        ({"imageId": "m-1", "encryption": {}}, disk(), []),
        ({"imageId": "m-1", "encryption": {"enabled": False}}, disk(), []),
        (
            {"imageId": "m-1", "encryption": {"enabled": True}},
            disk(),
            ["~ encrypted false -> true"],
        ),
        ({"imageId": "m-1", "encryption": {"enabled": True}}, ENCRYPTED, []),
        (
            {"imageId": "m-1", "encryption": {"enabled": True, "kmsKeyId": "k-1"}},
            ENCRYPTED,
            [],
        ),
        (
            {"imageId": "m-1", "encryption": {"enabled": True, "kmsKeyId": "k-2"}},
            ENCRYPTED,
            ["~ kmsKeyId k-1 -> k-2"],
        ),
        (
            {"imageId": "m-1", "encryption": {"enabled": True, "kmsKeyId": "k-2"}},
            disk(encrypted=True),
            ["~ kmsKeyId none -> k-2"],
        ),
        (
            {"imageId": None, "advanced": {"diskId": "d-s"}},
            disk(),
            ["~ diskId d-1 -> a copy of d-s"],
        ),
        ({"imageId": "m-1", "login": {"keyPairName": "ops"}}, disk(), []),
    ],
)
def test_a_difference_is_what_the_machine_can_be_held_against(
    wish: dict[str, Any], present: Any, lines: list[str]
) -> None:
    wanted = spec(**wish)
    found = differences(wanted, wanted.image_id, vm(), present, SystemDiskSpecStatus())
    assert [difference.line() for difference in found] == lines


def test_a_disk_in_the_place_of_an_image_is_taken_once() -> None:
    wish = {"imageId": None, "advanced": {"diskId": "d-s", "platform": "U", "architecture": "i386"}}
    settled = {"inputs": target_hash(spec(**wish), None), "at": NOW}
    status = SystemDiskSpecStatus.from_api({"settled": settled})
    assert differences(spec(**wish), None, vm(), disk(), status) == ()


@pytest.mark.parametrize(
    ("new", "platform", "system"),
    [
        (image(os_type="windows"), "Ubuntu", "windows"),
        (None, "Windows Server 2022", "windows"),
        (None, "Ubuntu", "linux"),
        (None, None, ""),
    ],
)
def test_the_new_system_is_the_images_else_what_the_disk_is_said_to_hold(
    new: Image | None, platform: str | None, system: str
) -> None:
    assert os_after(new, Advanced(platform=platform)) == system


# -- triggers -------------------------------------------------------------------------------------


def triggered(value: str | None, *seen_before: str, by_hand: str | None = None) -> Subject:
    hand = {ANNOTATION_REPLACE: by_hand} if by_hand is not None else {}
    status = SystemDiskSpecStatus(triggers=seen_before)
    return subject(status, replaceTrigger=value, annotations=hand)


@pytest.mark.parametrize(
    ("what", "due"),
    [
        (triggered(None), None),
        (triggered("a"), None),  # the first value observed is the baseline
        (triggered("a", ""), "a"),  # absence was the baseline
        (triggered(None, "a"), None),  # removal
        (triggered("a", "a", "b"), None),  # used before
        (triggered("c", "a", "b"), "c"),
        (triggered("c", "a", by_hand="d"), "d\nc"),
        (triggered("c", "", by_hand="c"), "c"),
        (triggered(None, "", by_hand=""), None),
    ],
)
def test_a_new_value_asks_for_a_fresh_disk_and_an_old_one_does_not(
    what: Subject, due: str | None
) -> None:
    assert due_trigger(what) == due


def test_the_last_ten_values_are_kept_and_among_them_those_in_force() -> None:
    what = triggered("v0", *(f"v{n}" for n in range(10)), by_hand="new")
    kept = with_trigger(what, "new")
    assert kept == (*(f"v{n}" for n in range(10) if n != 1), "new")
    assert len(kept) == 10


@pytest.mark.parametrize("trigger", [None, "a"])
def test_nothing_new_adds_nothing_to_the_list(trigger: str | None) -> None:
    assert with_trigger(triggered("a", "a"), trigger) == ("a",)


def test_values_in_force_alone_may_fill_the_list() -> None:
    what = triggered("v0", *(f"v{n}" for n in range(10)))
    assert with_trigger(what, "x")[0] == "v0"


@pytest.mark.parametrize("value", ["x" * 121, "a\nb", "\n", "ä" * 256])
def test_a_value_that_does_not_fit_on_a_line_is_known_by_its_hash(value: str) -> None:
    (kept,) = trigger_values(triggered(value))
    assert kept.startswith("sha256:")
    assert baseline(triggered(value)) == (kept,)
    assert due_trigger(triggered(value, "")) == kept


def test_a_value_that_fits_on_a_line_is_kept_as_it_is() -> None:
    assert trigger_values(triggered("x" * 120)) == ("x" * 120,)


def test_a_trigger_alone_is_a_plan_that_says_so() -> None:
    plan = plan_of(triggered("a", ""), replaced("Running"))
    assert plan.changes[0] == "~ a fresh disk is asked for: a"
    assert plan.destroys == ("disk d-2 (40 GiB) and all data on it",)


# -- the plan as people read it -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "world", "line"),
    [
        ({}, {}, "- disk d-1 and its data are destroyed"),
        ({}, {}, "+ new disk of 40 GiB"),
        ({"size": 80}, {}, "+ new disk of 80 GiB, 40 GiB more than now"),
        ({}, {"images": (image(size=60),)}, "+ new disk of 60 GiB, 20 GiB more than now"),
        ({}, {"key_pair_name": "ops"}, "= key pair kept: ops"),
        ({"login": {"keyPairName": "ops"}}, {}, "+ key pair ops"),
        (
            {"login": {"passwordSecretRef": {"name": "pw", "key": "k"}}},
            {},
            "+ password from Secret pw",
        ),
        ({"login": {"passwordInherit": True}}, {}, "+ password of the image"),
        ({}, {}, "! restart, about 2 min"),
        (
            {},
            {"system_disks": (disk(auto_snapshot_policy_id="sp"),)},
            "= automatic snapshot policy sp put back",
        ),
    ],
)
def test_a_plan_lists_its_changes(wish: dict[str, Any], world: dict[str, Any], line: str) -> None:
    assert line in plan_of(subject(**wish), seen(**world)).changes


def test_a_key_pair_is_not_kept_where_a_login_is_declared_or_the_system_is_windows() -> None:
    pair: dict[str, Any] = {"key_pair_name": "ops"}
    windows = (image(os_type="windows"),)
    for plan in (
        plan_of(subject(login={"passwordInherit": True}), seen(**pair)),
        plan_of(subject(), seen(**pair, os_type="windows")),
        plan_of(subject(), seen(**pair, images=windows)),
    ):
        assert not [line for line in plan.changes if "key pair" in line]


@pytest.mark.parametrize(
    ("wish", "world", "says"),
    [
        ({"imageId": "m-1", "size": 80}, {}, "ALL DATA ON THE DISK GOES"),
        ({}, {"stopped_mode": "StopCharging"}, "no stock"),
        ({"login": {"passwordInherit": True}}, {}, "preset password"),
        ({}, {}, "no login is declared, and no key pair is kept"),
        ({}, {"key_pair_name": "ops", "os_type": "windows"}, "no login is declared"),
        (
            {"useAdditionalService": True},
            {"system_disks": (disk(device="/dev/vda"),)},
            "useAdditionalService has no effect on a disk at /dev/vda",
        ),
        ({}, {"images": (image(os_type="windows"),)}, "from linux to windows"),
        ({"advanced": {"platform": "U"}}, {}, "deprecated or not public"),
    ],
)
def test_a_plan_warns(wish: dict[str, Any], world: dict[str, Any], says: str) -> None:
    plan = plan_of(subject(**wish), seen("Stopped", **world))
    assert [line for line in plan.warnings if says in line]


@pytest.mark.parametrize(
    ("wish", "world"),
    [
        ({}, {"key_pair_name": "ops"}),
        ({"login": {"keyPairName": "ops"}}, {}),
        ({"login": {"passwordInherit": True}}, {}),
        ({"login": {"passwordSecretRef": {"name": "pw", "key": "k"}}}, {}),
    ],
)
def test_a_plan_with_a_login_does_not_warn_of_being_locked_out(
    wish: dict[str, Any], world: dict[str, Any]
) -> None:
    plan = plan_of(subject(**wish), seen(**world))
    assert not [line for line in plan.warnings if "no login" in line]


def test_a_device_that_the_additional_service_serves_is_not_warned_of() -> None:
    served = seen("Stopped", system_disks=(disk(device="/dev/xvda"),), key_pair_name="ops")
    assert plan_of(subject(useAdditionalService=True), served).warnings == ()


def test_a_plan_that_leaves_the_machine_stopped_says_so() -> None:
    never: dict[str, Any] = {"power": {"startAfter": "Never"}}
    (warning,) = plan_of(subject(**never), seen(key_pair_name="ops")).warnings
    assert "leaves the machine stopped" in warning
    assert plan_of(subject(**never), seen("Stopped", key_pair_name="ops")).warnings == ()


def test_a_plan_says_which_snapshots_go() -> None:
    going = seen(system_disks=(disk(delete_auto_snapshot=True),))
    assert plan_of(subject(), going).destroys[1] == f"the automatic snapshots of disk {OLD_DISK}"


def test_the_downtime_is_that_of_earlier_ones() -> None:
    def entry(seconds: int, new: str | None) -> HistoryEntry:
        steps = (StepTaken(step=Step.STOP, seconds=seconds), StepTaken(step=Step.BACKUP, seconds=9))
        return HistoryEntry(
            plan_id="p", result="R", new_disk_id=new, started_at=NOW, ended_at=NOW, steps=steps
        )

    history = (entry(300, "a"), entry(420, "b"), entry(500, "c"), entry(9, None))
    past = subject(SystemDiskSpecStatus(history=history))
    plan = plan_of(past)
    assert plan.downtime_seconds == 420
    assert "! restart, about 7 min" in plan.changes
    quiet = plan_of(past, seen("Stopped"))
    assert quiet.downtime_seconds == 0
    assert not [line for line in quiet.changes if "restart" in line]
    for seconds, told in ((0, "1 s"), (8, "8 s"), (59, "59 s"), (60, "1 min")):
        quick = plan_of(subject(SystemDiskSpecStatus(history=(entry(seconds, "a"),))))
        assert quick.downtime_seconds == seconds
        assert f"! restart, about {told}" in quick.changes


def test_the_downtime_of_the_first_replacement_is_taken_to_be_two_minutes() -> None:
    assert plan_of(subject()).downtime_seconds == 120


def test_the_same_plan_keeps_its_past() -> None:
    first = plan_of(subject())
    tried = SystemDiskSpecStatus(plan=first.replace(spent=True, rounds=2, downtime_seconds=77))
    later = decide(subject(tried, suspend=True), seen(), at(hours=1)).status.plan
    assert later == tried.plan
    edited = decide(subject(tried, suspend=True, generation=2), seen(), at(hours=1)).status.plan
    assert edited is not None
    assert (edited.spent, edited.rounds, edited.made_at) == (False, 0, NOW)


# -- policies -------------------------------------------------------------------------------------

WINDOW = MaintenanceWindow(schedule="0 2 * * 6", duration=timedelta(hours=4))
OTHER = MaintenanceWindow(schedule="0 3 * * 6", duration=timedelta(hours=4))
MANUAL, AUTO = Approval.MANUAL, Approval.AUTOMATIC


@pytest.mark.parametrize(
    ("own", "default", "required", "holds"),
    [
        (None, None, None, AUTO),
        (None, MANUAL, None, MANUAL),
        ("Automatic", MANUAL, None, AUTO),
        ("Automatic", None, MANUAL, MANUAL),
        ("Manual", AUTO, AUTO, MANUAL),
    ],
)
def test_an_approval_is_spec_else_default_raised_to_what_is_required(
    own: str | None, default: Approval | None, required: Approval | None, holds: Approval
) -> None:
    what = replace(
        subject(approval=own),
        defaults=Defaults(approval=default),
        require=Require(approval=required),
    )
    assert effective(what).approval is holds


@pytest.mark.parametrize(
    ("own", "default", "required", "days"),
    [
        ({"retentionDays": 3}, None, None, 3),
        ({"enabled": True}, Backup(retention_days=5), None, 5),
        ({"retentionDays": 3}, None, Backup(enabled=True, retention_days=30), 30),
        ({"retentionDays": 60}, None, Backup(enabled=True, retention_days=30), 60),
        ({"retentionDays": 3}, None, Backup(enabled=True), 3),
    ],
)
def test_a_backup_falls_back_field_by_field_and_is_raised(
    own: dict[str, Any], default: Backup | None, required: Backup | None, days: int
) -> None:
    what = replace(
        subject(backup=own), defaults=Defaults(backup=default), require=Require(backup=required)
    )
    backup = effective(what).backup
    assert backup is not None
    assert backup.retention_days == days
    if required is not None:
        assert backup.enabled is True


@pytest.mark.parametrize(
    ("own", "default", "required", "holds"),
    [
        (None, None, None, ()),
        (None, (WINDOW,), None, (WINDOW,)),
        ([], (WINDOW,), None, ()),
        ([], None, (OTHER,), ()),
    ],
)
def test_windows_are_the_specs_else_the_accounts_and_required_ones_hold(
    own: list[Any] | None, default: Any, required: Any, holds: tuple[MaintenanceWindow, ...]
) -> None:
    what = replace(
        subject(maintenanceWindows=own),
        defaults=Defaults(maintenance_windows=default),
        require=Require(maintenance_windows=required),
    )
    assert effective(what).maintenance_windows == holds
    assert effective(what).required_windows == (required or ())


# -- rules and limits -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "count"),
    [
        ("Passw0rd", 0),
        ("pass-w0rd%&+", 0),
        ("Aa1" + "x" * 27, 0),
        ("Aa1" + "x" * 28, 1),
        ("Passw0r", 1),
        ("password", 1),
        ("passw0rd", 1),
        ("Pass w0rd", 1),
        ("Passw0rd'", 1),
        ('Passw0rd"', 1),
        ("Passw0rd\\", 1),
        ("Pässw0rd", 1),
        ("Passw0rd\n", 2),
        ("", 1),
        ("日本", 3),
    ],
)
def test_a_password_is_held_against_the_rules_and_never_quoted(password: str, count: int) -> None:
    faults = password_faults(password)
    assert len(faults) == count
    if password:
        assert not [fault for fault in faults if password in fault]


@pytest.mark.parametrize(
    ("category", "level", "expected"),
    [
        ("cloud", "", (20, 500)),
        ("cloud_essd", "PL0", (1, 2048)),
        ("cloud_essd", "PL1", (20, 2048)),
        ("cloud_essd", "PL2", (461, 2048)),
        ("cloud_essd", "PL3", (1261, 2048)),
        ("cloud_essd", "", (20, 2048)),
        ("cloud_auto", "", (1, 2048)),
        ("cloud_ssd", "", (20, 2048)),
        ("of_tomorrow", "", (20, 2048)),
    ],
)
def test_a_category_has_its_sizes(category: str, level: str, expected: tuple[int, int]) -> None:
    assert size_range(category, level) == expected


def test_a_pause_doubles_up_to_five_minutes() -> None:
    pauses = [backoff(n) for n in range(1, 5)]
    assert pauses == [timedelta(seconds=s) for s in (2, 4, 8, 16)]
    assert backoff(0) == pauses[0]
    assert backoff(10**6) == LONGEST


@pytest.mark.parametrize(
    ("grant", "covered"),
    [
        (Grant(), False),
        (Grant(ids=frozenset({VM})), True),
        (Grant(ids=frozenset({"i-2"})), False),
        (Grant(regions=frozenset({"cn-test"})), True),
        (Grant(regions=frozenset({"cn-other"})), False),
        (Grant(ids=frozenset({VM}), regions=frozenset({"cn-other"})), False),
        (Grant(tags=(("team", "shop"),)), True),
        (Grant(tags=(("team", "shop"), ("env", "prod"))), False),
        (Grant(tags=(("team", "shop"), ("env", "dev"))), True),
        (Grant(ids=frozenset({"i-2"}), tags=(("team", "shop"),)), True),
        (Grant(ids=frozenset({"i-2"}), regions=frozenset({"cn-test"})), False),
    ],
)
def test_a_grant_is_ids_or_all_tags_and_the_region(grant: Grant, covered: bool) -> None:
    assert grant.covers(vm(tags=(("team", "shop"), ("env", "dev")))) is covered


def test_a_power_state_that_is_not_known_is_unknown() -> None:
    assert (Power.of("Running"), Power.of("Hibernated")) == (Power.RUNNING, Power.UNKNOWN)


def test_a_key_reads_as_namespace_and_name() -> None:
    assert str(subject().key) == "shop/web-1"


def test_an_operation_stays_in_the_step_that_it_is_in() -> None:
    op = operation(under_way(Step.REPLACE))
    assert enter(op, Step.REPLACE, at(99)) is op


def test_an_error_reads_in_one_line() -> None:
    assert error("Odd").text() == "Odd: Odd it is (request ID REQ-1)"
    assert error("Odd", message="", request_id="").text() == "Odd"


def test_a_value_that_is_none_of_the_known_answers_is_refused_loudly() -> None:
    op: Any = operation(under_way(Step.REPLACE))
    nothing: Any = object()
    with pytest.raises(AssertionError):
        learn(op, op, nothing, VM, accepted(), NOW)
    with pytest.raises(AssertionError):
        learn(op, op, nothing, VM, nothing, NOW)


# -- conditions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_one_standing_and_one_phase(reason: Reason) -> None:
    found = {c.type: c.status for c in conditions((), reason, "text", generation=3, now=NOW)}
    where = standing(reason)
    wanted = {"Ready": "True" if where is Standing.DONE else "False"}
    wanted |= {"Reconciling": "True"} if where is Standing.WORKING else {}
    wanted |= {"Stalled": "True"} if where is Standing.STUCK else {}
    assert found == wanted
    assert phase(reason) in PHASES


def test_a_transition_is_told_when_the_status_flips_and_not_when_the_reason_does() -> None:
    old = conditions((), Reason.STOPPING, "a", generation=1, now=NOW)
    same = conditions(old, Reason.REPLACING, "b", generation=1, now=at(60))
    assert {c.last_transition_time for c in same} == {NOW}
    done = conditions(same, Reason.UP_TO_DATE, "c", generation=1, now=at(90))
    assert [(c.type, c.last_transition_time) for c in done] == [("Ready", at(90))]


def test_conditions_beside_the_three_are_shown_while_they_hold() -> None:
    drifted = Extra(Kind.DRIFTED, True, "OutOfBand", "x" * 5000)
    with_it = conditions((), Reason.DRIFTED, "a", generation=1, now=NOW, extras=[drifted])
    assert [c.type for c in with_it] == ["Drifted", "Ready"]
    assert len(with_it[0].message) == MESSAGE_LIMIT
    without = conditions(with_it, Reason.UP_TO_DATE, "a", generation=1, now=NOW)
    assert [c.type for c in without] == ["Ready"]


def test_a_reason_that_is_not_known_reads_as_the_other_one() -> None:
    known = Condition(type="Ready", status="True", reason="UpToDate", last_transition_time=NOW)
    assert reason_of(known, Reason.OBSERVING) is Reason.UP_TO_DATE
    for none in (None, known.replace(reason="FromTheFuture")):
        assert reason_of(none, Reason.OBSERVING) is Reason.OBSERVING


def test_no_secret_is_part_of_what_a_decision_sees() -> None:
    fields = set(Observed.__dataclass_fields__) | set(seen().secret.__dataclass_fields__)  # type: ignore[union-attr]
    assert not [name for name in fields if "password" in name or "value" in name]
