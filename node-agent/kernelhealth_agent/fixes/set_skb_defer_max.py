"""SetSkbDeferMax: no packet waits on another processor's list and keeps its connection's entry.

Documentation/admin-guide/sysctl/net.rst: skb_defer_max; 0 frees each packet where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.sysctls import SetSysctl
from kernelhealth_agent.kernel import sysctl, sysctl_limits
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_SYSCTL = "net.core.skb_defer_max"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield the setting, once for all findings."""
    for observation in list(observations)[:1]:
        yield Aim(_SYSCTL, _SYSCTL, observation)


def objection(host: Host, aim: Aim) -> str:  # noqa: ARG001 - It is the same for all.
    """Return that it is 0 already."""
    return "it is 0 already" if _number(host) == 0 else ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield the setting with its new value."""
    now = _number(host)
    if now:
        yield SetSysctl(_SYSCTL, 0, now)


def achieved(host: Host, aim: Aim) -> bool:  # noqa: ARG001 - It is the same for all.
    """Whether it is 0."""
    return _number(host) == 0


def _number(host: Host) -> int:
    path = sysctl_limits.path(_SYSCTL)
    return sysctl.number(host.read(path, 64), path)


FIX = Fix(
    name="SetSkbDeferMax",
    stage=Stage.FIX_CONFIG,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
)
