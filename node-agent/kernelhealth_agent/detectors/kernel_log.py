"""What the kernel says of itself: in its log, by its counters, by its taint bits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from kernelhealth_agent.kernel import log_counters, log_wording, taints
from kernelhealth_agent.kernel.kernel_log import Sample
from kernelhealth_agent.kernel.log_catalogue import BY_NAME, CATALOGUE
from kernelhealth_agent.kernel.log_entries import Entry
from kernelhealth_agent.kernel.log_memory import Happening
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


class KernelLogParams(Params):
    """When what the kernel says is serious, and when it is over."""

    forget_after: Duration = Field(
        timedelta(hours=1),
        description="How long after its last report something is told that may pass by, a hung task"
        " or a lockup say. Damage that only a reboot takes away is told until then. No more than 7"
        " days are remembered.",
    )
    critical_hung_tasks: int = Field(
        10, ge=1, description="From how many hung tasks on the finding is Critical."
    )
    critical_rcu_stalls: int = Field(
        2, ge=1, description="From how many RCU stalls of one kind on the finding is Critical."
    )
    critical_workqueue_lockups: int = Field(
        3, ge=1, description="From how many reports on one worker pool on the finding is Critical."
    )
    many_corrected_errors: int = Field(
        10, ge=1, description="From how many corrected hardware errors on they are a Warning."
    )


TAINTED = Reason(
    "KernelTainted",
    Severity.INFO,
    "A taint bit was set after the agent first looked: a module that is not the kernel's own was"
    " loaded, or the kernel was changed while it ran.",
)
_TOLD_OTHERWISE = {
    taints.MACHINE_CHECK,
    taints.BAD_PAGE,
    taints.DIED,
    taints.WARNED,
    taints.LOCKUP,
}


def judge(sample: Sample, params: KernelLogParams) -> Iterator[Observation]:
    """Yield what lasts, what is so now, and what was reported a short time ago."""
    for happening in sample.memory.happenings:
        entry = BY_NAME.get(happening.kind)
        if entry is not None and _is_told(happening, entry, sample, params):
            yield _happened(happening, entry, sample, params)
    for bit, uptime in sample.memory.taints.items():
        if bit not in _TOLD_OTHERWISE:
            yield _tainted(bit, uptime, sample)


def _is_told(happening: Happening, entry: Entry, sample: Sample, params: KernelLogParams) -> bool:
    age = sample.moment.uptime - happening.last
    return entry.lasts or happening.still is True or age <= params.forget_after.total_seconds()


def _happened(
    happening: Happening, entry: Entry, sample: Sample, params: KernelLogParams
) -> Observation:
    reason = entry.reason
    if reason is None:
        raise TypeError(f"{entry.name} is only counted")
    severity, doubt = _severity(happening, entry, sample, params), _doubt(happening, sample)
    since = _wall(sample, happening.first)
    return Observation(
        reason,
        happening.key or "node",
        log_wording.subject(happening),
        log_wording.message(happening, entry, since, doubt=doubt),
        cures=entry.cures,
        severity=severity,
        began=since,
        measure=_measure(happening, entry, sample, params),
    )


def _severity(
    happening: Happening, entry: Entry, sample: Sample, params: KernelLogParams
) -> Severity | None:
    """Return how serious one subject is where it is not as serious as its kind."""
    if _doubt(happening, sample):
        return Severity.INFO
    if happening.kind == "FilesystemReadOnly" and happening.still is False:
        return Severity.WARNING
    if happening.before and entry.reason is not None and entry.reason.severity is not Severity.INFO:
        return Severity.WARNING
    if entry.worse is not None and happening.count >= getattr(params, entry.worse):
        known = entry.reason.severity if entry.reason is not None else Severity.INFO
        return Severity.CRITICAL if known is Severity.WARNING else Severity.WARNING
    return None


def _doubt(happening: Happening, sample: Sample) -> bool:
    """Whether the kernel's own counter or taint bit says that this never happened."""
    borne_out = log_counters.is_borne_out(happening.kind, sample.readings)
    return happening.key != "counted" and borne_out is False


def _measure(
    happening: Happening, entry: Entry, sample: Sample, params: KernelLogParams
) -> Measure | None:
    """Return the number of reports; none where the number of subjects decides."""
    if entry.reason is not None and entry.reason.critical is not None:
        return None
    hours = (sample.moment.uptime - happening.first) / 3600
    threshold = None if entry.worse is None else float(getattr(params, entry.worse))
    rate = round(happening.count / hours, 2) if happening.count > 1 and hours >= 1 else None
    return Measure(float(happening.count), threshold, rate)


def _tainted(bit: int, uptime: float, sample: Sample) -> Observation:
    (taint,) = taints.decoded(1 << bit)
    module = sample.memory.modules.get(taint.letter)
    since = _wall(sample, uptime)
    who = f" by module {module}" if module else ""
    return Observation(
        TAINTED,
        str(bit),
        Subject(file=f"/{taints.PATH}", holder=f"module {module}" if module else None),
        f"The kernel was tainted{who} (bit {bit}, {taint.letter}): {taint.meaning}, first seen"
        f" {log_wording.when(since)}; this is no trouble in itself, but tell whoever you ask for"
        " help with this kernel.",
        began=since,
    )


def _wall(sample: Sample, uptime: float) -> datetime:
    return sample.moment.wall - timedelta(seconds=max(0.0, sample.moment.uptime - uptime))


def _events(sample: Sample) -> dict[tuple[str, ...], float]:
    known = sample.memory.events
    return {(entry.name,): float(known.get(entry.name, 0)) for entry in CATALOGUE.entries}


DETECTOR = Detector(
    name="kernel_log",
    condition="KernelLogHealthy",
    summary="What the kernel reports of itself: oopses, lockups, hung tasks, damage, hardware",
    sample=Sample,
    params=KernelLogParams,
    reasons=(*(e.reason for e in CATALOGUE.entries if e.reason is not None), TAINTED),
    judge=judge,
    signals=(
        Signal(
            "kernel_log_reports",
            "Reports of the kernel that were read in its log since it booted, by kind; those that"
            " another detector judges too.",
            _events,
            ("kind",),
        ),
        Signal(
            "kernel_log_lost_records",
            "Records of the kernel's log that were overwritten between two looks.",
            lambda sample: {(): float(sample.memory.lost)},
        ),
        Signal(
            "kernel_log_suppressed_lines",
            "Lines that the kernel held back by a rate limit, as far as it said so.",
            lambda sample: {(): float(sum(sample.memory.suppressed.values()))},
        ),
        Signal(
            "kernel_tainted",
            "Whether the kernel is tainted, by the letter of the taint; absent where it is not.",
            lambda sample: {
                (taint.letter,): 1.0 for taint in taints.decoded(sample.readings.taint or 0)
            },
            ("taint",),
        ),
    ),
)
