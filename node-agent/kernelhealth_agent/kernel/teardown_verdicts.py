"""Whether namespaces are stuck, and by what, where the kernel shows more than one sign of it."""

from __future__ import annotations

from kernelhealth_agent.kernel import canary_history, teardown_causes
from kernelhealth_agent.kernel.canary import Step
from kernelhealth_agent.kernel.canary_history import Stall
from kernelhealth_agent.kernel.lifecycle import Sample
from kernelhealth_agent.kernel.teardown_causes import Cause
from kernelhealth_agent.kernel.teardown_workers import Worker

_REBOOT = ("Reboot",)
_REMEDY = "SetSkbDeferMax"


def at(sample: Sample, step: Step) -> Stall | None:
    """Return the canaries that do not come back from a step; None where they do."""
    stall = sample.canaries.stall
    return stall if stall is not None and stall.step is step else None


def stuck_workers(sample: Sample, seconds: float) -> tuple[Worker, ...]:
    """Return the workers that do nothing but spin or wait, for so many seconds at least.

    One that a canary got past meanwhile is not stuck.
    """
    result = sample.canaries.result
    destroyed = -1.0 if result is None or result.teardown is None else result.uptime
    return tuple(
        worker
        for worker in sample.workers
        if worker.seconds >= seconds
        and destroyed < sample.uptime - worker.seconds
        and (worker.is_spinning or worker.is_asleep)
    )


def creation_is_blocked(sample: Sample) -> bool:
    """Whether somebody waits for a namespace to be made, and no canary has just made one."""
    result = sample.canaries.result
    made = result is not None and sample.uptime - result.uptime < 2 * canary_history.SOON
    return not made and any(one.is_creator for one in sample.blocked)


def key(sample: Sample) -> str:
    """Return what tells this time from the next, by whatever it shows itself."""
    episode = sample.memory.episode
    return "" if episode is None else episode.name


def seconds(sample: Sample, stall: Stall | None) -> float:
    """Return for how long it has lasted, as far as anybody saw."""
    busy = max((worker.seconds for worker in sample.workers), default=0.0)
    return max(busy, 0.0 if stall is None else sample.uptime - stall.since)


def creation_cause(sample: Sample) -> Cause | None:
    """Return why no namespace can be made: who loads a module now, or what holds it up."""
    if any(not one.is_creator for one in sample.blocked):
        return teardown_causes.REGISTRATION
    return teardown_cause(sample)


def teardown_cause(sample: Sample) -> Cause | None:
    """Return why no namespace is destroyed, None where nothing tells it.

    A worker that runs shows where it is by luck only; then the log may know.
    """
    for worker in sample.workers:
        cause = teardown_causes.of(worker.task.functions)
        if cause is not None:
            return cause
    if sample.conntrack:
        return teardown_causes.CONNTRACK
    spinning = all(worker.is_spinning for worker in sample.workers)
    if spinning and any(broken.counter.is_below_zero for broken in sample.fragments):
        return teardown_causes.FRAGMENTS
    return teardown_causes.REFERENCE if sample.waits and not sample.workers else None


def cures(sample: Sample, cause: Cause | None) -> tuple[str, ...]:
    """Return what would cure it; the setting only where it is there and not what it should be."""
    every = _REBOOT if cause is None else cause.cures
    return tuple(cure for cure in every if cure != _REMEDY or sample.deferring)


def held_device(sample: Sample, cause: Cause | None) -> str | None:
    """Return the device that the kernel waits for, where that is the cause."""
    if cause is not teardown_causes.REFERENCE or not sample.waits:
        return None
    return min(sample.waits, key=lambda wait: wait.quiet).device
