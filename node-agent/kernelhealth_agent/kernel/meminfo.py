"""Memory of the host: /proc/meminfo, Documentation/filesystems/proc.rst 1.4."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernelhealth_agent import errors

_AVAILABLE = re.compile(rb"^MemAvailable:\s+(\d{1,15}) kB$", re.MULTILINE)
_LINE = re.compile(rb"^(\w[^:\n]{0,40}):[ \t]+(\d{1,15}) kB$", re.MULTILINE)
_EXPLAINED = (
    "MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "KReclaimable", "SUnreclaim",
    "KernelStack", "PageTables", "SecPageTables", "Bounce", "WritebackTmp", "VmallocUsed", "Percpu",
    "Hugetlb", "Zswap", "Unaccepted", "Balloon", "GPUActive", "GPUReclaim",
)  # fmt: skip
"""The lines that add up, each page in one of them; the others are parts of these, or no memory.

With CONFIG_VMAP_STACK stacks are in VmallocUsed too, so that a little less seems unexplained.
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes.

    *unreclaimable* is slab memory that the kernel cannot give back. *unaccounted* is what none of
    the counters explains: pages that drivers and the network took directly, or that are lost.
    *reachable* is what is free or a file's: what is left when no slab can be reclaimed.
    """

    total: int
    available: int
    unreclaimable: int
    unaccounted: int
    reachable: int


def available(text: bytes, path: str) -> int:
    """Return the bytes that programs can still get without swapping (Linux 3.14).

    Raises ``UnreadableError`` where there is no such line.
    """
    match = _AVAILABLE.search(text)
    if match is None:
        raise errors.UnreadableError(path, "it has no line MemAvailable")
    return int(match[1]) << 10


def memory(text: bytes, path: str, compressed: int = 0) -> Memory:
    """Return what the memory is used for; *compressed* bytes are zsmalloc's, of /proc/vmstat.

    Raises ``UnreadableError`` where a line is missing that all kernels have.
    """
    lines = {
        match[1].decode(errors="replace"): int(match[2]) << 10 for match in _LINE.finditer(text)
    }
    missing = {"MemTotal", "MemFree", "Buffers", "Cached", "SUnreclaim"} - lines.keys()
    if missing:
        raise errors.UnreadableError(path, f"it has no line {min(missing)}")
    lines.setdefault("KReclaimable", lines.get("SReclaimable", 0))  # Linux < 4.20
    # Zswap lies in zsmalloc's pages as well.
    compressed = max(0, compressed - lines.get("Zswap", 0))
    explained = sum(lines.get(name, 0) for name in _EXPLAINED) + compressed
    return Memory(
        total=lines["MemTotal"],
        available=available(text, path),
        unreclaimable=lines["SUnreclaim"],
        unaccounted=max(0, lines["MemTotal"] - explained),
        reachable=max(
            0, lines["MemFree"] + lines["Buffers"] + lines["Cached"] - lines.get("Shmem", 0)
        ),
    )
