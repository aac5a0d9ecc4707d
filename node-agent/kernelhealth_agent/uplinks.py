"""Tells the world outside from a leak, where the node itself is a container.

The other end of such a node's uplink is in the namespace of the machine around it. The kernel gave
that one an id here, and no process of it can be seen from inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import default_routes
from kernelhealth_agent.kernel.rtnetlink import Link

_ROUTES = (("route", default_routes.ipv4), ("ipv6_route", default_routes.ipv6))
_LARGEST = 16 << 20


def outside(host: Host, links: Sequence[Link]) -> frozenset[int]:
    """Return the ids of namespaces at the other end of links that carry a default route.

    No pod's link does. Without links into other namespaces no route is looked at.
    """
    leading = {
        link.name: link.peer_nsid
        for link in links
        if link.peer_nsid is not None and link.peer_nsid >= 0
    }
    if not leading:
        return frozenset()
    uplinks: set[str] = set()
    for name, decode in _ROUTES:
        with contextlib.suppress(errors.HostError):
            uplinks |= decode(host.read(f"proc/1/net/{name}", _LARGEST))
    return frozenset(nsid for name, nsid in leading.items() if name in uplinks)
