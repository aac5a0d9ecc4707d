"""Where the agent looks: a live host, or one that was recorded.

``Host`` is the only seam between the agent and the machine. Sources read through it and through
nothing else, so a directory with the same files and netlink answers is as good as a machine.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kernelhealth_agent.kernel.netlink import Request

LARGEST = 1 << 20
"""Bytes read of one file at the most; files of procfs have no size to ask for beforehand."""


@dataclass(frozen=True, slots=True)
class Task:
    """One process, or one thread that left its process's namespace, and where it is.

    *netns* and *mntns* are inode numbers; *mntns* is 0 where it was not asked for.
    """

    pid: int
    netns: int
    mntns: int


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A network namespace file that a process holds open; *inode* is the namespace's."""

    pid: int
    number: int
    inode: int


@dataclass(frozen=True, slots=True)
class SocketHolder:
    """A process with an open socket that belongs to another network namespace than is known."""

    pid: int
    number: int
    inode: int
    nsid: int | None


@dataclass(frozen=True, slots=True)
class Folder:
    """The regular files of one directory.

    *identity* is its device and inode number, by which the same directory is known under another
    path; *files* their content by name; *omitted* a sentence for each that was not read.
    """

    identity: tuple[int, int]
    files: Mapping[str, bytes]
    omitted: tuple[str, ...] = ()


class Probe(Protocol):
    """Something of the running kernel that is no file: asked live, recorded as bytes.

    A probe is a frozen value. *name* tells it from every other, and is a path below ``probes``
    where a recording keeps the answer.
    """

    @property
    def name(self) -> str:
        """The name of the question."""

    def ask(self, root: str) -> bytes:
        """Ask the running kernel, whose files are below *root*; ``OSError`` or ``HostError``."""


class Host(Protocol):
    """What can be asked of a host; paths are relative to its root, without a leading slash.

    Every method raises ``AbsentError``, ``ForbiddenError`` or ``UnreadableError``.
    """

    @property
    def own_pid(self) -> int | None:
        """The process of the agent itself, whose own descriptors hold nothing; None if recorded."""

    def read(self, path: str, limit: int = LARGEST) -> bytes:
        """Return the content of a file, *limit* bytes of it at the most."""

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        """Return *size* bytes of a file from *offset* on, fewer where it ends before."""

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, in no order."""

    def link(self, path: str) -> str:
        """Return where a symbolic link points."""

    def links(self, path: str) -> dict[str, str]:
        """Return the symbolic links of a directory by name; those that vanish are left out."""

    def folder(self, root: str, path: str, suffix: str, keep: str = "") -> Folder:
        """Return the files in a directory of a container whose root directory is at *root*.

        Nothing outside *root* is reached whatever links the container made, nothing but regular
        files is opened; of 32 files at the most, 64 KiB each, those whose names end in *suffix*.
        Where the files may hold secrets, *keep* is a regular expression for the lines that are
        wanted: the others are emptied before anyone sees them, and a recording has none of them.
        """

    def tasks(self) -> list[Task]:
        """Return every process, and every thread that is in another network namespace than it."""

    def inode(self, path: str) -> int:
        """Return the inode number of an nsfs file, or 0 where the file is no namespace."""

    def nsids(self, paths: Sequence[str]) -> list[int | None]:
        """Return the ids that namespaces have in the host's; None for no id, or when gone."""

    def cookie(self, path: str) -> int | None:
        """Return the number that the namespace behind a file shares with no other of this boot.

        None where the kernel does not tell it (Linux < 5.14).
        """

    def dump(self, request: Request, namespace: str | None = None) -> bytes:
        """Return the netlink messages that answer, without the closing one.

        *namespace* is the path of a namespace file in which to ask; None is the host's own.
        """

    def descriptors(self) -> list[Descriptor]:
        """Return every open descriptor of a network namespace file, but the agent's own."""

    def strangers(self, known: Container[int]) -> list[SocketHolder]:
        """Return one open socket of each network namespace whose inode number is not *known*."""

    def probe(self, probe: Probe) -> bytes:
        """Return the answer to a question that no file answers."""

    def shrink(self, cache: str) -> None:
        """Ask the kernel to give back unused slabs of one cache, so that its count is exact."""
