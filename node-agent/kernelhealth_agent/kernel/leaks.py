"""Network namespaces that outlived what they were made for: the sample of that detector."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel.in_flight import InTransit
from kernelhealth_agent.kernel.inside import Inside
from kernelhealth_agent.kernel.namespace_answers import Listed, Socket
from kernelhealth_agent.kernel.namespace_views import Views
from kernelhealth_agent.kernel.namespaces import Namespace, Pod, Remembered
from kernelhealth_agent.kernel.rtnetlink import Link


@dataclass(frozen=True, slots=True)
class Pin:
    """A client of the kernel that holds a namespace: *kind* is gssproxy, nfs or rpc.

    *netns* is None where the kernel does not tell it; *requests* wait for the other end's answer.
    """

    netns: int | None
    client: str
    kind: str
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A namespace that the kernel has and that no process, mount or descriptor leads to.

    *inside* and *addresses* are what it holds, looked at by its id; *outside* are interfaces of
    the host whose other end is in it. *past* is what is remembered of it, *pod* what its
    addresses say; *socket* or *pin* is what keeps it, where that was found; *listed* is what the
    kernel's own list says, where that was read, and *opened* what was seen inside, where it was
    opened.
    """

    nsid: int
    inside: tuple[Link, ...] = ()
    addresses: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    past: Remembered | None = None
    pod: Pod | None = None
    socket: Socket | None = None
    pin: Pin | None = None
    listed: Listed | None = None
    opened: Inside | None = None

    @property
    def inode(self) -> int | None:
        """The inode number, by whatever tells it."""
        known = (self.past, self.socket, self.opened, self.listed)
        return next((view.inode for view in known if view is not None), None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a namespace stays: *holder* for the subject, *advice* says whether a reboot is needed."""

    cause: str
    holder: str
    advice: str
    cures: tuple[str, ...]


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
    *objects* is what the slab allocator counts, None where it was not or cannot be asked; it may
    be larger than all others because the kernel frees a namespace's memory late. *room* is how many
    more fit into the memory that is available, None where that is not told.
    *listed* is the kernel's own list, with the host's namespace; None where it was not or cannot
    be read. *members* counts it where it was read in this look; of an earlier reading *listed* has
    only what is of use. *hidden* are those of it that nothing reaches and that have no id either.
    *stray* are clients of the kernel of which it does not tell the namespace, *transit* sockets
    that may have a namespace on its way; both are looked for while a holder is unknown.
    *active* is how many the kernel calls in use, with the host's own, where it has listns(2).
    *views* is what the views have disagreed about for a while.
    """

    reachable: int
    identified: int
    objects: int | None
    room: int | None = None
    unreachable: tuple[Unreachable, ...] = ()
    kept: tuple[Kept, ...] = ()
    listed: tuple[Listed, ...] | None = None
    members: int | None = None
    hidden: tuple[Hidden, ...] = ()
    stray: tuple[Pin, ...] = ()
    transit: tuple[InTransit, ...] = ()
    active: int | None = None
    views: Views | None = None

    @property
    def leaked(self) -> int:
        """How many outlived their pods, as far as that is known."""
        hidden = sum(hidden.past is not None for hidden in self.hidden)
        return len(self.unreachable) + len(self.kept) + hidden
