"""The kernel limits that may be raised on request, and how far: a closed list.

A limit is doubled, once per request. It is never raised beyond its ceiling, nor so far that what
it then allows could take more than a quarter of the memory, and never lowered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernelhealth_agent import errors

_SHARE = 4
_TOTAL = re.compile(rb"^MemTotal:\s+(\d{1,15}) kB$", re.MULTILINE)
_RULE = re.compile(r"([a-z0-9_.-]{1,80}) = (\d{1,20})")


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: *each* is what one more costs at worst, in bytes.

    It may also not exceed *times* the number that the sysctl *beside* holds, where there is one.
    """

    sysctl: str
    reason: str
    ceiling: int
    each: int
    beside: str | None = None
    times: int = 0

    def target(self, now: int, memory: int, beside: int | None) -> int:
        """Return what to raise it to: *now* where it may not be raised. *memory* is in bytes."""
        bounds = [2 * now, self.ceiling, memory // _SHARE // self.each]
        if beside is not None:
            bounds.append(self.times * beside)
        return max(now, min(bounds))


LIMITS = (
    # An entry of the table has about 320 bytes, with extensions 512. Each bucket of the hash has a
    # list, which lookups walk through: 16 entries long on average at the most.
    Limit(
        "net.netfilter.nf_conntrack_max",
        "ConntrackNearlyFull",
        4_194_304,
        512,
        "net.netfilter.nf_conntrack_buckets",
        16,
    ),
    Limit("net.ipv4.neigh.default.gc_thresh3", "NeighbourTableFull", 131_072, 1024),
    Limit("net.ipv6.neigh.default.gc_thresh3", "NeighbourTableFull", 131_072, 1024),
    # The stack of a thread has 16 KiB, its task_struct about 10; PID_MAX_LIMIT is 4 Mi.
    Limit("kernel.pid_max", "PidsNearlyExhausted", 4_194_304, 26_624),
    Limit("kernel.threads-max", "PidsNearlyExhausted", 4_194_304, 26_624),
    Limit("fs.file-max", "FilesNearlyExhausted", 16_777_216, 1024),
    # A watch keeps an inode in memory; each user may have that many.
    Limit("fs.inotify.max_user_instances", "InotifyNearlyExhausted", 65_536, 4096),
    Limit("fs.inotify.max_user_watches", "InotifyNearlyExhausted", 4_194_304, 1280),
    Limit("fs.mount-max", "MountsNearlyExhausted", 1_000_000, 512),
)


def observed(rule: str | None, reason: str) -> tuple[Limit, int] | None:
    """Return which limit a finding's rule ``NAME = VALUE`` is about, and the value; None for none.

    Only limits that may be raised for that *reason*.
    """
    match = _RULE.fullmatch(rule or "")
    if match is None:
        return None
    for limit in LIMITS:
        if (limit.sysctl, limit.reason) == (match[1], reason):
            return limit, int(match[2])
    return None


def path(sysctl: str) -> str:
    """Return the file of a sysctl, below the host's root."""
    return f"proc/sys/{sysctl.replace('.', '/')}"


def memory(meminfo: bytes, file: str) -> int:
    """Return the bytes of memory in /proc/meminfo; ``UnreadableError`` without that line."""
    match = _TOTAL.search(meminfo)
    if match is None:
        raise errors.UnreadableError(file, "it has no line MemTotal")
    return int(match[1]) << 10
