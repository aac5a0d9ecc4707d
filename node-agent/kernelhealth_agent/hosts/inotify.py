"""Asks all processes for their inotify instances: fs/notify/inotify/inotify_user.c.

The kernel counts instances and watches of each user, the one in whose name they were made, and
says nobody how many. Only the descriptors tell, which costs a system call each: ask rarely.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_LINK = "anon_inode:inotify"
_NS_GET_PARENT, _NS_GET_OWNER_UID = 0xB702, 0xB704
_UID = re.compile(rb"^Uid:\t\d+\t(\d+)", re.MULTILINE)
_MOST_LINKS, _MOST_LINES, _DEEPEST = 250_000, 1 << 20, 32


@dataclass(frozen=True, slots=True)
class InotifyInstances:
    """How many inotify instances and watches each process has, and in whose name."""

    @property
    def name(self) -> str:
        """The name of the question."""
        return "inotify"

    def ask(self, root: str) -> bytes:
        """Look at 250,000 descriptors, a second of CPU, at the most; who ends is left out.

        An instance that processes share after fork(2) is told by the same number and the same
        watches, and counts once; without any watch it may count more than once.
        """
        found: list[tuple[int, int, int, int]] = []
        met: set[tuple[int, str, bytes]] = set()
        whole, left = True, _MOST_LINKS
        for pid in (name for name in os.listdir(f"{root}proc") if name.isdigit()):
            directory = f"{root}proc/{pid}"
            try:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    numbers = os.listdir(f"{directory}/fd")
                    left -= len(numbers)
                    if mine := _mine(directory, numbers):
                        uid = _user(directory)
                        watches = list(_watches(directory, uid, mine, met))
                        found.append((uid, int(pid), len(watches), sum(watches)))
            except PermissionError:
                whole = False
            if left < 0:
                whole = False
                break
        return json.dumps({"whole": whole, "processes": found}).encode()


def _mine(directory: str, numbers: list[str]) -> list[str]:
    """Return which of a process's descriptors are inotify instances."""
    readlink, open_files, found = os.readlink, f"{directory}/fd/", []
    for number in numbers:
        try:
            if readlink(open_files + number) == _LINK:
                found.append(number)
        except FileNotFoundError:
            continue
    return found


def _watches(
    directory: str, uid: int, numbers: list[str], met: set[tuple[int, str, bytes]]
) -> Iterator[int]:
    """Yield the number of watches of each instance that was not met before."""
    for number in numbers:
        with contextlib.suppress(FileNotFoundError):
            count, digest = _counted(f"{directory}/fdinfo/{number}")
            key = (uid, number, digest)
            if not count or key not in met:
                met.add(key)
                yield count


def _counted(path: str) -> tuple[int, bytes]:
    """Return the number of watches and a digest of them: anybody may have a million."""
    count, digest = 0, hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        for line in itertools.islice(file, _MOST_LINES):
            if line.startswith(b"inotify "):
                count += 1
                digest.update(line)
    return count, digest.digest()


def _user(directory: str) -> int:
    """Return the user of the first user namespace whom the kernel counts a process's things for.

    What is made in another user namespace counts for whoever made that (kernel/ucount.c:
    inc_ucount).
    """
    own, space = os.stat("/proc/self/ns/user").st_ino, f"{directory}/ns/user"
    if os.stat(space).st_ino != own:
        return _owner(space, own)
    with open(f"{directory}/status", "rb") as file:
        match = _UID.search(file.read(4096))
    return int(match[1]) if match else os.stat(directory).st_uid


def _owner(path: str, own: int) -> int:
    """Return who made the user namespace that is directly below the agent's and above *path*."""
    current = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(_DEEPEST):
            parent = fcntl.ioctl(current, _NS_GET_PARENT)
            if os.fstat(parent).st_ino == own:
                os.close(parent)
                break
            os.close(current)
            current = parent
        uid = bytearray(4)
        fcntl.ioctl(current, _NS_GET_OWNER_UID, uid)
        return int.from_bytes(uid, sys.byteorder)
    finally:
        os.close(current)
