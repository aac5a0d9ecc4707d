"""Network namespaces that are not made, or not destroyed: no pod starts, or each one leaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import (
    fragments,
    teardown_causes,
    teardown_signals,
    teardown_verdicts,
    teardown_wording,
)
from kernelhealth_agent.kernel.canary import Step
from kernelhealth_agent.kernel.canary_history import Stall
from kernelhealth_agent.kernel.fragments import Broken
from kernelhealth_agent.kernel.lifecycle import Sample
from kernelhealth_agent.kernel.teardown_causes import Cause
from kernelhealth_agent.kernel.unregister_waits import Wait
from kernelhealth_api.detector import Detector, Measure, Observation, Params, Reason, Severity
from kernelhealth_api.duration import Duration


class NamespaceTeardownParams(Params):
    """When namespaces that come and go slowly are a finding."""

    stalled_after: Duration = Field(
        timedelta(seconds=30),
        description="How long a network namespace may take to be made or destroyed; hundreds that"
        " end at once take five seconds.",
    )
    worker_after: Duration = Field(
        timedelta(minutes=2),
        description="How long the kernel's worker may do nothing but spin, or wait, where no canary"
        " can tell whether namespaces are destroyed nevertheless.",
    )
    fragments_after: Duration = Field(
        timedelta(seconds=61),
        description="How long memory of fragments may be counted that no queue holds; the kernel"
        " forgets incomplete packets after 60 seconds.",
    )
    unregister_lines: int = Field(
        6, ge=2, description="From how many lines of the log on a device is held for good."
    )
    unregister_window: Duration = Field(
        timedelta(minutes=2), description="Within what time those lines must come."
    )
    unregister_quiet: Duration = Field(
        timedelta(seconds=30),
        description="After what time without another line the device is taken to be gone; the"
        " kernel writes one every ten seconds.",
    )
    netfilter_failures: int = Field(
        2, ge=1, description="How many times in a row netfilter must fail to be a finding."
    )
    creation_refusals: int = Field(
        2, ge=1, description="How many times in a row the kernel must refuse to make a namespace."
    )


BLOCKED = Reason(
    "NamespaceCreationBlocked",
    Severity.CRITICAL,
    "No network namespace can be made on the node, so that no pod starts.",
    confirm="stalled_after",
)
STALLED = Reason(
    "NamespaceTeardownStalled",
    Severity.CRITICAL,
    "Network namespaces are not destroyed any more: every pod that ends leaks its network.",
    confirm="stalled_after",
)
FRAGMENTS = Reason(
    "FragmentAccountingBroken",
    Severity.WARNING,
    "A network namespace counts memory of IP fragments that there are not.",
)
UNREGISTER = Reason(
    "InterfaceUnregisterStuck",
    Severity.CRITICAL,
    "The kernel waits again and again for the last reference to a network device.",
)
NETFILTER = Reason(
    "NetfilterRoundTripFailed",
    Severity.CRITICAL,
    "A rule of nftables cannot be listed or deleted after it was added.",
)


def judge(sample: Sample, params: NamespaceTeardownParams) -> Iterator[Observation]:
    """Yield what blocks the life and death of namespaces, and what will."""
    creating = teardown_verdicts.at(sample, Step.CREATION)
    if creating is not None or teardown_verdicts.creation_is_blocked(sample):
        yield _blocked(sample, creating)
    dying = teardown_verdicts.at(sample, Step.TEARDOWN)
    stuck = teardown_verdicts.stuck_workers(sample, params.worker_after.total_seconds())
    if dying is not None or stuck:
        yield _stalled(sample, dying)
    if sample.canaries.refusals >= params.creation_refusals:
        yield _refused(sample)
    for broken in sample.fragments:
        lost = broken.counter.is_below_zero
        if lost or broken.seconds >= params.fragments_after.total_seconds():
            yield _broken(sample, broken)
    for wait in sample.waits:
        lines = wait.within(params.unregister_window.total_seconds())
        still = wait.quiet <= params.unregister_quiet.total_seconds()
        if lines >= params.unregister_lines and still:
            yield _held(sample, wait, lines, params.unregister_lines)
    yield from _netfilter(sample, params)


def _blocked(sample: Sample, stall: Stall | None) -> Observation:
    message, subject = teardown_wording.creation(sample, stall)
    cause = teardown_verdicts.creation_cause(sample)
    found = Observation(BLOCKED, "", subject, message, _name(cause), ("Reboot",))
    return _dated(found, sample, stall)


def _stalled(sample: Sample, stall: Stall | None) -> Observation:
    cause = teardown_verdicts.teardown_cause(sample)
    cures = teardown_verdicts.cures(sample, cause)
    device = teardown_verdicts.held_device(sample, cause)
    message, subject = teardown_wording.teardown(sample, stall, device, cures)
    found = Observation(STALLED, "", subject, message, _name(cause), cures)
    return _dated(found, sample, stall)


def _dated(found: Observation, sample: Sample, stall: Stall | None) -> Observation:
    """Return an observation with since when it lasts, by which it is told from the next."""
    seconds = teardown_verdicts.seconds(sample, stall)
    return replace(
        found,
        key=teardown_verdicts.key(sample),
        began=sample.ago(seconds) if seconds else None,
        measure=Measure(round(seconds, 1)) if seconds else None,
    )


def _name(cause: Cause | None) -> str | None:
    return None if cause is None else cause.name


def _refused(sample: Sample) -> Observation:
    result = sample.canaries.result
    message, subject = teardown_wording.refusal((result and result.refused) or "no reason given")
    return Observation(BLOCKED, "refused", subject, message, None, ("Reboot",))


def _broken(sample: Sample, broken: Broken) -> Observation:
    message, subject = teardown_wording.fragments(broken)
    key, cause = fragments.key(broken.space, broken.protocol), teardown_causes.FRAGMENTS
    found = Observation(FRAGMENTS, key, subject, message, cause.name, cause.cures)
    counted = Measure(float(broken.counter.signed))
    return replace(found, began=sample.ago(broken.seconds), measure=counted)


def _held(sample: Sample, wait: Wait, lines: int, most: int) -> Observation:
    message, subject = teardown_wording.unregistration(wait, lines)
    cause, count = teardown_causes.REFERENCE, Measure(float(lines), float(most))
    found = Observation(UNREGISTER, wait.device, subject, message, cause.name, cause.cures)
    return replace(found, began=sample.ago(wait.seconds + wait.quiet), measure=count)


def _netfilter(sample: Sample, params: NamespaceTeardownParams) -> Iterator[Observation]:
    """Yield a netfilter that refuses, or one that the canary does not come back from."""
    hanging = teardown_verdicts.at(sample, Step.NETFILTER)
    result = sample.canaries.result
    if hanging is not None:
        why, key = teardown_wording.hanging(hanging), teardown_verdicts.key(sample)
    elif result is not None and sample.canaries.failures >= params.netfilter_failures:
        why, key = result.netfilter or "", "nftables"
    else:
        return
    message, subject = teardown_wording.netfilter(why)
    yield Observation(NETFILTER, key, subject, message, None, ("Reboot",))


DETECTOR = Detector(
    name="namespace_teardown",
    condition="NamespaceLifecycleHealthy",
    summary="Network namespaces that cannot be made, or are never destroyed",
    sample=Sample,
    params=NamespaceTeardownParams,
    reasons=(BLOCKED, STALLED, FRAGMENTS, UNREGISTER, NETFILTER),
    judge=judge,
    signals=teardown_signals.EVERY,
)
