"""What a mount table says beside its mounts: /proc/PID/mountinfo, fs/proc_namespace.c.

Each layer of an overlay is a mount of its own that no table shows (fs/overlayfs/super.c:
clone_private_mount in ovl_get_layers and ovl_get_upper); the table shows the overlay, and its
layers as options.
"""

from __future__ import annotations

import re

_OVERLAY = b" - overlay "
_LAYERS = re.compile(rb"[ ,](?:lowerdir\+?|datadir\+?)=((?:[^,\\\s]|\\.)*)")
_UPPER = re.compile(rb"[ ,]upperdir=")
_COLON = re.compile(rb"(?<!\\):+")
_MOUNTED = re.compile(rb"^\d+ \d+ \d+:\d+ mnt:\[(\d{1,19})\] (\S+) .* - nsfs ", re.MULTILINE)
_FIRST = re.compile(rb"\s*(\d{1,18}) ")


def mounts(text: bytes) -> int:
    """Return how many mounts a table shows."""
    return text.count(b"\n")


def overlay_layers(text: bytes) -> dict[bytes, int]:
    """Return how many hidden mounts each overlay has, by its device number."""
    found: dict[bytes, int] = {}
    if _OVERLAY not in text:
        return found
    for line in text.split(b"\n"):
        fields, separator, options = line.partition(_OVERLAY)
        numbers = fields.split(b" ", 3)
        if separator and len(numbers) == 4:
            lower = sum(len(_COLON.split(layers)) for layers in _LAYERS.findall(options))
            found[numbers[2]] = lower + len(_UPPER.findall(options))
    return found


def mounted_namespaces(text: bytes) -> dict[int, str]:
    """Return where files of mount namespaces are mounted, by their inode number."""
    return {int(inode): point.decode(errors="replace") for inode, point in _MOUNTED.findall(text)}


def first_mount(text: bytes) -> int | None:
    """Return the id of the first mount of a table, which no other namespace has; None for none."""
    match = _FIRST.match(text)
    return int(match[1]) if match else None
