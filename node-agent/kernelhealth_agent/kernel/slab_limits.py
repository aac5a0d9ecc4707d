"""The thresholds of growing kernel memory: what people may set, and what the judgement needs."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel.growth import Limits
from kernelhealth_api.detector import Params
from kernelhealth_api.duration import Duration


class SlabParams(Params):
    """When growing kernel memory is a leak, and when a leak is an emergency."""

    confirm_after: Duration = Field(
        timedelta(minutes=10), description="How long a growth must look like a leak."
    )
    samples: int = Field(
        12, ge=3, le=48, description="From how many measurements on a trend is believed."
    )
    span: Duration = Field(
        timedelta(hours=6),
        description="Which time the measurements must span; at most a day of them is kept.",
    )
    growth_bytes: int = Field(
        8 << 20, ge=1, description="By how many bytes a cache must have grown in that time."
    )
    unaccounted_bytes: int = Field(
        256 << 20,
        ge=1,
        description="By how many bytes memory that no counter explains must have grown; it moves"
        " by some 20 MB by itself.",
    )
    fall_percent: float = Field(
        5, ge=0, le=100, description="A cache that once lost more than this of its size is no leak."
    )
    recent_percent: float = Field(
        10,
        ge=0,
        le=100,
        description="How much of the growth must be of the later half of the time: what stopped is"
        " over.",
    )
    confidence_percent: float = Field(
        95, ge=50, lt=100, description="The confidence of the band around a trend and a forecast."
    )
    explained_percent: float = Field(
        50,
        gt=0,
        le=100,
        description="A growth is a workload's where what lives in the kernel (threads, open files,"
        " cgroups, namespaces, mounts, inodes, file cache …) grows enough to account for this much"
        " of it.",
    )
    scatter_percent: float = Field(
        20,
        ge=0,
        le=100,
        description="How much the steps of a growth may differ from a fixed number for each"
        " namespace, connection or process made, to be said to follow these.",
    )
    pressure_percent: float = Field(
        10,
        ge=0,
        le=100,
        description="Caches that the kernel can reclaim are looked at only while less than this of"
        " the memory is free or holds files: by then they should have shrunk.",
    )
    horizon: Duration = Field(
        timedelta(days=90), description="A growth that memory suffices for longer is no finding."
    )
    critical_within: Duration = Field(
        timedelta(days=3), description="How soon memory must run out for a leak to be Critical."
    )


def limits(params: SlabParams, grown: int | None = None) -> Limits:
    """Return what makes a growth a leak; *grown* bytes instead of those of a cache."""
    return Limits(
        samples=params.samples,
        span=params.span.total_seconds(),
        grown=params.growth_bytes if grown is None else grown,
        fall=params.fall_percent / 100,
        recent=params.recent_percent / 100,
        confidence=params.confidence_percent / 100,
        horizon=params.horizon.total_seconds(),
        explained=params.explained_percent / 100,
        scatter=params.scatter_percent / 100,
    )
