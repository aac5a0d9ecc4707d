"""Which known fault of the kernel a growing cache or a trace of kmemleak points to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernelhealth_agent.kernel import trend
from kernelhealth_agent.kernel.growth import Growth
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.kmemleak import Site
from kernelhealth_agent.kernel.slab_caches import ROUTES, Cache

PER_NAMESPACE = "KmallocPerNamespaceLeak"
MOUNTS = "MountCacheLeak"
CGROUPS = "MemcgCacheLeak"
ROUTE_OBJECTS = "SuppressPrefixLeak"
_SPACES = {"namespaces", "interfaces"}
_BY_TRACE = (
    (re.compile(r"memcg_create_kmem_cache|memcg_kmem_cache_create"), CGROUPS),
    (re.compile(r"fib6_rule_|ip6_dst_alloc"), ROUTE_OBJECTS),
    (re.compile(r"alloc_vfsmnt|clone_mnt|copy_tree|attach_recursive_mnt"), MOUNTS),
    (re.compile(r"\w*_(init_net|net_init|pernet_register\w*)$|ops_init|setup_net"), PER_NAMESPACE),
)


def of_site(site: Site) -> str | None:
    """Return the cause that the functions of a trace point to, the allocating one first."""
    for function in (site.function, *site.trace):
        for pattern, cause in _BY_TRACE:
            if pattern.match(function):
                return cause
    return None


def of_cache(cache: Cache, grown: Growth, history: History, site: Site | None) -> str | None:
    """Return the cause of a leak; None where the evidence points nowhere.

    The names of a merged cache are no evidence: it takes a trace, or a count of the objects
    themselves.
    """
    if site is not None and (cause := of_site(site)) is not None:
        return cause
    if "ip6_dst_cache" in cache.names and _is_matched(history, cache.row):
        return ROUTE_OBJECTS
    if cache.names == ("mnt_cache",):
        return MOUNTS
    if cache.name in {"kmem_cache", "kmem_cache_node"}:
        return CGROUPS
    if grown.follows is not None and grown.follows.name in _SPACES:
        return PER_NAMESPACE
    return None


def _is_matched(history: History, row: str) -> bool:
    """Whether at least half of the growth of a cache is the host's IPv6 route objects."""
    objects = trend.theil_sen(*history.row(row))
    routes = trend.theil_sen(*history.row(ROUTES))
    if objects is None or routes is None or not routes.rises:
        return False
    return routes.slope >= objects.slope / 2


def site_of(cache: Cache, sites: Iterable[Site]) -> Site | None:
    """Return the place that kmemleak names whose objects fit into a cache of kmalloc, if any."""
    if not cache.name.startswith("kmalloc-"):
        return None
    for site in sites:
        if cache.object_size / 2 < site.size / site.objects <= cache.object_size:
            return site
    return None
