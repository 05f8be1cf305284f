"""States, side effects, client tokens and faults of the simulated cloud, without HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from sysdisk.sandbox.ecs_faults import ConnectionLost, EcsFault
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.ecs_state import Timings
from tests.support.ecs_fleet import REGION, HandClock, Lab

TIMES = Timings()
SIZE = "SystemDisk.Size"


def test_a_stop_and_a_start_take_their_time(lab: Lab) -> None:
    lab.call("StopInstance", InstanceId=lab.vm.id)
    assert lab.cloud.look(lab.vm.id).status == "Stopping"
    lab.clock.pass_(TIMES.stop - 0.1)
    assert lab.cloud.look(lab.vm.id).status == "Stopping"
    lab.clock.pass_(0.1)
    assert lab.cloud.look(lab.vm.id).status == "Stopped"
    lab.call("StartInstance", InstanceId=lab.vm.id)
    assert lab.cloud.look(lab.vm.id).status == "Starting"
    assert lab.settled().status == "Running"


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ("Pending", set()),
        ("Starting", set()),
        ("Running", {"StopInstance", "RebootInstance"}),
        ("Stopping", set()),
        ("Stopped", {"StartInstance", "ReplaceSystemDisk"}),
    ],
)
def test_each_state_allows_its_calls_only(status: str, allowed: set[str]) -> None:
    for action in ("StopInstance", "StartInstance", "RebootInstance", "ReplaceSystemDisk"):
        lab = Lab()
        lab.cloud.outside.set_instance(lab.vm.id, status=status)
        params = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id}
        if action in allowed:
            lab.call(action, params)
        else:
            assert lab.refused(action, params)[0] == 403


def test_effects_are_stamped_with_the_moment_at_which_they_happened(lab: Lab) -> None:
    began = lab.clock.at
    lab.stopped()
    (stopped,) = lab.cloud.effects_of("instance_stopped")
    assert stopped.at == began + TIMES.stop


def test_a_forced_stop_is_quicker(lab: Lab) -> None:
    lab.call("StopInstance", InstanceId=lab.vm.id, ForceStop="True")
    lab.clock.pass_(TIMES.force_stop)
    assert lab.cloud.look(lab.vm.id).status == "Stopped"


@pytest.mark.parametrize(
    ("fields", "economical", "sent", "mode"),
    [
        ({}, False, "", "KeepCharging"),
        ({}, True, "", "StopCharging"),
        ({}, True, "KeepCharging", "KeepCharging"),
        ({}, False, "StopCharging", "StopCharging"),
        ({"charge_type": "PrePaid"}, True, "", "Not-applicable"),
        ({"type": "ecs.i3.xlarge"}, False, "StopCharging", "Not-applicable"),
    ],
)
def test_the_stopped_mode_is_what_was_sent_else_the_accounts_default(
    lab: Lab, fields: dict[str, Any], economical: bool, sent: str, mode: str
) -> None:
    lab.cloud.outside.set_instance(lab.vm.id, **fields)
    lab.cloud.outside.set_options(economical_mode=economical)
    lab.call("StopInstance", InstanceId=lab.vm.id, StoppedMode=sent)
    assert lab.settled().stopped_mode == mode


def test_a_machine_stopped_economically_may_find_no_stock(lab: Lab) -> None:
    lab.call("StopInstance", InstanceId=lab.vm.id, StoppedMode="StopCharging")
    lab.settled()
    lab.cloud.outside.set_region(REGION, sold_out=((lab.vm.zone, lab.vm.type),))
    assert lab.refused("StartInstance", InstanceId=lab.vm.id) == (403, "OperationDenied.NoStock")
    lab.cloud.outside.set_region(REGION, sold_out=())
    lab.call("StartInstance", InstanceId=lab.vm.id)


@pytest.mark.parametrize(
    ("reason", "action", "code"),
    [
        ("security", "StartInstance", "InstanceLockedForSecurity"),
        ("financial", "StartInstance", "InsufficientBalance"),
        ("Recycling", "StartInstance", "IncorrectInstanceStatus"),
        ("security", "CreateSnapshot", "InstanceLockedForSecurity"),
    ],
)
def test_locks_forbid_what_the_reference_says(
    lab: Lab, reason: str, action: str, code: str
) -> None:
    lab.stopped()
    lab.cloud.outside.lock(lab.vm.id, reason)
    given = {"InstanceId": lab.vm.id, "DiskId": lab.vm.system_disk_id}
    assert lab.refused(action, given) == (403, code)
    lab.cloud.outside.unlock(lab.vm.id)
    lab.call(action, given)


def test_a_replacement_shows_its_lock_late_and_its_disk_at_the_end(lab: Lab) -> None:
    old = lab.stopped().system_disk_id
    new = lab.replace()["DiskId"]

    def locks() -> list[str]:
        found = lab.call("DescribeInstanceAttribute", InstanceId=lab.vm.id)
        return [k["LockReason"] for k in found["OperationLocks"]["LockReason"]]

    def system() -> list[str]:
        found = lab.call("DescribeDisks", RegionId=REGION, InstanceId=lab.vm.id, DiskType="system")
        return [d["DiskId"] for d in found["Disks"]["Disk"]]

    assert (locks(), system()) == ([], [old])
    lab.clock.pass_(TIMES.lock_lag)
    assert (locks(), system()) == (["SystemDiskReplacing"], [old])
    assert lab.refused("StartInstance", InstanceId=lab.vm.id) == (403, "IncorrectInstanceStatus")
    lab.clock.pass_(TIMES.replace)
    assert (locks(), system()) == ([], [new])
    assert lab.cloud.look(lab.vm.id).image_id == lab.newer.id
    assert old not in lab.cloud.state.disks


def test_a_replacement_drops_key_pair_policy_and_automatic_snapshots(lab: Lab) -> None:
    lab.fleet.key_pair("admins")
    disk = lab.cloud.disk_of(lab.vm.id)
    disk.auto_snapshot_policy, disk.tags = lab.fleet.policy(), {"a": "b"}
    lab.vm.key_pair = "admins"
    auto = lab.fleet.snapshot(disk.id, automatic=True)
    manual = lab.fleet.snapshot(disk.id)
    lab.stopped()
    lab.replace()
    lab.settled()
    new = lab.cloud.disk_of(lab.vm.id)
    assert (lab.vm.key_pair, new.auto_snapshot_policy, new.tags) == ("", "", {})
    assert (new.category, new.zone, new.performance_level) == ("cloud_essd", disk.zone, "PL1")
    assert set(lab.cloud.state.snapshots) == {manual.id}
    assert [e.details["snapshot_id"] for e in lab.cloud.effects_of("snapshot_deleted")] == [auto.id]


def test_a_key_pair_that_is_sent_is_bound_and_data_disks_stay(lab: Lab) -> None:
    lab.fleet.key_pair("admins")
    vm = lab.vm = lab.fleet.instance(lab.image, data_disks=(100,), status="Stopped")
    lab.replace(KeyPairName="admins")
    lab.settled()
    assert vm.key_pair == "admins"
    assert lab.cloud.state.disks[vm.data_disk_ids[0]].instance_id == vm.id


def test_without_a_size_the_new_disk_can_be_smaller_than_the_old_one(lab: Lab) -> None:
    vm = lab.vm = lab.fleet.instance(lab.image, size_gib=100, status="Stopped")
    lab.replace()
    lab.settled()
    assert lab.cloud.disk_of(vm.id).size_gib == 40


def test_a_disk_can_take_the_place_of_an_image(lab: Lab) -> None:
    lab.stopped()
    spare = lab.fleet.spare_disk(size_gib=60)
    given = {"InstanceId": lab.vm.id, "DiskId": spare.id}
    answer = lab.call("ReplaceSystemDisk", given, Platform="Ubuntu", Architecture="x86_64")
    lab.settled()
    assert answer["DiskId"] == spare.id == lab.cloud.disk_of(lab.vm.id).id
    assert (spare.type, spare.status) == ("system", "In_use")


def test_a_repeated_token_gives_the_first_answer_and_no_second_effect(lab: Lab) -> None:
    lab.stopped()
    first = lab.replace(ClientToken="t")["DiskId"]
    assert lab.replace(ClientToken="t")["DiskId"] == first
    lab.settled()
    assert lab.replace(ClientToken="t")["DiskId"] == first
    lab.settled()
    assert len(lab.cloud.effects_of("disk_replaced")) == 1


def test_a_token_outlives_the_state_that_would_refuse_the_call_today(lab: Lab) -> None:
    lab.stopped()
    first = lab.replace(ClientToken="t")["DiskId"]
    lab.settled()
    lab.call("StartInstance", InstanceId=lab.vm.id)
    assert lab.replace(ClientToken="t")["DiskId"] == first


@pytest.mark.parametrize("change", [{"Password": "Other123!"}, {SIZE: "80"}, {"Encrypted": "True"}])
def test_a_token_with_other_parameters_is_a_mismatch(lab: Lab, change: dict[str, str]) -> None:
    lab.stopped()
    lab.replace(ClientToken="t", Password="First123!")
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id, "Password": "First123!", **change}
    refused = lab.refused("ReplaceSystemDisk", given, ClientToken="t")
    assert refused == (400, "IdempotentParameterMismatch")


def test_tokens_are_case_sensitive_and_of_64_characters_at_most(lab: Lab) -> None:
    lab.stopped()
    lab.replace(ClientToken="t")
    lab.settled()
    second = lab.replace(ClientToken="T")["DiskId"]
    lab.settled()
    assert lab.cloud.disk_of(lab.vm.id).id == second
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id}
    assert lab.refused("ReplaceSystemDisk", given, ClientToken="x" * 65)[0] == 400
    assert lab.refused("ReplaceSystemDisk", given, ClientToken="ü")[0] == 400


def test_a_forgotten_token_has_a_second_effect(lab: Lab) -> None:
    lab.cloud.outside.set_options(token_lifetime=60.0)
    lab.stopped()
    first = lab.replace(ClientToken="t")["DiskId"]
    lab.settled()
    assert lab.replace(ClientToken="t")["DiskId"] != first


def test_a_token_at_work_can_be_told_so(lab: Lab) -> None:
    lab.cloud.outside.set_options(token_processing=True)
    lab.stopped()
    first = lab.replace(ClientToken="t")["DiskId"]
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id}
    refused = lab.refused("ReplaceSystemDisk", given, ClientToken="t")
    assert refused == (403, "LastTokenProcessing")
    lab.settled()
    assert lab.replace(ClientToken="t")["DiskId"] == first


def test_a_token_that_was_finally_refused_stays_refused(lab: Lab) -> None:
    lab.stopped()
    lab.cloud.outside.set_instance(lab.vm.id, unpaid_order="order")
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id}
    lab.refused("ReplaceSystemDisk", given, ClientToken="t")
    lab.cloud.outside.set_instance(lab.vm.id, unpaid_order="")
    assert lab.refused("ReplaceSystemDisk", given, ClientToken="t")[1] == "INST_HAS_UNPAID_ORDER"
    assert lab.replace(ClientToken="t2")["DiskId"]


@pytest.mark.parametrize("code", ["IncorrectInstanceStatus", "Throttling.User", "InternalError"])
def test_a_token_refused_for_a_while_works_later(lab: Lab, code: str) -> None:
    lab.stopped()
    lab.cloud.faults.error("ReplaceSystemDisk", code)
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id}
    lab.refused("ReplaceSystemDisk", given, ClientToken="t")
    assert lab.replace(ClientToken="t")["DiskId"]


def test_a_lost_answer_and_the_same_token_are_one_replacement(lab: Lab) -> None:
    lab.stopped()
    lab.cloud.faults.drop("ReplaceSystemDisk", "after")
    with pytest.raises(ConnectionLost) as lost:
        lab.replace(ClientToken="t")
    again = lab.replace(ClientToken="t")["DiskId"]
    lab.settled()
    assert lost.value.effect_happened
    assert [e.details["new_disk_id"] for e in lab.cloud.effects_of("disk_replaced")] == [again]


def test_an_error_after_the_effect_hides_the_effect(lab: Lab) -> None:
    lab.cloud.faults.error("StopInstance", "InternalError", http=500, side="after")
    assert lab.refused("StopInstance", InstanceId=lab.vm.id) == (500, "InternalError")
    assert lab.cloud.look(lab.vm.id).status == "Stopping"


def test_faults_strike_the_named_instance_so_many_times(lab: Lab) -> None:
    other = lab.fleet.instance(lab.image)
    lab.cloud.faults.error("StopInstance", "DiskError", times=2, instance_id=lab.vm.id)
    lab.call("StopInstance", InstanceId=other.id)
    assert [lab.refused("StopInstance", InstanceId=lab.vm.id)[1] for _ in range(2)] == [
        "DiskError",
        "DiskError",
    ]
    lab.call("StopInstance", InstanceId=lab.vm.id)


def test_an_unknown_code_needs_a_status_to_be_injected(lab: Lab) -> None:
    with pytest.raises(ValueError, match="give its http status"):
        lab.cloud.faults.error("StopInstance", "Never.Heard")
    lab.cloud.faults.error("StopInstance", "Never.Heard", http=418)
    assert lab.refused("StopInstance", InstanceId=lab.vm.id) == (418, "Never.Heard")


@pytest.mark.parametrize("work", ["StopInstance", "StartInstance", "ReplaceSystemDisk"])
def test_a_frozen_instance_stays_as_it_is_until_it_is_thawed(lab: Lab, work: str) -> None:
    if work != "StopInstance":
        lab.stopped()
    lab.call(work, InstanceId=lab.vm.id, ImageId=lab.newer.id)
    lab.cloud.outside.freeze(lab.vm.id)
    before = len(lab.cloud.effects)
    lab.settled()
    assert len(lab.cloud.effects) == before
    lab.cloud.outside.thaw(lab.vm.id)
    assert len(lab.cloud.effects) > before
    assert lab.cloud.look(lab.vm.id).status in ("Stopped", "Running")


def test_work_that_was_due_before_somebody_froze_the_instance_has_ended(lab: Lab) -> None:
    lab.call("StopInstance", InstanceId=lab.vm.id)
    lab.clock.pass_(TIMES.stop)
    lab.cloud.outside.freeze(lab.vm.id)
    assert lab.cloud.look(lab.vm.id).status == "Stopped"


def test_throttling_rests_until_the_next_minute_for_that_action_and_region(lab: Lab) -> None:
    lab.clock.pass_(60 - lab.clock.at % 60)
    lab.cloud.faults.throttle("DescribeRegions", 2)
    for _ in range(2):
        lab.call("DescribeRegions")
    assert lab.refused("DescribeRegions") == (400, "Throttling.User")
    lab.call("DescribeInstances", RegionId=REGION)
    lab.cloud.call("DescribeRegions", {}, region="cn-beijing")
    lab.clock.pass_(59.0)
    assert lab.refused("DescribeRegions") == (400, "Throttling.User")
    lab.clock.pass_(1.0)
    lab.call("DescribeRegions")


def test_a_snapshot_takes_its_time_and_forbids_a_second_one(lab: Lab) -> None:
    made = lab.call("CreateSnapshot", DiskId=lab.vm.system_disk_id, ClientToken="s")
    again = lab.call("CreateSnapshot", DiskId=lab.vm.system_disk_id, ClientToken="s")
    assert again["SnapshotId"] == made["SnapshotId"]
    busy = lab.refused("CreateSnapshot", DiskId=lab.vm.system_disk_id)
    assert busy == (403, "IncorrectDiskStatus.CreatingSnapshot")

    def seen() -> tuple[str, str]:
        found = lab.call("DescribeSnapshots", RegionId=REGION, DiskId=lab.vm.system_disk_id)
        (snap,) = found["Snapshots"]["Snapshot"]
        return snap["Status"], snap["Progress"]

    lab.clock.pass_(TIMES.snapshot / 2)
    assert seen() == ("progressing", "50%")
    lab.settled()
    assert seen() == ("accomplished", "100%")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"SnapshotName": "auto-1"}, "InvalidSnapshotName.Malformed"),
        ({"SnapshotName": "x"}, "InvalidSnapshotName.Malformed"),
        ({"RetentionDays": "0"}, "InvalidRetentionDays.Malformed"),
        ({"RetentionDays": "65537"}, "InvalidRetentionDays.Malformed"),
        ({"Tag.1.Key": "a", "Tag.1.Value": "x" * 129}, "InvalidTagValue.Malformed"),
        ({"Tag.1.Key": "a" * 129}, "InvalidTagKey.Malformed"),
    ],
)
def test_a_snapshot_with_a_wrong_name_life_or_tag_is_refused(
    lab: Lab, params: dict[str, str], code: str
) -> None:
    given = {"DiskId": lab.vm.system_disk_id, **params}
    assert lab.refused("CreateSnapshot", given) == (400, code)


def test_a_machine_that_never_ran_has_nothing_to_save(lab: Lab) -> None:
    lab.cloud.outside.set_instance(lab.vm.id, ever_started=False, status="Stopped")
    refused = lab.refused("CreateSnapshot", DiskId=lab.vm.system_disk_id)
    assert refused == (403, "IncorrectDiskStatus.NeverUsed")
    lab.cloud.outside.set_instance(lab.vm.id, ever_started=True, status="Stopping")
    refused = lab.refused("CreateSnapshot", DiskId=lab.vm.system_disk_id)
    assert refused == (400, "IncorrectInstanceStatus")


def test_a_disk_reset_to_its_image_keeps_its_id(lab: Lab) -> None:
    disk_id = lab.stopped().system_disk_id
    lab.call("ReInitDisk", DiskId=disk_id, AutoStartInstance="True")
    assert lab.cloud.disk_of(lab.vm.id).status == "ReIniting"
    lab.clock.pass_(TIMES.reinit)
    lab.cloud.settle()
    assert lab.settled().status == "Running"
    assert lab.cloud.disk_of(lab.vm.id).id == disk_id


def test_a_policy_can_be_put_on_the_new_disk_and_taken_off(lab: Lab) -> None:
    policy, disk_id = lab.fleet.policy(), lab.vm.system_disk_id
    given = {"regionId": REGION, "diskIds": f'["{disk_id}"]'}
    lab.call("ApplyAutoSnapshotPolicy", given, autoSnapshotPolicyId=policy)
    assert lab.cloud.disk_of(lab.vm.id).auto_snapshot_policy == policy
    lab.call("CancelAutoSnapshotPolicy", given)
    assert lab.cloud.disk_of(lab.vm.id).auto_snapshot_policy == ""


def test_stopping_many_together_stops_none_if_one_cannot_be_stopped(lab: Lab) -> None:
    down = lab.fleet.instance(lab.image, status="Stopped")
    given = {"RegionId": REGION, "InstanceId.1": lab.vm.id, "InstanceId.2": down.id}
    assert lab.refused("StopInstances", given) == (403, "IncorrectInstanceStatus")
    assert lab.cloud.look(lab.vm.id).status == "Running"
    rows = lab.call("StopInstances", given, BatchOptimization="SuccessFirst")
    codes = [r["Code"] for r in rows["InstanceResponses"]["InstanceResponse"]]
    assert codes == ["200", "IncorrectInstanceStatus"]
    assert lab.cloud.look(lab.vm.id).status == "Stopping"


def test_a_dry_run_is_answered_by_an_error_and_does_nothing(lab: Lab) -> None:
    given = {"InstanceId": lab.vm.id, "DryRun": "True"}
    assert lab.refused("StopInstance", given) == (400, "DryRunOperation")
    assert lab.cloud.look(lab.vm.id).status == "Running"
    lab.stopped()
    assert lab.refused("StopInstance", given)[1] == "IncorrectInstanceStatus"


def test_hands_from_outside_are_seen_and_written_down(lab: Lab) -> None:
    old = lab.vm.system_disk_id
    new = lab.cloud.outside.replace_disk(lab.vm.id, lab.newer.id, 80)
    assert (lab.cloud.disk_of(lab.vm.id).id, old in lab.cloud.state.disks) == (new, False)
    assert lab.cloud.effects_of("disk_replaced")[0].details["by"] == "outside"
    lab.cloud.outside.resize_disk(new, 90)
    assert lab.cloud.disk_of(lab.vm.id).size_gib == 90
    lab.cloud.outside.release(lab.vm.id)
    assert lab.refused("StopInstance", InstanceId=lab.vm.id) == (404, "InvalidInstanceId.NotFound")
    assert new not in lab.cloud.state.disks


def test_a_replacement_can_end_without_a_new_disk(lab: Lab) -> None:
    old = lab.stopped().system_disk_id
    new = lab.replace()["DiskId"]
    lab.cloud.outside.fail_replacement(lab.vm.id)
    lab.settled()
    assert lab.cloud.disk_of(lab.vm.id).id == old
    assert new not in lab.cloud.state.disks


def test_accounts_do_not_see_each_others_machines(lab: Lab) -> None:
    lab.fleet.account("42")
    stranger = type(lab.fleet)(lab.cloud, account="42").access_key()

    def as_stranger(action: str, **params: str) -> Any:
        return lab.cloud.call(action, params, region=REGION, caller=stranger.id)

    assert as_stranger("GetCallerIdentity")["AccountId"] == "42"
    assert as_stranger("DescribeInstances", RegionId=REGION)["TotalCount"] == 0
    with pytest.raises(EcsFault, match=r"InvalidInstanceId\.NotFound"):
        as_stranger("StopInstance", InstanceId=lab.vm.id)


def test_equal_histories_give_equal_clouds(lab: Lab) -> None:
    def history(seed: int) -> tuple[list[str], list[str]]:
        twin = Lab(HandClock())
        twin.cloud.seed = seed
        twin.fleet.instance(twin.image)
        twin.stopped()
        twin.replace()
        return list(twin.cloud.state.disks), [r.request_id for r in twin.cloud.requests]

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_a_clone_goes_its_own_way(lab: Lab) -> None:
    lab.stopped()
    lab.cloud.faults.error("StartInstance", "DiskError")
    clock = HandClock(lab.clock.at)
    twin: Cloud = lab.cloud.clone(clock.now)
    given = {"InstanceId": lab.vm.id, "ImageId": lab.newer.id, "ClientToken": "t"}
    first = twin.call("ReplaceSystemDisk", given, region=REGION)["DiskId"]
    clock.pass_(1000.0)
    assert twin.disk_of(lab.vm.id).id == first
    assert lab.settled().image_id == lab.image.id
    assert lab.cloud.effects_of("replacement_accepted") == []
    assert lab.refused("StartInstance", InstanceId=lab.vm.id)[1] == "DiskError"
    with pytest.raises(EcsFault, match="DiskError"):
        twin.call("StartInstance", {"InstanceId": lab.vm.id}, region=REGION)
