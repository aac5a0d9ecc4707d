"""Transports of the kernel's RPC clients: /sys/kernel/debug/sunrpc/rpc_xprt/*/info.

net/sunrpc/debugfs.c lists them for the whole host, those of unreachable namespaces too. The line
``netns:`` came with the patch "sunrpc: add netns inum and srcaddr to debugfs rpc_xprt info" (2025);
without it only their number can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent import errors

_SOCKET = "/gssproxy.sock"


@dataclass(frozen=True, slots=True)
class Transport:
    """One transport; *netns* is the inode number of its namespace, where the kernel tells it."""

    netid: str
    address: str
    netns: int | None

    @property
    def to_gssproxy(self) -> bool:
        """Whether its other end is the socket of a gssproxy."""
        return self.netid == "local" and self.address.endswith(_SOCKET)


def transport(content: bytes, path: str) -> Transport:
    """Decode one info file; ``UnreadableError`` where a line that must be there is not."""
    lines = content.decode(errors="replace").split("\n")
    found = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    netns = found.get("netns")
    try:
        return Transport(found["netid"], found["addr"], None if netns is None else int(netns))
    except KeyError as error:
        raise errors.UnreadableError(path, f"it has no line {error}") from error
    except ValueError as error:
        raise errors.UnreadableError(path, f"the netns is {netns!r} and no number") from error
