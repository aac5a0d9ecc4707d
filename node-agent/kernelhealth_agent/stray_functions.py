"""Finds network functions whose interface is in no network namespace that can be reached."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import network_functions, rtnetlink
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.network_functions import LostFunction, NetworkFunction
from kernelhealth_agent.kernel.rtnetlink import Link


def lost(host: Host, inventory: Inventory, blind: list[str]) -> tuple[LostFunction, ...]:
    """Return the functions that nothing can reach; *blind* says of which it could not be told.

    The other namespaces are looked into only when a function's interface is not in the host's.
    """
    away = [function for function in functions(host) if _is_away(host, function)]
    if not away:
        return ()
    try:
        near = [*inventory.links, *_reachable(host, inventory)]
        far = {nsid: _behind(host, nsid) for nsid in sorted(inventory.unreachable)}
    except errors.HostError as error:
        blind.append(f"where {_named(away)} went cannot be told: {error}")
        return ()
    if not network_functions.names_parents([*near, *(x for links in far.values() for x in links)]):
        blind.append(
            f"where {_named(away)} went cannot be told: no interface that can be seen names its"
            " device, which kernels before Linux 5.14 do not, and virtual ones have none"
        )
        return ()
    return network_functions.lost(away, near, far)


def functions(host: Host) -> list[NetworkFunction]:
    """Return the Ethernet functions that a driver serves which makes interfaces."""
    found: list[NetworkFunction] = []
    with contextlib.suppress(errors.AbsentError):  # Machines without PCI.
        for address in sorted(host.names(network_functions.PCI)):
            directory = f"{network_functions.PCI}/{address}"
            with contextlib.suppress(errors.AbsentError):  # No driver, or unplugged meanwhile.
                if network_functions.is_ethernet(host.read(f"{directory}/class", 64)):
                    found += _bound(host, address, directory)
    return found


def _bound(host: Host, address: str, directory: str) -> Iterator[NetworkFunction]:
    """Yield a function, or for virtio the device that it carries, with its driver."""
    driver = network_functions.driver(host.link(f"{directory}/driver"))
    if driver is None:
        return
    carried = [n for n in host.names(directory) if network_functions.is_virtio_device(n)]
    if not carried:
        yield NetworkFunction(address, address, driver, f"{directory}/net")
    for name in carried:
        device = f"{network_functions.VIRTIO}/{name}"
        if host.link(f"{device}/driver").endswith(f"/{network_functions.VIRTIO_DRIVER}"):
            yield NetworkFunction(address, name, network_functions.VIRTIO_DRIVER, f"{device}/net")


def _is_away(host: Host, function: NetworkFunction) -> bool:
    """Whether a function has an interface, but not in the host's namespace.

    Hidden names are what keeps an empty directory in a recording; an interface that is named so
    is looked for, and found among the links of the host.
    """
    try:
        return all(name.startswith(".") for name in host.names(function.interfaces))
    except errors.AbsentError:
        return False  # Its driver has made none, InfiniBand for example.


def _reachable(host: Host, inventory: Inventory) -> Iterator[Link]:
    for space in inventory.namespaces.values():
        if space.file is not None:
            path = f"netlink links of {space.file}"
            with contextlib.suppress(errors.AbsentError):  # It ended meanwhile.
                answer = host.dump(rtnetlink.links_request(), space.file)
                yield from rtnetlink.links(answer, path)


def _behind(host: Host, nsid: int) -> tuple[Link, ...]:
    try:
        answer = host.dump(rtnetlink.links_request(nsid))
    except errors.AbsentError:
        return ()
    return rtnetlink.links(answer, f"netlink links of nsid {nsid}")


def _named(away: list[NetworkFunction]) -> str:
    return ", ".join(function.address for function in away[:4])
