"""The network namespaces of a host, and who can reach them: the values of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_agent.kernel.rtnetlink import Link


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, and how it is known: cgroup, memory, cniCache, address or interfaceName."""

    namespace: str
    name: str
    uid: str | None
    known_by: str

    @property
    def title(self) -> str:
        """The pod as namespace/name, or by its UID where no name is known."""
        return f"{self.namespace}/{self.name}" if self.name else f"uid {self.uid}"


@dataclass(frozen=True, slots=True)
class Mount:
    """A namespace file that is mounted somewhere: *pid* is a process that sees the mount."""

    pid: int
    path: str

    @property
    def file(self) -> str:
        """The mounted file, as a path below the host's root."""
        return f"proc/{self.pid}/root{self.path}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace that something can reach.

    *pids* are some of its processes, lowest first, among them one of each container;
    *descriptors* are (pid, fd) of open namespace files; *sandbox* is the container id of its first
    process. *cookie* is a number that no other namespace of this boot has or had; it is known where
    the namespace is remembered.
    """

    inode: int
    nsid: int | None = None
    processes: int = 0
    pids: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    descriptors: tuple[tuple[int, int], ...] = ()
    pod: Pod | None = None
    sandbox: str | None = None
    cookie: int | None = None

    @property
    def file(self) -> str | None:
        """A path below the host's root that leads into the namespace."""
        if self.pids:
            return f"proc/{self.pids[0]}/ns/net"
        if self.mounts:
            return self.mounts[0].file
        if self.descriptors:
            pid, descriptor = self.descriptors[0]
            return f"proc/{pid}/fd/{descriptor}"
        return None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of a pod's network namespace for when nobody can reach it any more.

    The kernel gives inode number and id to the next namespace as soon as they are free, the
    *cookie* never; None where the kernel does not tell it (Linux < 5.14).
    """

    inode: int
    nsid: int | None
    pod: Pod
    sandbox: str | None
    seen: datetime
    cookie: int | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that one look found out about the network namespaces of a host.

    *namespaces* are those that something reaches, by inode number, without the host's own;
    *nsids* all ids that the host's namespace knows, without its own; *links* the links of the host;
    *pods* the pods that the kubelet has on the node, by UID; *memory* what earlier looks knew.
    *processes* counts tasks. *blind* says what could not be looked at, a sentence each. Without
    *pods_known* it cannot be said of any pod that it is gone. *thorough* looks may cost more.
    *open* are ids of which nothing is claimed yet: what may lead to them was not asked.
    """

    boot_id: str
    taken: datetime
    host: Namespace
    namespaces: Mapping[int, Namespace]
    nsids: frozenset[int]
    links: tuple[Link, ...]
    pods: Mapping[str, Pod]
    memory: Mapping[int, Remembered] = field(default_factory=dict)
    processes: int = 0
    blind: tuple[str, ...] = ()
    pods_known: bool = True
    thorough: bool = False
    open: frozenset[int] = frozenset()

    @property
    def unreachable(self) -> frozenset[int]:
        """The ids of namespaces that exist in the kernel and that nothing reaches."""
        return self.nsids - {n.nsid for n in self.namespaces.values() if n.nsid is not None}

    def with_nsid(self, nsid: int) -> Namespace | None:
        """Return the reachable namespace with that id in the host's."""
        return next((n for n in self.namespaces.values() if n.nsid == nsid), None)
