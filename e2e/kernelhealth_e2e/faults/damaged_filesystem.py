"""A small ext4 filesystem in a file, whole or with a directory that the kernel complains of.

What a program writes into the kernel's log is marked as such, so that nobody can speak for the
kernel there. This makes the kernel speak: reading the damaged directory is an ``EXT4-fs error``,
and the filesystem becomes read-only. Nothing but the image is hurt.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SIZE = 16 << 20
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A mounted image: the name of its loop device, and where it is mounted."""

    device: str
    place: Path

    def touch(self) -> bool:
        """Read its directory; return whether the kernel let it be read."""
        try:
            return list((self.place / "inside").iterdir()) == []
        except OSError:
            return False


@contextlib.contextmanager
def filesystem(folder: Path, *, damaged: bool) -> Iterator[Filesystem]:
    """Mount an image below *folder*; it is unmounted and its device given back in the end."""
    folder.mkdir()
    image, place = folder / "image", folder / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(_SIZE)
    _run("mkfs.ext4", "-q", "-b", str(_BLOCK), "-e", "remount-ro", str(image))
    _run("debugfs", "-w", "-R", "mkdir /inside", str(image))
    if damaged:
        block = int(_run("debugfs", "-R", "blocks /inside", str(image)).split()[0])
        with image.open("r+b") as file:
            file.seek(block * _BLOCK)
            file.write(bytes(_BLOCK))
    device = _run("losetup", "--show", "--find", str(image)).strip()
    try:
        _run("mount", "-o", "errors=remount-ro", device, str(place))
        try:
            yield Filesystem(device.rpartition("/")[2], place)
        finally:
            _run("umount", str(place))
    finally:
        _run("losetup", "--detach", device)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
