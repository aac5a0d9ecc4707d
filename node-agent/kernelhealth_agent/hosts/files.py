"""Files below a root directory: ``/``, ``/host`` in a container, or a recorded host."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import LARGEST, Descriptor, Folder, Task, confined, processes

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.ENXIO, errno.ENODEV}
_REFUSED = {errno.EACCES, errno.EPERM}


class Files:
    """Reads below *root* and remembers, per thread, what it is reading.

    The memory costs one assignment and lets whoever abandons a hung thread name the culprit.
    """

    def __init__(self, root: str) -> None:
        self._prefix = root.rstrip("/") + "/"
        self._doing: dict[int, str] = {}

    @property
    def own_pid(self) -> int | None:
        """The process of the agent itself, whose own descriptors hold nothing; None if recorded."""
        return None

    def doing(self, thread: int) -> str:
        """Return the path that a thread was reading last."""
        return self._doing.get(thread, "nothing")

    def path(self, path: str) -> str:
        """Return the full path, after noting it down as the one being read."""
        self._doing[threading.get_ident()] = path
        return self._prefix + path

    def read(self, path: str, limit: int = LARGEST) -> bytes:
        """Return the content of a file, *limit* bytes of it at the most."""
        parts = []
        with translated(path):
            descriptor = os.open(self.path(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                # A single read of procfs may return less than there is (one page of a seq_file).
                while limit > 0 and (part := os.read(descriptor, min(limit, 65536))):
                    parts.append(part)
                    limit -= len(part)
            finally:
                os.close(descriptor)
        return b"".join(parts)

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        """Return *size* bytes of a file from *offset* on, fewer where it ends before."""
        if not 0 <= offset < 1 << 63:
            raise errors.UnreadableError(path, f"no file has a byte {offset}")
        with translated(path):
            descriptor = os.open(self.path(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, in no order."""
        with translated(path):
            return os.listdir(self.path(path))

    def link(self, path: str) -> str:
        """Return where a symbolic link points."""
        with translated(path):
            return os.readlink(self.path(path))

    def links(self, path: str) -> dict[str, str]:
        """Return the symbolic links of a directory by name; those that vanish are left out."""
        found = {}
        with translated(path):
            directory = self.path(path)
            for name in os.listdir(directory):
                with contextlib.suppress(OSError):
                    found[name] = os.readlink(f"{directory}/{name}")
        return found

    def folder(self, root: str, path: str, suffix: str, keep: str = "") -> Folder:
        """Return the files in a directory of a container whose root directory is at *root*."""
        where = f"{root}/{path}" if root else path
        with translated(where):
            self.path(where)
            return confined.folder(self._prefix + root, path, suffix, keep)

    def tasks(self) -> list[Task]:
        """Return every process, and every thread that is in another network namespace than it."""
        return processes.tasks(self._prefix, self._processes())

    def descriptors(self) -> list[Descriptor]:
        """Return every open descriptor of a network namespace file, but the agent's own."""
        return processes.descriptors(self._processes(), self.own_pid)

    def _processes(self) -> list[str]:
        """Return the full paths of the processes' directories."""
        with translated("proc"):
            proc = self.path("proc")
            return [f"{proc}/{name}" for name in os.listdir(proc) if name.isdigit()]


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what the operating system says into the errors of the agent."""
    try:
        yield
    except OSError as error:
        if error.errno in _GONE:
            raise errors.AbsentError(path) from error
        if error.errno in _REFUSED:
            raise errors.ForbiddenError(path, "root or CAP_SYS_PTRACE") from error
        raise errors.UnreadableError(path, os.strerror(error.errno or 0)) from error
    except ValueError as error:
        # A name that came from garbage, with a NUL in it say, is no path.
        raise errors.UnreadableError(path, str(error)) from error
