"""gssproxy and the kernel: net/sunrpc/auth_gss/svcauth_gss.c, gssproxy.conf(5).

A process that writes 1 to ``/proc/net/rpc/use-gss-proxy`` makes the kernel a client of gssproxy in
its network namespace. The client counts a reference on the namespace that only the namespace's own
end would give back, so that it never ends. gssproxy writes the 1 where a service of its
configuration has ``kernel_nfsd = yes``. No kernel release has a fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Remembered
from kernelhealth_agent.kernel.rpc_xprt import Transport

USED = 1
_STATES = {-1, 0, USED}
_TRUE = {"1", "on", "true", "yes"}
_SECTION = re.compile(r"\[([^\]]*)\]")
_SERVICE = "service/"


@dataclass(frozen=True, slots=True)
class Setting:
    """A line that makes gssproxy write the 1; *container* is that of process *pid*.

    *of_host*: the file is in the host's own folder, which a container was given.
    """

    space: Namespace
    mntns: str
    pid: int
    process: str
    container: str | None
    file: str
    line: int
    of_host: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """A namespace that nothing reaches and that gssproxy's client holds; with what was known."""

    inode: int
    remembered: Remembered | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one namespace, by processes whose numbers have that checksum.

    *first* is the uptime in seconds at which those were seen first. Of the namespace the *settings*
    have its number only. *state* is None where it could
    not be read, *mntns* are the mount namespaces that were looked into, *blind* what was not.
    """

    processes: int
    first: float
    state: int | None
    mntns: tuple[str, ...]
    settings: tuple[Setting, ...]
    blind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """All namespaces by inode number, and the uptime at which each of them was looked at.

    *lost* are those where the kernel was a client of gssproxy when something still led there.
    """

    whole: float = 0.0
    loaded: bool = False
    spaces: dict[int, Seen] = field(default_factory=dict)
    lost: tuple[int, ...] = ()

    @property
    def clients(self) -> frozenset[int]:
        """The namespaces, also lost ones, where the kernel is a client of gssproxy."""
        if not self.loaded:
            return frozenset()
        used = (inode for inode, seen in self.spaces.items() if seen.state == USED)
        return frozenset((*self.lost, *used))


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look saw of gssproxy.

    *loaded*: the kernel has auth_rpcgss. *used*: the reachable namespaces other than the host's
    where the kernel is a client of gssproxy, *shared* the inode numbers of those whose processes
    read the host's own configuration. *settings*: one for each file of a container that makes it
    so, *own* the same of the host, where it harms nobody. *pins*: by name where the kernel
    names the namespace, or where it is remembered that it was a client there, and *unnamed* more
    by arithmetic; None where neither memory nor debugfs tells. *blind*: what was not looked at, a
    sentence each. *memory*: what the next look need not read again.
    """

    loaded: bool
    used: tuple[Namespace, ...]
    settings: tuple[Setting, ...]
    own: str | None
    pins: tuple[Pin, ...] | None
    unnamed: int | None
    blind: tuple[str, ...]
    memory: Memory = field(default_factory=Memory)
    shared: frozenset[int] = frozenset()


def state(content: bytes, path: str) -> int:
    """Return the state of a namespace: -1 undecided, 0 never, 1 the kernel is a client.

    Raises ``UnreadableError`` for anything else.
    """
    try:
        value = int(content.decode("ascii"))
    except ValueError as error:
        raise errors.UnreadableError(path, "it is no number") from error
    if value not in _STATES:
        raise errors.UnreadableError(path, f"{value} is none of -1, 0 and 1")
    return value


def kernel_nfsd(content: bytes) -> int | None:
    """Return the line that switches ``kernel_nfsd`` on for a service, or None.

    The grammar is that of ding-libs' ini parser as gssproxy uses it: comments fill whole lines,
    lines are not continued, names are not case-sensitive, the first of several values counts.
    """
    service, commented = "", False
    decided: dict[str, int] = {}
    for number, raw in enumerate(content.decode(errors="replace").split("\n"), 1):
        line = raw.strip()
        if commented or line.startswith("/*"):
            commented = not line.endswith("*/")
        elif match := _SECTION.match(line):
            service = match[1].strip().lower()
        elif not line.startswith((";", "#")):
            key, _, value = line.partition("=")
            if key.strip().lower() == "kernel_nfsd" and service.startswith(_SERVICE):
                on = value.strip().lower() in _TRUE
                decided.setdefault(service, number if on else 0)
    return min((number for number in decided.values() if number), default=None)


def pins(transports: Iterable[Transport], inventory: Inventory) -> tuple[Pin, ...]:
    """Return the namespaces that transports name and nothing reaches."""
    reached = {inventory.host.inode, *inventory.namespaces}
    inodes = {t.netns for t in transports if t.netns is not None} - reached
    return tuple(Pin(inode, inventory.memory.get(inode)) for inode in sorted(inodes))


def lost(memory: Memory, inventory: Inventory) -> tuple[int, ...]:
    """Return the namespaces of *memory* where the kernel is a client, and that nothing reaches."""
    ids = inventory.unreachable | inventory.open
    gone = (inventory.memory.get(inode) for inode in sorted(memory.clients))
    return tuple(
        past.inode
        for past in gone
        if past is not None and past.inode not in inventory.namespaces and past.nsid in ids
    )


def unnamed(transports: Iterable[Transport], holders: int) -> int:
    """Return how many transports more there are than namespaces that can explain them."""
    anonymous = sum(transport.netns is None for transport in transports)
    return max(0, anonymous - holders) if anonymous else 0
