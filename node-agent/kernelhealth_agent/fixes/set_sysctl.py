"""SetSysctl: one kernel limit that is nearly reached is doubled, as far as the catalogue allows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.sysctls import SetSysctl
from kernelhealth_agent.kernel import sysctl, sysctl_limits
from kernelhealth_agent.kernel.sysctl_limits import Limit
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_MEMINFO = "proc/meminfo"
_LONGEST = 64


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each limit of the catalogue that a finding names, once."""
    seen = set()
    for observation in observations:
        found = sysctl_limits.observed(observation.subject.rule, observation.reason.name)
        if found is not None and found[0].sysctl not in seen:
            seen.add(found[0].sysctl)
            yield Aim(found[0].sysctl, found[0].sysctl, observation)


def objection(host: Host, aim: Aim) -> str:
    """Return that it was changed since, or may not be raised any further."""
    limit, before = _observed(aim)
    now = _number(host, limit.sysctl)
    if now != before:
        return f"it is {now} by now and not {before}: somebody changed it since it was found"
    if _target(host, limit, now) <= now:
        return (
            f"it is {now}, and for this node's memory and by the catalogue it is not raised any"
            " further on request: find out who needs so many, or raise it by hand"
        )
    return ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:
    """Yield the limit with its new value."""
    limit, now = _observed(aim)
    target = _target(host, limit, now)
    if target > now:
        yield SetSysctl(limit.sysctl, target, now)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether it is higher than when it was found."""
    limit, before = _observed(aim)
    return _number(host, limit.sysctl) > before


def _observed(aim: Aim) -> tuple[Limit, int]:
    found = sysctl_limits.observed(aim.observation.subject.rule, aim.observation.reason.name)
    if found is None:
        raise errors.UnreadableError("finding", "it names no limit that may be raised")
    return found


def _number(host: Host, name: str) -> int:
    path = sysctl_limits.path(name)
    return sysctl.number(host.read(path, _LONGEST), path)


def _target(host: Host, limit: Limit, now: int) -> int:
    memory = sysctl_limits.memory(host.read(_MEMINFO), _MEMINFO)
    beside = None
    if limit.beside is not None:
        with contextlib.suppress(errors.AbsentError):
            beside = _number(host, limit.beside)
    return limit.target(now, memory, beside)


FIX = Fix(
    name="SetSysctl",
    stage=Stage.FIX_CONFIG,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
)
