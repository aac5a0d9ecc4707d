"""The numbers of the latest round, for Prometheus to scrape."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.looks import Look
from kernelhealth_api.v1alpha1.resource import Condition

_STATUSES = ("True", "False", "Unknown")


class Scrape(Collector):
    """Collects from the latest outcome; nothing is computed between two scrapes.

    *abandoned* and *deliveries* return the counts of what others do.
    """

    def __init__(
        self, abandoned: Callable[[], int], deliveries: Callable[[], Mapping[str, int]]
    ) -> None:
        self._abandoned = abandoned
        self._deliveries = deliveries
        self._outcome: Outcome | None = None
        self._rounds: Counter[str] = Counter()
        self._cpu_seconds = 0.0
        self._lock = threading.Lock()

    def hear(self, outcome: Outcome, trigger: str) -> None:
        """Take an outcome, and what its round was for."""
        with self._lock:
            self._outcome = outcome
            self._rounds[trigger] += 1
            self._cpu_seconds += outcome.round.cpu_seconds

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; those about the node only once it was looked at."""
        with self._lock:
            outcome, rounds, cpu = self._outcome, dict(self._rounds), self._cpu_seconds
        if outcome is not None:
            yield from node(outcome)
            yield from _looks(outcome)
        yield from self._own(rounds, cpu)

    def _own(self, rounds: Mapping[str, int], cpu: float) -> Iterator[Metric]:
        made = CounterMetricFamily(
            "kernelhealth_rounds", "Rounds made, by what they were for.", labels=["trigger"]
        )
        for trigger, count in sorted(rounds.items()):
            made.add_metric([trigger], count)
        yield made
        yield CounterMetricFamily(
            "kernelhealth_round_cpu_seconds", "Processor time that rounds have taken.", value=cpu
        )
        yield CounterMetricFamily(
            "kernelhealth_abandoned_reads",
            "Reads that did not come back in time and were given up.",
            value=self._abandoned(),
        )
        delivered = CounterMetricFamily(
            "kernelhealth_deliveries", "Attempts to report, by how they ended.", labels=["result"]
        )
        for result, count in sorted(self._deliveries().items()):
            delivered.add_metric([result], count)
        yield delivered


def node(outcome: Outcome) -> Iterator[Metric]:
    """Yield what an outcome says about the node; the same outcome gives the same metrics."""
    looks = [look for look in outcome.round.looks if look.failure is None]
    yield _findings(outcome, looks)
    suspected = GaugeMetricFamily(
        "kernelhealth_suspected",
        "Observations that wait to be confirmed by time.",
        labels=["reason"],
    )
    for look in looks:
        for reason in look.detector.reasons:
            suspected.add_metric([reason.name], outcome.suspected.get(reason.name, 0))
    yield suspected
    yield _conditions(outcome.status.conditions)
    for look in looks:
        yield from _signals(look)


@contextlib.contextmanager
def serving(collector: Collector, address: str, port: int) -> Iterator[int]:
    """Serve the metrics from threads of their own and give the port; ``OSError`` if it is taken.

    The collectors of the library itself stay out: what they tell, the kubelet tells as well.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, address, registry)
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _findings(outcome: Outcome, looks: Iterable[Look]) -> Metric:
    """Return the findings, 0 for what was looked for in vain; nothing for what was not measured."""
    counts: Counter[tuple[str, str]] = Counter()
    for look in looks:
        for reason in look.detector.reasons:
            counts[reason.name, str(reason.severity)] = 0
    for finding in outcome.findings:
        counts[finding.reason, str(finding.severity)] += finding.count
    metric = GaugeMetricFamily(
        "kernelhealth_findings",
        "Subjects in confirmed trouble, by what is wrong and how much it matters.",
        labels=["reason", "severity"],
    )
    for labels, count in sorted(counts.items()):
        metric.add_metric(labels, count)
    return metric


def _conditions(conditions: Iterable[Condition]) -> Metric:
    metric = GaugeMetricFamily(
        "kernelhealth_condition",
        "1 for the status that a condition has; True is healthy.",
        labels=["type", "status"],
    )
    for condition in conditions:
        for status in _STATUSES:
            metric.add_metric([condition.type, status], float(condition.status == status))
    return metric


def _signals(look: Look) -> Iterator[Metric]:
    for signal in look.detector.signals:
        metric = GaugeMetricFamily(
            f"kernelhealth_{signal.name}", signal.help, labels=list(signal.labels)
        )
        values: Mapping[tuple[str, ...], Any] = look.signals.get(signal.name, {})
        for labels, value in sorted(values.items()):
            metric.add_metric(list(labels), value)
        yield metric


def _looks(outcome: Outcome) -> Iterator[Metric]:
    seconds = GaugeMetricFamily(
        "kernelhealth_detector_duration_seconds",
        "Time that the last look of a detector took.",
        labels=["detector"],
    )
    success = GaugeMetricFamily(
        "kernelhealth_detector_success",
        "1 if the last look of a detector could be made.",
        labels=["detector"],
    )
    for look in outcome.round.looks:
        seconds.add_metric([look.detector.name], look.seconds)
        success.add_metric([look.detector.name], float(look.failure is None))
    yield seconds
    yield success
    yield GaugeMetricFamily(
        "kernelhealth_last_round_timestamp_seconds",
        "When the last round was made, in seconds since 1970.",
        value=outcome.round.moment.wall.timestamp(),
    )
