"""Mounts that nothing shows, mount namespaces that nobody is in, and those that are nearly full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import growth_forecast, tenants
from kernelhealth_agent.kernel.growth_forecast import Growth
from kernelhealth_agent.kernel.mount_cache import Objects
from kernelhealth_agent.kernel.mount_namespaces import Orphan, Sample, Space
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


class MountsParams(Params):
    """How many mounts may be where they cannot be seen, and how many in one namespace."""

    confirm_after: Duration = Field(
        timedelta(minutes=10),
        description="How long a mount namespace must be without a process before it is reported.",
    )
    unexplained_mounts: int = Field(
        4096,
        ge=1,
        description="From how many mounts on that no mount namespace shows, should they become"
        " more, a leak is reported.",
    )
    growing_for: Duration = Field(
        timedelta(hours=1), description="For how long they must have become more and more."
    )
    forecast_within: Duration = Field(
        timedelta(hours=72),
        description="How long before they have used up the memory a leak is Critical.",
    )
    orphan_namespaces: int = Field(
        10,
        ge=1,
        description="From how many mount namespaces without a process on, that one process holds"
        " or nobody, they are a Warning; fewer are an Info.",
    )
    warning_percent: float = Field(
        80.0,
        gt=0,
        le=100,
        description="From how full a mount namespace on it is reported, in percent of"
        " fs.mount-max.",
    )
    critical_percent: float = Field(
        95.0, gt=0, le=100, description="From how full a mount namespace on it is Critical."
    )


LEAK = Reason(
    "MountLeak",
    Severity.WARNING,
    "The kernel has more and more mounts that no mount namespace shows. Info where the kernel"
    " counts them together with objects of another kind.",
    forecast="forecast_within",
)
ORPHAN = Reason(
    "OrphanMounts",
    Severity.WARNING,
    "A mount namespace has no process any more: what is mounted there stays mounted, with the"
    " memory of its tmpfs, and its devices stay busy.",
    confirm="confirm_after",
)
FULL = Reason(
    "MountsNearlyExhausted",
    Severity.WARNING,
    "A mount namespace has nearly as many mounts as fs.mount-max allows; no container can be"
    " started that needs one more.",
)


def judge(sample: Sample, params: MountsParams) -> Iterator[Observation]:
    """Yield the leak, the namespaces without processes, and those that are nearly full."""
    found, grown = sample.unexplained or 0, sample.growth
    if (
        sample.objects is not None
        and grown is not None
        and found >= params.unexplained_mounts
        and grown.rises_for(params.growing_for)
    ):
        yield _leak(sample, sample.objects, grown, params)
    holders = Counter(orphan.who for orphan in sample.orphans or ())
    for orphan in sample.orphans or ():
        yield _orphan(orphan, many=holders[orphan.who] >= params.orphan_namespaces)
    for space in sample.fullest:
        if sample.maximum and 100 * space.mounts >= params.warning_percent * sample.maximum:
            yield _full(space, sample.maximum, params)


def _leak(sample: Sample, objects: Objects, grown: Growth, params: MountsParams) -> Observation:
    found = sample.unexplained or 0
    is_sure = not objects.merged
    left = sample.available / objects.size if sample.available and objects.size else None
    others = f" or objects of {', '.join(objects.merged[:3])}, which are counted with them,"
    return Observation(
        LEAK,
        "mnt_cache",
        Subject(holder="kernel", rule="mnt_cache"),
        f"The kernel has at least {found} mounts{'' if is_sure else others} that none of"
        f" {sample.namespaces} mount namespaces shows, {grown.per_hour:.0f} more each hour, of"
        f" {objects.size} bytes each beside what they keep from being freed: find what mounts and"
        " unmounts at that pace, and plan a reboot, since nothing else is known to free them.",
        cause="MountCacheLeak",
        cures=("StopHolder", "Reboot"),
        severity=None if is_sure else Severity.INFO,
        began=grown.onset,
        measure=growth_forecast.measure(
            float(found),
            float(params.unexplained_mounts),
            left if is_sure else None,
            grown,
            sample.taken,
        ),
    )


def _orphan(orphan: Orphan, *, many: bool) -> Observation:
    if orphan.who is None:
        held = "no process holds it open and no path leads to it: only a reboot is sure to free it"
    else:
        held = (
            f"{orphan.who.title} holds it open by descriptor {orphan.descriptor}:"
            " restart that process to let go of what is mounted there"
        )
    return Observation(
        ORPHAN,
        str(orphan.number),
        tenants.subject(orphan.who, "nobody" if orphan.who is None else "descriptor"),
        f"Mount namespace {orphan.inode} has {orphan.mounts} mounts and no process, and {held}.",
        cause="OrphanMountNamespace",
        cures=("Reboot",) if orphan.who is None else ("StopHolder",),
        severity=None if many else Severity.INFO,
    )


def _full(space: Space, maximum: int, params: MountsParams) -> Observation:
    threshold = maximum * params.critical_percent / 100
    whose = f" of {space.who.title}" if space.who is not None else ""
    return Observation(
        FULL,
        str(space.inode),
        tenants.subject(space.who, rule=f"fs.mount-max = {maximum}"),
        f"Mount namespace {space.inode}{whose} has {space.mounts} mounts of {maximum}: find out"
        " who mounts without unmounting, or raise fs.mount-max.",
        cause="MountLimit",
        cures=("SetSysctl", "StopHolder"),
        severity=Severity.CRITICAL if space.mounts >= threshold else None,
        measure=Measure(float(space.mounts), threshold),
    )


DETECTOR = Detector(
    name="mounts",
    condition="MountsHealthy",
    summary="Mounts that nothing shows, and mount namespaces without processes or nearly full",
    sample=Sample,
    params=MountsParams,
    reasons=(LEAK, ORPHAN, FULL),
    judge=judge,
    signals=(
        Signal(
            "mounts",
            "Mounts that the mount namespaces show.",
            lambda sample: {(): float(sample.visible)},
        ),
        Signal(
            "unexplained_mounts",
            "Mounts that exist and that nothing shows, at least; absent where nobody can tell.",
            lambda s: {} if s.unexplained is None else {(): float(s.unexplained)},
        ),
        Signal(
            "orphan_mount_namespaces",
            "Mount namespaces without a process or a path; absent where the kernel does not tell.",
            lambda s: {} if s.orphans is None else {(): float(len(s.orphans))},
        ),
    ),
)
