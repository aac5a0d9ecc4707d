"""Under which names a slab cache is counted: /sys/kernel/slab, mm/slub.c.

The kernel merges caches of one size. Each name is then a symbolic link to one directory, called
for example ``:A-0000256``, and /proc/slabinfo has the first of the names only.
"""

from __future__ import annotations

from collections.abc import Mapping


def merged(cache: str, links: Mapping[str, str]) -> tuple[str, ...]:
    """Return the other names of a cache, in order; *links* are those of /sys/kernel/slab."""
    target = links.get(cache)
    if target is None:
        return ()
    return tuple(sorted(name for name, to in links.items() if to == target and name != cache))
