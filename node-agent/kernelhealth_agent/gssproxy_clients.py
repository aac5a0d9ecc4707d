"""Where the kernel is a client of gssproxy in a namespace that nothing leads to.

Before the patch "sunrpc: add netns inum and srcaddr to debugfs rpc_xprt info" (2025) the kernel
shows its clients and not their namespaces, and the value that made it one is gone with the last
process: then it is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelhealth_agent.kernel import gssproxy, leaks
from kernelhealth_agent.kernel.gssproxy import Memory, Pin
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.rpc_xprt import Transport


def pins(
    transports: Sequence[Transport] | None, inventory: Inventory, memory: Memory, holders: int
) -> tuple[tuple[Pin, ...] | None, int | None]:
    """Return the namespaces that are pinned, and how many more there must be.

    *holders* are the namespaces in reach that account for a client. What is remembered does not
    make more of them than the kernel shows, if it does. None where nothing tells.
    """
    recalled = tuple(Pin(inode, inventory.memory.get(inode)) for inode in memory.lost)
    if transports is None:
        return recalled or None, None
    unnamed = gssproxy.unnamed(transports, holders)
    told = recalled[:unnamed]
    return (*gssproxy.pins(transports, inventory), *told), unnamed - len(told)


def remembered(memory: Memory | None, shown: Sequence[leaks.Pin] | None) -> frozenset[int]:
    """Return where the kernel is remembered to be a client, unless it names the namespaces.

    *shown* is what the kernel's clients hold, as it tells it itself; None where it does not.
    """
    told = shown is not None and all(x.netns is not None for x in shown if x.kind == "gssproxy")
    return frozenset() if memory is None or told else memory.clients
