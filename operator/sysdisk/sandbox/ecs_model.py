"""The simulated cloud: a pure model of ECS and STS, as far as an operator of system disks goes.

`Cloud.call` takes the flat parameters of the wire and returns the JSON of the answer. There is no
asyncio, no I/O and no clock in it: the same model serves a simulation under virtual time in one
process and, behind `ecs_server`, the vendor's SDKs.

    cloud = Cloud(now=clock.now)
    fleet = Fleet(cloud)                       # ecs_fleet: accounts, images, instances, ...
    cloud.call("StopInstance", {"InstanceId": vm.id}, region="cn-hangzhou")
    cloud.faults.drop("ReplaceSystemDisk", "after")
    cloud.effects_of("disk_replaced")
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from typing import Any

from sysdisk.ecs.catalog import ErrorClass, catalog, classify
from sysdisk.sandbox.ecs_disks import DISKS, FINISH_DISKS
from sysdisk.sandbox.ecs_faults import (
    BrokenAnswer,
    ConnectionLost,
    EcsFault,
    FaultRule,
    Faults,
    Side,
    common_fault,
)
from sysdisk.sandbox.ecs_outside import Outside
from sysdisk.sandbox.ecs_params import invalid
from sysdisk.sandbox.ecs_power import FINISH_POWER, POWER
from sysdisk.sandbox.ecs_reads import READS
from sysdisk.sandbox.ecs_replace import FINISH_REPLACE, REPLACE
from sysdisk.sandbox.ecs_state import (
    Account,
    Disk,
    Effect,
    Instance,
    RequestRecord,
    State,
    Timings,
    TokenRecord,
    Work,
)
from sysdisk.sandbox.ecs_sts import STS, Identity, identify
from sysdisk.sandbox.ecs_world import Answer, Call, Handler, World

__all__ = ["ACTIONS", "DEFAULT_ACCOUNT", "Cloud"]

DEFAULT_ACCOUNT = "1234567890123456"
ACTIONS: dict[str, Handler] = {**READS, **POWER, **REPLACE, **DISKS, **STS}
_UNSIGNED = frozenset({"AssumeRoleWithOIDC"})
_TOKEN_ACTIONS = frozenset({"ReplaceSystemDisk", "CreateSnapshot"})
_FINISH: dict[str, Callable[[World, Work], Any]] = {
    **FINISH_POWER,
    **FINISH_REPLACE,
    **FINISH_DISKS,
}
_ON_INSTANCES = frozenset({"stopped", "running", "created", "replaced"})


class Cloud(World):
    """All accounts and regions. Not thread-safe: one caller at a time.

    `state` holds the records (and the logs `effects` and `requests`), `faults` the faults that
    wait to happen, `outside` the hands of other people on the same machines.
    """

    def __init__(
        self,
        now: Callable[[], float],
        timings: Timings | None = None,
        seed: int = 0,
        state: State | None = None,
        faults: Faults | None = None,
        wall: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(now, timings, seed, state, wall)
        self.faults = faults or Faults()
        self.outside = Outside(self, self.settle)
        self.state.accounts.setdefault(DEFAULT_ACCOUNT, Account(DEFAULT_ACCOUNT, "sandbox"))

    # Looking

    @property
    def effects(self) -> list[Effect]:
        """What became true, in order of time; settled up to now."""
        self.settle()
        return self.state.effects

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request, refused and lost ones too. No password and no signature is in it."""
        return self.state.requests

    def effects_of(self, kind: str, instance_id: str = "") -> list[Effect]:
        """Return the effects of one kind, of one instance or of all."""
        return [e for e in self.effects if e.kind == kind and instance_id in ("", e.instance_id)]

    def requests_of(self, action: str = "") -> list[RequestRecord]:
        """Return the requests for one action, or all."""
        return [r for r in self.requests if action in ("", r.action)]

    def look(self, instance_id: str) -> Instance:
        """Return an instance as it is now. Raises KeyError for one that does not exist."""
        self.settle()
        return self.state.instances[instance_id]

    def disk_of(self, instance_id: str) -> Disk:
        """Return the system disk of an instance as it is now. Raises KeyError without one."""
        return self.state.disks[self.look(instance_id).system_disk_id]

    def next_due(self) -> float | None:
        """Return when the next asynchronous work ends, None if nothing is at work."""
        self.settle()
        return self.state.work[0].due if self.state.work else None

    def clone(self, now: Callable[[], float] | None = None) -> Cloud:
        """Return an independent copy of the whole cloud, with another clock if one is given."""
        return Cloud(
            now or self.now, self.timings, self.seed, self.state.clone(), self.faults.clone()
        )

    # Time

    def settle(self) -> None:
        """Let everything that is due by now have ended, each at its own moment."""
        present, work = self.now(), self.state.work
        while work and work[0].due <= present:
            item = heapq.heappop(work)
            self.moment = item.due
            self._finish(item)
        self.moment = present

    def _finish(self, item: Work) -> None:
        kind = item.kind.partition(":")[0]
        vm = self.state.instances.get(item.ref)
        if kind in _ON_INSTANCES:
            if vm is None or vm.work != item.number:
                return  # released, or overtaken
            if vm.frozen:
                self.hold(item)
                return
        _FINISH[kind](self, item)

    # Calls

    def call(
        self, action: str, params: Mapping[str, str], *, region: str = "", caller: str = ""
    ) -> Answer:
        """Return the JSON answer of one request.

        `region` is that of the endpoint that was called; RegionId among the parameters goes before
        it for reads. `caller` is an access key id; "" is the root of the default account. Raises
        `EcsFault` for a refusal, `ConnectionLost` and `BrokenAnswer` for faults asked for.
        """
        self.settle()
        request_id = self.request_id()
        record = _Recorder(self, action, params, region, caller, request_id)
        try:
            who = self._who(action, caller)
            record.caller = who.arn
            call = Call(action, params, region or params.get("RegionId", ""), who.account, who.arn)
            answer = self._serve(call, who)
        except EcsFault as fault:
            record.write(fault.code, fault.http)
            fault.data = _error_body(fault, request_id)
            raise
        except (ConnectionLost, BrokenAnswer) as fault:
            record.write(type(fault).__name__, 0)
            raise
        record.write("OK", 200)
        return {"RequestId": request_id, **answer}

    def delays(self, action: str, params: Mapping[str, str]) -> tuple[float, float]:
        """Take the delays that wait for this call: seconds before it is served, and after it.

        The model itself never waits; who carries the call does, and asks here first.
        """
        instance_id = _instance_of(self, params)
        sides: tuple[Side, Side] = ("before", "after")
        rules = [self.faults.take(("delay",), action, instance_id, side) for side in sides]
        before, after = (rule.seconds if rule else 0.0 for rule in rules)
        return before, after

    def refuse(self, action: str, region: str, caller: str, fault: EcsFault) -> EcsFault:
        """Log a request that was refused before it reached a call, and complete its answer."""
        self.settle()
        request_id = self.request_id()
        _Recorder(self, action, {}, region, caller, request_id).write(fault.code, fault.http)
        fault.data = _error_body(fault, request_id)
        return fault

    def _who(self, action: str, caller: str) -> Identity:
        if caller and action not in _UNSIGNED:
            session = self.state.sessions.get(caller)
            return identify(self, caller, session.token if session else "")
        root = f"acs:ram::{DEFAULT_ACCOUNT}:root"
        return Identity("", "", DEFAULT_ACCOUNT, root, ())

    def _serve(self, call: Call, who: Identity) -> Answer:
        handler = ACTIONS.get(call.action)
        if handler is None:
            text = "Specified api is not found, please check your url and method."
            raise EcsFault(404, "InvalidAction.NotFound", text)
        if rule := self.faults.throttled(call.account, call.region, call.action, self.moment):
            fault = common_fault(rule.code)
            fault.retry_after = 60.0 - self.moment % 60.0 if rule.retry_after_header else None
            raise fault
        if "*" in who.denied or call.action in who.denied:
            raise _denied(call)
        instance_id = _instance_of(self, call.params)
        kinds = ("error", "drop", "broken")
        if rule_before := self.faults.take(kinds, call.action, instance_id, "before"):
            self._strike(call, rule_before, None)
        answer = self._with_token(call, handler)
        if rule_after := self.faults.take(kinds, call.action, instance_id, "after"):
            self._strike(call, rule_after, answer)
        return answer

    def _strike(self, call: Call, rule: FaultRule, answer: Answer | None) -> None:
        happened = answer is not None
        if rule.kind == "drop":
            raise ConnectionLost(effect_happened=happened)
        if rule.broken is not None:
            raise BrokenAnswer(rule.broken, happened, answer)
        fault = EcsFault(rule.http, rule.code, rule.message)
        if not happened:
            self._remember_refusal(call, fault)
        raise fault

    # Client tokens

    def _with_token(self, call: Call, handler: Handler) -> Answer:
        token = call.get("ClientToken")
        if not token or call.action not in _TOKEN_ACTIONS:
            return handler(self, call)
        if len(token) > 64 or not token.isascii():
            raise invalid("ClientToken")
        known = self._token(call)
        if known is not None:
            return self._again(call, known)
        try:
            answer = handler(self, call)
        except EcsFault as fault:
            self._remember_refusal(call, fault)
            raise
        self._remember(call, answer=answer, disk_id=str(answer.get("DiskId", "")))
        return answer

    def _token(self, call: Call) -> TokenRecord | None:
        known = self.state.tokens.get(_token_key(call))
        lifetime = self.state.options.token_lifetime
        return known if known and self.moment - known.at < lifetime else None

    def _again(self, call: Call, known: TokenRecord) -> Answer:
        if known.fingerprint != _fingerprint(call.params):
            http = 403 if call.action == "CreateSnapshot" else 400
            entry = catalog().default("IdempotentParameterMismatch")
            raise EcsFault(http, entry.code, entry.message)
        if known.refusal is not None:
            raise EcsFault(*known.refusal)
        vm = self.state.instances.get(known.instance_id)
        at_work = vm is not None and vm.replacement is not None
        if self.state.options.token_processing and at_work and known.disk_id:
            assert vm is not None
            assert vm.replacement is not None
            if vm.replacement.new_disk_id == known.disk_id:
                raise common_fault("LastTokenProcessing")
        return dict(known.answer or {})

    def _remember_refusal(self, call: Call, fault: EcsFault) -> None:
        """Keep a final refusal of the call's own (a gateway's is not tied to the token)."""
        entry = classify(fault.code, fault.http, fault.message)
        final = entry.row is not None and entry.error_class is ErrorClass.USER
        token_call = call.action in _TOKEN_ACTIONS and bool(call.get("ClientToken"))
        if final and token_call and self.state.options.remember_refusals:
            self._remember(call, refusal=(fault.http, fault.code, fault.message))

    def _remember(
        self,
        call: Call,
        *,
        answer: Answer | None = None,
        refusal: tuple[int, str, str] | None = None,
        disk_id: str = "",
    ) -> None:
        self.state.tokens[_token_key(call)] = TokenRecord(
            fingerprint=_fingerprint(call.params),
            at=self.moment,
            instance_id=call.get("InstanceId"),
            answer=answer,
            refusal=refusal,
            disk_id=disk_id,
        )


class _Recorder:
    """Writes one line of the request log when the outcome is known."""

    def __init__(
        self,
        cloud: Cloud,
        action: str,
        params: Mapping[str, str],
        region: str,
        caller: str,
        request_id: str,
    ) -> None:
        self.cloud, self.action, self.params = cloud, action, params
        self.region, self.caller, self.request_id = region, caller, request_id

    def write(self, code: str, http: int) -> None:
        self.cloud.state.requests.append(
            RequestRecord(
                at=self.cloud.moment,
                action=self.action,
                region=self.region or self.params.get("RegionId", ""),
                caller=self.caller,
                code=code,
                http=http,
                request_id=self.request_id,
                instance_id=_instance_of(self.cloud, self.params),
                token=self.params.get("ClientToken", ""),
            )
        )


def _token_key(call: Call) -> tuple[str, str, str]:
    return (f"{call.account}/{call.region}", call.action, call.get("ClientToken"))


def _fingerprint(params: Mapping[str, str]) -> str:
    """Return a hash over all parameters but the token; the password counts, and is not kept."""
    text = "\n".join(f"{k}={v}" for k, v in sorted(params.items()) if k != "ClientToken")
    return hashlib.sha256(text.encode()).hexdigest()


def _instance_of(cloud: Cloud, params: Mapping[str, str]) -> str:
    """Return the instance that a call is about, by its own id or by that of its disk; else ""."""
    if instance_id := params.get("InstanceId"):
        return instance_id
    disk = cloud.state.disks.get(params.get("DiskId", ""))
    return disk.instance_id if disk else ""


def _denied(call: Call) -> EcsFault:
    fault = common_fault("Forbidden.RAM")
    fault.data = {
        "AccessDeniedDetail": {
            "AuthAction": f"ecs:{call.action}",
            "AuthPrincipalDisplayName": call.arn.rpartition("/")[2],
            "AuthPrincipalOwnerId": call.account,
            "AuthPrincipalType": "SubUser",
            "PolicyType": "AccountLevelIdentityBasedPolicy",
            "NoPermissionType": "ImplicitDeny",
        }
    }
    return fault


def _error_body(fault: EcsFault, request_id: str) -> dict[str, Any]:
    return {
        "RequestId": request_id,
        "HostId": "ecs.sandbox.invalid",
        "Code": fault.code,
        "Message": fault.message,
        "Recommend": f"https://sandbox.invalid/errors?code={fault.code}",
        **fault.data,
    }
