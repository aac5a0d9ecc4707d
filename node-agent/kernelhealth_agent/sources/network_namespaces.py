"""Looks closer at the network namespaces that the inventory cannot account for."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping

from kernelhealth_agent import (
    cni_state,
    errors,
    gssproxy_clients,
    keepers,
    kernel_list,
    rpc_transports,
)
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.inside import InsideByDevice
from kernelhealth_agent.kernel import inside, leak_wording, meminfo, namespace_views, rtnetlink
from kernelhealth_agent.kernel.gssproxy import Memory
from kernelhealth_agent.kernel.inside import Inside
from kernelhealth_agent.kernel.leaks import NetworkNamespaces, Pin, Unreachable
from kernelhealth_agent.kernel.namespace_answers import Answers
from kernelhealth_agent.kernel.namespace_views import Opened, Transit, Views
from kernelhealth_agent.kernel.namespaces import Inventory, Pod
from kernelhealth_agent.source import Occasion, Source

_MOST_LOOKED_INTO = 256
_MOST_OPENED = 16


def collect(host: Host, occasion: Occasion[Views], *, by_device: bool = False) -> NetworkNamespaces:
    """Look into unreachable namespaces by their ids, and for what keeps those of gone pods.

    *by_device* opens them too, by a device that is put into each for a moment. A recording that
    has the answer makes no device.
    """
    inventory = occasion.inventory
    answers = keepers.answers(host, occasion)
    opened = _opened(host, occasion) if by_device or host.own_pid is None else ()
    active = keepers.in_use(host, inventory)
    lost, stray = _lost(host, occasion, answers, {x.nsid: x.inside for x in opened})
    nameless = tuple(x.nsid for x in lost if x.socket is None and x.pin is None)
    transit = _transit(host, occasion, nameless)
    found = NetworkNamespaces(
        reachable=len(inventory.namespaces),
        identified=len(inventory.nsids),
        objects=kernel_list.objects(host) if inventory.thorough else None,
        room=_room(host),
        unreachable=lost,
        kept=tuple(keepers.kept(host, inventory)),
        listed=answers.listed,
        members=_members(answers, occasion),
        hidden=kernel_list.hidden(answers.alone, inventory, (s for _, s in answers.sockets)),
        stray=stray if nameless else (),
        transit=transit.found if transit else (),
        active=None if active is None else active.active,
    )
    unseen = () if active is None or inventory.blind else active.unseen
    excess = kernel_list.excess(host, inventory, found)
    views = namespace_views.updated(occasion.memory, occasion.moment.uptime, excess, unseen)
    kept = answers.kept({x.past.inode for x in lost if x.past})
    counts = namespace_views.counted(
        occasion.memory, found.objects, found.members, anew=inventory.thorough
    )
    views = dataclasses.replace(
        views, transit=transit, opened=opened, answers=kept, objects=counts[0], members=counts[1]
    )
    return dataclasses.replace(found, views=views)


def _members(answers: Answers, occasion: Occasion[Views]) -> int | None:
    """Return how many the kernel's own list has, where it was read now."""
    is_new = answers.uptime == occasion.moment.uptime
    return len(answers.listed) if is_new and answers.listed is not None else None


def _transit(host: Host, occasion: Occasion[Views], nameless: tuple[int, ...]) -> Transit | None:
    """Return what is in flight while a holder is unknown; what was found before may still do."""
    if not nameless:
        return None
    uptime, past = occasion.moment.uptime, occasion.memory
    if past is not None and past.transit is not None and past.transit.serves(nameless, uptime):
        return past.transit
    return Transit(uptime, nameless, keepers.in_transit(host, occasion.inventory))


def _lost(
    host: Host, occasion: Occasion[Views], answers: Answers, opened: Mapping[int, Inside]
) -> tuple[tuple[Unreachable, ...], tuple[Pin, ...]]:
    """Return the namespaces that nothing reaches, and kernel clients of an untold namespace."""
    inventory = occasion.inventory
    ids = sorted(inventory.unreachable)
    if not ids:
        return (), ()
    found = [
        _unreachable(host, inventory, nsid, look=place < _MOST_LOOKED_INTO)
        for place, nsid in enumerate(ids)
    ]
    shown = rpc_transports.pins(host)
    clients = gssproxy_clients.remembered(occasion.memory_of("gssproxy", Memory), shown)
    pins = shown or ()
    listed, sockets = answers.listed or (), dict(answers.sockets)
    by_id, by_inode = {s.nsid: s for s in listed}, {s.inode: s for s in listed}
    former = {} if all(lost.past for lost in found) else cni_state.former(host, inventory)
    held = {inode: Pin(inode, "gssproxy client", "gssproxy") for inode in clients}
    held |= {pin.netns: pin for pin in reversed(pins) if pin.netns is not None}
    every = []
    for lost in found:
        known = dataclasses.replace(
            lost,
            socket=sockets.get(lost.nsid),
            pod=None if lost.past else _owner(lost, former),
            listed=by_id.get(lost.nsid) or (by_inode.get(lost.past.inode) if lost.past else None),
            opened=opened.get(lost.nsid),
        )
        every.append(dataclasses.replace(known, pin=held.get(known.inode or 0)))
    return tuple(every), tuple(p for p in pins if p.netns is None and p.kind != "gssproxy")


def _opened(host: Host, occasion: Occasion[Views]) -> tuple[Opened, ...]:
    """Return what is inside unreachable namespaces, of the few that are worth a device each."""
    past = {x.nsid: x for x in occasion.memory.opened} if occasion.memory else {}
    uptime, found = occasion.moment.uptime, []
    for nsid in sorted(occasion.inventory.unreachable)[:_MOST_OPENED]:
        if nsid in past and past[nsid].serves(uptime):
            found.append(past[nsid])
            continue
        with contextlib.suppress(errors.HostError):
            answer = host.probe(InsideByDevice(nsid))
            found.append(Opened(nsid, uptime, inside.inside(answer, inside.name(nsid))))
    return tuple(found)


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


def _owner(lost: Unreachable, former: Mapping[str, Pod]) -> Pod | None:
    """Return the pod that an unreachable namespace was made for, by what is left of it."""
    return next((former[name] for name in (*lost.outside, *lost.addresses) if name in former), None)


def _room(host: Host) -> int | None:
    """Return how many more namespaces fit into the available memory; None where it is not told."""
    with contextlib.suppress(errors.HostError):
        available = meminfo.available(host.read("proc/meminfo"), "proc/meminfo")
        return available // leak_wording.BYTES_EACH
    return None


SOURCE = Source(
    name="network_namespaces",
    sample=NetworkNamespaces,
    reads=(
        "proc/*/ns/net",
        "proc/*/mountinfo",
        "proc/*/fd",
        "proc/*/fdinfo, while a holder is unknown",
        "netlink RTM_GETNSID, RTM_GETLINK and RTM_GETADDR, also inside other namespaces by id",
        "listns(2)",
        *rpc_transports.READS,
        "proc/meminfo",
        *kernel_list.READS,
    ),
    collect=collect,
    memory=Views,
    remember=lambda sample: sample.views or Views(),
)


def by_device() -> Source[NetworkNamespaces, Views]:
    """Return the source that also opens unreachable namespaces, by a device put into each."""
    return dataclasses.replace(SOURCE, collect=functools.partial(collect, by_device=True))
