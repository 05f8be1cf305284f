"""The guard rails of a whole pass, seen at their effects: the brake, places, owners, finalizers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sysdisk.api import meta
from sysdisk.kube.resources import EVENTS, NAMESPACES, SPECS
from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.simulation.stories import REPLACEMENT, SECRET, UNPAID, tell
from tests.simulation.test_policies import _account
from tests.support.world import PASSWORD, World, _served, run

NAMES = ("web-0", "web-1", "web-2", "web-3", "web-4")


def _limit(world: World, **limits: int) -> None:
    world.edit_account({"spec": {"limits": limits}})


def _apply(world: World, *numbers: int) -> None:
    for number in numbers:
        world.apply(NAMES[number], instanceId=world.vm(number).id, imageId=world.image())


def _unpaid(world: World, *numbers: int) -> None:
    for number in numbers:
        world.cloud.outside.set_instance(world.vm(number).id, unpaid_order="order")


async def _told(world: World, number: int, reason: str) -> None:
    name = NAMES[number]
    await world.until(
        f"{name} says {reason}",
        lambda: world.ready(name).get("reason") == reason and world.rests(name),
    )


def _failures(world: World) -> int:
    brake: Mapping[str, int] = _account(world).get("status", {}).get("brake", {})
    return brake.get("failures", 0)


def _ready(world: World) -> Mapping[str, Any]:
    """Return the account's Ready condition; empty words until it has one."""
    found = _account(world).get("status", {}).get("conditions", ())
    return next(iter(found), {"status": "", "reason": "", "message": ""})


def _told_of_account(world: World) -> list[tuple[str, str, int]]:
    """Return severity, reason and count of each Event on an EcsAccount."""
    return [
        (event["type"], event["reason"], event["count"])
        for event in world.store.list(_served(world.store, EVENTS)).items
        if event["involvedObject"]["kind"] == meta.ACCOUNT_KIND
    ]


class AtTheIntent:
    """Does something at the first write of a status, which is the intent to stop."""

    def __init__(self, side: Side, act: Callable[[], Blow | None]) -> None:
        self._side, self._act, self.done = side, act, False

    def __call__(self, call: Call, side: Side) -> Blow | None:
        if self.done or (call.verb, side) != ("patch_status systemdiskspecs", self._side):
            return None
        self.done = True
        return self._act()


def _written_before_the_stop(world: World) -> int:
    verbs = [call.verb for call in world.traffic.log]
    return verbs[: verbs.index("StopInstance")].count("patch_status systemdiskspecs")


# -- the account's own windows --------------------------------------------------------------------


@pytest.mark.parametrize("place", ["defaults", "require"])
def test_an_account_says_that_its_own_windows_are_not_understood(place: str) -> None:
    unreadable = [{"schedule": "0 2 * * FRI-1", "duration": "4h"}]

    async def told(world: World) -> None:
        _apply(world, 1)
        await _told(world, 1, "UpToDate")
        assert "windows" not in _ready(world)["message"]
        world.edit_account({"spec": {place: {"maintenanceWindows": unreadable}}})
        wrong = f"under its windows: {place}.maintenanceWindows[0]: schedule '0 2 * * FRI-1'"
        await world.until("the account tells", lambda: wrong in _ready(world)["message"])
        assert _ready(world)["status"] == "True"
        await world.until("so does the spec", lambda: "[0]: schedule" in world.ready()["message"])
        world.edit_account({"spec": {place: {"maintenanceWindows": None}}})
        await world.until("all is well", lambda: "windows" not in _ready(world)["message"])

    run(told)


# -- the fence ------------------------------------------------------------------------------------


def test_who_gets_his_turn_after_the_fence_does_not_send() -> None:
    async def told(world: World) -> None:
        world.edit_account({"spec": {"limits": {"requestsPerSecond": {"StopInstance": 0.1}}}})
        _apply(world, 1, 2)
        await world.until("both", lambda: world.is_ready("web-1") and world.is_ready("web-2"))

    run(told)


def test_what_was_decided_too_long_ago_is_decided_again() -> None:
    assert _written_before_the_stop(tell(REPLACEMENT)) == 1
    frozen = AtTheIntent("before", lambda: Blow(Kind.FROZEN, 20.0))
    assert _written_before_the_stop(tell(REPLACEMENT, frozen)) > 1


def test_an_intent_over_a_version_that_has_changed_is_refused_and_decided_again() -> None:
    async def told(world: World) -> None:
        def overtake() -> Blow:
            world.later(0.5, lambda: world.annotate(note="somebody was here"))
            return Blow(Kind.HELD, 1.0)

        world.traffic.meddler = AtTheIntent("before", overtake)
        _apply(world, 1)
        await _told(world, 1, "UpToDate")
        assert _written_before_the_stop(world) > 1

    run(told)


def test_a_machine_that_others_stopped_is_not_started_where_the_grant_has_gone() -> None:
    async def told(world: World) -> None:
        world.cloud.outside.stop(world.vm(1).id)
        await world.until("stopped", lambda: world.vm(1).status == "Stopped")
        world.stopped_by_others = True
        (operator,) = world.operators

        def revoke(call: Call, side: Side) -> Blow | None:
            step = world.status().get("operation", {}).get("step")
            told = (call.verb, side) == ("patch_status systemdiskspecs", "after")
            if told and step == "Start" and not operator.watch.deaf:
                operator.watch.deaf = True
                world.edit_account({"spec": {"allowedNamespaces": None}})
            return None

        world.traffic.meddler = revoke
        world.apply(
            instanceId=world.vm(1).id, imageId=world.image(), power={"startAfter": "Always"}
        )
        later = world.now + 120.0
        await world.until("two minutes", lambda: world.now >= later)
        assert world.replaced(1) == 1
        assert "StartInstance" not in world.ecs_writes()

    run(told)


def test_who_does_not_lead_any_more_sends_nothing() -> None:
    async def told(world: World) -> None:
        (operator,) = world.operators

        def lose() -> None:
            operator.leads = False

        world.traffic.meddler = AtTheIntent("after", lose)
        _apply(world, 1)
        await world.until("the intent", lambda: "operation" in world.status())
        later = world.now + 60.0
        await world.until("a minute", lambda: world.now >= later)
        assert world.ecs_writes() == []
        operator.leads = True
        await _told(world, 1, "UpToDate")

    run(told)


def test_a_grant_that_goes_after_the_decision_is_noticed_before_the_write() -> None:
    async def told(world: World) -> None:
        def revoke() -> Blow:
            world.later(1.0, lambda: world.edit_account({"spec": {"allowedNamespaces": None}}))
            return Blow(Kind.FROZEN, 8.0)

        world.traffic.meddler = AtTheIntent("before", revoke)
        _apply(world, 1)
        await world.until("told", lambda: world.ready().get("reason") == "NamespaceNotGranted")
        assert world.ecs_writes() == []

    run(told)


def test_after_a_conflict_the_object_is_read_again_though_the_watch_is_silent() -> None:
    async def told(world: World) -> None:
        _apply(world, 1)
        await world.until("it is under way", lambda: "operation" in world.status())
        (operator,) = world.operators
        operator.watch.deaf = True
        world.annotate(note="somebody was here")
        await world.until("it is done", world.is_ready, 60.0)

    run(told)


# -- the account ----------------------------------------------------------------------------------


def test_failures_in_a_row_pull_the_brake_and_a_success_counts_them_anew() -> None:
    async def told(world: World) -> None:
        _limit(world, stopAfterFailures=2)
        _unpaid(world, 1, 3, 4)
        _apply(world, 1)
        await _told(world, 1, "PlanSpent")
        await world.until("one counted", lambda: _failures(world) == 1)
        _apply(world, 2)
        await _told(world, 2, "UpToDate")
        await world.until("none counted", lambda: _failures(world) == 0)
        _apply(world, 3)
        await _told(world, 3, "PlanSpent")
        _apply(world, 4)
        await _told(world, 4, "PlanSpent")
        await world.until("two counted", lambda: _failures(world) == 2)
        _apply(world, 0)
        await _told(world, 0, "BrakePulled")
        assert world.replaced(0) == 0
        await world.until("the account says so", lambda: _ready(world)["reason"] == "BrakePulled")
        assert _ready(world)["status"] == "False"
        assert "sysdisk resume --account" in _ready(world)["message"]
        assert _account(world)["status"]["brake"]["pulledAt"]
        world.edit_account({"metadata": {"annotations": {meta.ANNOTATION_RESUME: "now"}}})
        await world.until("it goes on", lambda: _ready(world)["status"] == "True")
        assert "brake" not in _account(world)["status"]
        await _told(world, 0, "UpToDate")

    run(told)


def test_a_failure_is_counted_though_the_account_could_not_be_written_when_it_ended() -> None:
    async def told(world: World) -> None:
        down = True

        def refuse(call: Call, side: Side) -> Blow | None:
            hit = call.verb == "patch_status ecsaccounts" and side == "before"
            ended = bool(world.status(NAMES[1]).get("history"))
            return (
                Blow(Kind.REFUSED, code="ServiceUnavailable", http=503)
                if hit and ended and down
                else None
            )

        world.traffic.meddler = refuse
        _unpaid(world, 1)
        _apply(world, 1)
        await _told(world, 1, "PlanSpent")
        assert _failures(world) == 0
        down = False
        await world.until("counted", lambda: _failures(world) == 1)

    run(told)


def test_an_account_that_ceases_to_work_and_works_again_is_told_by_one_event_each() -> None:
    async def told(world: World) -> None:
        _limit(world, stopAfterFailures=1)
        _unpaid(world, 1)
        _apply(world, 1)
        await world.until("the brake is on", lambda: _ready(world)["reason"] == "BrakePulled")
        await world.until("it is told", lambda: _told_of_account(world) != [])
        await asyncio.sleep(1200)
        assert _told_of_account(world) == [("Warning", "BrakePulled", 1)]
        world.edit_account({"metadata": {"annotations": {meta.ANNOTATION_RESUME: "now"}}})
        await world.until("it goes on", lambda: _ready(world)["status"] == "True")
        await world.until("it is told", lambda: len(_told_of_account(world)) == 2)
        assert ("Normal", "Verified", 1) in _told_of_account(world)

    run(told)


@pytest.mark.parametrize(
    ("patch", "by", "undo"),
    [
        ({"spec": {"suspend": True}}, "spec.suspend", {"spec": {"suspend": False}}),
        (
            {"metadata": {"annotations": {meta.ANNOTATION_SUSPEND: "true"}}},
            "annotation sysdisk.dev/suspend",
            {"metadata": {"annotations": {meta.ANNOTATION_SUSPEND: None}}},
        ),
    ],
)
def test_a_suspended_account_says_so_and_by_what(
    patch: Mapping[str, Any], by: str, undo: Mapping[str, Any]
) -> None:
    async def told(world: World) -> None:
        _apply(world, 0)
        await _told(world, 0, "UpToDate")
        healthy = _ready(world)
        world.edit_account(patch)
        said = f"Suspended: nothing new begins ({by}). {healthy['message']}"
        await world.until("it says so", lambda: _ready(world)["message"] == said)
        assert _ready(world)["status"] == "True"
        await asyncio.sleep(1200)
        assert _ready(world)["message"] == said
        world.edit_account(undo)
        await world.until("no more", lambda: _ready(world)["message"] == healthy["message"])
        assert _told_of_account(world) == []

    run(told)


def test_a_limit_that_is_raised_lets_the_brake_go() -> None:
    async def told(world: World) -> None:
        _limit(world, stopAfterFailures=1)
        _unpaid(world, 1)
        _apply(world, 1)
        await _told(world, 1, "PlanSpent")
        await world.until("the brake is on", lambda: _ready(world)["reason"] == "BrakePulled")
        _limit(world, stopAfterFailures=2)
        await world.until("the brake is off", lambda: _ready(world)["status"] == "True")
        assert _account(world)["status"]["brake"] == {"failures": 1}
        _apply(world, 0)
        await _told(world, 0, "UpToDate")

    run(told)


def test_specs_without_a_record_begin_so_many_an_hour() -> None:
    async def told(world: World) -> None:
        _limit(world, firstSightPerHour=2)
        _apply(world, 1, 2)
        await _told(world, 1, "UpToDate")
        await _told(world, 2, "UpToDate")
        _apply(world, 3)
        await _told(world, 3, "FirstSightLimited")
        begun = world.now
        await world.until("the hour is over", lambda: world.is_ready("web-3"), 2 * 3600.0)
        assert world.now - begun > 1800.0

    run(told)


def test_not_more_are_under_way_than_there_are_places() -> None:
    async def told(world: World) -> None:
        _limit(world, concurrentReplacements=1)
        _apply(world, 1, 2, 3)
        busiest = 0

        def over() -> bool:
            nonlocal busiest
            busiest = max(busiest, sum("operation" in world.status(name) for name in NAMES))
            return all(world.is_ready(name) for name in NAMES[1:4])

        await world.until("all are replaced", over)
        assert busiest == 1

    run(told)


def test_of_two_specs_for_one_instance_one_owns_it_whatever_their_names() -> None:
    async def told(world: World) -> None:
        _apply(world, 1)
        other = {"instanceId": world.vm(1).id, "imageId": world.image("ubuntu-22")}
        world.later(5.0, lambda: world.apply("another", **other))
        await _told(world, 1, "UpToDate")
        await world.until(
            "it is owned", lambda: world.ready("another").get("reason") == "InstanceOwned"
        )
        assert world.replaced(1) == 1

    run(told)


def test_the_claim_of_a_namespace_that_is_not_granted_counts_for_nothing() -> None:
    async def told(world: World) -> None:
        world.create(NAMESPACES, None, {"metadata": {"name": "foreign"}})
        body = {
            "apiVersion": meta.API_VERSION,
            "kind": meta.KIND,
            "metadata": {"name": "older", "namespace": "foreign"},
            "spec": {"instanceId": world.vm(1).id, "imageId": world.image("ubuntu-22")},
        }
        world.create(SPECS, "foreign", body)
        world.later(10.0, lambda: _apply(world, 1))
        await _told(world, 1, "UpToDate")
        served = _served(world.store, SPECS)
        foreign: Any = world.store.find(served, "foreign", "older")
        assert foreign["status"]["conditions"][0]["reason"] == "NamespaceNotGranted"
        assert "diskId" not in foreign["status"]

    run(told)


def test_the_finalizers_of_others_stay_and_ours_comes_back_where_it_is_taken_off() -> None:
    async def told(world: World) -> None:
        _apply(world, 1)
        theirs = "example.com/kept"
        world.edit({"metadata": {"finalizers": [theirs]}})
        await world.until("it is under way", lambda: "operation" in world.status())
        world.edit({"metadata": {"finalizers": [theirs]}})

        def ours() -> bool:
            return meta.FINALIZER in world.object_of()["metadata"]["finalizers"]

        await world.until("ours is back", lambda: ours() and "operation" in world.status())
        await _told(world, 1, "UpToDate")
        assert world.object_of()["metadata"]["finalizers"] == [theirs]

    run(told)


@pytest.mark.parametrize("unpaid", [(), (1,)], ids=["replaced", "refused"])
def test_our_finalizer_goes_only_after_the_end_is_recorded(unpaid: tuple[int, ...]) -> None:
    async def told(world: World) -> None:
        _unpaid(world, *unpaid)
        _apply(world, 1)
        bare = 0

        def ended() -> bool:
            nonlocal bare
            ours = meta.FINALIZER in world.object_of()["metadata"].get("finalizers", ())
            bare += "operation" in world.status() and not ours
            return bool(world.status().get("history")) and world.rests()

        await world.until("it ends", ended)
        assert bare == 0

    run(told)


def test_an_account_is_held_as_long_as_an_operation_uses_it() -> None:
    async def told(world: World) -> None:
        _apply(world, 1)

        def held() -> bool:
            return meta.ACCOUNT_FINALIZER in _account(world)["metadata"].get("finalizers", ())

        await world.until("it is under way", lambda: "operation" in world.status())
        assert held()
        await _told(world, 1, "UpToDate")
        await world.until("it is let go", lambda: not held())

    run(told)


@pytest.mark.parametrize("story", [SECRET, REPLACEMENT, UNPAID], ids=str)
def test_no_secret_is_handed_to_the_log(story: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    world = tell(story)
    assert caplog.records
    for record in caplog.records:
        told = f"{record.getMessage()} {vars(record)}"
        assert PASSWORD not in told
        assert world.seeded.key.secret not in told
