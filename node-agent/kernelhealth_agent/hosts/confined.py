"""Files of a container, which are hostile input: what is read stays below the container's root.

A path such as ``proc/17/root/etc/x`` leads through a symbolic link of the container to files of the
host, waits at a FIFO for ever, or opens a device. Here each component is opened without following
it, links are resolved below the root by hand, and only regular files are ever opened for reading.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator

from kernelhealth_agent.hosts import Folder
from kernelhealth_agent.kernel import naming

MOST_FILES = 32
LARGEST_FILE = 64 << 10
_MOST_NAMES = 4096
_MOST_LINKS = 16
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def folder(root: str, path: str, suffix: str, keep: str = "") -> Folder:
    """Return the regular files in a directory below *root* whose names end in *suffix*.

    *path* is as seen by a process whose root directory is *root*. Lines in which *keep*, a regular
    expression, is not found are emptied. Raises ``OSError`` where the directory cannot be opened; a
    file that cannot be read is named in the result instead.
    """
    files, omitted, wanted = {}, [], re.compile(keep.encode())
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with opened(top, path) as directory:
            status = os.fstat(directory)
            names, whole = _names(directory, suffix)
        if not whole:
            omitted.append(f"{path} has more than {MOST_FILES} such files: the rest was not read")
        for name in names:
            # A name may hold anything but a slash: line ends, terminal escapes, half characters.
            shown = naming.printable(name)
            try:
                files[shown] = _kept(_content(top, f"{path}/{name}"), wanted)
            except OSError as error:
                omitted.append(f"{path}/{shown} was not read: {error.strerror}")
    finally:
        os.close(top)
    return Folder((status.st_dev, status.st_ino), files, tuple(omitted))


def _names(directory: int, suffix: str) -> tuple[list[str], bool]:
    """Return the first names in order, and whether those are all there are."""
    readable = os.open(f"/proc/self/fd/{directory}", _READ | os.O_DIRECTORY)
    try:
        with os.scandir(readable) as entries:
            seen = [entry.name for entry in itertools.islice(entries, _MOST_NAMES + 1)]
    finally:
        os.close(readable)
    names = sorted(name for name in seen[:_MOST_NAMES] if name.endswith(suffix))
    return names[:MOST_FILES], len(seen) <= _MOST_NAMES and len(names) <= MOST_FILES


def _content(top: int, path: str) -> bytes:
    with opened(top, path) as found:
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > LARGEST_FILE:
            raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE} bytes")
        # The descriptor itself is opened again, so that nobody can put a device in its place.
        readable = os.open(f"/proc/self/fd/{found}", _READ)
    with os.fdopen(readable, "rb") as stream:
        return stream.read(LARGEST_FILE)


def _kept(content: bytes, wanted: re.Pattern[bytes]) -> bytes:
    if not wanted.pattern:
        return content
    return b"\n".join(line if wanted.search(line) else b"" for line in content.split(b"\n"))


@contextlib.contextmanager
def opened(top: int, path: str) -> Iterator[int]:
    """Give a descriptor (O_PATH) on *path*, resolved as if *top* were the root directory."""
    trail, left, links = [top], path.split("/")[::-1], 0
    try:
        while left:
            part = left.pop()
            if part == ".." and len(trail) > 1:
                os.close(trail.pop())
            if part in {"", ".", ".."}:
                continue
            found = os.open(part, _LOOK, dir_fd=trail[-1])
            trail.append(found)
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink("", dir_fd=found)
            _cut(trail, 1 if target.startswith("/") else len(trail) - 1)
            left += target.split("/")[::-1]
        yield trail[-1]
    finally:
        _cut(trail, 1)


@contextlib.contextmanager
def made(top: int, path: str, mode: int = 0o700) -> Iterator[int]:
    """Give a descriptor (O_PATH) on the directory *path* like ``opened``; what is missing is made.

    ``OSError`` where something else is in the place of a directory.
    """
    parts = [part for part in path.split("/") if part]
    for number, name in enumerate(parts):
        with opened(top, "/".join(parts[:number])) as above, contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=above)
    with opened(top, path) as found:
        if not stat.S_ISDIR(os.fstat(found).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        yield found


def _cut(trail: list[int], length: int) -> None:
    while len(trail) > length:
        os.close(trail.pop())
