"""Network functions on PCI and virtio, and the namespaces that their interfaces went to.

sysfs shows a device's ``net`` directory to the namespace that the interface is in; for all others
it is there and empty (drivers/base/core.c removes the directory with the last interface of any
namespace). So an empty one says: an interface exists, elsewhere. Where, only the links of the other
namespaces tell, by IFLA_PARENT_DEV_NAME (Linux 5.14, commit 00e77ed8e64d), which for virtio is the
virtio device and not the PCI function above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelhealth_agent.kernel.rtnetlink import Link

PCI = "sys/bus/pci/devices"
VIRTIO = "sys/bus/virtio/devices"
VIRTIO_DRIVER = "virtio_net"
_ETHERNET = re.compile(rb"0x0200[0-9a-f]{2}\s*")
_VIRTIO_DEVICE = re.compile(r"virtio\d+")
_NO_NETWORK = {"vfio-pci", "uio_pci_generic", "igb_uio", "pci-stub", "pciback", "xen-pciback"}


@dataclass(frozen=True, slots=True)
class NetworkFunction:
    """A bound network function: *address* on its bus, *parent* as its interface names it.

    *interfaces* is the directory in which sysfs shows its interfaces.
    """

    address: str
    parent: str
    driver: str
    interfaces: str


@dataclass(frozen=True, slots=True)
class LostFunction:
    """A function whose interface no reachable namespace has; *link* and *nsid* where it was seen.

    Without them it was in no namespace at all that can be looked into.
    """

    function: NetworkFunction
    link: Link | None = None
    nsid: int | None = None


def is_ethernet(text: bytes) -> bool:
    """Whether a PCI function's class is that of an Ethernet controller."""
    return _ETHERNET.fullmatch(text) is not None


def is_virtio_device(name: str) -> bool:
    """Whether a name in a PCI function's directory is that of its virtio device."""
    return _VIRTIO_DEVICE.fullmatch(name) is not None


def driver(link: str) -> str | None:
    """Return the driver that a ``driver`` link leads to; None for one that makes no interface."""
    name = link.rpartition("/")[2]
    return None if name in _NO_NETWORK else name


def names_parents(links: Iterable[Link]) -> bool:
    """Whether these links prove that the kernel names parent devices."""
    return any(link.parent for link in links)


def lost(
    functions: Iterable[NetworkFunction],
    reachable: Iterable[Link],
    unreachable: Mapping[int, tuple[Link, ...]],
) -> tuple[LostFunction, ...]:
    """Return the functions of which no reachable link is a child; *unreachable* by id."""
    children = {link.parent for link in reachable}
    away = {link.parent: (link, nsid) for nsid, links in unreachable.items() for link in links}
    return tuple(
        LostFunction(function, *away.get(function.parent, (None, None)))
        for function in functions
        if function.parent not in children
    )
