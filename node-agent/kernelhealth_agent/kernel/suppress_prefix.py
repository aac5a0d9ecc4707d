"""The leak of IPv6 route objects through rules that suppress routes.

net/ipv6/fib6_rules.c: ``fib6_rule_suppress`` forgot the reference of a route that it threw away,
from ca7a03c41753 (5.4, "ipv6: do not free rt if FIB_LOOKUP_NOREF is set on suppress rule") until
cdef485217d3 (5.16, "ipv6: fix memory leak in fib6_rule_suppress"). One object is lost for each
packet whose route an nftables ``fib`` expression or the ``rpfilter`` match looks up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.nftables import FibUser
from kernelhealth_agent.kernel.policy_rules import Rule
from kernelhealth_agent.kernel.route_growth import Growths
from kernelhealth_agent.kernel.rt6_stats import RouteObjects
from kernelhealth_agent.kernel.rule_installers import Installer
from kernelhealth_agent.kernel.trend import Trend

_AFFECTED = (
    ((5, 4, 0), (5, 4, 164)),  # Fixed there by ee38eb8cf9a7.
    ((5, 5, 0), (5, 10, 84)),  # 209d35ee34e2
    ((5, 11, 0), (5, 15, 7)),  # 8ef8a76a340e
)
OBJECT_SIZE = 256
"""Bytes of a route object where the kernel does not tell, of the cache ip6_dst_cache."""
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")


@dataclass(frozen=True, slots=True)
class Routing:
    """IPv6 routing of one namespace.

    *objects* is None where it cannot be read, *trend* is their growth per second, as far as nothing
    explains them. *rules* are those that suppress routes; only with one it was looked for *users*,
    which is None where they could not be asked for without having a module loaded, and for the
    *installers* that set it up.
    """

    space: Namespace
    is_host: bool
    objects: RouteObjects | None
    rules: tuple[Rule, ...] = ()
    users: tuple[FibUser, ...] | None = ()
    installers: tuple[Installer, ...] = ()
    trend: Trend | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look saw, the host's namespace first; *affected* is whether the release suggests it.

    *merged*: the names under which the route objects may be counted in /proc/slabinfo. *size* is
    that of one object in bytes, *available* the memory that is left, None where that is not told;
    *growths* are what the next look shall know.
    """

    release: str
    affected: bool
    routings: tuple[Routing, ...]
    merged: tuple[str, ...] = ()
    size: int = OBJECT_SIZE
    available: int | None = None
    wall: datetime | None = None
    growths: Growths = field(default_factory=Growths)


def affected(release: str, version: str = "", signature: str = "") -> bool:
    """Tell whether the upstream release that a kernel was made from had the fault: a hint only.

    *version* is /proc/version, where Debian names the release, *signature* /proc/version_signature,
    where Ubuntu does. A release that cannot be understood may well be affected.
    """
    debian = re.search(r"Debian (\d\S*)", version)
    upstream = signature.split()[-1:] or ([debian[1]] if debian else [release])
    match = _RELEASE.match(upstream[0])
    if match is None:
        return True
    numbers = (int(match[1]), int(match[2]), int(match[3] or 0))
    return any(first <= numbers < fixed for first, fixed in _AFFECTED)
