"""The leak of IPv6 route objects through rules that suppress routes.

net/ipv6/fib6_rules.c: ``fib6_rule_suppress`` forgot the reference of a route that it threw away,
from ca7a03c41753 (5.4, "ipv6: do not free rt if FIB_LOOKUP_NOREF is set on suppress rule") until
cdef485217d3 (5.16, "ipv6: fix memory leak in fib6_rule_suppress"). One object is lost for each
packet whose route an nftables ``fib`` expression or the ``rpfilter`` match looks up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.nftables import FibUser
from kernelhealth_agent.kernel.policy_rules import Rule
from kernelhealth_agent.kernel.rt6_stats import RouteObjects

_AFFECTED = (
    ((5, 4, 0), (5, 4, 164)),  # Fixed there by ee38eb8cf9a7.
    ((5, 5, 0), (5, 10, 84)),  # 209d35ee34e2
    ((5, 11, 0), (5, 15, 7)),  # 8ef8a76a340e
)
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
_SUPPRESS = re.compile(r"suppress[-_]?prefix[-_]?len", re.IGNORECASE)
_ALL_TRAFFIC = re.compile(r"\s*AllowedIPs\s*=.*::/0", re.IGNORECASE)
# Not \s, which would cross lines: a file of line ends only would then take a quarter of an hour.
_OWN_TABLE = re.compile(r"^[ \t]*Table[ \t]*=[ \t]*(off|\d+)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_RPFILTER = re.compile(r"\s*IPv6_rpfilter\s*=\s*(?!no\s*$)\S", re.IGNORECASE)
_WIREGUARD = "etc/wireguard"

PLACES = (
    (_WIREGUARD, ".conf", _ALL_TRAFFIC),
    ("etc/netplan", ".yaml", _SUPPRESS),
    ("etc/cloud/cloud.cfg.d", ".cfg", _SUPPRESS),
    ("etc/NetworkManager/system-connections", ".nmconnection", _SUPPRESS),
    ("etc/systemd/network", ".network", _SUPPRESS),
    ("run/systemd/network", ".network", _SUPPRESS),
    ("etc/firewalld", "firewalld.conf", _RPFILTER),
)
"""Where rules and reverse path filters come from: directory, end of the file's name, evidence."""
KEEP = r"(?i)suppress[-_]?prefix|^\s*(AllowedIPs|Table|IPv6_rpfilter)\s*="
"""The lines of those files that are looked at: the rest may well be private keys."""


@dataclass(frozen=True, slots=True)
class Routing:
    """IPv6 routing of one namespace.

    *objects* is None where it cannot be read. *rules* are those that suppress routes; only with one
    it was looked for *users*, which is None where they could not be asked for without having a
    module loaded, and for the *files* that set it up, ``/path:line``.
    """

    space: Namespace
    is_host: bool
    objects: RouteObjects | None
    rules: tuple[Rule, ...] = ()
    users: tuple[FibUser, ...] | None = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look saw, the host's namespace first; *affected* is whether the release suggests it.

    *merged*: the names under which the route objects may be counted in /proc/slabinfo.
    """

    release: str
    affected: bool
    routings: tuple[Routing, ...]
    merged: tuple[str, ...] = ()


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


def evidence(place: str, sign: re.Pattern[str], content: bytes) -> Iterator[int]:
    """Yield the lines of a file that set up a part of the trap; nothing else of it is kept."""
    text = content.decode(errors="replace")
    if place == _WIREGUARD and _OWN_TABLE.search(text):
        return  # wg-quick adds its rules only where it is to choose the table.
    for number, line in enumerate(text.split("\n"), 1):
        match = sign.search(line) if sign is _SUPPRESS else sign.match(line)
        if match is not None and not line.lstrip().startswith(("#", ";")):
            yield number
