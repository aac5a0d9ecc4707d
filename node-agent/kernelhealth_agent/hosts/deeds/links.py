"""Network links of the host, deleted by their index."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds.orders import order
from kernelhealth_agent.kernel import naming, rtnetlink

_ROUTE, _DELLINK = 0, 17
_LINK = struct.Struct("=BxHiII")


@dataclass(frozen=True, slots=True)
class DeleteLink:
    """A link goes, and with it the other end of a pair, wherever that is.

    The kernel counts *index* upwards and gives it to no other link for long; *name* and *mac* must
    still be the same.
    """

    index: int
    name_of_link: str
    mac: str
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What is deleted."""
        return f"link {naming.short(self.name_of_link)} (index {self.index}) is deleted"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - A link is no file.
        """Delete it; that it is gone is fine. ``UnreadableError`` where it is another one now."""
        request = rtnetlink.links_request()
        every = rtnetlink.links(sockets.dump(request, None), f"netlink {request.name}")
        now = next((link for link in every if link.index == self.index), None)
        if now is None:
            return
        if (now.name, now.mac) != (self.name_of_link, self.mac):
            why = f"it is {naming.short(now.name)} ({now.mac}) by now, and was left alone"
            raise errors.UnreadableError(f"link {self.index}", why)
        order(_ROUTE, _DELLINK, _LINK.pack(0, 0, self.index, 0, 0))
