"""Slab caches as one look saw them, beside how they grew, what lives and what comes and goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.kmemleak import Site
from kernelhealth_agent.kernel.meminfo import Memory

_RECLAIMABLE = re.compile(
    r"dentry|buffer_head|radix_tree_node|ext4_extent_status|kmalloc-rcl-.*|.*inode(_cache)?"
)
_KEPT = {"shmem_inode_cache", "hugetlbfs_inode_cache"}


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache: objects in use, and the bytes of its slabs.

    *names* are all under which the kernel merged others into it, its own first; *reclaimable*
    says whether the kernel gives it back under pressure (SLAB_RECLAIM_ACCOUNT).
    """

    name: str
    names: tuple[str, ...]
    objects: int
    object_size: int
    each: float
    size: int
    reclaimable: bool

    @property
    def row(self) -> str:
        """The row of the history that has its objects."""
        return cache_row(self.name)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look saw, at *wall*, and the history up to it.

    *caches* are the large ones, the largest first. *merging* is whether their names could be
    asked for, *sites* what kmemleak found, None where the kernel has none. *flags* and *cookies*
    are for the next look: which caches are reclaimable, and the births of namespaces.
    """

    wall: datetime
    memory: Memory
    caches: tuple[Cache, ...]
    history: History
    merging: bool
    sites: tuple[Site, ...] | None = None
    flags: Mapping[str, bool] = field(default_factory=dict)
    cookies: Mapping[int, int] = field(default_factory=dict)
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memories:
    """What the next look shall know of this one."""

    history: History = field(default_factory=History)
    flags: Mapping[str, bool] = field(default_factory=dict)
    cookies: Mapping[int, int] = field(default_factory=dict)


UNRECLAIMABLE = "memory/unreclaimable"
UNACCOUNTED = "memory/unaccounted"
ROUTES = "living/routes6"


def cache_row(name: str) -> str:
    """Return the name of the row of a cache, in objects."""
    return f"cache/{name}"


def living_row(name: str) -> str:
    """Return the name of the row of a population."""
    return f"living/{name}"


def made_row(name: str) -> str:
    """Return the name of the row of a churn."""
    return f"made/{name}"


def is_reclaimable_by_name(name: str) -> bool:
    """Guess whether a cache is reclaimable where the kernel does not tell (no /sys/kernel/slab)."""
    return name not in _KEPT and _RECLAIMABLE.fullmatch(name) is not None
