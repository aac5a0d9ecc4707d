"""Mounted namespace files, unmounted in the mount namespace where they are.

setns(2) into a mount namespace is refused to a thread that shares its root and working directory
with others, as all threads of the agent do. So a child that is the agent's own interpreter does it:
spawned and not forked, with nothing of the agent's but two descriptors.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    " from kernelhealth_agent.hosts.deeds.mounts import main; main(sys.argv[2:])"
)
_DEPTH = 4
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_SO_NETNS_COOKIE = 71
_MNT_DETACH = 2
_SPACE, _ROOT = 3, 4
_OTHER, _ERRNO = 3, 100
"""Exit codes: something else is at that place; and, from the second one on, numbers of errors."""
_PATIENCE, _GRACE = 10.0, 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)


@dataclass(frozen=True, slots=True)
class UnmountNamespaceFile:
    """One mount of the network namespace with inode number *inode* goes.

    *path* is where the process *pid* sees it, whose mount namespace has the inode number *space*.
    Inode numbers are given away again at once: with a *cookie* it has to be that very namespace. It
    is detached (umount2(2), MNT_DETACH): whoever has the file open keeps it.
    """

    inode: int
    path: str
    pid: int
    space: int
    cookie: int | None = None
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What is unmounted, and where."""
        where = f"the mount namespace {self.space} of process {self.pid}"
        return f"{naming.short(self.path)} (net:[{self.inode}]) is unmounted in {where}"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Unmount it; where something else or nothing is there by now, nothing is done.

        Nor is it where the process has ended: most often its mounts have, too, and whoever looks
        whether it helped sees those that have not. ``AbsentError`` where the process is in another
        mount namespace, ``OSError`` where it is refused.
        """
        process = f"{root.rstrip('/')}/proc/{self.pid}"
        try:
            space = os.open(f"{process}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return
        try:
            if os.fstat(space).st_ino != self.space:
                why = "is in another mount namespace than it was"
                raise errors.AbsentError(f"proc/{self.pid}/ns/mnt", why)
            top = os.open(f"{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                code = _ended(
                    _spawned(space, top, (self.path, str(self.inode), str(self.cookie or 0)))
                )
            finally:
                os.close(top)
        finally:
            os.close(space)
        if code > _ERRNO:
            raise OSError(code - _ERRNO, f"{self.path}: {os.strerror(code - _ERRNO)}")
        if code not in {0, _OTHER}:
            raise errors.UnreadableError(self.path, f"unmounting ended with the status {code}")


def _spawned(space: int, top: int, arguments: Sequence[str]) -> int:
    if not sys.executable:
        raise errors.AbsentError("interpreter", "of the agent is not known, so nothing was done")
    packages = os.path.abspath(__file__)
    for _ in range(_DEPTH):
        packages = os.path.dirname(packages)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, packages, *arguments],
        {},
        # First above those that are the child's in the end, lest one overwrites the other.
        file_actions=[
            (os.POSIX_SPAWN_DUP2, space, _lifted(0, space, top)),
            (os.POSIX_SPAWN_DUP2, top, _lifted(1, space, top)),
            (os.POSIX_SPAWN_DUP2, _lifted(0, space, top), _SPACE),
            (os.POSIX_SPAWN_DUP2, _lifted(1, space, top), _ROOT),
            (os.POSIX_SPAWN_CLOSE, _lifted(0, space, top)),
            (os.POSIX_SPAWN_CLOSE, _lifted(1, space, top)),
        ],
        setsigmask=(),
        setsigdef=_SIGNALS,
    )


def _lifted(number: int, *descriptors: int) -> int:
    return max(*descriptors, _SPACE, _ROOT) + 1 + number


def _ended(pid: int) -> int:
    """Wait for a child and return its exit code; ``HungError`` for one that had to be killed."""
    process = os.pidfd_open(pid)
    try:
        ready = select.poll()
        ready.register(process, select.POLLIN)
        if ready.poll(_PATIENCE * 1000):
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.kill(pid, signal.SIGKILL)
        if ready.poll(_GRACE * 1000):
            os.waitpid(pid, 0)
    finally:
        os.close(process)
    raise errors.HungError("umount2", _PATIENCE)


def main(arguments: Sequence[str]) -> NoReturn:
    """Be the child: go into the mount namespace, look, unmount, and exit with a code."""
    try:
        path, inode, cookie = arguments
        sys.exit(_unmounted(path, int(inode), int(cookie)))
    except OSError as error:
        sys.exit(_ERRNO + (error.errno or errno.EIO))


def _unmounted(path: str, inode: int, cookie: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    nsfs = os.stat("/proc/self/ns/net").st_dev
    # Opened here, for the container may have no /proc: the mount is named by its descriptor.
    descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)
    _check(libc.setns(_SPACE, _CLONE_NEWNS))
    os.fchdir(_ROOT)
    os.chroot(".")
    try:
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return _OTHER
    found = os.fstat(place)
    if (found.st_dev, found.st_ino) != (nsfs, inode):
        return _OTHER
    os.fchdir(descriptors)
    if cookie and _cookie(libc, str(place)) not in {None, cookie}:
        return _OTHER
    _check(libc.umount2(str(place).encode(), _MNT_DETACH))
    return 0


def _cookie(libc: ctypes.CDLL, file: str) -> int | None:
    """Return the cookie of a network namespace, by going there; None before Linux 5.14."""
    opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    _check(libc.setns(opened, _CLONE_NEWNET))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inside:
        try:
            raw = inside.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            return None
    return int.from_bytes(raw, sys.byteorder)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
