"""Finds the other half of the suppress_prefix trap: who looks up routes, and who set that up."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import modules, naming, nftables, rtnetlink, rule_installers
from kernelhealth_agent.kernel.modules import Presence
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.nftables import FibUser
from kernelhealth_agent.kernel.rule_installers import Installer
from kernelhealth_agent.kernel.suppress_prefix import Routing

_MODULES = "proc/modules"
MANY = 256
"""Unexplained objects from which on it is worth to read more files."""
_FILTERING = ("raw", "mangle")  # The tables of ip6tables that the rpfilter match may stand in.


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of the kernel are there; *modules* is None in a kernel that can load none."""

    modules: dict[str, int] | None
    built_in: frozenset[str] | None


def parts(host: Host, release: str) -> Parts:
    """Return what the kernel of that release has loaded or built in."""
    loaded, built_in = None, None
    with contextlib.suppress(errors.AbsentError):
        loaded = modules.loaded(host.read(_MODULES), _MODULES)
    with contextlib.suppress(errors.AbsentError):
        built_in = modules.builtin(host.read(f"lib/modules/{release}/modules.builtin"))
    return Parts(loaded, built_in)


def examined(host: Host, routing: Routing, parts: Parts) -> Routing:
    """Return a routing that has suppressing rules with the second half of the trap."""
    users = _fib_users(host, None if routing.is_host else routing.space.file, parts)
    tables = _xtables(host, routing.space, parts)
    found = None if users is None and not tables else (*(users or ()), *tables)
    if not found and not _has_many(routing):
        return dataclasses.replace(routing, users=found)
    wireguards = _wireguards(host, None if routing.is_host else routing.space.file)
    installers = _installers(host, routing, wireguards)
    return dataclasses.replace(routing, users=found, installers=installers)


def _has_many(routing: Routing) -> bool:
    return routing.objects is not None and routing.objects.unexplained >= MANY


def _fib_users(host: Host, file: str | None, parts: Parts) -> tuple[FibUser, ...] | None:
    """Return the rules of nftables that look up routes; None where asking might load a module."""
    presence = modules.presence("nf_tables", parts.modules, parts.built_in)
    if presence is Presence.UNKNOWN:
        return None
    if presence is Presence.MISSING:
        return ()
    request = nftables.request()
    try:
        return nftables.fib_users(host.dump(request, file), f"netlink {request.name}")
    except errors.AbsentError:
        return ()


def _xtables(host: Host, space: Namespace, parts: Parts) -> tuple[FibUser, ...]:
    """Return the tables of ip6tables that may have an rpfilter match: it is loaded and in use.

    Where it is built in nothing tells whether it is in use, so nothing is claimed.
    """
    if not parts.modules or not parts.modules.get("ip6t_rpfilter"):
        return ()
    tables = b""
    if space.pids:
        with contextlib.suppress(errors.AbsentError):
            tables = host.read(f"proc/{space.pids[0]}/net/ip6_tables_names", 4096)
    return tuple(
        FibUser("ip6tables", table, "", None, "rpfilter")
        for table in _FILTERING
        if table.encode() in tables.split()
    )


def _installers(host: Host, routing: Routing, wireguards: tuple[str, ...]) -> tuple[Installer, ...]:
    """Return who set up the trap, by files and by the rule.

    What is in a namespace of its own was set up from there: by files of its processes' roots. The
    host's files say something of the host, and of a namespace without processes.
    """
    roots = [""] if routing.is_host else _roots(host, routing.space) or [""]
    found = [installer for root in roots for installer in _lines(host, root)]
    rule = routing.rules[0]
    by_rule = rule_installers.by_rule(rule.companion, rule.protocol, wireguards)
    return (*found, by_rule) if by_rule is not None else tuple(found)


def _wireguards(host: Host, file: str | None) -> tuple[str, ...]:
    """Return the WireGuard interfaces of a namespace."""
    with contextlib.suppress(errors.HostError):
        path = f"netlink links of {file or 'the host'}"
        links = rtnetlink.links(host.dump(rtnetlink.links_request(), file), path)
        return tuple(naming.short(link.name) for link in links if link.kind == "wireguard")
    return ()


def _roots(host: Host, space: Namespace) -> list[str]:
    """Return one root directory for each mount namespace of the processes."""
    roots: dict[str, str] = {}
    for pid in space.pids:
        with contextlib.suppress(errors.AbsentError):
            roots.setdefault(host.link(f"proc/{pid}/ns/mnt"), f"proc/{pid}/root")
    return list(roots.values())


def _lines(host: Host, root: str) -> Iterator[Installer]:
    for place in rule_installers.PLACES:
        # Evidence adds to a finding; where a folder cannot be read the finding stands without.
        with contextlib.suppress(errors.HostError):
            folder = host.folder(root, place.directory, place.suffix, rule_installers.KEEP)
            for name, content in folder.files.items():
                yield from rule_installers.evidence(place, name, content)
