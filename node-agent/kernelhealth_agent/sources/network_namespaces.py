"""Looks closer at the network namespaces that the inventory cannot account for."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping

from kernelhealth_agent import cni_state, errors, keepers, kernel_list, rpc_transports
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import meminfo, rtnetlink
from kernelhealth_agent.kernel.leaks import Kept, Listed, NetworkNamespaces, Socket, Unreachable
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod
from kernelhealth_agent.source import Occasion, Source

_SLAB = "net_namespace"
_MOST_LOOKED_INTO = 256
_BYTES_EACH = 203 << 10
"""Memory of an empty namespace: 196 KiB of slab and 7 KiB of per-CPU memory, the mean of 200 on
Linux 6.18 with four CPUs. Those of real pods are larger."""


def collect(host: Host, occasion: Occasion[None]) -> NetworkNamespaces:
    """Look into unreachable namespaces by their ids, and for what keeps those of gone pods."""
    inventory = occasion.inventory
    listed = kernel_list.ask(host, inventory)
    alone = kernel_list.alone(host, inventory, listed)
    asked = inventory.unreachable or alone
    sockets = keepers.sockets(host, inventory) if asked else ()
    return NetworkNamespaces(
        reachable=len(inventory.namespaces),
        identified=len(inventory.nsids),
        objects=_objects(host),
        room=_room(host),
        unreachable=_lost(host, inventory, dict(sockets), listed or ()),
        kept=tuple(_kept(host, inventory)),
        listed=listed,
        hidden=kernel_list.hidden(alone, inventory, (socket for _, socket in sockets)),
    )


def _lost(
    host: Host,
    inventory: Inventory,
    sockets: Mapping[int | None, Socket],
    listed: Iterable[Listed],
) -> tuple[Unreachable, ...]:
    """Return the namespaces that nothing reaches, with all that can be found out about them."""
    ids = sorted(inventory.unreachable)
    if not ids:
        return ()
    found = [
        _unreachable(host, inventory, nsid, look=place < _MOST_LOOKED_INTO)
        for place, nsid in enumerate(ids)
    ]
    pinned = _pinned(host)
    by_id, by_inode = {s.nsid: s for s in listed}, {s.inode: s for s in listed}
    former = {} if all(lost.past for lost in found) else _former(host, inventory)
    return tuple(
        dataclasses.replace(
            lost,
            socket=sockets.get(lost.nsid),
            pod=None if lost.past else _owner(lost, former),
            pinned_by_gssproxy=lost.past is not None and lost.past.inode in pinned,
            listed=by_id.get(lost.nsid) or (by_inode.get(lost.past.inode) if lost.past else None),
        )
        for lost in found
    )


def _unreachable(host: Host, inventory: Inventory, nsid: int, *, look: bool) -> Unreachable:
    inside: tuple[rtnetlink.Link, ...] = ()
    addresses: tuple[rtnetlink.Address, ...] = ()
    if look:
        # It may go while it is looked at; kernels before 4.20 do not look by id at all.
        with contextlib.suppress(errors.HostError):
            path = f"netlink links of nsid {nsid}"
            inside = rtnetlink.links(host.dump(rtnetlink.links_request(nsid)), path)
            path = f"netlink addresses of nsid {nsid}"
            addresses = rtnetlink.addresses(host.dump(rtnetlink.addresses_request(nsid)), path)
    loopback = {link.index for link in inside if link.name == "lo"}
    # What is in sight is not lost, even if it had that id before.
    pasts = (p for inode, p in inventory.memory.items() if inode not in inventory.namespaces)
    past = next((past for past in pasts if past.nsid == nsid), None)
    return Unreachable(
        nsid=nsid,
        inside=tuple(link for link in inside if link.index not in loopback),
        addresses=tuple(
            a.address
            for a in addresses
            if a.index not in loopback and not a.address.startswith("fe80:")
        ),
        outside=tuple(link.name for link in inventory.links if link.peer_nsid == nsid),
        past=past,
    )


def _pinned(host: Host) -> set[int | None]:
    """Return the namespaces that the kernel's gssproxy clients hold, where the kernel tells."""
    try:
        return {transport.netns for transport in rpc_transports.to_gssproxy(host) or ()}
    except errors.HostError:
        return set()


def _former(host: Host, inventory: Inventory) -> dict[str, Pod]:
    """Return the pods whose sandboxes are gone, by their addresses and the host's interfaces.

    An address may have been given to another pod since, so the living do not count; where it
    cannot be told who lives, nobody is named.
    """
    living = cni_state.living(host, inventory)
    if living is None:
        return {}
    found: dict[str, Pod] = {}
    for attachment in cni_state.attachments(host, []):
        if attachment.pod is not None and attachment.sandbox not in living:
            for address in attachment.addresses:
                found[address] = Pod(*attachment.pod, None, "address")
            for name in attachment.host_links:
                found[name] = Pod(*attachment.pod, None, "cniCache")
    return found


def _owner(lost: Unreachable, former: Mapping[str, Pod]) -> Pod | None:
    """Return the pod that an unreachable namespace was made for, by what is left of it."""
    return next((former[name] for name in (*lost.outside, *lost.addresses) if name in former), None)


def _kept(host: Host, inventory: Inventory) -> list[Kept]:
    """Return the namespaces that something still reaches although the kubelet's pod is gone."""
    found = []
    for space in inventory.namespaces.values():
        pod = space.pod
        if not inventory.pods_known or pod is None or pod.uid in inventory.pods:
            continue
        how, holder = _holder(host, space)
        found.append(Kept(space, pod, holder, how))
    return found


def _holder(host: Host, space: Namespace) -> tuple[str, str]:
    """Return what keeps a namespace (process, mount or descriptor), in one word and in words."""
    if space.pids:
        return "process", f"process {keepers.process(host, space.pids[0])}"
    if space.mounts:
        mount = space.mounts[0]
        seen_by = keepers.process(host, mount.pid)
        return "mount", f"mount {mount.path} in the mount namespace of {seen_by}"
    pid, number = space.descriptors[0]
    return "descriptor", f"descriptor {number} of {keepers.process(host, pid)}"


def _room(host: Host) -> int | None:
    """Return how many more namespaces fit into the available memory; None where it is not told."""
    with contextlib.suppress(errors.HostError):
        available = meminfo.available(host.read("proc/meminfo"), "proc/meminfo")
        return available // _BYTES_EACH
    return None


def _objects(host: Host) -> int | None:
    """Return how many namespaces the slab allocator has; None where it cannot be told.

    A cache that shares its slabs counts foreign objects too. Without shrinking, the count takes
    whole slabs for full.
    """
    directory = f"sys/kernel/slab/{_SLAB}"
    try:
        if int(host.read(f"{directory}/aliases")) > 0:
            return None
        host.shrink(_SLAB)
        return int(host.read(f"{directory}/objects").split()[0])
    except (errors.HostError, ValueError, IndexError):
        return None


SOURCE = Source(
    name="network_namespaces",
    sample=NetworkNamespaces,
    reads=(
        "proc/*/ns/net",
        "proc/*/mountinfo",
        "proc/*/fd",
        "netlink RTM_GETNSID, RTM_GETLINK and RTM_GETADDR, also inside other namespaces by id",
        "sys/kernel/slab/net_namespace",
        "sys/kernel/debug/sunrpc/rpc_xprt/*/info",
        "proc/meminfo",
        *kernel_list.READS,
    ),
    collect=collect,
)
