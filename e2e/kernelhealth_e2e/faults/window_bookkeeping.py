"""Makes a kernel ignore the windows of a peer, by what it lets CRIU set (TCP_REPAIR_WINDOW)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

_PATIENCE = 60.0
_REPAIR, _REPAIR_QUEUE, _QUEUE_SEQ, _REPAIR_WINDOW = 19, 20, 21, 29  # include/uapi/linux/tcp.h
_WINDOW = struct.Struct("=5I")
_BACKOFF, _UNACKED = 4, slice(24, 28)
"""Where struct tcp_info has tcpi_backoff and tcpi_unacked."""
_AHEAD, _HALF, _MODULO = 1 << 30, 1 << 31, 1 << 32


def spoil(connection: socket.socket) -> None:
    """Let the kernel take a window for newer than all that the peer will announce.

    Raises ``TimeoutError`` where the peer's window does not close.
    """
    tcp = socket.IPPROTO_TCP
    _await(lambda: _waits(connection))
    connection.setsockopt(tcp, _REPAIR, 1)
    connection.setsockopt(tcp, _REPAIR_QUEUE, 1)
    received = connection.getsockopt(tcp, _QUEUE_SEQ) % _MODULO
    connection.setsockopt(tcp, _REPAIR_QUEUE, 0)
    *_, wide = now = _WINDOW.unpack(connection.getsockopt(tcp, _REPAIR_WINDOW, _WINDOW.size))
    wanted = ((received + _AHEAD) % _MODULO, 0, now[2], _AHEAD, wide)
    connection.setsockopt(tcp, _REPAIR_WINDOW, _WINDOW.pack(*wanted))
    connection.setsockopt(tcp, _REPAIR, -1)
    _await(lambda: _is_stale(connection))


def _waits(connection: socket.socket) -> bool:
    """Whether the peer's window is closed, and was probed."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return told[_BACKOFF] > 0 and not any(told[_UNACKED])


def _is_stale(connection: socket.socket) -> bool:
    """Whether no segment that is let in can be after snd_wl1; it is once the window shrank."""
    tcp = socket.IPPROTO_TCP
    connection.setsockopt(tcp, _REPAIR, 1)
    found = _WINDOW.unpack(connection.getsockopt(tcp, _REPAIR_WINDOW, _WINDOW.size))
    connection.setsockopt(tcp, _REPAIR, -1)
    snd_wl1, _, _, rcv_wnd, rcv_wup = found
    return bool(0 < (snd_wl1 - rcv_wup - rcv_wnd) % _MODULO < _HALF)


def _await(good: Callable[[], bool]) -> None:
    # Nothing tells when the kernel's timers have fired.
    for _ in range(int(_PATIENCE / 0.05)):
        if good():
            return
        threading.Event().wait(0.05)
    raise TimeoutError(f"the kernel did not come so far within {_PATIENCE:g} s")
