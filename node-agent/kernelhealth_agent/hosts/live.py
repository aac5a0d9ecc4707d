"""The running kernel, with the host's files below a root directory."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Container, Iterator, Sequence

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Probe, SocketHolder, files, holders, nsfs, sockets, unlisted
from kernelhealth_agent.kernel import netlink, rtnetlink
from kernelhealth_agent.kernel.netlink import Request

_SHRINKABLE = {"net_namespace"}
_BATCH = 128


class LiveHost(files.Files):
    """This machine. *root* is where its root directory is mounted: ``/``, or ``/host``.

    The process must be in the host's pid and network namespaces, else it looks at another machine
    than the files below *root* are from. Netlink has *patience* seconds for each answer.
    """

    def __init__(self, root: str, patience: float = sockets.PATIENCE) -> None:
        super().__init__(root)
        self._patience = patience

    @property
    def own_pid(self) -> int:
        """The process of the agent."""
        return os.getpid()

    def inode(self, path: str) -> int:
        """Return the inode number of an nsfs file, or 0 where the file is no namespace."""
        with files.translated(path):
            descriptor = nsfs.located(self.path(path))
            try:
                return os.fstat(descriptor).st_ino if nsfs.is_namespace(descriptor) else 0
            finally:
                os.close(descriptor)

    def nsids(self, paths: Sequence[str]) -> list[int | None]:
        """Return the ids that namespaces have in the host's; None for no id, or when gone.

        Many questions go into one message, since the kernel answers all of them at once.
        """
        name = "netlink nsid of namespaces"
        found: list[int | None] = []
        with sockets.translated(name), sockets.opened(0, None) as asked:
            for at in range(0, len(paths), _BATCH):
                with self._descriptors(paths[at : at + _BATCH]) as descriptors:
                    found += _ask_nsids(asked, descriptors, name)
        return found

    def cookie(self, path: str) -> int | None:
        """Return the number that the namespace behind a file shares with no other of this boot."""
        with files.translated(path):
            return sockets.cookie(self.path(path))

    @contextlib.contextmanager
    def _descriptors(self, paths: Sequence[str]) -> Iterator[list[int]]:
        """Open namespace files; -1 for one that is gone. They hold the namespaces: be quick."""
        opened: list[int] = []
        try:
            for path in paths:
                try:
                    opened.append(nsfs.opened(self.path(path)))
                except OSError:
                    opened.append(-1)
            yield opened
        finally:
            for descriptor in opened:
                if descriptor >= 0:
                    os.close(descriptor)

    def dump(self, request: Request, namespace: str | None = None) -> bytes:
        """Return the netlink messages that answer, without the closing one."""
        where = None if namespace is None else self.path(namespace)
        listed = sockets.dump(request, where, self._patience)
        if request == rtnetlink.nsids_request():
            return unlisted.completed(listed, where)
        return listed

    def strangers(self, known: Container[int]) -> list[SocketHolder]:
        """Return one open socket of each network namespace whose inode number is not *known*."""
        processes = [int(name) for name in self.names("proc") if name.isdigit()]
        return holders.strangers(self._prefix, processes, known)

    def probe(self, probe: Probe) -> bytes:
        """Return the answer to a question that no file answers."""
        with files.translated(probe.name):
            self.path(probe.name)
            return probe.ask(self._prefix)

    def shrink(self, cache: str) -> None:
        """Ask the kernel to give back unused slabs of one cache, so that its count is exact.

        Written through the agent's own sysfs, because the host's files are mounted read-only.
        """
        if cache not in _SHRINKABLE:
            raise ValueError(f"{cache} is not among the caches that may be shrunk: {_SHRINKABLE}")
        path = f"sys/kernel/slab/{cache}/shrink"
        with files.translated(path):
            descriptor = os.open(f"/{path}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"1")
            finally:
                os.close(descriptor)


def _ask_nsids(asked: socket.socket, descriptors: Sequence[int], name: str) -> Iterator[int | None]:
    """Yield one id for each descriptor, in order."""
    wanted = {number + 1: fd for number, fd in enumerate(descriptors) if fd >= 0}
    if wanted:
        asked.send(b"".join(rtnetlink.nsid_message(fd, number) for number, fd in wanted.items()))
    answers: dict[int, int] = {}
    left = len(wanted)
    while left:
        for sequence, nsid in _numbered(asked.recv(1 << 16), name):
            answers[sequence] = nsid
            left -= 1
    for number in range(1, len(descriptors) + 1):
        nsid = answers.get(number, -1)
        yield nsid if nsid >= 0 else None


def _numbered(part: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Yield sequence number and id of each message of an answer; -1 for none or an error."""
    at = 0
    while at + netlink.HEADER.size <= len(part):
        length, _, _, sequence, _ = netlink.HEADER.unpack_from(part, at)
        if length < netlink.HEADER.size:
            raise errors.UnreadableError(name, f"a message at byte {at} claims {length} bytes")
        ids = rtnetlink.nsids(part[at : at + length], name)
        yield sequence, ids[0] if ids else -1
        at += (length + 3) & ~3
