"""Namespace files, opened so that whatever else stands in their place is left alone.

The path of a mounted namespace is a container's own: between the look at the mount table and the
opening, or with something mounted above it, it leads to a FIFO that waits for ever, or through a
symbolic link to a device that acts on being opened (a watchdog reboots the machine). O_PATH opens
nothing (open(2)), and what turns out to be a namespace is opened again by its descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct

_NS_GET_ID = 0x8008B70D  # include/uapi/linux/nsfs.h: _IOR(0xb7, 13, __u64).


def located(path: str) -> int:
    """Return a descriptor (O_PATH) that names a file without opening it; ``OSError`` for none."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def opened(path: str) -> int:
    """Return a descriptor on the namespace at *path*, which holds it: be quick.

    Raises ``OSError``: ENOENT where something else than a namespace is there.
    """
    place = located(path)
    try:
        if not is_namespace(place):
            raise FileNotFoundError(errno.ENOENT, "it leads to no namespace", path)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(place)


def is_namespace(descriptor: int) -> bool:
    """Whether a descriptor is on nsfs, of which the kernel has one (fs/nsfs.c: nsfs_mnt)."""
    return os.fstat(descriptor).st_dev == os.stat("/proc/self/ns/net").st_dev


def identifier(descriptor: int) -> int | None:
    """Return the number that the kernel never gives to another namespace; None before NS_GET_ID."""
    with contextlib.suppress(OSError):
        found: int = struct.unpack("=Q", fcntl.ioctl(descriptor, _NS_GET_ID, bytes(8)))[0]
        return found
    return None
