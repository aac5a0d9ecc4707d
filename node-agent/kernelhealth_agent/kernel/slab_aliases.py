"""Under which names a slab cache is counted: /sys/kernel/slab, mm/slub.c.

The kernel merges caches of one size. Each name is then a symbolic link to one directory, called
for example ``:A-0000256``, and /proc/slabinfo has the first of the names only: whoever is told that
``pool_workqueue`` grows may well be looking for route objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


def merged(cache: str, links: Mapping[str, str]) -> tuple[str, ...]:
    """Return the other names of a cache, in order; *links* are those of /sys/kernel/slab."""
    return groups(links).get(cache, ())


def groups(links: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return for each name that is a link the other names of its cache, in order."""
    by_target: dict[str, list[str]] = defaultdict(list)
    for name in sorted(links):
        by_target[links[name]].append(name)
    return {
        name: tuple(other for other in names if other != name)
        for names in by_target.values()
        for name in names
    }
