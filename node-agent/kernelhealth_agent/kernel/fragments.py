"""Memory of fragments that nobody holds: /proc/net/sockstat, sockstat6 (net/ipv4/proc.c).

Fixed by ebaf39e6032f ("ipv4: ipv6: netfilter: Adjust the frag mem limit when truesize changes",
4.20): reassembly changed the size of packets behind the counter's back. Up to Linux 4.16 the end of
such a namespace waits for the counter to become zero, for ever (net/ipv4/inet_fragment.c:
inet_frags_exit_net); since 648700f76b03 (4.17) nobody waits for it any more. Fragments that
netfilter reassembles are in no file, so that nothing seen is no proof.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.namespaces import Namespace

UNDERFLOWN = 1 << 31
"""Bytes from which on a counter must have gone below zero; old kernels print it in 32 bits."""
_LINE = re.compile(rb"^FRAG6?: inuse (\S+) memory (\S+)", re.MULTILINE)
_MOST_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class Counter:
    """Fragments of one protocol: queues in use, and how many bytes they are said to be."""

    queues: int
    memory: int

    @property
    def is_odd(self) -> bool:
        """Whether it counts memory that no queue holds, or more than there can be."""
        return self.is_below_zero or (self.queues == 0 and self.memory != 0)

    @property
    def signed(self) -> int:
        """The bytes as the kernel means them, in 32 bits up to Linux 4.16 and in 64 since."""
        for bits in (64, 32):
            if 1 << (bits - 1) <= self.memory < 1 << bits:
                return self.memory - (1 << bits)
        return self.memory

    @property
    def is_below_zero(self) -> bool:
        """Whether more was taken off than was ever added: no node has so many fragments."""
        return self.memory >= UNDERFLOWN


@dataclass(frozen=True, slots=True)
class Remembered:
    """A counter that was odd in every look since *since* (uptime in seconds)."""

    since: float
    cookie: int | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A namespace whose counter is odd, for *seconds* by now; *protocol* is IPv4 or IPv6."""

    space: Namespace
    is_host: bool
    protocol: str
    counter: Counter
    seconds: float


def counter(content: bytes, path: str) -> Counter | None:
    """Decode the line FRAG or FRAG6; None where the kernel reassembles nothing.

    Raises ``UnreadableError`` where its numbers are none.
    """
    found = _LINE.search(content)
    if found is None:
        return None
    numbers = [_number(text) for text in found.groups()]
    if numbers[0] is None or numbers[1] is None:
        raise errors.UnreadableError(path, "its line FRAG has no two numbers")
    return Counter(numbers[0], numbers[1])


def remembered(broken: tuple[Broken, ...], uptime: float) -> dict[str, Remembered]:
    """Return what to remember of odd counters, by ``key``, 512 at the most."""
    return {
        key(one.space, one.protocol): Remembered(uptime - one.seconds, one.space.cookie)
        for one in broken[:_MOST_REMEMBERED]
    }


def age(space: Namespace, protocol: str, past: Mapping[str, Remembered], uptime: float) -> float:
    """Return for how long a counter has been odd, 0 where it was not at the look before.

    The number of a namespace goes to the next one as soon as it is free, a cookie never does.
    """
    before = past.get(key(space, protocol))
    if before is None:
        return 0.0
    reused = None not in {before.cookie, space.cookie} and before.cookie != space.cookie
    return 0.0 if reused else uptime - before.since


def key(space: Namespace, protocol: str) -> str:
    """Return the name of a counter: inode number of the namespace and protocol."""
    return f"{space.inode}/{protocol}"


def _number(text: bytes) -> int | None:
    try:
        value = int(text) if len(text) <= 20 else None
    except ValueError:
        return None
    # A counter below zero is printed with its sign by some kernels, as a huge number by others.
    return None if value is None else value % (1 << 64)
