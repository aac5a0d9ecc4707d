"""How many mounts exist at all: the slab cache ``mnt_cache``, fs/namespace.c, mm/slub.c.

The number is an upper bound. Slabs that a processor allocates from count as full, as do the
objects that wait in its sheaves (Linux 6.18), and a cache that was merged with others of its size
counts theirs too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors

NAME = "mnt_cache"
FILES = ("objects", "slab_size", "objs_per_slab", "cpu_slabs")
SHEAF = "sheaf_capacity"
"""The files of /sys/kernel/slab/mnt_cache that are read; the last is there since Linux 6.18."""
_NUMBER = re.compile(rb"(\d{1,18})\b")
_LINE = re.compile(rb"^mnt_cache +(\d{1,15}) +\d{1,15} +(\d{1,9}) +(\d{1,9}) ", re.MULTILINE)
_SHEAVES_OF_PROCESSOR, _SHEAVES_OF_NODE = 3, 20
_SLABS_OF_PROCESSOR = 2  # As far as /proc/slabinfo lets one guess.


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of the cache: *slack* of them may be free, each takes *size* bytes.

    *merged* names the caches that are counted together with this one.
    """

    count: int
    slack: int
    size: int
    merged: tuple[str, ...] = ()

    @property
    def at_least(self) -> int:
        """How many are in use for certain."""
        return max(0, self.count - self.slack)


def objects(
    files: Mapping[str, bytes], processors: int, merged: tuple[str, ...], path: str
) -> Objects:
    """Decode the FILES, and SHEAF where it is there; *path* is their directory.

    Each begins with a number, before those of each node; ``UnreadableError`` where one does not.
    """
    numbers = {}
    for name, content in files.items():
        match = _NUMBER.match(content)
        if match is None:
            raise errors.UnreadableError(f"{path}/{name}", "it does not begin with a number", 1)
        numbers[name] = int(match[1])
    count, size, each, slabs = (numbers[name] for name in FILES)
    free = _slack(slabs, each, numbers.get(SHEAF, 0), processors)
    return Objects(count, free, size, merged)


def listed(table: bytes, processors: int, path: str) -> Objects:
    """Decode /proc/slabinfo; ``AbsentError`` where the cache is counted under another name."""
    match = _LINE.search(table)
    if match is None:
        raise errors.AbsentError(f"{path}: {NAME}")
    count, size, each = (int(field) for field in match.groups())
    return Objects(count, _slack(_SLABS_OF_PROCESSOR * processors, each, 0, processors), size)


def _slack(slabs: int, each: int, sheaf: int, processors: int) -> int:
    """Return how many objects may be free although they count: in slabs and sheaves in use."""
    return slabs * each + sheaf * (_SHEAVES_OF_PROCESSOR * processors + _SHEAVES_OF_NODE)
