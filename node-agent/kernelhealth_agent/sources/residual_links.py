"""Collects what is left of pods' networks: links, leases, results, rules, devices and files."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from kernelhealth_agent import cni_state, errors, stray_functions
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import (
    address_owners,
    cni_cache,
    host_local,
    plugin_state,
    routing,
    rtnetlink,
)
from kernelhealth_agent.kernel import sandboxes as runtimes
from kernelhealth_agent.kernel.link_owners import KINDS
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.netlink import Request
from kernelhealth_agent.kernel.pod_networks import PodNetworks, mounted
from kernelhealth_agent.source import Occasion, Source

_NAMESPACE_FILES = "run/netns"


def collect(host: Host, occasion: Occasion[None]) -> PodNetworks:
    """Look at every leftover that there can be; a part that is not there is left out."""
    inventory = occasion.inventory
    doubts: list[str] = []
    # Where a function went says nothing about any pod.
    strays: list[str] = []
    sample = PodNetworks(
        inventory=inventory,
        sandboxes=cni_state.living(host, inventory),
        attachments=cni_state.attachments(host, doubts),
        leases=cni_state.leases(host, doubts),
        rules=routing.rules(_answer(host, routing.rules_request()), "netlink rules"),
        routes=_routes(host, inventory),
        dangling=_dangling(host, inventory),
        lost=stray_functions.lost(host, inventory, strays),
    )
    used = None
    if address_owners.needs_addresses(sample):
        used = _used(host, inventory, doubts)
    return replace(sample, used=used, blind=(*doubts, *strays), doubts=tuple(doubts))


def _answer(host: Host, request: Request) -> bytes:
    """Return an answer, empty where the kernel has no such thing (policy routing can be off)."""
    try:
        return host.dump(request)
    except errors.AbsentError:
        return b""


def _routes(host: Host, inventory: Inventory) -> tuple[routing.HostRoute, ...]:
    """Return the host routes; a machine without pods' links may be a router with a million."""
    if not any(link.kind in KINDS for link in inventory.links):
        return ()
    return routing.host_routes(_answer(host, routing.routes_request()), "netlink routes")


def _dangling(host: Host, inventory: Inventory) -> tuple[str, ...]:
    """Return ordinary files where namespaces are mounted, unless one is in some mount namespace."""
    try:
        names = host.names(_NAMESPACE_FILES)
    except errors.AbsentError:
        return ()
    known = mounted(inventory)
    paths = (f"{_NAMESPACE_FILES}/{name}" for name in sorted(names))
    return tuple(path for path in paths if path not in known and _is_file(host, path))


def _is_file(host: Host, path: str) -> bool:
    """Whether a path is neither a namespace nor a directory; no special file is waited for."""
    try:
        if host.inode(path):
            return False
    except errors.HostError:
        return False
    try:
        host.names(path)
    except errors.AbsentError:
        return True
    return False


def _used(host: Host, inventory: Inventory, blind: list[str]) -> dict[str, int] | None:
    """Return all addresses with their namespaces; None, and why, where one could not be asked."""
    found = {}
    request = rtnetlink.addresses_request()
    try:
        for space in (inventory.host, *inventory.namespaces.values()):
            where = None if space is inventory.host else space.file
            with contextlib.suppress(errors.AbsentError):  # It ended meanwhile.
                answer = host.dump(request, where)
                for item in rtnetlink.addresses(answer, f"netlink addresses of {where or 'host'}"):
                    found[item.address] = space.inode
    except errors.HostError as error:
        blind.append(f"no address can be called unused: {error}")
        return None
    return found


SOURCE = Source(
    name="residual_links",
    sample=PodNetworks,
    reads=(
        "netlink RTM_GETLINK, RTM_GETROUTE and RTM_GETRULE",
        "netlink RTM_GETADDR inside other namespaces, when an address is suspected",
        "netlink RTM_GETLINK inside other namespaces, when a network function is missing",
        *cni_cache.PLACES,
        *plugin_state.DECODERS,
        host_local.PLACE,
        runtimes.TASKS,
        *runtimes.STATES,
        "sys/fs/cgroup/**/kubepods",
        "sys/bus/pci/devices",
        "sys/bus/virtio/devices",
        _NAMESPACE_FILES,
    ),
    collect=collect,
)
