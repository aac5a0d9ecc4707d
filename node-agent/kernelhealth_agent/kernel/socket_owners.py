"""Which processes have a socket open: the links of /proc/PID/fd, as ``socket:[12345]``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming


@dataclass(frozen=True, slots=True)
class Owner:
    """A process with the socket open as descriptor *number*."""

    pid: int
    number: int
    comm: str

    @property
    def title(self) -> str:
        """The process as comm[pid]."""
        return f"{naming.short(self.comm)}[{self.pid}]"


def decode(answer: bytes, path: str) -> Mapping[int, tuple[Owner, ...]]:
    """Decode ``{"12345": [[17, 3, "rsync"], …]}``: owners by inode number of the socket.

    Raises ``UnreadableError`` for anything else.
    """
    try:
        found = json.loads(answer)
        return {
            int(inode): tuple(Owner(int(pid), int(number), str(comm)) for pid, number, comm in each)
            for inode, each in found.items()
        }
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise errors.UnreadableError(path, f"it has no owners of sockets: {error}") from error
