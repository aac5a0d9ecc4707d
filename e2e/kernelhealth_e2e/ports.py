"""TCP ports on loopback that nobody uses, so that several control planes can run at once."""

from __future__ import annotations

import random
import socket

# Below the usual ephemeral range (32768 and up, ip_local_port_range), so that no outgoing
# connection takes the port between its choice and its use.
_FIRST, _LAST = 20000, 32000


def free(count: int, address: str = "127.0.0.1") -> tuple[int, ...]:
    """Return different ports that could be bound a moment ago."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - no secret
        if port not in found and _is_free(address, port):
            found.append(port)
    return tuple(found)


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return False
    return True
