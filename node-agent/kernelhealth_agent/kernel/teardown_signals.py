"""What is measured of the life and death of network namespaces, as time series."""

from __future__ import annotations

from kernelhealth_agent.kernel.lifecycle import Sample
from kernelhealth_api.detector import Signal

Values = dict[tuple[str, ...], float]


def _seconds(sample: Sample) -> Values:
    result = sample.canaries.result
    if result is None:
        return {}
    steps = {"creation": result.creation, "teardown": result.teardown}
    return {(result.form, step): value for step, value in steps.items() if value is not None}


def _outstanding(sample: Sample) -> Values:
    under_way = sample.canaries.outstanding
    return {(): 0.0 if under_way is None else round(max(0.0, sample.uptime - under_way.began), 3)}


def _busy(sample: Sample) -> Values:
    return {(): round(max((worker.seconds for worker in sample.workers), default=0.0), 3)}


def _lines(sample: Sample) -> Values:
    return {(wait.device,): float(len(wait.times)) for wait in sample.waits}


EVERY: tuple[Signal[Sample], ...] = (
    Signal(
        "namespace_canary_seconds",
        "Seconds the last canary took to make a network namespace, and to see it destroyed.",
        _seconds,
        ("form", "step"),
    ),
    Signal(
        "namespace_canary_outstanding_seconds",
        "Age of the canary that has not come back yet; 0 where none is under way.",
        _outstanding,
    ),
    Signal(
        "namespace_canary_killed",
        "Canaries in a row that had to be killed.",
        lambda sample: {(): float(sample.canaries.killed)},
    ),
    Signal(
        "namespace_canary_leftovers",
        "Devices of earlier canaries that were deleted since boot.",
        lambda sample: {(): float(sample.canaries.cleaned)},
    ),
    Signal(
        "namespace_worker_busy_seconds",
        "For how long the kernel's worker has been seen destroying namespaces in every look.",
        _busy,
    ),
    Signal(
        "namespace_creation_blocked_tasks",
        "Tasks that wait in the kernel for a network namespace to be made, where looked for.",
        lambda sample: {(): float(sum(one.is_creator for one in sample.blocked))},
    ),
    Signal(
        "fragment_accounting_broken_counters",
        "Counters of IP fragments that count memory without a queue, in all namespaces.",
        lambda sample: {(): float(len(sample.fragments))},
    ),
    Signal(
        "unregister_netdevice_lines",
        "Lines of the kernel's log about a device that it waits for, as far as it is kept.",
        _lines,
        ("device",),
    ),
)
