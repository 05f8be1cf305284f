"""What can go wrong in a simulated world: values, so that a schedule can be told, cut and replayed.

A `Cut` befalls one call: the n-th of its verb. A `Turn` happens at a time, and many of them are
mended after a while; all of them are when the schedule is over. A `Meanwhile` happens while one
call is on its way, and nobody hears of it at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sysdisk.kube.resources import ACCOUNTS
from sysdisk.sandbox.sim_calls import Blow, Call, Kind, Side
from tests.simulation.classes import Classes
from tests.support.world import PASSWORD, ROTATED, SYSTEM, TEAM, World, account_manifest

Mend = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cut:
    """What befalls the `nth` call (from 1) of `verb`, of all processes together."""

    verb: str
    nth: int
    side: Side
    blow: Blow

    def __str__(self) -> str:
        what = f"{self.blow.kind} {self.blow.code} {self.blow.seconds:.0f} s"
        return f"cut {self.verb} number {self.nth} {self.side} its effect: {what}"


@dataclass(frozen=True, slots=True)
class Turn:
    """Something that happens `at` seconds, by its name in `TURNS`; mended `lasting` later."""

    at: float
    name: str
    lasting: float = 0.0

    def __str__(self) -> str:
        return f"at {self.at:.1f} s {self.name} for {self.lasting:.1f} s"


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """A change by its name in `CHANGES`, while the `nth` call of `verb` is on its way.

    The watch is deaf for `deaf` seconds: who sent the call does not know of it.
    """

    verb: str
    nth: int
    change: str
    deaf: float = 1.0

    def __str__(self) -> str:
        return f"while {self.verb} number {self.nth} is on its way: {self.change}"


Trouble = Cut | Turn | Meanwhile


@dataclass(slots=True)
class Troubles:
    """Lets troubles happen in a world. `over` mends what lasts, and nothing happens any more."""

    world: World
    troubles: tuple[Trouble, ...]
    happened: Counter[str] = field(default_factory=Counter)
    classes: Classes = field(init=False)
    _seen: Counter[str] = field(default_factory=Counter)
    _mends: list[Mend] = field(default_factory=list)
    _over: bool = False

    def __post_init__(self) -> None:
        self.classes = Classes(self.world)

    def begin(self) -> None:
        """Set the timers, and meddle with calls from now on."""
        self.world.traffic.meddler = self.meddle
        for trouble in self.troubles:
            if isinstance(trouble, Turn):
                self.world.later(trouble.at, partial(self._turn, trouble))

    def over(self) -> None:
        """Mend everything."""
        self._over = True
        self.world.traffic.meddler = lambda _call, _side: None
        while self._mends:
            self._mends.pop()()

    def meddle(self, call: Call, side: Side) -> Blow | None:
        """Return what befalls a call."""
        if side == "before":
            self._seen[call.verb] += 1
        blow = self._blow(call, side)
        if blow is not None:
            self.world.judge.fault()
        self.classes.count(call, side, blow)
        return blow

    def _blow(self, call: Call, side: Side) -> Blow | None:
        for trouble in self.troubles:
            if (
                isinstance(trouble, Turn)
                or trouble.verb != call.verb
                or trouble.nth != self._seen[call.verb]
            ):
                continue
            if isinstance(trouble, Cut):
                if trouble.side == side:
                    return trouble.blow
            elif side == "before":
                self._meanwhile(trouble)
        return self.world.weather(call, side)

    def _meanwhile(self, trouble: Meanwhile) -> None:
        self.happened[trouble.change] += 1
        self.world.judge.note(f"trouble: {trouble}")
        self.world.judge.fault()
        self._for_a_while(_deaf(self.world), trouble.deaf)
        self._for_a_while(CHANGES[trouble.change](self.world), 2 * trouble.deaf)

    def _for_a_while(self, mend: Mend | None, lasting: float) -> None:
        if mend is not None:
            self._mends.append(mend)
            self.world.later(lasting, partial(self._mend, mend))

    def _turn(self, turn: Turn) -> None:
        if self._over:
            return
        self.happened[turn.name] += 1
        self.world.judge.note(f"trouble: {turn}")
        self.world.judge.fault()
        self._for_a_while(TURNS[turn.name](self.world), turn.lasting)

    def _mend(self, mend: Mend) -> None:
        if mend in self._mends:
            self._mends.remove(mend)
            mend()


# -- users ------------------------------------------------------------------------------------


def _other_image(world: World) -> Mend:
    world.edit({"spec": {"imageId": world.image("encrypted")}})
    return lambda: world.edit({"spec": {"imageId": world.image()}})


def _back(world: World) -> Mend:
    world.edit({"spec": {"imageId": world.image("ubuntu-22")}})
    return lambda: world.edit({"spec": {"imageId": world.image()}})


def _suspend(world: World) -> Mend:
    world.edit({"spec": {"suspend": True}})
    return lambda: world.edit({"spec": {"suspend": None}})


def _suspend_and_back(world: World) -> None:
    world.edit({"spec": {"suspend": True}})
    world.edit({"spec": {"suspend": None}})


def _protect(world: World) -> Mend:
    world.annotate(protect="true")
    return lambda: world.annotate(protect=None)


def _label(world: World) -> None:
    world.edit({"metadata": {"labels": {"touched": f"at-{world.now:.0f}"}}})


def _delete(world: World) -> Mend | None:
    """Delete the spec; it is made again as it was wanted before anybody changed their mind."""
    found = world.object()
    if found is None:
        return None
    spec = {**found["spec"], "imageId": world.image()}
    spec.pop("suspend", None)
    world.delete()
    return lambda: world.apply_again(spec)


def _trigger(world: World) -> None:
    world.edit({"spec": {"replaceTrigger": f"at-{world.now:.0f}"}})


def _rotate(world: World) -> None:
    world.put_secret(TEAM, "login", password=ROTATED)


def _revoke(world: World) -> Mend:
    world.edit_account({"spec": {"allowedInstances": None}})
    return lambda: world.edit_account(_spec_of("allowedInstances"))


def _revoke_namespace(world: World) -> Mend:
    world.edit_account({"spec": {"allowedNamespaces": {"names": ["other"]}}})
    return lambda: world.edit_account(_spec_of("allowedNamespaces"))


def _spec_of(name: str) -> dict[str, object]:
    return {"spec": {name: account_manifest()["spec"][name]}}


def _brake(world: World) -> Mend:
    world.edit_account({"spec": {"suspend": True}})
    return lambda: world.edit_account({"spec": {"suspend": None}})


def _brake_and_back(world: World) -> None:
    world.edit_account({"spec": {"suspend": True}})
    world.edit_account({"spec": {"suspend": None}})


def _label_account(world: World) -> None:
    world.edit_account({"metadata": {"labels": {"touched": f"at-{world.now:.0f}"}}})


def _lose_account(world: World) -> Mend:
    world.delete("default", ACCOUNTS)
    return world.account_again


def _break_keys(world: World) -> Mend:
    key = world.seeded.key
    world.put_secret(SYSTEM, "ecs-credentials", accessKeyId=key.id, accessKeySecret="wr0ng-secret")
    world.edit_account({"metadata": {"annotations": {"touched": f"{world.now}"}}})

    def mend() -> None:
        world.put_secret(SYSTEM, "ecs-credentials", accessKeyId=key.id, accessKeySecret=key.secret)

    return mend


# -- others in the cloud ----------------------------------------------------------------------


def _start(world: World) -> None:
    if world.target().status == "Stopped" and world.target().replacement is None:
        world.cloud.outside.start(world.target().id)


def _stop(world: World) -> None:
    if world.target().status == "Running":
        world.stopped_by_others = True
        world.cloud.outside.stop(world.target().id)


def _replace(world: World) -> None:
    world.cloud.outside.replace_disk(world.target().id, world.image("encrypted"))


def _replace_as_wanted(world: World) -> None:
    world.cloud.outside.replace_disk(world.target().id, world.image())


def _fail(world: World) -> None:
    if world.target().replacement is not None:
        world.cloud.outside.fail_replacement(world.target().id)


def _lock(reason: str) -> Callable[[World], Mend]:
    def lock(world: World) -> Mend:
        instance_id = world.target().id
        world.cloud.outside.lock(instance_id, reason)
        return lambda: world.cloud.outside.unlock(instance_id, reason)

    return lock


def _stick(world: World) -> Mend:
    instance_id = world.target().id
    world.cloud.outside.freeze(instance_id)
    return lambda: world.cloud.outside.thaw(instance_id)


def _unpaid(world: World) -> Mend:
    instance_id = world.target().id
    world.cloud.outside.set_instance(instance_id, unpaid_order="order")
    return lambda: world.cloud.outside.set_instance(instance_id, unpaid_order="")


def _forget_tokens(world: World) -> Mend:
    options = world.cloud.state.options
    world.cloud.state.options = replace(options, token_lifetime=5.0, remember_refusals=False)
    return lambda: setattr(world.cloud.state, "options", options)


def _processing(world: World) -> Mend:
    options = world.cloud.state.options
    world.cloud.state.options = replace(options, token_processing=True)
    return lambda: setattr(world.cloud.state, "options", options)


# -- processes and networks -------------------------------------------------------------------


def _kill(world: World) -> None:
    if world.operators:
        world.operators[0].kill()


def _freeze(world: World) -> Mend:
    operators = list(world.operators[:1])
    for operator in operators:
        operator.life.freeze(24 * 3600.0)

    def mend() -> None:
        for operator in operators:
            operator.life.thaw()

    return mend


def _second(world: World) -> Mend:
    second = world.start(f"extra{len(world.traffic.log)}")

    def mend() -> None:
        world.retire(second)

    return mend


def _deaf(world: World) -> Mend:
    watches = [operator.watch for operator in world.operators]
    for watch in watches:
        watch.deaf = True

    def mend() -> None:
        for watch in watches:
            watch.deaf = False

    return mend


def _lagging(world: World) -> Mend:
    watches = [operator.watch for operator in world.operators]
    for watch in watches:
        watch.lag = lambda: world.chance.uniform(0.0, 20.0)

    def mend() -> None:
        for watch in watches:
            watch.lag = lambda: 0.001

    return mend


def _weather(api: str, verb: str, blow: Blow) -> Callable[[World], Mend]:
    def set_in(world: World) -> Mend:
        def storm(call: Call, side: Side) -> Blow | None:
            hit = call.api == api and side == "before" and verb in ("", call.verb)
            return blow if hit else None

        world.storms.append(storm)
        return lambda: world.storms.remove(storm)

    return set_in


def _jump(seconds: float) -> Callable[[World], Mend]:
    def jump(world: World) -> Mend:
        world.skew += seconds

        def mend() -> None:
            world.skew -= seconds

        return mend

    return jump


LOST: Final = Blow(Kind.LOST, 5.0)
TURNS: Final[dict[str, Callable[[World], Mend | None]]] = {
    "another image is wanted": _other_image,
    "the present image is wanted": _back,
    "the spec is suspended": _suspend,
    "the spec is protected": _protect,
    "the spec gets a label": _label,
    "the spec is deleted and made again": _delete,
    "a trigger is set": _trigger,
    "the login Secret is rotated": _rotate,
    "the instances are revoked": _revoke,
    "the namespace is revoked": _revoke_namespace,
    "the account is suspended": _brake,
    "the account is deleted and made again": _lose_account,
    "the access key is wrong": _break_keys,
    "others start the machine": _start,
    "others stop the machine": _stop,
    "others replace the disk": _replace,
    "others replace the disk as wanted": _replace_as_wanted,
    "the replacement fails": _fail,
    "a security lock": _lock("security"),
    "a financial lock": _lock("financial"),
    "the machine is stuck": _stick,
    "an unpaid order": _unpaid,
    "tokens are forgotten": _forget_tokens,
    "tokens are processing": _processing,
    "an operator is killed": _kill,
    "an operator is frozen": _freeze,
    "a second operator": _second,
    "the watch is deaf": _deaf,
    "the watch lags": _lagging,
    "ECS is down": _weather("ecs", "", LOST),
    "ECS fails": _weather("ecs", "", Blow(Kind.REFUSED, 0.0, "ServiceUnavailable", 503)),
    "ECS throttles starts": _weather(
        "ecs", "StartInstance", Blow(Kind.REFUSED, 0.0, "Throttling.User", 400)
    ),
    "ECS throttles looks": _weather(
        "ecs", "DescribeInstances", Blow(Kind.REFUSED, 0.0, "Throttling.User", 400)
    ),
    "there is no stock": _weather(
        "ecs", "StartInstance", Blow(Kind.REFUSED, 0.0, "OperationDenied.NoStock", 403)
    ),
    "Kubernetes is down": _weather("kube", "", LOST),
    "writes of status conflict": _weather(
        "kube", "patch_status systemdiskspecs", Blow(Kind.REFUSED, 0.0, "Conflict", 409)
    ),
    "the clock is ahead": _jump(90.0),
    "the clock is behind": _jump(-90.0),
}
CHANGES: Final[dict[str, Callable[[World], Mend | None]]] = {
    "the spec gets a label, unheard": _label,
    "the spec is suspended, unheard": _suspend,
    "another image is wanted, unheard": _other_image,
    "the spec is suspended and resumed, unheard": _suspend_and_back,
    "the account gets a label, unheard": _label_account,
    "the account is suspended, unheard": _brake,
    "the account is suspended and resumed, unheard": _brake_and_back,
}
PASSWORDS: Final = (PASSWORD, ROTATED)
