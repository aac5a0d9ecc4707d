"""Sends canaries out, one at a time, and keeps count of how they got on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.canary import Canary
from kernelhealth_agent.kernel import canary, canary_history, modules, nft_round_trip
from kernelhealth_agent.kernel.canary_history import History
from kernelhealth_agent.kernel.modules import Presence
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion

READS = (
    "probes/canary",
    "netlink nft-tables",
    "proc/modules",
    "proc/sys/kernel/osrelease",
    "lib/modules/*/modules.builtin",
)
_PODS_ASKED = 3


def asked(host: Host, occasion: Occasion[Any], past: History, *, suspicious: bool) -> History:
    """Return the history with what a canary says now, if it is time for one."""
    uptime = occasion.moment.uptime
    if not canary_history.due(past, uptime, suspicious=suspicious):
        return past
    question = Canary(past.outstanding, wait=0.0)
    if past.outstanding is None:
        question = _new(host, occasion.inventory)
    try:
        content = host.probe(question)
    except errors.AbsentError:
        return replace(past, why="there is none here")
    except errors.HostError as error:
        return replace(past, why=str(error))
    return canary_history.told(past, canary.answer(content, question.name), uptime)


def _new(host: Host, inventory: Inventory) -> Canary:
    """Return a new canary, which does nothing that could have a module loaded."""
    loaded, built_in = None, None
    with contextlib.suppress(errors.AbsentError):
        loaded = modules.loaded(host.read("proc/modules"), "proc/modules")
    with contextlib.suppress(errors.AbsentError):
        release = host.read("proc/sys/kernel/osrelease", 256).decode(errors="replace").strip()
        built_in = modules.builtin(host.read(f"lib/modules/{release}/modules.builtin"))
    there = {
        name: modules.presence(name, loaded, built_in) is Presence.THERE
        for name in ("veth", "nf_tables")
    }
    return Canary(
        veth=there["veth"],
        netfilter=_family(host, inventory) if there["nf_tables"] else None,
        leftovers=tuple(_leftovers(host, inventory)),
        wait=canary_history.PATIENCE,
    )


def _family(host: Host, inventory: Inventory) -> int | None:
    """Return a family in which nftables is in use, on the host or in a pod; None for none."""
    request = nft_round_trip.tables_request()
    pods = (space.file for space in inventory.namespaces.values() if space.pod is not None)
    for file in (None, *islice(pods, _PODS_ASKED)):
        with contextlib.suppress(errors.HostError):
            stream = host.dump(request, file)
            used = nft_round_trip.families(stream, f"netlink {request.name}")
            for family in nft_round_trip.SAFE_FAMILIES:
                if family in used:
                    return family
    return None


def _leftovers(host: Host, inventory: Inventory) -> Iterator[str]:
    """Yield the devices of canaries that are no more."""
    for link in inventory.links:
        pid = canary.maker(link.name)
        if pid is None:
            continue
        comm = b""
        with contextlib.suppress(errors.HostError):
            comm = host.read(f"proc/{pid}/comm", 64).strip()
        if comm != canary.COMM.encode():
            yield link.name
