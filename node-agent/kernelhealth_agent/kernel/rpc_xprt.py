"""Transports of the kernel's RPC clients: /sys/kernel/debug/sunrpc/{rpc_xprt,rpc_clnt}.

net/sunrpc/debugfs.c lists them for the whole host, those of unreachable namespaces too. The line
``netns:`` came with the patch "sunrpc: add netns inum and srcaddr to debugfs rpc_xprt info" (2025);
without it only their number can be compared. A transport holds its namespace (net/sunrpc/xprt.c:
``xprt->xprt_net``), so that an NFS mount outlives the pod it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming

_SOCKET = "/gssproxy.sock"
_NFS = {"2049", "20049"}  # The latter is NFS over RDMA, RFC 8267.
_PORTMAPPER = "111"
_TASK_FIELDS = 8


@dataclass(frozen=True, slots=True)
class Transport:
    """One transport; *netns* is the inode number of its namespace, where the kernel tells it."""

    netid: str
    address: str
    netns: int | None
    port: str = ""

    @property
    def to_gssproxy(self) -> bool:
        """Whether its other end is the socket of a gssproxy."""
        return self.netid == "local" and self.address.endswith(_SOCKET)

    @property
    def to_nfs(self) -> bool:
        """Whether its other end is an NFS server, by the port that is theirs."""
        return self.netid != "local" and self.port in _NFS

    @property
    def title(self) -> str:
        """What it is, in words."""
        where = naming.printable(self.address)
        if self.to_gssproxy:
            return f"gssproxy client ({where})"
        if self.to_nfs:
            return f"NFS client of server {where}"
        if self.port == _PORTMAPPER or where.endswith("/rpcbind.sock"):
            return f"RPC client of the portmapper at {where}"
        return f"RPC client of {where}{f' port {self.port}' if self.port else ''}"


def transport(content: bytes, path: str) -> Transport:
    """Decode one info file; ``UnreadableError`` where a line that must be there is not."""
    lines = content.decode(errors="replace").split("\n")
    found = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    netns = found.get("netns")
    port = naming.short(found.get("port"))
    try:
        return Transport(found["netid"], found["addr"], None if netns is None else int(netns), port)
    except KeyError as error:
        raise errors.UnreadableError(path, f"it has no line {error}") from error
    except ValueError as error:
        raise errors.UnreadableError(path, f"the netns is {netns!r} and no number") from error


def requests(content: bytes, path: str) -> int:
    """Return how many requests of a client wait for their answer: rpc_clnt/ID/tasks, a line each.

    Raises ``UnreadableError`` for a line that is no request.
    """
    lines = content.decode(errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if len(line.split()) < _TASK_FIELDS:
            raise errors.UnreadableError(path, "a line is no request", number)
    return len(lines)


def link_target(target: str) -> str:
    """Return the name of the transport that a client's link leads to: ``../../rpc_xprt/2``."""
    return target.rstrip("/").rpartition("/")[2]
