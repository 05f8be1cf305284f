"""Every row of ReplaceSystemDisk's error table, answered after the stop: what is told and done.

Each row is put into the mouth of the cloud once; those that the cloud can be in the state for come
from its state as well, changed behind the operator's back in the moment in which the request
arrives. `INJECTED` says of all others why they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from sysdisk.ecs.catalog import Entry, ErrorClass, catalog
from sysdisk.sandbox.ecs_fleet import Fleet
from sysdisk.sandbox.ecs_state import ImageMapping, RequestRecord
from sysdisk.sandbox.sim_calls import Call, Side
from tests.support.world import World, run

ROWS: Final = catalog().rows
GIVE_BACK: Final = 600.0
LONG: Final = 3 * 3600.0
ALWAYS: Final = 10_000
REPLACE: Final = "ReplaceSystemDisk"
ORDER: Final = ("StopInstance", REPLACE, "StartInstance")

Json = Mapping[str, Any]


def of_class(name: ErrorClass) -> list[Any]:
    return [
        pytest.param(entry, id=f"row{number}-{entry.code}-{entry.http}")
        for number, entry in ROWS.items()
        if entry.error_class is name
    ]


def faulty(param: Any) -> bool:
    """Whether the fault is the server's own, so that its outcome is unknown."""
    return bool(param.values[0].http >= 500)


def said(world: World, entry: Entry) -> str:
    """Return the message as ECS fills it in."""
    return entry.message.replace("%s", f"zone {world.vm().zone}")


def answer(world: World, entry: Entry, times: int) -> None:
    """Let the cloud answer the next replacements with `entry`."""
    text = said(world, entry)
    world.cloud.faults.error(REPLACE, entry.code, http=entry.http, message=text, times=times)


def asked(world: World) -> list[RequestRecord]:
    """Return the requests for a replacement, in order."""
    return world.cloud.requests_of(REPLACE)


class Diary:
    """Every Ready condition that was seen, in order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: list[Json] = []

    def when(self, condition: Callable[[], bool]) -> Callable[[], bool]:
        """Return `condition`, noting what Ready says each time it is looked at."""

        def looked() -> bool:
            ready = self._world.ready()
            if ready and (not self.seen or self.seen[-1] != ready):
                self.seen.append(ready)
            return condition()

        return looked

    def told(self, entry: Entry, request_id: str) -> Json:
        """Return the first condition that tells of this answer: code, text, ID and advice."""
        text = said(self._world, entry).rstrip(".")
        wanted = (entry.code, text, request_id, entry.advice.rstrip("."))
        for ready in self.seen:
            if all(part in ready["message"] for part in wanted):
                return ready
        raise AssertionError(f"none tells {wanted}: {[r['message'] for r in self.seen]}")


async def begin(world: World, **spec: Any) -> Diary:
    world.apply(instanceId=world.vm().id, imageId=world.image(), **spec)
    return Diary(world)


def reason_is(world: World, reason: str) -> Callable[[], bool]:
    return lambda: world.rests() and world.ready().get("reason") == reason


async def rest(world: World, seconds: float) -> None:
    deadline = world.now + seconds
    await world.until("time passes", lambda: world.now >= deadline, seconds + 60)


def given_back(world: World) -> None:
    """Hold a story that ended without a replacement to its end."""
    assert world.replaced() == 0
    assert world.vm().status == "Running"
    assert world.vm().image_id == world.image("ubuntu-22")
    assert world.ecs_writes().count("StopInstance") == world.ecs_writes().count("StartInstance")


@pytest.mark.parametrize("entry", of_class(ErrorClass.USER))
def test_what_a_person_must_mend_is_told_and_not_tried_again(entry: Entry) -> None:
    async def story(world: World) -> None:
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("the plan is spent", diary.when(reason_is(world, "PlanSpent")), LONG)
        request_id = asked(world)[0].request_id
        assert diary.told(entry, request_id)["reason"] == "GivingBack"
        ready, plan = world.ready(), world.status()["plan"]
        assert ready["status"] == "False"
        for part in (entry.code, request_id, entry.advice):
            assert part in ready["message"]
        assert (plan["spent"], plan["lastError"]["class"]) == (True, "user")
        assert plan["lastError"]["httpStatus"] == entry.http
        assert world.status()["history"][-1]["result"] == "Refused"
        await rest(world, 3600.0)
        assert len(asked(world)) == 1
        assert world.ecs_writes() == ["StopInstance", REPLACE, "StartInstance"]
        assert world.ready() == ready
        given_back(world)

    run(story)


@pytest.mark.parametrize("entry", of_class(ErrorClass.RETRY))
def test_what_is_a_hiccup_is_asked_again_with_the_same_token(entry: Entry) -> None:
    async def story(world: World) -> None:
        answer(world, entry, times=3)
        diary = await begin(world)
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        requests = asked(world)
        assert [r.code for r in requests] == [entry.code] * 3 + ["OK"]
        assert len({r.token for r in requests}) == 1
        unknown = entry.http >= 500
        told = diary.told(entry, requests[0].request_id)
        assert told["reason"] == ("OutcomeUnknown" if unknown else "Replacing")
        assert world.replaced() == 1
        assert world.vm().status == "Running"
        assert world.ecs_writes().count("StopInstance") == 1

    run(story)


@pytest.mark.parametrize("entry", [p for p in of_class(ErrorClass.RETRY) if not faulty(p)])
def test_a_hiccup_that_lasts_gives_the_machine_back_at_the_deadline(entry: Entry) -> None:
    given_back_after_refusals(entry)


@pytest.mark.parametrize("entry", of_class(ErrorClass.WAIT))
def test_what_does_not_pass_in_time_gives_the_machine_back_at_the_deadline(entry: Entry) -> None:
    given_back_after_refusals(entry)


def given_back_after_refusals(entry: Entry) -> None:
    """Tell the story in which ECS refuses with `entry` as long as it is asked."""

    async def story(world: World) -> None:
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("it rests", diary.when(reason_is(world, "Resting")), LONG)
        requests = asked(world)
        assert diary.told(entry, requests[0].request_id)["reason"] == "Replacing"
        assert 1 < len(requests) < 20
        assert requests[-1].at - requests[0].at <= GIVE_BACK
        started = world.cloud.requests_of("StartInstance")[0].at
        assert started - requests[0].at <= GIVE_BACK + 10
        ready, plan = world.ready(), world.status()["plan"]
        for part in (entry.code, requests[-1].request_id, plan["restUntil"]):
            assert part in ready["message"]
        assert (plan["spent"], plan["rounds"]) == (False, 1)
        given_back(world)

    run(story)


@pytest.mark.parametrize("entry", of_class(ErrorClass.WAIT))
def test_what_passes_is_asked_again_with_the_next_token(entry: Entry) -> None:
    async def story(world: World) -> None:
        answer(world, entry, times=2)
        diary = await begin(world)
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        requests = asked(world)
        assert [r.code for r in requests] == [entry.code] * 2 + ["OK"]
        assert len({r.token for r in requests}) == 3
        assert diary.told(entry, requests[0].request_id)["reason"] == "Replacing"
        assert world.replaced() == 1
        assert world.vm().status == "Running"

    run(story)


@pytest.mark.parametrize("entry", [p for p in of_class(ErrorClass.RETRY) if faulty(p)])
def test_a_server_fault_that_lasts_ends_with_one_disk_or_the_old_one(entry: Entry) -> None:
    """Its outcome is unknown each time: the machine is given back only when it is known."""

    async def story(world: World) -> None:
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("it rests", diary.when(reason_is(world, "Resting")), 24 * 3600.0)
        assert any(ready["reason"] == "OutcomeUnknown" for ready in diary.seen)
        assert all(r.code == entry.code for r in asked(world))
        given_back(world)

    run(story)


@pytest.mark.parametrize("action", ["StopInstance", REPLACE, "StartInstance"])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("Rejected.Throttling", "Request was denied due to request throttling."),
        ("Throttling.Api", "Request was denied due to api flow control."),
        ("InternalError", "The request processing has failed due to some unknown error."),
    ],
)
def test_what_is_the_clouds_own_trouble_spends_no_plan(code: str, text: str, action: str) -> None:
    """All with HTTP 400, and the last in words that are not those of its row."""

    async def story(world: World) -> None:
        world.cloud.faults.error(action, code, http=400, message=text)
        await begin(world)
        await world.until("it is replaced", world.is_ready, LONG)
        assert world.replaced() == 1
        assert world.ecs_writes() == sorted([*ORDER, action], key=ORDER.index)

    run(story)


# -- the same for a machine that was stopped before: it stays so -----------------------------------


def left_stopped(world: World) -> None:
    """Hold a story of a machine that nobody ran to its end."""
    assert world.vm().status == "Stopped"
    assert set(world.ecs_writes()) == {REPLACE}


@pytest.mark.parametrize("row", [49, 73, 84])
def test_a_machine_that_was_stopped_is_not_started_when_a_person_must_act(row: int) -> None:
    entry = ROWS[row]
    assert entry.error_class is ErrorClass.USER

    async def story(world: World) -> None:
        world.cloud.outside.stop(world.vm().id)
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("the plan is spent", diary.when(reason_is(world, "PlanSpent")), LONG)
        diary.told(entry, asked(world)[0].request_id)
        await rest(world, 3600.0)
        assert len(asked(world)) == 1
        assert world.vm().image_id == world.image("ubuntu-22")
        left_stopped(world)

    run(story)


@pytest.mark.parametrize("row", [37, 31, 35])
def test_a_machine_that_was_stopped_is_not_started_when_it_passes(row: int) -> None:
    entry = ROWS[row]
    assert entry.error_class is not ErrorClass.USER

    async def story(world: World) -> None:
        world.cloud.outside.stop(world.vm().id)
        answer(world, entry, times=2)
        diary = await begin(world)
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        diary.told(entry, asked(world)[0].request_id)
        await rest(world, 600.0)
        assert world.replaced() == 1
        left_stopped(world)

    run(story)


@pytest.mark.parametrize("row", [37, 31])
def test_a_machine_that_was_stopped_is_not_started_when_it_does_not_pass(row: int) -> None:
    entry = ROWS[row]

    async def story(world: World) -> None:
        world.cloud.outside.stop(world.vm().id)
        answer(world, entry, times=ALWAYS)
        diary = await begin(world)
        await world.until("it rests", diary.when(reason_is(world, "Resting")), LONG)
        diary.told(entry, asked(world)[0].request_id)
        await rest(world, 600.0)
        assert world.replaced() == 0
        left_stopped(world)

    run(story)


# -- the same from the state of the world, which changes as the request arrives --------------------

Change = Callable[[World], Any]
Spec = dict[str, Any]
CLUSTER: Final = "dbsc-1"


def instance(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_instance(world.vm().id, **fields)


def disk(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_disk(world.vm().system_disk_id, **fields)


def image(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_image(world.image(), **fields)


def region(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_region(world.vm().region, **fields)


def account(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_account(world.vm().account, **fields)


def kms(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_kms_key(KEY, **fields)


def source(**fields: Any) -> Change:
    return lambda world: world.cloud.outside.set_disk(spare(world), **fields)


def both(*changes: Change) -> Change:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


def spare(world: World) -> str:
    """Return the disk that the spec names in the place of an image."""
    return str(world.object_of()["spec"]["advanced"]["diskId"])


def by_disk(world: World) -> Spec:
    world.edit_account({"spec": {"allowAdvanced": True}})
    named = Fleet(world.cloud).spare_disk(zone=world.vm().zone).id
    given = {"diskId": named, "architecture": "x86_64", "platform": "Ubuntu"}
    return {"imageId": None, "advanced": given}


def with_key(world: World) -> Spec:
    Fleet(world.cloud).kms_key(KEY)
    return {"encryption": {"enabled": True, "kmsKeyId": KEY}}


def with_algorithm(world: World) -> Spec:
    world.edit_account({"spec": {"allowAdvanced": True}})
    return {"encryption": {"enabled": True}, "advanced": {"encryptAlgorithm": "SM4"}}


def wants(**spec: Any) -> Callable[[World], Spec]:
    return lambda _world: spec


KEY: Final = "key-1"
PAIR: Final = "shop-admins"
SEALED: Final = wants(encryption={"enabled": True})
WITH_PAIR: Final = wants(login={"keyPairName": PAIR})
BIGGER: Final = wants(size=60)
MAPPINGS: Final = (ImageMapping("system", 20, encrypted=True),)


def _used_up(world: World) -> None:
    quota = {(world.vm().zone, "cloud_essd"): 1}
    world.cloud.outside.set_region(world.vm().region, disk_quota_gib=quota)


def _in_cluster(free: int) -> Change:
    return both(disk(storage_cluster=CLUSTER), region(cluster_free_gib={CLUSTER: free}))


def _unsupported(world: World) -> None:
    pair = ((world.vm().type, "cloud_essd"),)
    world.cloud.outside.set_region(world.vm().region, unsupported=pair)


@dataclass(frozen=True)
class State:
    """A `change` that makes the cloud refuse, and what the spec asks for beside an image.

    `mend` takes it back where the machine could not be started otherwise.
    """

    change: Change
    spec: Callable[[World], Spec] = lambda _world: {}
    mend: Change | None = None


USER_STATES: Final[Mapping[int, State]] = {
    1: State(both(instance(login_as_non_root=True), image(login_as_non_root=False))),
    3: State(image(not_types=("ecs.g7.large",))),
    4: State(image(resizable=False), BIGGER),
    8: State(image(mappings=(ImageMapping("data", 20),))),
    9: State(_unsupported),
    10: State(lambda w: w.cloud.outside.delete_key_pair(PAIR), WITH_PAIR),
    11: State(instance(io_optimized=False), WITH_PAIR),
    16: State(lambda w: w.cloud.outside.delete_disk(spare(w)), by_disk),
    17: State(source(status="Attaching"), by_disk),
    18: State(source(category="cloud"), by_disk),
    19: State(source(charge_type="PrePaid"), by_disk),
    22: State(source(kms_key_id=KEY), by_disk),
    23: State(disk(storage_cluster=CLUSTER)),
    25: State(disk(replication="paired")),
    26: State(image(architecture="arm64")),
    27: State(region(encrypted_replace=False), SEALED),
    28: State(_in_cluster(10)),
    29: State(_used_up, BIGGER),
    30: State(account(may_buy=False)),
    33: State(image(mappings=MAPPINGS), wants(encryption={"enabled": False})),
    36: State(both(instance(login_as_non_root=True), region(non_root_login=False))),
    40: State(
        lambda w: w.cloud.outside.lock(w.vm().id, "security"),
        mend=lambda w: w.cloud.outside.unlock(w.vm().id),
    ),
    41: State(image(owner="marketplace", product_code="p", subscribed=False)),
    42: State(image(owner="marketplace", product_code="p", withdrawn=True)),
    43: State(
        lambda w: w.cloud.outside.lock(w.vm().id, "financial"),
        mend=lambda w: w.cloud.outside.unlock(w.vm().id),
    ),
    44: State(region(fixed_payments=("PostPaid",))),
    46: State(image(io_optimized=False)),
    47: State(image(only_types=("ecs.c7.large",))),
    48: State(image(owner="marketplace", bought=False)),
    49: State(instance(unpaid_order="order")),
    51: State(image(os_type="windows"), WITH_PAIR),
    53: State(source(zone="cn-hangzhou-elsewhere"), by_disk),
    54: State(instance(unpaid_order="operation")),
    55: State(both(image(os_type="windows"), instance(host_name="a.long.linux.name"))),
    56: State(instance(hibernation=True)),
    57: State(disk(multi_attach="Enabled")),
    58: State(region(encrypt_algorithms=()), with_algorithm),
    60: State(region(encrypt_algorithms=("AES256",)), with_algorithm),
    63: State(account(kms_enabled=False), SEALED),
    65: State(lambda w: w.cloud.outside.delete_kms_key(KEY), with_key),
    66: State(account(kms_authorized=False), SEALED),
    67: State(kms(symmetric=False), with_key),
    68: State(disk(encryptable=False), SEALED),
    69: State(disk(category="cloud_ssd"), SEALED),
    72: State(both(image(os_type="windows"), region(os_change=False))),
    73: State(image(status="Deprecated")),
    75: State(kms(enabled=False), with_key),
    76: State(kms(taggable=False), with_key),
    77: State(image(mappings=MAPPINGS)),
    78: State(region(default_encryption=True)),
    79: State(both(instance(charge_type="PrePaid"), account(sync_payment=False)), BIGGER),
    81: State(lambda w: w.cloud.outside.delete_image(w.image())),
    82: State(disk(category="cloud"), wants(size=600)),
    83: State(image(size_gib=100), BIGGER),
    84: State(disk(performance_level="PL2"), BIGGER),
}


def _transfer(busy: bool) -> Change:
    return lambda world: world.cloud.outside.transfer(world.vm().system_disk_id, busy)


def _sold_out(busy: bool) -> Change:
    def change(world: World) -> None:
        gone = ((world.vm().zone, "cloud_essd"),) if busy else ()
        world.cloud.outside.set_region(world.vm().region, sold_out=gone)

    return change


def _snapshot(world: World) -> None:
    params = {"DiskId": world.vm().system_disk_id, "SnapshotName": "mine"}
    world.cloud.call("CreateSnapshot", params, region=world.vm().region)


def nothing(_world: World) -> None:
    """It passes by itself."""


PASSING: Final[Mapping[int, State]] = {
    24: State(disk(replication="unknown"), mend=disk(replication="")),
    31: State(region(outage="unavailable"), mend=region(outage="")),
    34: State(region(outage="denied"), mend=region(outage="")),
    35: State(region(outage="unknown"), mend=region(outage="")),
    37: State(_transfer(True), mend=_transfer(False)),
    38: State(disk(status="ReIniting"), mend=disk(status="In_use")),
    39: State(instance(status="Stopping"), mend=instance(status="Stopped")),
    45: State(_snapshot, mend=nothing),
    50: State(instance(status="Pending"), mend=instance(status="Stopped")),
    64: State(kms(makes_data_keys=False), with_key, kms(makes_data_keys=True)),
    74: State(_sold_out(True), mend=_sold_out(False)),
}

_REQUEST: Final = "about the request itself, which is held to its rules before anything is begun"
_GONE: Final = "nothing is left then that could be given back"
_NOT_TOLD: Final = "the table does not say what it is about"
INJECTED: Final[Mapping[int, str]] = {
    **dict.fromkeys((2, 5, 6, 7, 12, 13, 14, 15, 20, 32, 61, 62, 70, 71), _REQUEST),
    **dict.fromkeys((21, 59, 80), _GONE),
    **dict.fromkeys((52, 85), _NOT_TOLD),
}
"""Why a row is only put into the mouth of the cloud; tests/contract/ecs shows that the cloud itself
refuses with it where its state can be so (all but the last two)."""


async def begin_with(world: World, state: State) -> Diary:
    """Apply the spec, and change the world behind the operator as its request arrives."""
    given = {"instanceId": world.vm().id, "imageId": world.image(), **state.spec(world)}
    world.apply(**{name: value for name, value in given.items() if value is not None})
    changed = False

    def meddle(call: Call, side: Side) -> None:
        nonlocal changed
        if call.verb == REPLACE and side == "before" and not changed:
            changed = True
            state.change(world)
            if state.mend is not None:
                world.later(60.0, partial(state.mend, world))

    world.traffic.meddler = meddle
    return Diary(world)


@pytest.mark.parametrize("row", PASSING)
def test_what_passes_in_the_world_is_waited_for_and_replaced(row: int) -> None:
    entry = ROWS[row]
    assert entry.error_class is not ErrorClass.USER

    async def story(world: World) -> None:
        diary = await begin_with(world, PASSING[row])
        await world.until("it is replaced", diary.when(world.is_ready), LONG)
        assert asked(world)[0].code == entry.code
        unknown = entry.http >= 500
        told = diary.told(entry, asked(world)[0].request_id)
        assert told["reason"] == ("OutcomeUnknown" if unknown else "Replacing")
        assert world.replaced() == 1
        assert world.vm().status == "Running"
        assert world.ecs_writes().count("StopInstance") == 1

    run(story)


@pytest.mark.parametrize("row", USER_STATES)
def test_a_world_that_turns_bad_after_the_stop_spends_the_plan(row: int) -> None:
    entry = ROWS[row]
    assert entry.error_class is ErrorClass.USER

    async def story(world: World) -> None:
        diary = await begin_with(world, USER_STATES[row])
        await world.until("the plan is spent", diary.when(reason_is(world, "PlanSpent")), LONG)
        request_id = asked(world)[0].request_id
        assert diary.told(entry, request_id)["reason"] == "GivingBack"
        last = world.status()["plan"]["lastError"]
        assert (last["code"], last["httpStatus"]) == (entry.code, entry.http)
        assert last["message"] == said(world, entry)
        assert len(asked(world)) == 1
        given_back(world)

    run(story)


def test_every_row_that_the_world_can_be_in_the_state_for_is_shown_from_it() -> None:
    tables = [set(PASSING), set(USER_STATES), set(INJECTED)]
    assert set.union(*tables) == set(ROWS)
    assert sum(map(len, tables)) == len(ROWS)
    assert all(INJECTED.values())


def test_every_row_of_the_table_is_in_one_of_the_classes_above() -> None:
    numbers = [len(of_class(name)) for name in ErrorClass]
    assert sum(numbers) == len(ROWS) == 85
    assert dict(zip(ErrorClass, numbers, strict=True)) == {
        ErrorClass.RETRY: 5,
        ErrorClass.WAIT: 6,
        ErrorClass.USER: 74,
    }
