"""Network namespaces that gssproxy's client in the kernel never lets go of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import occupants
from kernelhealth_agent.kernel.gssproxy import Pin, Sample, Setting
from kernelhealth_agent.kernel.namespaces import Namespace
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

_CAUSE = "GssProxyPin"


class GssproxyParams(Params):
    """When gssproxy's doings are a finding, and when a serious one."""

    confirm_after: Duration = Field(
        timedelta(minutes=2),
        description="How long a namespace must stay pinned and unreachable before it is reported;"
        " the end of a namespace takes a moment.",
    )
    critical_pins: int = Field(
        10, ge=1, description="From how many pinned namespaces on the finding is Critical."
    )


USED = Reason(
    "UseGssProxyInContainer",
    Severity.WARNING,
    "The kernel is a client of gssproxy in a namespace other than the host's, which will leak when"
    " its last process ends.",
)
CONFIGURED = Reason(
    "KernelNfsdEnabledInContainer",
    Severity.INFO,
    "A container's gssproxy is configured to make the kernel its client; a Warning where the"
    " module auth_rpcgss is loaded, since nothing else is missing then.",
)
PINNED = Reason(
    "NamespacePinnedByGssProxy",
    Severity.WARNING,
    "Nothing reaches a network namespace any more, but the kernel's client of gssproxy holds it.",
    confirm="confirm_after",
    critical="critical_pins",
)


def judge(sample: Sample, _params: GssproxyParams) -> Iterator[Observation]:
    """Yield what will leak, what is set up to leak, and what has leaked."""
    for space in sample.used:
        yield _used(space, sample.own if space.inode in sample.shared else None)
    for setting in sample.settings:
        yield _configured(setting, loaded=sample.loaded)
    for pin in sample.pins or ():
        yield _pinned(pin)
    for number in range(1, (sample.unnamed or 0) + 1):
        yield _unnamed(number)


def _used(space: Namespace, own: str | None) -> Observation:
    """Observe a namespace, whose processes may read the host's *own* configuration."""
    where = "its gssproxy configuration" if own is None else f"{own} of the host, which it reads"
    return Observation(
        USED,
        str(space.inode),
        occupants.subject(space, holder="kernel", rule="/proc/net/rpc/use-gss-proxy = 1"),
        f"{occupants.title(space)} has 1 in /proc/net/rpc/use-gss-proxy: its network namespace"
        " and interfaces will stay in the kernel when it ends; do not delete it before"
        f" auth_rpcgss can be unloaded, and set kernel_nfsd = no in {where}.",
        cause=_CAUSE,
        cures=(*_switched_off(of_host=own is not None), "BlockRpcGssModule", "UnloadRpcGssModule"),
    )


def _configured(setting: Setting, *, loaded: bool) -> Observation:
    file = f"{setting.file}:{setting.line}"
    when = (
        "as auth_rpcgss is loaded, its network namespace leaks once gssproxy runs"
        if loaded
        else "should auth_rpcgss ever be loaded, its network namespace leaks once gssproxy runs"
    )
    whose, where = ("", "there")
    if setting.of_host:
        whose, where = " of the host, which it was given", "there, do not give it that folder,"
    return Observation(
        CONFIGURED,
        f"{setting.space.inode}/{setting.mntns}{setting.file}",
        occupants.subject(
            setting.space,
            container=setting.container,
            process=setting.process,
            file=file,
            rule="kernel_nfsd = yes",
        ),
        f"{occupants.title(setting.space)} has kernel_nfsd switched on in {file}{whose}: {when};"
        f" set kernel_nfsd = no {where} or leave gssproxy out of the image.",
        cause=_CAUSE,
        cures=(*_switched_off(of_host=setting.of_host), "BlockRpcGssModule"),
        severity=Severity.WARNING if loaded else None,
    )


def _switched_off(*, of_host: bool) -> tuple[str, ...]:
    """Return the cure for a configuration that is the host's own: no other may be edited."""
    return ("DisableKernelNfsd",) if of_host else ()


def _pinned(pin: Pin) -> Observation:
    past = pin.remembered
    whose = "" if past is None or not past.pod.name else f" of pod {past.pod.title}"
    space = Namespace(
        pin.inode,
        nsid=None if past is None else past.nsid,
        pod=None if past is None else past.pod,
        sandbox=None if past is None else past.sandbox,
    )
    return Observation(
        PINNED,
        str(pin.inode),
        occupants.subject(space, holder="kernel (auth_rpcgss)"),
        f"Network namespace {pin.inode}{whose} is out of everyone's reach and held by the kernel's"
        " client of gssproxy; unload auth_rpcgss where nothing uses it, else reboot.",
        cause=_CAUSE,
        cures=("UnloadRpcGssModule", "Reboot"),
    )


def _unnamed(number: int) -> Observation:
    return Observation(
        PINNED,
        f"unnamed-{number}",
        Subject(holder="kernel (auth_rpcgss)"),
        "The kernel has more clients of gssproxy than reachable network namespaces account for,"
        " one for each that leaked; unload auth_rpcgss where nothing uses it, else reboot.",
        cause=_CAUSE,
        cures=("UnloadRpcGssModule", "Reboot"),
    )


DETECTOR = Detector(
    name="gssproxy",
    condition="GssProxyHealthy",
    summary="Network namespaces that gssproxy pins in the kernel, before and after they leak",
    sample=Sample,
    params=GssproxyParams,
    reasons=(USED, CONFIGURED, PINNED),
    judge=judge,
    signals=(
        Signal(
            "gssproxy_namespaces",
            "Reachable network namespaces where the kernel is a client of gssproxy.",
            lambda sample: {(): float(len(sample.used))},
        ),
        Signal(
            "gssproxy_pinned_namespaces",
            "Unreachable network namespaces that a client of gssproxy holds; absent where the"
            " kernel does not tell.",
            lambda sample: (
                {} if sample.pins is None else {(): float(len(sample.pins) + (sample.unnamed or 0))}
            ),
        ),
        Signal(
            "gssproxy_host_kernel_nfsd",
            "Whether the host's own gssproxy has kernel_nfsd switched on, which leaks nothing.",
            lambda sample: {(): float(sample.own is not None)},
        ),
        Signal(
            "gssproxy_unread_files",
            "Configuration files and folders of containers that were not read.",
            lambda sample: {(): float(len(sample.blind))},
        ),
    ),
)
