"""Which segment of the peer set the send window last: struct tcp_repair_window, linux/tcp.h.

``tcp_may_update_window`` (net/ipv4/tcp_input.c) takes a window from an acknowledgement of nothing
new only if its sequence number is after ``snd_wl1``, that of the segment which set the window
before, or equal with a larger window. Sequence numbers are compared modulo 2^32, and a segment is
let in only up to the right edge of the own receive window, ``rcv_wup + rcv_wnd``. So where
``snd_wl1`` is after that edge, no segment that is let in can be after it: whatever window the peer
announces is ignored. It gets there when 2^31 bytes and more are received in the fast path, which
did not move ``snd_wl1`` before commit 18a4c0eab262 (Linux 5.10).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kernelhealth_agent import errors

_MODULO, _HALF = 1 << 32, 1 << 31
_FIELDS = ("snd_wl1", "snd_wnd", "max_window", "rcv_wnd", "rcv_wup")


@dataclass(frozen=True, slots=True)
class SendWindow:
    """What the kernel knows of the windows of one connection; all modulo 2^32.

    *snd_wl1*: sequence number of the segment that set the send window *snd_wnd*; *rcv_wup*: what
    was received when the receive window *rcv_wnd* was announced; *max_window* is the largest send
    window ever.
    """

    snd_wl1: int
    snd_wnd: int
    max_window: int
    rcv_wnd: int
    rcv_wup: int

    @property
    def stale(self) -> bool:
        """Whether no acceptable segment can open the send window any more."""
        beyond = (self.snd_wl1 - (self.rcv_wup + self.rcv_wnd)) % _MODULO
        return 0 < beyond < _HALF

    @property
    def behind(self) -> int:
        """Bytes received since the window was set, modulo 2^32."""
        return (self.rcv_wup - self.snd_wl1) % _MODULO


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a send window was not read, as half a sentence."""

    why: str


def decode(answer: bytes, path: str) -> SendWindow | Refusal:
    """Decode what the probe of a send window answers: five numbers, or why not.

    Raises ``UnreadableError`` for anything else.
    """
    try:
        found = json.loads(answer)
    except ValueError as error:
        raise errors.UnreadableError(path, str(error)) from error
    if not isinstance(found, dict):
        raise errors.UnreadableError(path, "it is no mapping")
    if isinstance(found.get("refused"), str):
        return Refusal(found["refused"][:200])
    numbers = [n for n in map(found.get, _FIELDS) if type(n) is int and 0 <= n < _MODULO]
    if len(numbers) != len(_FIELDS):
        raise errors.UnreadableError(path, f"{', '.join(_FIELDS)} are not all there")
    return SendWindow(*numbers)
