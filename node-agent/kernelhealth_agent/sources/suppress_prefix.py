"""Reads IPv6 rules that suppress routes, who looks up routes, and how many route objects exist."""

from __future__ import annotations

import contextlib
import dataclasses

from kernelhealth_agent import errors, fib_users
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import (
    meminfo,
    policy_rules,
    route_growth,
    rt6_stats,
    rule_installers,
    slab_aliases,
    suppress_prefix,
)
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.route_growth import Growths
from kernelhealth_agent.kernel.rt6_stats import RouteObjects
from kernelhealth_agent.kernel.suppress_prefix import Routing, Sample
from kernelhealth_agent.source import Occasion, Source

_CACHE = "ip6_dst_cache"
_POSSIBLE = "sys/devices/system/cpu/possible"


def collect(host: Host, occasion: Occasion[Growths]) -> Sample:
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
        parts = fib_users.parts(host, release)
        routings = [
            fib_users.examined(host, routing, parts) if routing.rules else routing
            for routing in routings
        ]
    version, signature = _text(host, "proc/version"), _text(host, "proc/version_signature")
    links = {}
    with contextlib.suppress(errors.AbsentError):
        links = host.links("sys/kernel/slab")
    growths = route_growth.updated(
        occasion.memory,
        occasion.moment.uptime,
        {r.space.inode: r.objects.unexplained for r in routings if r.objects is not None},
    )
    trends = {series.inode: series.trend for series in growths.series}
    return Sample(
        release=release,
        affected=suppress_prefix.affected(release, version, signature),
        routings=tuple(
            dataclasses.replace(routing, trend=trends.get(routing.space.inode))
            for routing in routings
        ),
        merged=slab_aliases.merged(_CACHE, links),
        size=_size(host),
        available=_available(host),
        wall=occasion.moment.wall,
        growths=growths,
    )


def _size(host: Host) -> int:
    """Return how many bytes a route object takes."""
    text = _text(host, f"sys/kernel/slab/{_CACHE}/slab_size")
    return int(text) if text.isdecimal() and 0 < len(text) < 7 else suppress_prefix.OBJECT_SIZE


def _available(host: Host) -> int | None:
    with contextlib.suppress(errors.HostError):
        return meminfo.available(host.read("proc/meminfo"), "proc/meminfo")
    return None


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
            if objects.unexplained < fib_users.MANY:
                return objects
            sockets = rt6_stats.sockets(host.read(f"proc/{pid}/net/sockstat6", 4096))
            return dataclasses.replace(objects, explained=objects.explained + sockets)
    return None


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
        "sys/kernel/slab/ip6_dst_cache/slab_size",
        "proc/meminfo",
        *(f"{place.directory}/*{place.suffix}" for place in rule_installers.PLACES),
    ),
    collect=collect,
    period=120.0,
    memory=Growths,
    remember=lambda sample: sample.growths,
)
