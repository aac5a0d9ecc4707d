"""What agent and operator serve about themselves, asked of the very code that serves it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import Metric

from kernelhealth_agent.examination import Knowledge, Outcome
from kernelhealth_agent.looks import Round
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.reporters.prometheus import Scrape
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthStatus
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.metrics import Measurements, Snapshot, Sources
from kernelhealth_operator.silence import Hearing

Row = tuple[str, str, str]
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def agent() -> list[Row]:
    """Return name, labels and meaning of what an agent serves beside its detectors' signals."""
    start = Moment(_SOME_DAY, 0.0)
    scrape = Scrape(lambda: 0, dict)
    scrape.hear(
        Outcome(
            status=NodeKernelHealthStatus(),
            round=Round(start, None, (), 0.0, 0.0),
            knowledge=Knowledge(),
            findings=(),
            suspected={},
            due=None,
        ),
        "start",
    )
    return _rows(scrape.collect())


def operator() -> list[Row]:
    """Return name, labels and meaning of what the operator serves."""
    nobody = Listener(lambda _: None, lambda _: None)
    clock = Clock(lambda: _SOME_DAY, lambda: 0.0)
    sources = Sources(
        fleet=Fleet(clock, Hearing(0.0), nobody, {}),
        decisions={},
        waiting=lambda: 0,
        leading=lambda: False,
        silences=dict,
        lag=lambda: 0.0,
        writes={},
        events=lambda: (0, 0),
    )
    counted = Measurements(lambda: 0.0).registry.collect()
    return _rows([*Snapshot(sources).collect(), *counted])


def _rows(families: Iterable[Metric]) -> list[Row]:
    rows = []
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(getattr(family, "_labelnames", ()))
        rows.append((f"`{family.name}{suffix}`", labels, family.documentation))
    return rows
