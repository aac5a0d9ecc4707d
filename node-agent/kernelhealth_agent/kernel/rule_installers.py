"""Who sets up IPv6 rules that suppress routes, and reverse path filters: the lines in their files.

wg-quick adds a rule on the main table for each interface that is to carry all traffic, beside one
for what is not yet encrypted (``not from all fwmark 0xca6c lookup 51820``). cloud-init, Netplan,
NetworkManager and systemd-networkd write or read rules as configuration. Nothing but the lines that
are evidence is looked at: the rest of such files may well be keys and passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SUPPRESS = re.compile(r"suppress[-_]?prefix[-_]?len", re.IGNORECASE)
_ALL_TRAFFIC = re.compile(r"\s*AllowedIPs\s*=.*::/0", re.IGNORECASE)
# Not \s, which would cross lines: a file of line ends only would then take a quarter of an hour.
_OWN_TABLE = re.compile(r"^[ \t]*Table[ \t]*=[ \t]*(off|\d+)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_RPFILTER = re.compile(r"\s*IPv6_rpfilter\s*=\s*(?!no\s*$)\S", re.IGNORECASE)
_WG_QUICK, _CLOUD = "wg-quick", "cloud-init"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with files of one program, the end of their names, and what is evidence."""

    directory: str
    suffix: str
    sign: re.Pattern[str]
    program: str


@dataclass(frozen=True, slots=True)
class Installer:
    """Who set up a part of the trap, and where: *file* is ``/path:line``."""

    program: str
    file: str | None = None

    @property
    def text(self) -> str:
        """Program and place, in words."""
        return self.program if self.file is None else f"{self.program}: {self.file}"


PLACES = (
    Place("etc/wireguard", ".conf", _ALL_TRAFFIC, _WG_QUICK),
    *(Place(f"{top}/netplan", ".yaml", _SUPPRESS, "Netplan") for top in ("etc", "run", "lib")),
    Place("etc/cloud", "cloud.cfg", _SUPPRESS, _CLOUD),
    Place("etc/cloud/cloud.cfg.d", ".cfg", _SUPPRESS, _CLOUD),
    *(
        Place(
            f"{top}/NetworkManager/system-connections", ".nmconnection", _SUPPRESS, "NetworkManager"
        )
        for top in ("etc", "run")
    ),
    *(
        Place(f"{top}/systemd/network", ".network", _SUPPRESS, "systemd-networkd")
        for top in ("etc", "run", "lib")
    ),
    Place("etc/firewalld", "firewalld.conf", _RPFILTER, "firewalld"),
)
KEEP = r"(?i)suppress[-_]?prefix|^\s*(AllowedIPs|Table|IPv6_rpfilter)\s*="
"""The lines of those files that are looked at."""


def evidence(place: Place, name: str, content: bytes) -> Iterator[Installer]:
    """Yield who set up a part of the trap by a file of that name; nothing else of it is kept."""
    text = content.decode(errors="replace")
    if place.program == _WG_QUICK and _OWN_TABLE.search(text):
        return  # wg-quick adds its rules only where it is to choose the table.
    search = place.sign.search if place.sign is _SUPPRESS else place.sign.match
    for number, line in enumerate(text.split("\n"), 1):
        if search(line) is not None and not line.lstrip().startswith(("#", ";")):
            yield Installer(_program(place, name), f"/{place.directory}/{name}:{number}")


def by_rule(companion: str | None, protocol: int, wireguards: tuple[str, ...]) -> Installer | None:
    """Return who added a rule, by what the kernel knows of it; None for nobody in particular.

    *companion* is the other rule that wg-quick adds, *wireguards* the WireGuard interfaces beside,
    *protocol* the FRA_PROTOCOL of the rule: RTPROT_STATIC (4) is of a configuration.
    """
    if companion is not None and wireguards:
        return Installer(f"{_WG_QUICK} for {', '.join(wireguards[:3])} (rule '{companion}')")
    if companion is not None:
        return Installer(f"wg-quick, or alike (rule '{companion}')")
    if protocol == 4:
        return Installer("a network configuration (proto static, as NetworkManager and networkd)")
    return None


def _program(place: Place, name: str) -> str:
    """Return whose file it is: one program generates files of another."""
    if _CLOUD in name and place.program != _CLOUD:
        return f"{_CLOUD} through {place.program}"
    if "netplan" in name and place.program != "Netplan":
        return f"Netplan through {place.program}"
    return place.program
