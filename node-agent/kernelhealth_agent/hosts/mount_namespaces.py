"""Asks the kernel for its mount namespaces, and processes for those that they hold."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors

_INFO = struct.Struct("=IIQ")
_GET_INFO, _GET_NEXT, _GET_PREVIOUS = (
    2 << 30 | _INFO.size << 16 | 0xB7 << 8 | number for number in (10, 11, 12)
)
_UNKNOWN = {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP}
_MOST = 100_000
_MOST_LINKS = 200_000


@dataclass(frozen=True, slots=True)
class MountNamespaces:
    """Which mount namespaces the kernel has, with and without processes (Linux 6.12)."""

    @property
    def name(self) -> str:
        """The name of the question."""
        return "mount-namespaces"

    def ask(self, _root: str) -> bytes:
        """Walk from the agent's own namespace in both directions; ``AbsentError`` if unknown.

        A namespace is held for as long as it takes to step from it to the next.
        """
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            info = bytearray(_INFO.pack(_INFO.size, 0, 0))
            fcntl.ioctl(own, _GET_INFO, info)
            found = [_row(own, info), *_walked(own, _GET_NEXT), *_walked(own, _GET_PREVIOUS)]
        except OSError as error:
            if error.errno in _UNKNOWN:
                raise errors.AbsentError(f"ioctl NS_MNT_GET_NEXT of {self.name}") from error
            raise
        finally:
            os.close(own)
        return json.dumps(found).encode()


@dataclass(frozen=True, slots=True)
class MountNamespaceHolders:
    """Who holds mount namespaces, by their inode numbers, of which no process is inside."""

    inodes: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of the question."""
        return "mount-namespace-holders"

    def ask(self, root: str) -> bytes:
        """Look at the descriptors and the threads of all processes, 200,000 at the most."""
        wanted = {f"mnt:[{inode}]": inode for inode in self.inodes}
        found: list[tuple[int, int, int]] = []
        whole, left = True, _MOST_LINKS
        for pid in (name for name in os.listdir(f"{root}proc") if name.isdigit()):
            try:
                for path, target in _links(f"{root}proc/{pid}"):
                    left -= 1
                    if target in wanted:
                        inside = path.endswith("/ns/mnt")
                        number = -1 if inside else int(path.rpartition("/")[2])
                        found.append((wanted[target], int(pid), number))
            except PermissionError:
                whole = False
            if left < 0:
                whole = False
                break
        return json.dumps({"whole": whole, "holders": found}).encode()


def _links(directory: str) -> Iterator[tuple[str, str]]:
    """Yield the descriptors of a process and the mount namespaces of its threads."""
    places = [("fd", ""), ("task", "/ns/mnt")]
    for folder, file in places:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"{directory}/{folder}"):
                path = f"{directory}/{folder}/{name}{file}"
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    yield path, os.readlink(path)


def _walked(start: int, command: int) -> Iterator[tuple[int, int, int]]:
    """Yield the namespaces in one direction."""
    current = os.dup(start)
    try:
        for _ in range(_MOST):
            info = bytearray(_INFO.pack(_INFO.size, 0, 0))
            try:
                following = fcntl.ioctl(current, command, info)
            except FileNotFoundError:
                return
            os.close(current)
            current = following
            yield _row(current, info)
    finally:
        os.close(current)


def _row(descriptor: int, info: bytearray) -> tuple[int, int, int]:
    _, mounts, number = _INFO.unpack(info)
    return number, os.fstat(descriptor).st_ino, mounts
