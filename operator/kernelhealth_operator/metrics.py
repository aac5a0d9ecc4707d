"""Numbers for Prometheus: counted where they arise, or read off what is known at each scrape."""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client import generate_latest as text_of
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.policy.backlog import Outlook
from kernelhealth_operator.policy.decision import Decision

_MOST_REASONS = 200
"""Reasons with a series of their own; an agent that invents more cannot flood Prometheus."""


class Measurements:
    """What is counted while it happens, and which nodes are being worked on since when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        self.working: dict[str, float] = {}
        self._duration = Histogram(
            "kernelhealth_reconcile_duration_seconds",
            "How long looking at one node took, with all that was written.",
            buckets=(0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
            registry=self.registry,
        )
        self._failures = Counter(
            "kernelhealth_reconcile_failures",
            "Looks at a node that failed and were put off.",
            registry=self.registry,
        )

    @contextmanager
    def reconciling(self, name: str) -> Iterator[None]:
        """Times one look at the node of that name."""
        begun = self.working[name] = self._clock()
        try:
            yield
        finally:
            del self.working[name]
            self._duration.observe(self._clock() - begun)

    def failed(self) -> None:
        """Counts a look that failed."""
        self._failures.inc()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from at each scrape; ages and lags in seconds."""

    fleet: Fleet
    decisions: Mapping[str, Decision]
    waiting: Callable[[], int]
    leading: Callable[[], bool]
    silences: Callable[[], Mapping[str, float]]
    lag: Callable[[], float]
    writes: Mapping[str, int]
    events: Callable[[], tuple[int, int]]
    outlooks: Callable[[], Mapping[str, Outlook]] = dict
    storms: Callable[[], Mapping[str, int]] = dict
    ineffective: Callable[[], Mapping[str, int]] = dict


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Collector):
    """Reads everything off the sources; O(nodes), once per scrape."""

    sources: Sources

    def collect(self) -> Iterable[Metric]:
        """All families."""
        yield from self._nodes()
        yield from self._treatments()
        yield from self._reboots()
        yield from self._self()

    def _nodes(self) -> Iterator[Metric]:
        health = Multiset[str]()
        findings = Multiset[tuple[str, str]]()
        for one in self.sources.fleet.standings():
            silent = one.report is None or one.silent
            health[Health.UNKNOWN if silent or one.report is None else one.report.health] += 1
            for finding in () if one.report is None else one.report.findings:
                findings[finding.reason, finding.severity] += finding.count
        nodes = {(each.value,): health[each] for each in Health}
        yield _gauge("kernelhealth_nodes", "Nodes by health.", ("health",), nodes)
        yield _gauge(
            "kernelhealth_cluster_findings",
            "Subjects in trouble over all nodes, by reason and severity.",
            ("reason", "severity"),
            dict(findings.most_common(_MOST_REASONS)),
        )

    def _treatments(self) -> Iterator[Metric]:
        phases = Multiset(
            (one.status.phase.value, one.spec.policy)
            for one in self.sources.fleet.treatments.values()
        )
        text = "NodeRemediations by phase and policy, with those kept as history."
        yield _gauge("kernelhealth_remediations", text, ("phase", "policy"), phases)
        holds = Multiset(
            (one.waiting_for.split(":", 1)[0],)
            for one in self.sources.decisions.values()
            if one.waiting_for
        )
        text = "Nodes whose treatment waits, by why."
        yield _gauge("kernelhealth_holds", text, ("reason",), holds)
        text = "Treatments in which all was done and nothing helped, by cause."
        vain = CounterMetricFamily("kernelhealth_remediation_ineffective", text, labels=("cause",))
        for cause, number in self.sources.ineffective().items():
            vain.add_metric((cause,), number)
        yield vain

    def _reboots(self) -> Iterator[Metric]:
        fleet = self.sources.fleet
        waiting = {(name,): fleet.headcount.tally(name).reboots for name in fleet.policies}
        text = "Nodes that wait for their turn or for a window to be rebooted."
        yield _gauge("kernelhealth_reboots_waiting", text, ("policy",), waiting)
        short = {(name,): bool(one.too_short) for name, one in self.sources.outlooks().items()}
        text = "1 where those that wait will not be through in the next maintenance window."
        yield _gauge("kernelhealth_window_too_short", text, ("policy",), short)
        storms = {(name,): number for name, number in self.sources.storms().items()}
        text = "Causes of which many nodes fell ill at once, so that they are left alone."
        yield _gauge("kernelhealth_storms", text, ("policy",), storms)

    def _self(self) -> Iterator[Metric]:
        sources = self.sources
        leader = {(): float(sources.leading())}
        yield _gauge("kernelhealth_leader", "1 for the replica that acts.", (), leader)
        ages = {(kind,): age for kind, age in sources.silences().items()}
        text = "Seconds since the last byte of each watch."
        yield _gauge("kernelhealth_watch_silence_seconds", text, ("kind",), ages)
        lag = {(): sources.lag()}
        text = "Longest stall of the event loop in the last minute."
        yield _gauge("kernelhealth_event_loop_lag_seconds", text, (), lag)
        queue = {(): float(sources.waiting())}
        yield _gauge("kernelhealth_queue_length", "Nodes that wait to be looked at.", (), queue)
        writes = CounterMetricFamily("kernelhealth_writes", "Writes sent.", labels=("what",))
        for what, number in sources.writes.items():
            writes.add_metric((what,), number)
        yield writes
        events = CounterMetricFamily("kernelhealth_events", "Events.", labels=("result",))
        for result, number in zip(("raised", "dropped"), sources.events(), strict=True):
            events.add_metric((result,), number)
        yield events


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]
) -> GaugeMetricFamily:
    """A family of gauges; the keys of *values* are the labels' values."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


async def serve(registry: CollectorRegistry, host: str, port: int) -> web.AppRunner:
    """Serves ``/metrics`` from the running loop, so that a scrape sees no half-made change."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=text_of(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
