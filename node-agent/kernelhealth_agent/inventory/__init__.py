"""Takes the inventory of a host's network namespaces: the heart of the agent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime

from kernelhealth_agent import attribution
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.inventory import reach
from kernelhealth_agent.inventory.memory import remember
from kernelhealth_agent.inventory.reach import Reach
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod, Remembered

__all__ = ["assembled", "attributed", "boot_id", "remember", "take"]

Attribute = Callable[[Namespace, Mapping[str, Pod]], Namespace]
"""Returns a namespace with its pod, which may be one of those whose names can be told, by UID."""


def take(
    host: Host,
    now: datetime,
    memory: Mapping[int, Remembered],
    places: attribution.Places | None = None,
    *,
    thorough: bool = True,
) -> Inventory:
    """Look at every process, mount and link once; *memory* is of earlier looks.

    Raises ``HostError`` where a namespace could not be seen although it is reachable, since a leak
    would be claimed of it then.
    """
    found = reach.look(host, memory, thorough=thorough)
    return assembled(host, found, now, places or attribution.Places())


def assembled(
    host: Host,
    found: Reach,
    now: datetime,
    places: attribution.Places,
    attribute: Attribute | None = None,
) -> Inventory:
    """Return the inventory that a look came to; raises ``HostError``.

    Whose a namespace is is asked of its processes and of memory, unless *attribute* knows better.
    """
    attribute = attribute or functools.partial(attributed, host, found.memory)
    pods, named = attribution.pods(host, places), attribution.named(host, places)
    namespaces = {inode: attribute(space, named) for inode, space in found.spaces.items()}
    blind = found.blind
    if pods is not None and (why := attribution.doubt(pods, named, namespaces.values(), places)):
        pods, blind = None, (*blind, why)
    listed = reach.known_ids(host)
    return Inventory(
        boot_id=boot_id(host),
        taken=now,
        host=found.own,
        namespaces=namespaces,
        nsids=frozenset(listed.intersection(found.ids)) - {found.own.nsid},
        open=found.open & listed,
        links=found.links,
        pods=pods or {},
        pods_known=pods is not None,
        memory=found.memory,
        processes=len(found.tasks),
        blind=tuple(dict.fromkeys(blind)),
        thorough=found.thorough,
    )


def attributed(
    host: Host, memory: Mapping[int, Remembered], space: Namespace, named: Mapping[str, Pod]
) -> Namespace:
    """Return a namespace with the pod that its processes are of, or that *memory* knows."""
    return attribution.attributed(host, space, named, memory)


def boot_id(host: Host) -> str:
    """Return the id of the boot, by which a reboot is told (random.c: proc_do_uuid)."""
    return host.read("proc/sys/kernel/random/boot_id").decode(errors="replace").strip()
