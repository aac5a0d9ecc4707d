from __future__ import annotations

import urllib.request
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.reporters import prometheus


class Node(Protocol):
    has: Callable[..., None]
    look: Callable[..., Outcome]


def scrape(outcome: Outcome | None) -> dict[tuple[str, ...], float]:
    """All samples by name and values of labels, after one outcome."""
    collector = prometheus.Scrape(lambda: 3, lambda: {"sent": 2, "missing": 1})
    if outcome is not None:
        collector.hear(outcome, "event")
    registry = CollectorRegistry()
    registry.register(collector)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_findings_are_counted_by_reason_and_severity(node: Node) -> None:
    node.has(traps="a b", leaks="x")

    samples = scrape(node.look())

    assert samples["kernelhealth_findings", "TrapSet", "Warning"] == 2
    assert samples["kernelhealth_findings", "ThingLeaked", "Warning"] == 0
    assert samples["kernelhealth_suspected", "ThingLeaked"] == 1
    assert samples["kernelhealth_suspected", "TrapSet"] == 0


def test_a_condition_has_exactly_one_status(node: Node) -> None:
    node.has(leaks="garbage")

    samples = scrape(node.look())

    statuses = [
        samples["kernelhealth_condition", status, "LeaksHealthy"]
        for status in ("True", "False", "Unknown")
    ]
    assert statuses == [0, 0, 1]


def test_what_was_not_measured_has_no_number(node: Node) -> None:
    node.has(leaks="garbage")

    samples = scrape(node.look())

    assert not [labels for labels in samples if "ThingLeaked" in labels]
    assert ("kernelhealth_leaks_seen",) not in samples
    assert samples["kernelhealth_detector_success", "leaks"] == 0
    assert samples["kernelhealth_detector_success", "traps"] == 1


def test_signals_of_detectors_are_numbers_of_the_node(node: Node) -> None:
    node.has(leaks="a b c")

    assert scrape(node.look())["kernelhealth_leaks_seen",] == 3


def test_the_agent_counts_its_own_doings(node: Node) -> None:
    samples = scrape(node.look())

    assert samples["kernelhealth_rounds_total", "event"] == 1
    assert samples["kernelhealth_abandoned_reads_total",] == 3
    assert samples["kernelhealth_deliveries_total", "sent"] == 2


def test_before_the_first_round_nothing_is_said_about_the_node() -> None:
    samples = scrape(None)

    assert not [labels for labels in samples if labels[0].startswith("kernelhealth_findings")]


def test_the_numbers_are_served(node: Node) -> None:
    collector = prometheus.Scrape(lambda: 0, dict)
    collector.hear(node.look(), "start")

    with prometheus.serving(collector, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()

    assert 'kernelhealth_rounds_total{trigger="start"} 1.0' in text
