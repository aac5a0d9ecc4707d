"""Connection tracking tables that are about to drop new connections, or do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import occupants
from kernelhealth_agent.kernel.conntrack import Losses, Sample, Table
from kernelhealth_api.detector import (
    Detector,
    Measure,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
)
from kernelhealth_api.duration import Duration

_SYSCTL = "net.netfilter.nf_conntrack_max"


class ConntrackParams(Params):
    """How full a connection tracking table may be."""

    confirm_after: Duration = Field(
        timedelta(minutes=1),
        description="How long a table must stay nearly full before it is reported.",
    )
    warning_percent: float = Field(
        90.0, gt=0, le=100, description="From how full a table on it is reported, in percent."
    )
    critical_percent: float = Field(
        98.0, gt=0, le=100, description="From how full a table on it is Critical, in percent."
    )


FULL = Reason(
    "ConntrackNearlyFull",
    Severity.WARNING,
    "The connection tracking table of a network namespace is nearly full: new connections will be"
    " dropped. Critical where they are already, or nothing is left.",
    confirm="confirm_after",
)


def judge(sample: Sample, params: ConntrackParams) -> Iterator[Observation]:
    """Yield each table that is nearly full, or was full lately; the fullest first."""
    if not sample.maximum:
        return
    for table in sorted(sample.tables, key=lambda table: -table.entries):
        percent = 100 * table.entries / sample.maximum
        is_near = percent >= params.warning_percent
        # Connections are evicted from a full table only; packets are dropped for more reasons.
        if not is_near and not table.recent.early_drop:
            continue
        is_critical = percent >= params.critical_percent or bool(table.recent.drop)
        yield _full(table, sample.maximum, params, is_critical=is_critical)


def _full(table: Table, maximum: int, params: ConntrackParams, *, is_critical: bool) -> Observation:
    return Observation(
        FULL,
        "host" if table.is_host else str(table.space.inode),
        occupants.subject(table.space, rule=f"{_SYSCTL} = {maximum}"),
        f"{'The host' if table.is_host else occupants.title(table.space)} has"
        f" {table.entries} connection tracking entries of {maximum}"
        f" ({table.entries / maximum:.0%}){_lost(table.recent)}: find out who opens so many"
        f" connections, or raise {_SYSCTL}.",
        cause="ConntrackTableFull",
        cures=("SetSysctl",),
        severity=Severity.CRITICAL if is_critical else None,
        measure=Measure(float(table.entries), threshold=maximum * params.critical_percent / 100),
    )


def _lost(recent: Losses) -> str:
    """Return what the table cost lately, in words."""
    parts = []
    if recent.drop:
        parts.append(f"dropped {recent.drop} packets")
    if recent.early_drop:
        parts.append(f"evicted {recent.early_drop} connections")
    return f", and the kernel {' and '.join(parts)} in the last minutes" if parts else ""


def _fullest(sample: Sample) -> dict[tuple[str, ...], float]:
    if not sample.maximum:
        return {}
    return {(): max(table.entries for table in sample.tables) / sample.maximum}


DETECTOR = Detector(
    name="conntrack",
    condition="ConntrackHealthy",
    summary="Connection tracking tables of network namespaces, and how full they are",
    sample=Sample,
    params=ConntrackParams,
    reasons=(FULL,),
    judge=judge,
    signals=(
        Signal(
            "conntrack_entries",
            "Entries in the connection tracking tables of all reachable network namespaces.",
            lambda sample: {(): float(sum(table.entries for table in sample.tables))},
        ),
        Signal(
            "conntrack_fullest_ratio",
            "How full the fullest connection tracking table is, from 0 to 1; absent without limit.",
            _fullest,
        ),
    ),
)
