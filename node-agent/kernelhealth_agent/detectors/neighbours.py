"""Neighbour tables that refuse new neighbours, or are about to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import occupants
from kernelhealth_agent.kernel.neighbours import Crowd, Sample, Table
from kernelhealth_api.detector import (
    Detector,
    Measure,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration


class NeighboursParams(Params):
    """How full a neighbour table may be."""

    confirm_after: Duration = Field(
        timedelta(minutes=1),
        description="How long a table must stay nearly full before it is reported.",
    )
    warning_percent: float = Field(
        90.0,
        gt=0,
        le=100,
        description="From how many entries on, in percent of gc_thresh3, a table is reported.",
    )


FULL = Reason(
    "NeighbourTableFull",
    Severity.WARNING,
    "The table of IPv4 or IPv6 neighbours, which all network namespaces share, is nearly full;"
    " Critical where neighbours are refused already, so that packets to them are lost.",
    confirm="confirm_after",
)


def judge(sample: Sample, params: NeighboursParams) -> Iterator[Observation]:
    """Yield each table that refuses neighbours, or is nearly full."""
    for table in sample.tables:
        if table.recent or 100 * table.held >= params.warning_percent * max(1, table.limit):
            yield _full(table)


def _full(table: Table) -> Observation:
    refused = (
        f", and the kernel refused {table.recent} new ones in the last minutes"
        if table.recent
        else ""
    )
    first = table.crowds[0] if table.crowds else None
    rule = f"{table.sysctl} = {table.limit}"
    return Observation(
        FULL,
        table.protocol,
        Subject(rule=rule) if first is None else occupants.subject(first.space, rule=rule),
        f"The {table.protocol} neighbour table holds {table.held} entries of {table.limit} for all"
        f" network namespaces together{_who(table.crowds)}{refused}: raise {table.sysctl} (and"
        " gc_thresh2 below it), or find out who talks to that many neighbours.",
        cause="NeighbourTableOverflow",
        cures=("SetSysctl",),
        severity=Severity.CRITICAL if table.recent else None,
        measure=Measure(float(table.held), threshold=float(table.limit)),
    )


def _who(crowds: tuple[Crowd, ...]) -> str:
    """Return in words which namespace has the most entries."""
    if not crowds:
        return ""
    first = crowds[0]
    name = "the host" if first.is_host else occupants.within(first.space)
    return f", of which {name} has {first.population.total}"


DETECTOR = Detector(
    name="neighbours",
    condition="NeighboursHealthy",
    summary="The kernel's tables of IPv4 and IPv6 neighbours, and how full they are",
    sample=Sample,
    params=NeighboursParams,
    reasons=(FULL,),
    judge=judge,
    signals=(
        Signal(
            "neighbour_entries",
            "Entries in the neighbour tables of the kernel, of all network namespaces.",
            lambda sample: {(table.protocol,): float(table.entries) for table in sample.tables},
            labels=("protocol",),
        ),
        Signal(
            "neighbour_entries_limit",
            "The number of entries from which on new neighbours are refused (gc_thresh3).",
            lambda sample: {(table.protocol,): float(table.limit) for table in sample.tables},
            labels=("protocol",),
        ),
    ),
)
