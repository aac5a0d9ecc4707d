"""The counters of TCP in one network namespace: /proc/PID/net/netstat (net/ipv4/proc.c).

Two lines belong together, names above and values below. ``TCPWinProbe`` counts the probes of closed
windows in the namespace of the socket: tcp_xmit_probe_skb (net/ipv4/tcp_output.c) adds to the
counters of sock_net(sk), each time the persist timer fires, every two minutes at the most.
"""

from __future__ import annotations

from kernelhealth_agent import errors

_NAME = b" TCPWinProbe"


def window_probes(content: bytes, path: str) -> int | None:
    """Return how many probes of closed windows were sent; None where it is not counted.

    This is done for a thousand namespaces a minute, so that nothing is split that need not be.
    Raises ``UnreadableError`` for what has no counters of TCP.
    """
    names, _, rest = content.partition(b"\n")
    values = rest.partition(b"\n")[0]
    if not (names.startswith(b"TcpExt:") and values.startswith(b"TcpExt:")):
        raise errors.UnreadableError(path, "it does not begin with the counters TcpExt", 1)
    at = f"{names.decode(errors='replace')} ".encode().find(_NAME + b" ")
    if at < 0:
        return None
    column = names.count(b" ", 0, at + 1)
    fields = values.split(b" ", column + 1)
    try:
        return int(fields[column])
    except (IndexError, ValueError) as error:
        raise errors.UnreadableError(path, f"counter {column} is no number", 2) from error
