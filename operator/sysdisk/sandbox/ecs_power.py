"""Stop, start and reboot in the simulated cloud: the state machine of an instance.

Stopped -> Starting -> Running -> Stopping -> Stopped, and Pending before the first of them.
"""

from __future__ import annotations

from collections.abc import Callable

from sysdisk.sandbox.ecs_faults import EcsFault, common_fault, row_fault
from sysdisk.sandbox.ecs_params import flag, invalid, listed, need
from sysdisk.sandbox.ecs_reads import dry_run
from sysdisk.sandbox.ecs_state import Instance, Work
from sysdisk.sandbox.ecs_world import Answer, Call, Handler, World

__all__ = ["FINISH_POWER", "POWER", "start", "stop"]

_NO_ECONOMY = ("ecs.i", "ecs.d", "ecs.gn5", "ecs.re6p", "ecs.ebmre6p")


def locked_for(vm: Instance, reason: str) -> bool:
    """Whether a lock with that reason is on the instance, capitalisation aside."""
    return any(k.reason.lower() == reason for k in vm.locks)


def overdue(world: World, vm: Instance) -> bool:
    """Whether the instance is expired, or locked because money is owed."""
    expired = vm.expired_time is not None and vm.expired_time <= world.moment
    return expired or locked_for(vm, "financial") or locked_for(vm, "dedicatedhostfinancial")


def economical(vm: Instance) -> bool:
    """Whether the economical mode can apply: pay as you go, no local disks."""
    return (
        vm.charge_type == "PostPaid"
        and not vm.local_disks
        and not vm.type.startswith(tuple(f"{p}{n}" for p in _NO_ECONOMY[:2] for n in range(1, 10)))
        and not vm.type.startswith(_NO_ECONOMY[2:])
    )


def stop_instance(world: World, call: Call) -> Answer:
    vm = world.instance(call, need(call.params, "InstanceId"))
    _check_stop(world, call, vm)
    dry_run(call)
    stop(world, vm, flag(call.params, "ForceStop"), _stopped_mode(world, call, vm))
    return {}


def _check_stop(world: World, call: Call, vm: Instance) -> None:
    if call.get("StoppedMode") not in ("", "KeepCharging", "StopCharging"):
        raise invalid("StoppedMode")
    flag(call.params, "ForceStop")
    if locked_for(vm, "security"):
        raise common_fault("InstanceLockedForSecurity")
    if overdue(world, vm):
        raise common_fault("InstanceExpiredOrInArrears")
    if vm.status != "Running":
        raise common_fault("IncorrectInstanceStatus", 403)


def _stopped_mode(world: World, call: Call, vm: Instance) -> str:
    """Return the mode that a stop ends in. A sent mode wins over the account's default."""
    default = "StopCharging" if world.state.options.economical_mode else "KeepCharging"
    mode = call.get("StoppedMode") or default
    if mode == "StopCharging" and not economical(vm):
        return "Not-applicable"
    return mode


def stop(world: World, vm: Instance, force: bool, mode: str) -> None:
    """Begin to stop a running instance."""
    vm.status = "Stopping"
    world.effect("instance_stopping", vm.id, force=force, stopped_mode=mode)
    seconds = world.timings.force_stop if force else world.timings.stop
    world.begin_for(vm, f"stopped:{mode}", seconds)


def start_instance(world: World, call: Call) -> Answer:
    vm = world.instance(call, need(call.params, "InstanceId"))
    flag(call.params, "InitLocalDisk")
    _check_start(world, vm)
    dry_run(call)
    start(world, vm)
    return {}


def _check_start(world: World, vm: Instance) -> None:
    if locked_for(vm, "security"):
        raise common_fault("InstanceLockedForSecurity")
    if overdue(world, vm):
        prepaid = vm.charge_type == "PrePaid"
        raise common_fault("InstanceExpired" if prepaid else "InsufficientBalance")
    if vm.status != "Stopped" or vm.replacement is not None or vm.locks:
        raise common_fault("IncorrectInstanceStatus", 403)
    disk = world.system_disk(vm)
    if disk is None:
        raise row_fault(21)
    if disk.status != "In_use":
        raise common_fault("DiskError")
    if disk.locks:
        raise common_fault("DiskInArrears")
    region = world.region(vm.region)
    if vm.stopped_mode == "StopCharging" and (vm.zone, vm.type) in region.sold_out:
        raise common_fault("OperationDenied.NoStock")


def start(world: World, vm: Instance) -> None:
    """Begin to start a stopped instance."""
    vm.status = "Starting"
    world.effect("instance_starting", vm.id)
    world.begin_for(vm, "running", world.timings.start)


def reboot_instance(world: World, call: Call) -> Answer:
    vm = world.instance(call, need(call.params, "InstanceId"))
    flag(call.params, "ForceStop")
    if locked_for(vm, "security"):
        raise common_fault("InstanceLockedForSecurity")
    if vm.status != "Running":
        raise common_fault("IncorrectInstanceStatus", 403)
    dry_run(call)
    vm.status = "Starting"
    world.effect("instance_rebooting", vm.id)
    world.begin_for(vm, "running", world.timings.reboot)
    return {}


def stop_instances(world: World, call: Call) -> Answer:
    """Stop many. `AllTogether` (the default) stops none if one of them cannot be stopped."""
    ids = listed(call.params, "InstanceId")
    if not ids:
        need(call.params, "InstanceId.1")
    mode = call.get("BatchOptimization") or "AllTogether"
    if mode not in ("AllTogether", "SuccessFirst"):
        raise invalid("BatchOptimization")
    trial = flag(call.params, "DryRun")
    if mode == "AllTogether":
        for instance_id in ids:
            _check_stop(world, call, world.instance(call, instance_id))
    rows = [_stop_one(world, call, instance_id, trial) for instance_id in ids]
    return {"InstanceResponses": {"InstanceResponse": rows}}


def _stop_one(world: World, call: Call, instance_id: str, trial: bool) -> Answer:
    before = now = ""
    try:
        vm = world.instance(call, instance_id)
        before = now = vm.status
        _check_stop(world, call, vm)
        if not trial:
            force = flag(call.params, "ForceStop")
            stop(world, vm, force, _stopped_mode(world, call, vm))
            now = vm.status
        code, message = ("DRYRUN.SUCCESS" if trial else "200"), "success"
    except EcsFault as fault:
        code, message = fault.code, fault.message
    return {
        "InstanceId": instance_id,
        "Code": code,
        "Message": message,
        "PreviousStatus": before,
        "CurrentStatus": now,
    }


def _stopped(world: World, work: Work) -> None:
    vm, mode = world.state.instances[work.ref], work.kind.partition(":")[2]
    vm.status, vm.stopped_mode = "Stopped", mode
    if mode == "StopCharging":
        vm.public_ip = ""
    world.effect("instance_stopped", vm.id, stopped_mode=mode)


def _running(world: World, work: Work) -> None:
    vm = world.state.instances[work.ref]
    vm.status, vm.stopped_mode, vm.ever_started = "Running", "Not-applicable", True
    world.effect("instance_started", vm.id)


def _created(world: World, work: Work) -> None:
    vm = world.state.instances[work.ref]
    vm.status = "Starting"
    world.begin_for(vm, "running", world.timings.start)


POWER: dict[str, Handler] = {
    "StopInstance": stop_instance,
    "StartInstance": start_instance,
    "RebootInstance": reboot_instance,
    "StopInstances": stop_instances,
}
FINISH_POWER: dict[str, Callable[[World, Work], None]] = {
    "stopped": _stopped,
    "running": _running,
    "created": _created,
}
