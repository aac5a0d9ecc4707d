"""Files of CNI plugins, put away so that a person can put them back."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import confined

_LARGEST = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MADE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class PutAway:
    """One file, a path below the root, is moved into the directory of what is kept.

    Only with the content whose SHA-256 is *digest*. Where the plugin locks the file's directory by
    flock(2) of a file *lock* in it, as host-local does (plugins/ipam/host-local/backend/disk), it
    is moved under that lock, and not at all while somebody else has it.
    """

    file: str
    digest: str
    lock: str | None = None
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What is put away."""
        return f"/{self.file} is put away"

    def do(self, root: str, keep: str) -> None:
        """Move it; that it is gone is fine.

        ``BlockingIOError`` while a plugin is at work, ``UnreadableError`` for another content.
        """
        directory, _, name = self.file.rpartition("/")
        try:
            place = _directory(root, directory)
        except FileNotFoundError:
            return
        try:
            with self._locked(place):
                content = self._content(place, name)
                if content is not None:
                    _keep(content, f"{keep}/{quote(self.file, safe='')}")
                    os.unlink(name, dir_fd=place)
                    os.fsync(place)
        finally:
            os.close(place)

    @contextlib.contextmanager
    def _locked(self, place: int) -> Iterator[None]:
        if self.lock is None:
            yield
            return
        lock = os.open(self.lock, _LOCK, 0o600, dir_fd=place)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            number = error.errno
            directory = f"/{self.file.rpartition('/')[0]}"
            raise BlockingIOError(
                number, f"a CNI plugin is at work in {directory}: ask again later"
            ) from error
        finally:
            os.close(lock)

    def _content(self, place: int, name: str) -> bytes | None:
        """Return what is to be kept; None where the plugin has released it meanwhile."""
        try:
            opened = os.open(name, _READ, dir_fd=place)
        except FileNotFoundError:
            return None
        with os.fdopen(opened, "rb") as stream:
            content = stream.read(_LARGEST)
        if digest(content) != self.digest:
            why = "it was written anew since it was judged, and was left alone"
            raise errors.UnreadableError(self.file, why)
        return content


def _directory(root: str, path: str) -> int:
    """Return a descriptor on a directory of the host, whose links lead elsewhere from here."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with confined.opened(top, path) as found:
            return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(top)


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _keep(content: bytes, path: str) -> None:
    with os.fdopen(os.open(path, _MADE, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
