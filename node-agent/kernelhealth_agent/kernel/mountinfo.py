"""Mounts of a mount namespace: /proc/PID/mountinfo, Documentation/filesystems/proc.rst 3.5.

::

    36 35 0:4 net:[4026532178] /run/netns/blue rw shared:1 - nsfs nsfs rw
    id parent device root mountpoint options [optional…] - type source options
"""

from __future__ import annotations

import re

from kernelhealth_agent import errors

_NSFS = b" - nsfs "
_ESCAPE = re.compile(r"\\([0-7]{3})")


def network_namespaces(text: bytes, path: str) -> list[tuple[int, str]]:
    """Return (inode number, mount point) of each mounted network namespace file.

    Lines of other file systems are not looked at, for most of them are. Raises
    ``UnreadableError`` for a namespace's line that is not as above.
    """
    if _NSFS not in text:
        return []
    found = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if _NSFS not in line:
            continue
        fields = line.decode(errors="replace").split(" ")
        if len(fields) < 10:
            raise errors.UnreadableError(path, f"{len(fields)} fields instead of ten", number)
        root = re.fullmatch(r"net:\[(\d{1,19})\]", fields[3])
        if root:
            found.append((int(root[1]), _unescaped(fields[4])))
    return found


def _unescaped(mount_point: str) -> str:
    """Return a mount point with its blanks back, which the kernel writes as octal numbers."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), mount_point)
