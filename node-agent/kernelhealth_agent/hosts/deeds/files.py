"""Files of the host, written, put back as they were, or deleted again.

What is written replaces the file at one stroke, so that a crash leaves the old or the new one. All
of it goes by descriptors below the host's root, since links of the host lead elsewhere from here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import confined

_LARGEST = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class WriteFile:
    """The file *path*, below the root, gets a *content* instead of that which it had *before*.

    *before* is None for a file that is not there yet; its directory is made where only that is
    missing. *what* says what it is for, as people read it.
    """

    path: str
    content: bytes = field(repr=False)
    before: bytes | None = field(repr=False)
    what: str
    host_wide: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What is written, and what for."""
        return f"/{self.path} is written: {self.what}"

    def do(self, root: str, keep: str) -> None:
        """Write it; a copy of what was there is left in *keep*.

        ``UnreadableError`` where it is not as *before* any more: then it is left alone.
        """
        with _place(root, self.path, make=self.before is None) as (place, name):
            _check(self.path, _content(place, name), self.before)
            if self.before is not None:
                _keep(self.before, _kept(keep, self.path))
            _write(place, name, self.content, is_new=self.before is None)


@dataclass(frozen=True, slots=True)
class PutBack:
    """The file *path* gets the content that was kept of it; it has to have the content *now*.

    Where nothing was kept of it, nothing is done.
    """

    path: str
    now: bytes = field(repr=False)
    host_wide: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What is put back."""
        return f"/{self.path} is put back as it was"

    def do(self, root: str, keep: str) -> None:
        """Put it back; ``UnreadableError`` where somebody changed it since."""
        try:
            with open(_kept(keep, self.path), "rb") as file:
                before = file.read()
        except FileNotFoundError:
            return
        with _place(root, self.path, make=False) as (place, name):
            _check(self.path, _content(place, name), self.now)
            _write(place, name, before)


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """The file *path* goes, if it has that *content*."""

    path: str
    content: bytes = field(repr=False)
    host_wide: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What is deleted."""
        return f"/{self.path} is deleted"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It is known what it was.
        """Delete it; that it is gone is fine. ``UnreadableError`` where somebody changed it.

        ``OSError`` where even its directory is gone.
        """
        with _place(root, self.path, make=False) as (place, name):
            found = _content(place, name)
            if found is None:
                return
            _check(self.path, found, self.content)
            os.unlink(name, dir_fd=place)
            os.fsync(place)


@contextlib.contextmanager
def _place(root: str, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
    """Give a descriptor of a file's directory, and the file's name in it."""
    directory, _, name = path.rpartition("/")
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if make:
            above, _, last = directory.rpartition("/")
            with confined.opened(top, above) as parent, contextlib.suppress(FileExistsError):
                os.mkdir(last, 0o755, dir_fd=parent)
        with confined.opened(top, directory) as found:
            place = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield place, name
        finally:
            os.close(place)
    finally:
        os.close(top)


def _content(place: int, name: str) -> bytes | None:
    """Return the content of a regular file; None for no file, ``OSError`` for anything else."""
    try:
        kind = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, f"{name} is no regular file (a link, say), and was left alone")
    with os.fdopen(os.open(name, _READ, dir_fd=place), "rb") as file:
        return file.read(_LARGEST)


def _check(path: str, found: bytes | None, expected: bytes | None) -> None:
    if found != expected:
        why = "it is not as it was when it was judged: somebody else changed it, so it was left"
        raise errors.UnreadableError(f"/{path}", why)


def _kept(keep: str, path: str) -> str:
    return f"{keep}/{quote(path, safe='')}"


def _keep(content: bytes, path: str) -> None:
    """Keep what was there; what was kept first stays."""
    with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, _MAKE, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _write(place: int, name: str, content: bytes, *, is_new: bool = False) -> None:
    """Write a file anew, with the owner, mode and attributes of the one that was there.

    ``FileExistsError`` where a file that *is_new* is there by now.
    """
    new = f".{name}.kernelhealth-new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=place)
    with os.fdopen(os.open(new, _MAKE, 0o644, dir_fd=place), "wb") as file:
        file.write(content)
        with contextlib.suppress(FileNotFoundError):
            _resemble(file.fileno(), place, name)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        try:
            os.link(new, name, src_dir_fd=place, dst_dir_fd=place)
        finally:
            os.unlink(new, dir_fd=place)
    else:
        os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)
    os.fsync(place)


def _resemble(new: int, place: int, name: str) -> None:
    old = os.open(name, _READ, dir_fd=place)
    try:
        status = os.fstat(old)
        os.fchown(new, status.st_uid, status.st_gid)
        shutil.copystat(f"/proc/self/fd/{old}", f"/proc/self/fd/{new}")
        os.utime(new)
    finally:
        os.close(old)
