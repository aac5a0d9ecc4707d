"""Names the processes whose open sockets keep a network namespace."""

from __future__ import annotations

import contextlib

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.leaks import Socket
from kernelhealth_agent.kernel.namespaces import Inventory


def sockets(host: Host, inventory: Inventory) -> tuple[tuple[int | None, Socket], ...]:
    """Return an open socket in each namespace that nothing else reaches, with the id of that.

    Empty where sockets cannot be looked at.
    """
    known = {inventory.host.inode, *inventory.namespaces}
    with contextlib.suppress(errors.HostError):
        return tuple(
            (holder.nsid, Socket(process(host, holder.pid), holder.number, holder.inode))
            for holder in host.strangers(known)
        )
    return ()


def process(host: Host, pid: int) -> str:
    """Return a process as comm[pid]."""
    try:
        comm = host.read(f"proc/{pid}/comm").decode(errors="replace").strip()
    except errors.HostError:
        comm = "?"
    return f"{comm}[{pid}]"
