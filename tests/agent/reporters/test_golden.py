"""Every recorded host gives the status and the scrape that are written beside it.

``make golden`` (KERNELHEALTH_GOLDEN=write) writes them anew: read the difference before it is
committed.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from kernelhealth_agent import attribution, catalogue, looking, report, thresholds
from kernelhealth_agent.examination import Examiner, Knowledge, Outcome
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.reporters import prometheus
from kernelhealth_agent.survey import Surveyor

HOSTS = sorted((Path(__file__).parents[2] / "fixtures" / "hosts").iterdir())
NOW = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
LATER = timedelta(seconds=10)


class Once(Collector):
    """The metrics of one outcome that the outcome alone decides."""

    def __init__(self, outcome: Outcome) -> None:
        self._metrics = list(prometheus.node(outcome))

    def collect(self) -> list[Metric]:
        return self._metrics


def looked(host: Path) -> Outcome:
    """The outcome of two looks at a host, as close together as it takes to confirm."""
    recorded = RecordedHost(str(host))
    made = looking.examiner(recorded, catalogue.every(), Surveyor(attribution.Places(), 0.0), 30.0)
    said = recorded.recording()
    now = Moment(NOW.wall, said.get("uptime", NOW.uptime))
    examiner = Examiner(made.rounds, made.survey, made.remember, made.identity, "0.0.0")
    chosen = thresholds.in_force(made.rounds.detectors, {}, LATER)
    first = examiner.examine(Knowledge(memories=said.get("memories", {})), chosen, now)
    return examiner.examine(first.knowledge, chosen, now.after(LATER.total_seconds()))


def as_yaml(outcome: Outcome) -> str:
    return yaml.safe_dump(
        report.wire(outcome.status), sort_keys=False, allow_unicode=True, width=100
    )


def as_scrape(outcome: Outcome) -> str:
    registry = CollectorRegistry()
    registry.register(Once(outcome))
    return generate_latest(registry).decode()


def compared(path: Path, text: str) -> None:
    if os.environ.get("KERNELHEALTH_GOLDEN") == "write":
        path.write_text(text)
    assert path.exists(), f"{path} is missing: make golden writes it"
    assert text == path.read_text()


@pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
def test_a_recorded_host_gives_the_status_beside_it(host: Path) -> None:
    outcome = looked(host)

    assert report.size(outcome.status) <= report.MOST_BYTES
    compared(host / "expected.status.yaml", as_yaml(outcome))


@pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
def test_a_recorded_host_gives_the_scrape_beside_it(host: Path) -> None:
    outcome = looked(host)

    compared(host / "expected.prom", as_scrape(outcome))


def test_there_are_recorded_hosts() -> None:
    assert HOSTS
