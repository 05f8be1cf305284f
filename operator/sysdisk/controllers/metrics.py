"""The metrics of design section 9, in a registry of their own. No label carries an unbounded value.

Gauges over the fleet are counted from the stores when they are asked for, so that they cannot
drift away from what is known.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sysdisk.api.reasons import PHASES, Reason, phase
from sysdisk.api.status import Step
from sysdisk.controllers.store import Store
from sysdisk.core import words
from sysdisk.core.ending import REPLACED, REPLACED_WITH_DIFFERENCES
from sysdisk.core.model import Key
from sysdisk.version import VERSION

LOCK_REASONS: Final = frozenset(
    {"security", "financial", "recycling", "refunded", "dedicatedhostfinancial"}
)
"""Lower case. Others are counted as `other`. Source: ECS DescribeInstances, OperationLocks."""

OTHER: Final = "other"
RESULTS: Final = (REPLACED, REPLACED_WITH_DIFFERENCES, *words.WHY)
"""How an operation can end: the values of `result`."""
ERROR_KINDS: Final = ("conflict", "kube", "ecs", "internal")
UNSEEN: Final = phase(Reason.OBSERVING)
"""The phase of a spec without a status."""
_STEP_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_PASS_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Every metric, by name as an attribute; `render` is the text that Prometheus reads.

    What has a known set of label values has a series for each from the start: an alert on the
    first failure must see a rise from 0, and a query for none must find 0.
    """

    def __init__(self, *, max_values_per_label: int = 200) -> None:
        # Of the whole library: else each counter has a second series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._max_values = max_values_per_label
        self._seen: dict[str, set[str]] = {}
        registry = self.registry
        self.replacements = Counter(
            "sysdisk_replacements", "Operations ended, by result.", ["result"], registry=registry
        )
        self.step_seconds = Histogram(
            "sysdisk_step_seconds",
            "How long a step of a replacement took.",
            ["step"],
            buckets=_STEP_SECONDS,
            registry=registry,
        )
        self.ecs_requests = Counter(
            "sysdisk_ecs_requests",
            "ECS calls, by action and by the code of the answer (OK, NoAnswer, or ECS's own).",
            ["action", "code"],
            registry=registry,
        )
        self.ecs_throttled = Counter(
            "sysdisk_ecs_throttled",
            "ECS calls refused for the rate.",
            ["action"],
            registry=registry,
        )
        self.reconcile_errors = Counter(
            "sysdisk_reconcile_errors",
            "Passes that failed: conflict, kube, ecs or internal.",
            ["kind"],
            registry=registry,
        )
        self.leader = Gauge(
            "sysdisk_leader", "1 while this process does the work.", registry=registry
        )
        self.events_dropped = Counter(
            "sysdisk_events_dropped", "Kubernetes Events that were not posted.", registry=registry
        )
        self.watch_restarts = Counter(
            "sysdisk_watch_restarts", "How often the watch was begun again.", registry=registry
        )
        self.watch_missed = Counter(
            "sysdisk_watch_missed",
            "Changes and deletions that the periodic listing found and the watch had not told.",
            registry=registry,
        )
        self.queue_wait_seconds = Histogram(
            "sysdisk_queue_wait_seconds",
            "How long a due key waited for a worker.",
            buckets=_PASS_SECONDS,
            registry=registry,
        )
        self.left_stopped = Gauge(
            "sysdisk_machines_left_stopped",
            "Machines that the operator stopped and cannot start.",
            registry=registry,
        )
        build = Gauge("sysdisk_build_info", "1; the version.", ["version"], registry=registry)
        build.labels(VERSION).set(1)
        for result in RESULTS:
            self.replacements.labels(result)
        for step in Step:
            self.step_seconds.labels(step)
        for kind in ERROR_KINDS:
            self.reconcile_errors.labels(kind)

    def count_ecs_request(self, action: str, code: str, *, throttled: bool = False) -> None:
        """Count one ECS call. Codes beyond the first few hundred different ones are `other`."""
        self.ecs_requests.labels(self._bounded("action", action), self._bounded("code", code)).inc()
        if throttled:
            self.ecs_throttled.labels(self._bounded("action", action)).inc()

    def watch_fleet(
        self, specs: Store[Key], observation_age: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Add the gauges over all specs; `observation_age` is the oldest look's, in seconds."""
        self.registry.register(_Fleet(specs, observation_age))

    def watch_queue(self, ready: Callable[[], int], running: Callable[[], int]) -> None:
        """Add the gauges of the work queue."""
        self.registry.register(_Gauges("sysdisk_queue_ready", "Due keys that wait.", ready))
        self.registry.register(_Gauges("sysdisk_passes_running", "Passes under way.", running))

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _bounded(self, label: str, value: str) -> str:
        seen = self._seen.setdefault(label, set())
        if value in seen:
            return value
        if len(seen) >= self._max_values:
            return OTHER
        seen.add(value)
        return value


class _Gauges(Collector):
    def __init__(self, name: str, text: str, value: Callable[[], int]) -> None:
        self._name = name
        self._text = text
        self._value = value

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(self._name, self._text, value=self._value())

    def describe(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(self._name, self._text)


class _Fleet(Collector):
    def __init__(self, specs: Store[Key], observation_age: Callable[[], float]) -> None:
        self._specs = specs
        self._age = observation_age

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        found, locks, drifted, awaiting = self._specs.tally()
        phases = Counts(dict.fromkeys(PHASES, 0))
        for each, number in found.items():
            phases[each or UNSEEN] += number
        by_phase = GaugeMetricFamily("sysdisk_specs", "Specs by phase.", labels=["phase"])
        for each, number in sorted(phases.items()):
            by_phase.add_metric([each], number)
        yield by_phase
        by_lock = GaugeMetricFamily(
            "sysdisk_locked", "Specs whose instance is locked, by reason.", labels=["reason"]
        )
        for reason, number in sorted(_bounded_locks(locks).items()):
            by_lock.add_metric([reason], number)
        yield by_lock
        yield GaugeMetricFamily("sysdisk_drifted", "Specs that drifted.", value=drifted)
        yield GaugeMetricFamily(
            "sysdisk_awaiting_approval", "Specs that wait for an approval.", value=awaiting
        )
        yield GaugeMetricFamily(
            "sysdisk_observation_age_seconds",
            "Age of the oldest look at an instance.",
            value=self._age(),
        )


def _bounded_locks(locks: dict[str, int]) -> dict[str, int]:
    bounded = dict.fromkeys((*LOCK_REASONS, OTHER), 0)
    for reason, number in locks.items():
        label = reason.lower() if reason.lower() in LOCK_REASONS else OTHER
        bounded[label] += number
    return bounded
