"""What lives in a kernel, which explains its memory, and what comes and goes, which may lose some.

Each number is a word of a small file of procfs: fs/proc/loadavg.c, fs/file_table.c, fs/inode.c,
fs/dcache.c, kernel/cgroup/cgroup-v1.c, net/netfilter/nf_conntrack_standalone.c, net/ipv4/proc.c,
net/ipv6/proc.c, net/ipv6/route.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors

_BATCH = 4096  # COOKIE_LOCAL_BATCH of include/linux/cookie.h
_MOST_BATCHES = 512


@dataclass(frozen=True, slots=True)
class Living:
    """Things that exist; *each* is how many bytes of one cache one of them can account for.

    The bytes are generous: too many hide a leak for as long as these things increase, too few
    make one of a workload that grows. They are no excuse for the *cache* that they lie in.
    """

    name: str
    title: str
    each: int
    cache: str = ""


@dataclass(frozen=True, slots=True)
class Churn:
    """A count that only grows, of things made; *title* is what one of them is."""

    name: str
    title: str


LIVING = (
    Living("tasks", "threads", 32 << 10),
    Living("files", "open files and sockets", 16 << 10),
    Living("cgroups", "cgroups", 64 << 10),
    Living("namespaces", "network namespaces in use", 64 << 10),
    Living("kept", "network namespaces in the kernel", 64 << 10, "net_namespace"),
    Living("interfaces", "network interfaces", 16 << 10),
    Living("mounts", "mounts", 4 << 10),
    Living("conntrack", "tracked connections", 1 << 10),
    Living("inodes", "cached inodes", 512),
    Living("dentries", "cached names of files", 256),
    Living("cached", "KiB of file cache", 16),
)
"""Leaked namespaces explain what leaks with them: that they leak, the detector of these says."""
MADE = (
    Churn("namespaces", "new namespace"),
    Churn("interfaces", "new network interface of the host"),
    Churn("connections", "new TCP connection of the host"),
    Churn("packets6", "IPv6 packet of the host"),
    Churn("processes", "new process"),
)
"""The rarest first: with a new pod comes one of the first, and many of the last."""


@dataclass(frozen=True, slots=True)
class Count:
    """A file, and the pattern whose groups are numbers that add up to one count."""

    name: str
    path: str
    pattern: str

    def value(self, content: bytes) -> int:
        """Return the count; ``UnreadableError`` where the file has nothing of the kind."""
        match = re.search(self.pattern.encode(), content, re.MULTILINE | re.DOTALL)
        if match is None:
            raise errors.UnreadableError(self.path, f"nothing in it matches {self.pattern}")
        return sum(int(group) for group in match.groups())


_TCP = r"^Tcp: \d{1,20} \d{1,20} \d{1,20} -?\d{1,20} (\d{1,20}) (\d{1,20}) "
_IP6 = r"^Ip6InReceives\s+(\d{1,20})$.{0,2000}?^Ip6OutRequests\s+(\d{1,20})$"
ALIVE = (
    Count("tasks", "proc/loadavg", r"^\S+ \S+ \S+ \d{1,10}/(\d{1,10}) "),
    Count("files", "proc/sys/fs/file-nr", r"^(\d{1,18})\t"),
    Count("conntrack", "proc/sys/net/netfilter/nf_conntrack_count", r"^(\d{1,10})$"),
    Count("inodes", "proc/sys/fs/inode-nr", r"^(\d{1,18})\s"),
    Count("dentries", "proc/sys/fs/dentry-state", r"^(\d{1,18})\s"),
    Count("cached", "proc/meminfo", r"^Cached:\s+(\d{1,15}) kB$"),
)
"""Counts of what lives in the kernel."""
EVER = (
    Count("processes", "proc/stat", r"^processes (\d{1,18})$"),
    Count("connections", "proc/1/net/snmp", _TCP),
    Count("packets6", "proc/1/net/snmp6", _IP6),
)
"""Counts of what was ever made."""
COMPRESSED = Count("zsmalloc", "proc/vmstat", r"^nr_zspages (\d{1,15})$")
"""Pages of compressed memory, zram's or zswap's."""


def cgroups(content: bytes, path: str) -> int:
    """Return how many cgroups the fullest hierarchy has, dying ones included: /proc/cgroups."""
    counts = re.findall(rb"^\w+\t\d{1,10}\t(\d{1,10})\t\d$", content, re.MULTILINE)
    if not counts:
        raise errors.UnreadableError(path, "it has no line of a controller")
    return max(int(count) for count in counts)


def births(known: Mapping[int, int], cookies: Iterable[int]) -> dict[int, int]:
    """Return the highest cookie seen of each batch; their sum counts namespaces that were made.

    A processor takes 4096 cookies at a time and gives them out in turn (include/linux/cookie.h), so
    that what is seen of each batch is a low estimate of how many were made. Before Linux 6.18
    network namespaces alone have cookies; since then all namespaces take from one row.
    """
    found = dict(known)
    for cookie in cookies:
        if cookie > 0:
            batch, number = divmod(cookie - 1, _BATCH)
            found[batch] = max(found.get(batch, 0), number + 1)
    return {batch: found[batch] for batch in sorted(found)[-_MOST_BATCHES:]}
