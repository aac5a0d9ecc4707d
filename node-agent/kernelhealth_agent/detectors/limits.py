"""Limits on processes, open files and inotify that are nearly reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import tenants
from kernelhealth_agent.kernel.inotify import Share, User
from kernelhealth_agent.kernel.limits import InotifyLimits, Sample, Usage
from kernelhealth_agent.kernel.pod_pids import PodPids
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

_ADVICE = "find out who needs so many, or raise"


class LimitsParams(Params):
    """How much of a limit may be used."""

    confirm_after: Duration = Field(
        timedelta(minutes=2), description="How long a limit must stay nearly reached."
    )
    warning_percent: float = Field(
        90.0, gt=0, le=100, description="From how much of a limit on it is reported, in percent."
    )
    critical_percent: float = Field(
        98.0,
        gt=0,
        le=100,
        description="From how much of a limit of the whole node on it is Critical, in percent.",
    )


PIDS = Reason(
    "PidsNearlyExhausted",
    Severity.WARNING,
    "The node, or a pod, has nearly as many processes and threads as it may have: nothing new can"
    " be started then. Critical for the node alone.",
    confirm="confirm_after",
)
FILES = Reason(
    "FilesNearlyExhausted",
    Severity.WARNING,
    "The node has nearly as many open files as it may have: nothing can be opened then.",
    confirm="confirm_after",
)
INOTIFY = Reason(
    "InotifyNearlyExhausted",
    Severity.WARNING,
    "A user has nearly as many inotify instances or watches as each may have: programs of that"
    " user, in whichever pod, cannot watch files then.",
    confirm="confirm_after",
)


def judge(sample: Sample, params: LimitsParams) -> Iterator[Observation]:
    """Yield each limit that is nearly reached."""
    if sample.threads is not None and _is_near(sample.threads, params):
        yield _node(PIDS, "processes and threads", "ProcessLimit", sample.threads, params)
    for pod in sample.pods:
        if pod.recent or 100 * pod.current >= params.warning_percent * pod.maximum:
            yield _pod(pod)
    if sample.files is not None and _is_near(sample.files, params):
        yield _node(FILES, "open files", "FileLimit", sample.files, params)
    for user in sample.users or () if sample.inotify is not None else ():
        for usage, kind, most in _of(user, sample.inotify):
            if _is_near(usage, params):
                yield _user(user, usage, kind, most, sample)


def _is_near(usage: Usage, params: LimitsParams) -> bool:
    # A limit of 0 forbids, which nobody can exhaust.
    return 0 < params.warning_percent * usage.limit <= 100 * usage.used


def _node(reason: Reason, what: str, cause: str, usage: Usage, params: LimitsParams) -> Observation:
    threshold = usage.limit * params.critical_percent / 100
    return Observation(
        reason,
        usage.sysctl,
        Subject(rule=f"{usage.sysctl} = {usage.limit}"),
        f"The node has {usage.used} {what} of {usage.limit}"
        f" ({usage.used / usage.limit:.0%}): {_ADVICE} {usage.sysctl}.",
        cause=cause,
        cures=("SetSysctl",),
        severity=Severity.CRITICAL if usage.used >= threshold else None,
        measure=Measure(float(usage.used), threshold),
    )


def _pod(pod: PodPids) -> Observation:
    whose = "All pods together have" if pod.tenant is None else f"The {pod.tenant.title} has"
    refused = f", and {pod.recent} forks were refused in the last minutes" if pod.recent else ""
    return Observation(
        PIDS,
        pod.path,
        tenants.subject(pod.tenant, rule=f"pids.max = {pod.maximum}"),
        f"{whose} {pod.current} processes and threads of {pod.maximum}{refused}: find out which"
        " program makes so many, or raise podPidsLimit of the kubelet.",
        cause="ProcessLimit",
        cures=("StopHolder",),
        measure=Measure(float(pod.current), float(pod.maximum)),
    )


def _of(user: User, most: InotifyLimits | None) -> Iterator[tuple[Usage, str, Share]]:
    """Yield what a user has of instances and of watches, and the process that has most."""
    if most is not None:
        usage = Usage(user.instances, most.instances, "fs.inotify.max_user_instances")
        yield usage, "instances", user.most_instances
        usage = Usage(user.watches, most.watches, "fs.inotify.max_user_watches")
        yield usage, "watches", user.most_watches


def _user(user: User, usage: Usage, kind: str, most: Share, sample: Sample) -> Observation:
    tenant = sample.top.get(most.pid)
    share = most.instances if kind == "instances" else most.watches
    who = f", of which {tenant.title} has {share}" if tenant is not None else ""
    return Observation(
        INOTIFY,
        f"{user.uid}/{kind}",
        tenants.subject(tenant, f"user {user.uid}", rule=f"{usage.sysctl} = {usage.limit}"),
        f"User {user.uid} has at least {usage.used} inotify {kind} of {usage.limit}{who}: {_ADVICE}"
        f" {usage.sysctl}.",
        cause="InotifyLimit",
        cures=("SetSysctl", "StopHolder"),
        measure=Measure(float(usage.used), float(usage.limit)),
    )


def _ratios(sample: Sample) -> Mapping[tuple[str, ...], float]:
    """Return how much of each limit is used; of inotify by the user with most."""
    found = {"processes": sample.threads, "files": sample.files}
    for user in sample.users or ():
        for usage, kind, _ in _of(user, sample.inotify):
            name = f"inotify_{kind}"
            before = found.get(name)
            found[name] = usage if before is None or usage.used > before.used else before
    return {(n,): u.used / u.limit for n, u in found.items() if u is not None and u.limit}


DETECTOR = Detector(
    name="limits",
    condition="KernelLimitsHealthy",
    summary="Limits on processes, open files and inotify, of the node, of pods and of users",
    sample=Sample,
    params=LimitsParams,
    reasons=(PIDS, FILES, INOTIFY),
    judge=judge,
    signals=(
        Signal(
            "limit_used_ratio",
            "How much of a limit is used, from 0 to 1: processes, files, inotify_instances and"
            " inotify_watches, the latter two of the user with most.",
            _ratios,
            labels=("limit",),
        ),
    ),
)
