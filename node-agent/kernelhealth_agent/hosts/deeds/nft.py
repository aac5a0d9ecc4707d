"""Rules of nftables, deleted by their handles in the network namespace where they are."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass, field

from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds import spaces
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.kernel import netlink, reverse_paths

_ANSWER = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class DeleteFilters:
    """Some rules go, all of them or none; *texts* name them as nft does, *bodies* order it."""

    space: Space
    texts: tuple[str, ...]
    bodies: tuple[bytes, ...] = field(repr=False)

    @property
    def host_wide(self) -> bool:
        """Whether they are in the host's own namespace."""
        return self.space.is_host

    @property
    def name(self) -> str:
        """What is deleted, and where."""
        what = "', '".join(self.texts[:3]) + ("' and others" if len(self.texts) > 3 else "'")
        return f"the filter '{what} is deleted in {self.space.title}"

    def do(self, root: str, keep: str) -> None:
        """Delete them; their names are left in *keep*. ``OSError`` where the kernel refuses."""
        with open(f"{keep}/nft-rules", "a", encoding="utf-8") as file:
            file.writelines(f"{self.space.title}: {text}\n" for text in self.texts)
        batch, last = reverse_paths.deletion(self.bodies)
        with (
            spaces.entered(root, self.space) as path,
            sockets.opened(reverse_paths.PROTOCOL, path) as asked,
        ):
            asked.send(batch)
            answered = 0
            while answered < last:
                answered = max(answered, _answered(asked.recv(1 << 16)))


def _answered(part: bytes) -> int:
    """Return the highest sequence number that is acknowledged; ``OSError`` for a refusal."""
    at, highest = 0, 0
    while at + netlink.HEADER.size + _ANSWER.size <= len(part):
        length, kind, _, sequence, _ = netlink.HEADER.unpack_from(part, at)
        if length < netlink.HEADER.size:
            raise OSError(errno.EBADMSG, "the kernel's answer cannot be understood")
        if kind == netlink.ERROR:
            code = _ANSWER.unpack_from(part, at + netlink.HEADER.size)[0]
            if code:
                raise OSError(-code, f"nf_tables refuses: {os.strerror(-code)}")
            highest = max(highest, sequence)
        at += (length + 3) & ~3
    return highest
