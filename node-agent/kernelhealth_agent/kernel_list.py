"""The kernel's own list of network namespaces, read from its memory: /proc/kcore.

``net_namespace_list`` (net/core/net_namespace.c) has every namespace that is not being freed, also
those that no process, mount, descriptor or id leads to, with its reference counts. Where it is
comes from /proc/kallsyms, what is in it from BTF. It needs CAP_SYS_RAWIO and CAP_SYSLOG, and is
absent without CONFIG_PROC_KCORE and under the confidentiality mode of lockdown.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import kcore, net_layout
from kernelhealth_agent.kernel.kcore import Segment
from kernelhealth_agent.kernel.leaks import Hidden, NetworkNamespaces
from kernelhealth_agent.kernel.namespace_answers import Listed, Socket
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered
from kernelhealth_agent.kernel.net_layout import LIST, SYMBOLS, TYPES, Layout

_CORE, _PROCESSES = "proc/kcore", "proc/1/ns/pid"
_SLAB = "net_namespace"
READS = (_CORE, SYMBOLS, TYPES, _PROCESSES, f"sys/kernel/slab/{_SLAB}")
_LARGEST_FILE = 64 << 20
_MOST = 65536
_ATTEMPTS = 5
_POINTER = struct.Struct("=Q")
_FIRST_PROCESSES = "pid:[4026531836]"
"""The process namespace that the machine booted with: include/linux/proc_ns.h, PROC_PID_INIT_INO.
The list is of the whole machine; from inside another one, most of it is somebody else's."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """The memory of the kernel, by address."""

    host: Host
    segments: tuple[Segment, ...]

    def read(self, address: int, size: int) -> bytes:
        offset = kcore.place(self.segments, address, size, _CORE)
        content = self.host.read_at(_CORE, offset, size)
        if len(content) < size:
            raise errors.UnreadableError(_CORE, f"it ends within {size} bytes at {address:#x}")
        return content

    def pointer(self, address: int) -> int:
        found: int = _POINTER.unpack(self.read(address, _POINTER.size))[0]
        return found


class _TornError(Exception):
    """The list changed while it was read."""


def ask(host: Host, inventory: Inventory) -> tuple[Listed, ...] | None:
    """Return the list where a question is open or the look is thorough; None without an answer.

    It is a cross-check: that it cannot be read is normal and says nothing of the namespaces.
    """
    if not inventory.unreachable and not inventory.thorough:
        return None
    try:
        return read(host)
    except errors.HostError:
        return None


def read(host: Host) -> tuple[Listed, ...]:
    """Return every namespace in the list, the one of the machine first.

    Ids are those in the first one. Raises ``AbsentError``, ``ForbiddenError`` or
    ``UnreadableError``; the latter also where the list changed in each of five readings.
    """
    header = host.read_at(_CORE, 0, kcore.HEADER_SIZE)
    programs = host.read_at(_CORE, *kcore.program_headers(header, _CORE))
    memory = _Memory(host, kcore.segments(programs, _CORE))
    head = kcore.symbol(host.read(SYMBOLS, _LARGEST_FILE), LIST, SYMBOLS)
    if head is None:
        raise errors.ForbiddenError(f"{SYMBOLS} ({LIST})", "CAP_SYSLOG, or kptr_restrict is 2")
    layout = net_layout.layout(host.read(TYPES, _LARGEST_FILE), TYPES)
    for _ in range(_ATTEMPTS):
        try:
            return _walked(memory, head, layout)
        except _TornError:
            continue
    raise errors.UnreadableError(_CORE, f"{LIST} changed in each of {_ATTEMPTS} readings")


def alone(
    host: Host, inventory: Inventory, listed: tuple[Listed, ...] | None
) -> tuple[Listed, ...]:
    """Return the namespaces of the list that nothing reaches and that have no id either.

    None is claimed where something could not be looked at, where the ids are not told, or where
    the list is of more than the inventory sees. One without active references is dismantled.
    """
    if not listed or inventory.blind or not _is_whole(host, inventory, listed):
        return ()
    if inventory.nsids and all(space.nsid is None for space in listed):
        return ()
    known = {inventory.host.inode, *inventory.namespaces}
    return tuple(s for s in listed if s.nsid is None and s.active and s.inode not in known)


def hidden(
    found: Iterable[Listed], inventory: Inventory, sockets: Iterable[Socket]
) -> tuple[Hidden, ...]:
    """Return such namespaces with what is remembered of them, and the sockets that keep them.

    One that was no pod's and that a living process keeps is that process's own, and no leak.
    """
    holders = {socket.inode: socket for socket in sockets}
    every = [Hidden(s, _past(s, inventory), holders.get(s.inode)) for s in found]
    return tuple(hidden for hidden in every if hidden.past or hidden.socket is None)


def _past(space: Listed, inventory: Inventory) -> Remembered | None:
    """Return what is remembered of a namespace; one that had an id was another."""
    past = inventory.memory.get(space.inode)
    if past is None or past.nsid is not None:
        return None
    same = past.cookie is None or past.cookie == space.cookie
    return past if same else None


def _is_whole(host: Host, inventory: Inventory, listed: tuple[Listed, ...]) -> bool:
    """Whether the inventory saw the whole machine: its first namespaces, and all its processes."""
    return listed[0].inode == inventory.host.inode and sees_all_processes(host)


def sees_all_processes(host: Host) -> bool:
    """Whether the process namespace is the one that the machine booted with."""
    try:
        return host.link(_PROCESSES) == _FIRST_PROCESSES
    except errors.HostError:
        return False


def objects(host: Host) -> int | None:
    """Return how many namespaces the slab allocator has; None where it cannot be told.

    A cache that shares its slabs counts foreign objects too. Without shrinking, the count takes
    whole slabs for full.
    """
    directory = f"sys/kernel/slab/{_SLAB}"
    try:
        if int(host.read(f"{directory}/aliases")) > 0:
            return None
        host.shrink(_SLAB)
        return int(host.read(f"{directory}/objects").split()[0])
    except (errors.HostError, ValueError, IndexError):
        return None


def _walked(memory: _Memory, head: int, layout: Layout) -> tuple[Listed, ...]:
    """Follow the list once around; each member must name the one that it was reached from."""
    first, size = layout.span
    found: list[tuple[int, bytes, bytes | None]] = []
    before, at = head, memory.pointer(head)
    while at != head:
        content = memory.read(at - layout.links + first, size)
        after, back = layout.neighbours(content)
        if back != before:
            raise _TornError
        if len(found) >= _MOST:
            raise errors.UnreadableError(_CORE, f"{LIST} has more than {_MOST} members")
        space = at - layout.links
        cookie = None if layout.cookie is None else memory.read(space + layout.cookie, 8)
        found.append((space, content, cookie))
        before, at = at, after
    ids = _ids(memory, found[0][0], layout) if found else {}
    return tuple(layout.decode(content, cookie, ids.get(at)) for at, content, cookie in found)


def _ids(memory: _Memory, machine: int, layout: Layout) -> Mapping[int, int]:
    """Return the ids that namespaces have in the machine's own, by their addresses."""
    if layout.ids is None:
        return {}
    root = memory.pointer(machine + layout.ids)
    entries = net_layout.entries(layout.node, root, memory.read, _CORE, _MOST)
    return {address: nsid for nsid, address in entries.items()}


def excess(host: Host, inventory: Inventory, found: NetworkNamespaces) -> int | None:
    """Return how many namespaces the slab has that nothing shows; None where that is not known.

    The kernel's own list names all of them, and one that only sees a part of the machine, or did
    not look at everything, cannot compare.
    """
    if found.objects is None or found.listed is not None or not inventory.thorough:
        return None
    if inventory.blind or not sees_all_processes(host):
        return None
    return max(0, found.objects - found.reachable - len(found.unreachable))
