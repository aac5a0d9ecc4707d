"""Finds the processes that have sockets open, all of them in one walk over /proc."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "socket-owners"


@dataclass(frozen=True, slots=True)
class SocketOwners:
    """Asks who has the sockets with these inode numbers open.

    It costs a look at every descriptor of every process: to be asked once for many sockets, and
    only where a finding depends on it. A process whose descriptors may not be read is left out.
    """

    inodes: frozenset[int]

    @property
    def name(self) -> str:
        """The name of the question."""
        return NAME

    def ask(self, root: str) -> bytes:
        """Return JSON, ``{"12345": [[17, 3, "rsync"], …]}``; ``OSError`` where /proc is missing."""
        wanted = {f"socket:[{inode}]": str(inode) for inode in self.inodes if inode}
        found: dict[str, list[tuple[int, int, str]]] = {inode: [] for inode in wanted.values()}
        pids = sorted(int(name) for name in os.listdir(f"{root}proc") if name.isdigit())
        for pid in pids:
            directory = f"{root}proc/{pid}"
            for number, target in _descriptors(f"{directory}/fd"):
                inode = wanted.get(target)
                if inode is not None:
                    found[inode].append((pid, number, _comm(directory)))
        return json.dumps(found).encode()


def _descriptors(directory: str) -> Iterator[tuple[int, str]]:
    readlink = os.readlink
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        try:
            yield int(name), readlink(f"{directory}/{name}")
        except OSError:
            continue


def _comm(directory: str) -> str:
    try:
        with open(f"{directory}/comm", "rb") as stream:
            return stream.read(64).decode(errors="replace").strip()
    except OSError:
        return ""
