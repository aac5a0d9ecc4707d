"""Control groups that were removed and still exist, more and more of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from pydantic import Field

from kernelhealth_agent.kernel import growth_forecast, naming
from kernelhealth_agent.kernel.cgroup_hierarchies import UNIFIED, Hierarchy, Sample
from kernelhealth_api.detector import (
    Detector,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration


class CgroupsParams(Params):
    """How many removed control groups may still exist."""

    dying_groups: int = Field(
        1000,
        ge=1,
        description="From how many dying groups of one hierarchy on, should they become more, a"
        " finding is made.",
    )
    growing_for: Duration = Field(
        timedelta(hours=1), description="For how long they must have become more and more."
    )
    critical_groups: int = Field(
        60000,
        ge=1,
        description="From how many groups of one hierarchy on, dying ones included, the finding is"
        " Critical: the memory controller can tell 65535 apart.",
    )
    forecast_within: Duration = Field(
        timedelta(hours=72),
        description="How long before that number is reached the finding is Critical.",
    )


DYING = Reason(
    "DyingCgroups",
    Severity.WARNING,
    "More and more removed control groups stay in the kernel, since something is still charged to"
    " them: each costs memory for every processor, and reading statistics takes longer. Critical"
    " where new groups, and with them containers, will soon be refused.",
    forecast="forecast_within",
)


def judge(sample: Sample, params: CgroupsParams) -> Iterator[Observation]:
    """Yield each hierarchy with many dying groups that became more, or with far too many."""
    for hierarchy in sample.hierarchies:
        census, grown = hierarchy.census, hierarchy.growth
        is_growing = grown is not None and grown.rises_for(params.growing_for)
        total = census.living + census.dying
        is_critical = total >= params.critical_groups and census.dying >= params.dying_groups
        if is_critical or (is_growing and census.dying >= params.dying_groups):
            yield _dying(hierarchy, params, sample.taken, is_critical=is_critical)


def _dying(
    hierarchy: Hierarchy, params: CgroupsParams, now: datetime, *, is_critical: bool
) -> Observation:
    census, grown = hierarchy.census, hierarchy.growth
    left = params.critical_groups - census.living - census.dying
    measure = growth_forecast.measure(
        float(census.dying), float(params.critical_groups), left, grown, now
    )
    where = naming.short(hierarchy.where)
    what = f"{_title(hierarchy)} has {census.dying} removed groups beside {census.living} living"
    is_growing = measure.per_hour is not None and measure.per_hour > 0
    pace = f", {measure.per_hour:.0f} more each hour" if is_growing else ""
    place = f", most of them below {where}" if where else ""
    return Observation(
        DYING,
        hierarchy.name,
        Subject(holder="kernel", rule=hierarchy.name, file=where or None),
        f"{what}{pace}{place}: find what makes and removes groups and leaves files of tmpfs or page"
        " cache behind; dropping caches frees most, a reboot all.",
        cause="DyingMemoryCgroups",
        cures=("DropCaches", "Reboot"),
        severity=Severity.CRITICAL if is_critical else None,
        began=None if grown is None else grown.onset,
        measure=measure,
    )


def _title(hierarchy: Hierarchy) -> str:
    if hierarchy.name != UNIFIED:
        return f"The cgroup v1 hierarchy of {hierarchy.name}"
    controller = naming.short(hierarchy.census.controller)
    above_all = f" (above all its {controller} controller)" if controller else ""
    return f"The cgroup v2 hierarchy{above_all}"


def _counts(sample: Sample) -> Mapping[tuple[str, ...], float]:
    return {(h.name,): float(h.census.dying) for h in sample.hierarchies}


DETECTOR = Detector(
    name="cgroups",
    condition="CgroupsHealthy",
    summary="Control groups that were removed and still exist",
    sample=Sample,
    params=CgroupsParams,
    reasons=(DYING,),
    judge=judge,
    signals=(
        Signal(
            "dying_cgroups",
            "Control groups that were removed and still exist, by hierarchy.",
            _counts,
            labels=("hierarchy",),
        ),
    ),
)
