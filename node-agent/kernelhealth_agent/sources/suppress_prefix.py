"""Reads IPv6 rules that suppress routes, who looks up routes, and how many route objects exist."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import (
    modules,
    nftables,
    policy_rules,
    rt6_stats,
    slab_aliases,
    suppress_prefix,
)
from kernelhealth_agent.kernel.modules import Presence
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.nftables import FibUser
from kernelhealth_agent.kernel.rt6_stats import RouteObjects
from kernelhealth_agent.kernel.suppress_prefix import Routing, Sample
from kernelhealth_agent.source import Occasion, Source

_MODULES = "proc/modules"
_POSSIBLE = "sys/devices/system/cpu/possible"
_MANY = 256  # Unexplained objects from which on it is worth a second file to count the sockets.
_FILTERING = ("raw", "mangle")  # The tables of ip6tables that the rpfilter match may stand in.


@dataclasses.dataclass(frozen=True, slots=True)
class _Parts:
    """Which parts of the kernel are there; *modules* is None in a kernel that can load none."""

    modules: dict[str, int] | None
    built_in: frozenset[str] | None


def collect(host: Host, occasion: Occasion[None]) -> Sample:
    """Ask each namespace for its rules, and only those with a suppressing one for more.

    Raises ``AbsentError`` where the kernel has no IPv6 rules at all.
    """
    inventory = occasion.inventory
    release = _text(host, "proc/sys/kernel/osrelease")
    processors = rt6_stats.processors(host.read(_POSSIBLE), _POSSIBLE)
    routings = [_routing(host, inventory.host, None, processors)]
    for space in inventory.namespaces.values():
        with contextlib.suppress(errors.AbsentError):  # It is gone meanwhile.
            if space.file is not None:
                routings.append(_routing(host, space, space.file, processors))
    if any(routing.rules for routing in routings):
        parts = _parts(host, release)
        routings = [
            _examined(host, routing, parts) if routing.rules else routing for routing in routings
        ]
    version, signature = _text(host, "proc/version"), _text(host, "proc/version_signature")
    links = {}
    with contextlib.suppress(errors.AbsentError):
        links = host.links("sys/kernel/slab")
    return Sample(
        release=release,
        affected=suppress_prefix.affected(release, version, signature),
        routings=tuple(routings),
        merged=slab_aliases.merged("ip6_dst_cache", links),
    )


def _text(host: Host, path: str) -> str:
    try:
        return host.read(path, 4096).decode(errors="replace").strip()
    except errors.AbsentError:
        return ""


def _routing(host: Host, space: Namespace, file: str | None, processors: int) -> Routing:
    stream = host.dump(policy_rules.request(), file)
    rules = policy_rules.suppressing(stream, f"netlink {policy_rules.request().name}")
    return Routing(space, file is None, _objects(host, space, processors), rules)


def _objects(host: Host, space: Namespace, processors: int) -> RouteObjects | None:
    """Return the route objects; None where no process is inside, or IPv6 is not there."""
    for pid in space.pids:
        path = f"proc/{pid}/net/rt6_stats"
        with contextlib.suppress(errors.AbsentError):
            objects = rt6_stats.route_objects(host.read(path, 4096), processors, path)
            if objects.unexplained < _MANY:
                return objects
            sockets = rt6_stats.sockets(host.read(f"proc/{pid}/net/sockstat6", 4096))
            return dataclasses.replace(objects, explained=objects.explained + sockets)
    return None


def _parts(host: Host, release: str) -> _Parts:
    loaded, built_in = None, None
    with contextlib.suppress(errors.AbsentError):
        loaded = modules.loaded(host.read(_MODULES), _MODULES)
    with contextlib.suppress(errors.AbsentError):
        built_in = modules.builtin(host.read(f"lib/modules/{release}/modules.builtin"))
    return _Parts(loaded, built_in)


def _examined(host: Host, routing: Routing, parts: _Parts) -> Routing:
    """Return a routing that has suppressing rules with the second half of the trap."""
    users = _fib_users(host, None if routing.is_host else routing.space.file, parts)
    tables = _xtables(host, routing.space, parts)
    files = tuple(_files(host, routing.space, is_host=routing.is_host)) if users or tables else ()
    found = None if users is None and not tables else (*(users or ()), *tables)
    return dataclasses.replace(routing, users=found, files=files)


def _fib_users(host: Host, file: str | None, parts: _Parts) -> tuple[FibUser, ...] | None:
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


def _xtables(host: Host, space: Namespace, parts: _Parts) -> tuple[FibUser, ...]:
    """Return the tables of ip6tables that may have an rpfilter match: it is loaded and in use.

    Where it is built in nothing tells whether it is in use, so nothing is claimed.
    """
    if not parts.modules or not parts.modules.get("ip6t_rpfilter"):
        return ()
    tables = _text(host, f"proc/{space.pids[0]}/net/ip6_tables_names") if space.pids else ""
    return tuple(
        FibUser("ip6tables", table, "", None, "rpfilter")
        for table in _FILTERING
        if table in tables.split()
    )


def _files(host: Host, space: Namespace, *, is_host: bool) -> Iterator[str]:
    """Yield the lines that set up the trap: of the containers, or else of the host."""
    found = []
    if not is_host:
        for root in _roots(host, space):
            found += list(_lines(host, root))
    yield from found or (_lines(host, ""))


def _roots(host: Host, space: Namespace) -> list[str]:
    """Return one root directory for each mount namespace of the processes."""
    roots: dict[str, str] = {}
    for pid in space.pids:
        with contextlib.suppress(errors.AbsentError):
            roots.setdefault(host.link(f"proc/{pid}/ns/mnt"), f"proc/{pid}/root")
    return list(roots.values())


def _lines(host: Host, root: str) -> Iterator[str]:
    for place, suffix, sign in suppress_prefix.PLACES:
        # Evidence adds to a finding; where a folder cannot be read the finding stands without.
        with contextlib.suppress(errors.HostError):
            for name, content in host.folder(
                root, place, suffix, suppress_prefix.KEEP
            ).files.items():
                for line in suppress_prefix.evidence(place, sign, content):
                    yield f"/{place}/{name}:{line}"


SOURCE = Source(
    name="suppress_prefix",
    sample=Sample,
    reads=(
        "netlink rules6",
        "netlink nft-rules",
        "proc/*/net/rt6_stats",
        "proc/*/net/sockstat6",
        "proc/*/net/ip6_tables_names",
        "proc/modules",
        "proc/version",
        "proc/version_signature",
        "proc/sys/kernel/osrelease",
        "lib/modules/*/modules.builtin",
        "sys/devices/system/cpu/possible",
        "sys/kernel/slab/*",
        *(f"{place}/*{suffix}" for place, suffix, _ in suppress_prefix.PLACES),
    ),
    collect=collect,
)
