"""What a kernel has of network namespaces, as an administrator sees it: ip(8), lsns(8), sysfs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench

_SEPARATOR = "="
_DRIVEN = "/sys/bus/virtio/drivers/virtio_net/virtio*"
_CLIENTS = "/sys/kernel/debug/sunrpc/rpc_xprt/*/info"
# All at once, since each command that is run in a pod of an emulated machine takes seconds.
_SHOWN = f"; echo {_SEPARATOR}; ".join(
    (
        "ip -json -details link show",
        "ip -json netns list-id",
        "lsns --json --type net --output NS,NETNSID",
        "cat /proc/modules",
        f"for one in {_DRIVEN}; do readlink --canonicalize $one; done",
        f"cat {_CLIENTS} 2>/dev/null || true",
    )
)
_UNKNOWN = "unassigned"


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the host: the id of the namespace at its other end, its MAC, its device."""

    nsid: int | None
    address: str
    device: str | None


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The links of a host by name, and what it knows of namespaces.

    ``known`` are the ids that the kernel has, ``reachable`` those of namespaces that a process has.
    ``functions`` are the PCI addresses of network functions that have a driver, by device, and
    ``transports`` what SUNRPC says of its transports (net/sunrpc/debugfs.c).
    """

    links: Mapping[str, Link]
    known: frozenset[int]
    reachable: frozenset[int]
    modules: frozenset[str]
    functions: Mapping[str, str]
    transports: str

    @property
    def lost(self) -> frozenset[int]:
        """The ids of namespaces that the kernel keeps although nothing reaches them."""
        return self.known - self.reachable

    @property
    def lost_links(self) -> tuple[str, ...]:
        """The host's links that lead to such namespaces, sorted."""
        return tuple(sorted(name for name, link in self.links.items() if link.nsid in self.lost))

    @property
    def away(self) -> tuple[str, ...]:
        """The devices of network functions without a link on the host, sorted."""
        return tuple(sorted({*self.functions} - {link.device for link in self.links.values()}))


def parsed(text: str) -> NetworkState:
    """Read what the programs have shown, one part after the other."""
    links, ids, namespaces, modules, devices, transports = text.split(f"{_SEPARATOR}\n")
    seen = (one["netnsid"] for one in json.loads(namespaces)["namespaces"])
    paths = (line.split("/") for line in devices.splitlines())
    return NetworkState(
        {
            one["ifname"]: Link(one.get("link_netnsid"), one["address"], one.get("parentdev"))
            for one in json.loads(links)
        },
        frozenset(one["nsid"] for one in json.loads(ids)),
        frozenset(int(nsid) for nsid in seen if nsid not in {_UNKNOWN, None}),
        frozenset(line.split()[0] for line in modules.splitlines()),
        {path[-1]: path[-2] for path in paths},
        transports,
    )


def of(bench: Bench) -> NetworkState:
    """Look at it now, with the machine's own programs: the agent's image has none of them."""
    return parsed(bench.on("chroot", "/host", "sh", "-c", _SHOWN))
