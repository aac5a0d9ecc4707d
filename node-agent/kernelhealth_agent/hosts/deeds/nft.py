"""Rules of nftables, deleted by their handles in the network namespace where they are."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass, field

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds import spaces
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.kernel import netlink, nftables, reverse_paths

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
        """Delete them; their names are left in *keep*.

        ``UnreadableError`` where one is gone or another one by now, ``OSError`` where the kernel
        refuses: somebody changed the packet filter at that very moment, for one.
        """
        with open(f"{keep}/nft-rules", "a", encoding="utf-8") as file:
            file.writelines(f"{self.space.title}: {text}\n" for text in self.texts)
        with (
            spaces.entered(root, self.space) as path,
            sockets.opened(reverse_paths.PROTOCOL, path) as asked,
        ):
            batch, last = self._batch(path)
            asked.send(batch)
            answered = 0
            while answered < last:
                answered = max(answered, _answered(asked.recv(1 << 16)))

    def _batch(self, path: str) -> tuple[bytes, int]:
        """Return the order, which is void once anybody changes the rules, and its last number.

        A table that is made anew gives the same handles to other rules.
        """
        generations, every = reverse_paths.generation_request(), nftables.request()
        generation = reverse_paths.generation(
            sockets.dump(generations, path), f"netlink {generations.name}"
        )
        name = f"netlink {every.name}"
        found = reverse_paths.lookups(sockets.dump(every, path), name)
        there = {(one.text, one.body) for one in found if one.is_filter and not one.spares}
        for text, body in zip(self.texts, self.bodies, strict=True):
            if (text, body) not in there:
                raise errors.UnreadableError(name, f"'{text}' is no such filter any more")
        return reverse_paths.deletion(self.bodies, generation)


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
