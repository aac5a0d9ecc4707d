"""Network namespaces that outlived what they were made for: the sample of that detector."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel.namespaces import Namespace, Pod, Remembered
from kernelhealth_agent.kernel.rtnetlink import Link


@dataclass(frozen=True, slots=True)
class Socket:
    """An open socket that keeps a namespace: the process (comm[pid]) and its descriptor."""

    process: str
    descriptor: int
    inode: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A namespace in the kernel's own list of all, with its reference counts.

    *active* are the references that keep it working, 0 while it is dismantled; *passive* those
    that keep its memory; *nsid* is its id in the host's namespace. None is what this kernel does
    not have, for *nsid* that it has no id.
    """

    inode: int
    active: int
    passive: int | None = None
    cookie: int | None = None
    nsid: int | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A namespace that the kernel has and that no process, mount or descriptor leads to.

    *inside* and *addresses* are what it holds, looked at by its id; *outside* are interfaces of
    the host whose other end is in it. *past* is what is remembered of it, *pod* what its
    addresses say; *socket* is what keeps it, where that was found; *listed* is what the kernel's
    own list says, where that was read.
    """

    nsid: int
    inside: tuple[Link, ...] = ()
    addresses: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    past: Remembered | None = None
    pod: Pod | None = None
    socket: Socket | None = None
    pinned_by_gssproxy: bool = False
    listed: Listed | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A namespace that is reached although its pod is gone, and by what: process, mount or fd."""

    namespace: Namespace
    pod: Pod
    holder: str
    how: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """A namespace that only the kernel's own list shows.

    *past* is what is remembered of it; *socket* is what keeps it, where that was found.
    """

    listed: Listed
    past: Remembered | None = None
    socket: Socket | None = None


@dataclass(frozen=True, slots=True)
class NetworkNamespaces:
    """All that the detector of leaked namespaces judges.

    *reachable* counts without the host's own; *identified* the ids in the host's namespace;
    *objects* is what the slab allocator counts, None where it cannot be asked; it may be larger
    than all others because the kernel frees a namespace's memory late. *room* is how many more fit
    into the memory that is available, None where that is not told.
    *listed* is the kernel's own list, with the host's namespace; None where it was not or cannot
    be read. *hidden* are those of it that nothing reaches and that have no id either.
    """

    reachable: int
    identified: int
    objects: int | None
    room: int | None = None
    unreachable: tuple[Unreachable, ...] = ()
    kept: tuple[Kept, ...] = ()
    listed: tuple[Listed, ...] | None = None
    hidden: tuple[Hidden, ...] = ()
