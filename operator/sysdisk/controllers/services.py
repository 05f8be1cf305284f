"""What the passes are made of in a running operator: threads, accounts, the reconciler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from sysdisk.controllers.account_health import Health
from sysdisk.controllers.accounts import Accounts
from sysdisk.controllers.identity import Connection, SdkConnection
from sysdisk.controllers.metrics import Metrics
from sysdisk.controllers.reconcile import Reconciler
from sysdisk.controllers.run import Shell
from sysdisk.controllers.worker import Passes
from sysdisk.core import words
from sysdisk.core.model import Event, Subject
from sysdisk.ecs.catalog import THROTTLING
from sysdisk.ecs.clock import Clock
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.threads import Threads
from sysdisk.kube.events import EventRecorder, Involved, Severity
from sysdisk.kube.resources import SPECS


class Teller:
    """Tells events to Kubernetes and ends to the metrics."""

    def __init__(self, events: EventRecorder, metrics: Metrics) -> None:
        self._events = events
        self._metrics = metrics

    def event(self, subject: Subject, event: Event) -> None:
        involved = Involved(SPECS, subject.key.namespace, subject.key.name, subject.uid)
        severity: Severity = "Warning" if event.warning else "Normal"
        self._events.tell(involved, severity, event.reason, event.message)

    def account(self, involved: Involved, health: Health) -> None:
        """Tell that an account began or ceased to work."""
        severity: Severity = "Normal" if health.ready else "Warning"
        # Without request IDs, or each time that it comes and goes would be another Event.
        message = words.without_request_ids(health.message)
        self._events.tell(involved, severity, health.reason, message)

    def ended(self, result: str, steps: Mapping[str, int]) -> None:
        self._metrics.replacements.labels(result).inc()
        for step, seconds in steps.items():
            self._metrics.step_seconds.labels(step).observe(seconds)


@asynccontextmanager
async def build(
    shell: Shell, *, connect: Callable[[], Connection] | None = None, clock: Clock | None = None
) -> AsyncIterator[Passes]:
    """Make the passes of `shell`. `connect` absent: by the official SDK, each on a few threads."""
    clock, settings = clock or Clock(), shell.settings
    teller = Teller(shell.events, shell.metrics)
    accounts = Accounts(
        shell.kube,
        shell.accounts,
        shell.specs,
        connect or connections(settings.threads, shell.scrubber),
        clock=clock,
        resync_interval=settings.resync_interval,
        secret_namespaces=secret_namespaces(shell),
        on_request=lambda action, code: shell.metrics.count_ecs_request(
            action, code, throttled=code.startswith(THROTTLING)
        ),
        on_change=lambda _account, instance_id: _wake_claims(shell, instance_id),
        on_health=teller.account,
        wake=shell.wake,
        wake_specs=shell.wake_account,
    )
    shell.metrics.watch_fleet(shell.specs, lambda: _oldest(accounts))
    try:
        yield Reconciler(
            shell.kube,
            shell.specs,
            accounts,
            teller,
            clock=clock,
            scrubber=shell.scrubber,
            poll_interval=settings.poll_interval,
            resync_interval=settings.resync_interval,
            may_act=shell.may_act,
            wake=shell.wake,
            dry_run=settings.dry_run,
        )
    finally:
        await accounts.close()


def connections(threads: int, scrubber: Scrubber) -> Callable[[], Connection]:
    """Return what connects by the official SDK: an account that hangs holds up no other."""
    return lambda: SdkConnection(Threads(threads), scrubber)


def secret_namespaces(shell: Shell) -> tuple[str, ...] | None:
    """Return where an account's Secret may be: as set, else the pod's namespace, else anywhere."""
    if shell.settings.account_secret_namespaces is not None:
        return shell.settings.account_secret_namespaces
    return (shell.own_namespace,) if shell.own_namespace else None


def _wake_claims(shell: Shell, instance_id: str) -> None:
    for key in sorted(shell.specs.claims(instance_id)):
        shell.wake(key)


def _oldest(accounts: Accounts) -> float:
    ages = [
        region.inventory.oldest_age()
        for account in accounts.all.values()
        for region in account.client.regions.values()
    ]
    return max(ages, default=0.0)
