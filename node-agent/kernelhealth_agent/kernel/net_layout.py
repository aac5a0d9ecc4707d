"""What is where in ``struct net``, include/net/net_namespace.h, on the kernel that runs.

The members that count references changed their names: the active ones are ``count`` (before
5.11), ``ns.count`` (until 6.17), ``ns.__ns_ref`` (since 6.18). They are found by what is there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import btf, btf_excerpt, kcore
from kernelhealth_agent.kernel.namespace_answers import Listed

TYPES, SYMBOLS = "sys/kernel/btf/vmlinux", "proc/kallsyms"
LIST = "net_namespace_list"
_MEMBERS = {
    "net": ("list", "ns", "count", "passive", "net_cookie", "netns_ids"),
    "xa_node": ("shift", "slots", "tags", ""),
}
_ACTIVE = ("ns.__ns_ref", "ns.count", "count")
_COUNT = struct.Struct("=I")
_WORD = struct.Struct("=Q")
_HIGHEST_SHIFT = 64
_MOST_SLOTS = 64
"""Slots of a node of an XArray at the most, include/linux/xarray.h: XA_CHUNK_SIZE."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of an XArray: offsets of its shift (one byte) and of its *count* slots."""

    shift: int
    slots: int
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in ``struct net``, in bytes; None for what this kernel does not have.

    *links* is its place in the list of all, *ids* the root of the tree of the ids that other
    namespaces have in this one, whose nodes are *node*.
    """

    links: int
    inode: int
    active: int
    passive: int | None
    cookie: int | None
    ids: int | None
    node: Node | None

    @property
    def span(self) -> tuple[int, int]:
        """The first byte of all that is needed but the cookie, which is far away, and how many."""
        known = (self.links, self.inode, self.active, self.passive)
        offsets = [offset for offset in known if offset is not None]
        # The links are two pointers, all others are shorter.
        return min(offsets), max(offsets) + 16 - min(offsets)

    def decode(self, content: bytes, cookie: bytes | None, nsid: int | None) -> Listed:
        """Decode the bytes of ``span`` and of the cookie."""
        first = self.span[0]
        return Listed(
            inode=_COUNT.unpack_from(content, self.inode - first)[0],
            active=_COUNT.unpack_from(content, self.active - first)[0],
            passive=None
            if self.passive is None
            else _COUNT.unpack_from(content, self.passive - first)[0],
            cookie=None if cookie is None else _WORD.unpack(cookie)[0],
            nsid=nsid,
        )

    def neighbours(self, content: bytes) -> tuple[int, int]:
        """Return the addresses that the list has after and before a namespace, of its ``span``."""
        at = self.links - self.span[0]
        return _WORD.unpack_from(content, at)[0], _WORD.unpack_from(content, at + 8)[0]


def layout(content: bytes, path: str) -> Layout:
    """Find the offsets in BTF; ``UnreadableError`` where it is torn or has no such structure."""
    types = btf.types(content, path, _MEMBERS)

    def at(member: str) -> int | None:
        return types.offset("net", member)

    links, inode = at("list"), at("ns.inum")
    active = next((offset for name in _ACTIVE if (offset := at(name)) is not None), None)
    if links is None or inode is None or active is None:
        raise errors.UnreadableError(path, "struct net is not there, or has no reference count")
    ids, node = at("netns_ids.idr_rt.xa_head"), _node(types)
    return Layout(
        links, inode, active, at("passive"), at("net_cookie"), ids if node else None, node
    )


def _node(types: btf.Types) -> Node | None:
    shift, slots = types.offset("xa_node", "shift"), types.offset("xa_node", "slots")
    after = types.offset("xa_node", "tags")
    if shift is None or slots is None or after is None or not slots < after:
        return None
    return Node(shift, slots, min((after - slots) // 8, _MOST_SLOTS))


def entries(
    node: Node | None, head: int, read: Callable[[int, int], bytes], path: str, most: int
) -> dict[int, int]:
    """Return the pointers in an XArray by index, of the word at its head; *most* of them.

    An entry ending in the bits 10 and above 4096 is a node, include/linux/xarray.h:
    xa_is_node(). *read* returns so many bytes at an address. ``UnreadableError`` where nodes are
    not one below the other, which is how it looks while it changes.
    """
    found: dict[int, int] = {}
    left, nodes = [(head, 0, _HIGHEST_SHIFT)], 0
    while left:
        entry, base, above = left.pop()
        if entry & 3 == 0 and entry:
            found[base] = entry
        elif entry & 3 == 2 and entry > 4096 and node is not None:
            shift, nodes = read(entry - 2 + node.shift, 1)[0], nodes + 1
            if shift >= above or len(found) > most or nodes > most:
                raise errors.UnreadableError(path, "the tree of ids is torn or too large")
            slots = struct.unpack(f"={node.count}Q", read(entry - 2 + node.slots, 8 * node.count))
            left += [(e, base + (i << shift), shift) for i, e in enumerate(slots) if e]
    return found


EXCERPTS: Mapping[str, Callable[[bytes], bytes]] = {
    TYPES: lambda content: btf_excerpt.excerpt(content, TYPES, _MEMBERS),
    SYMBOLS: lambda content: kcore.symbol_line(content, LIST),
}
"""What is needed of large files, by path: the rest need not be recorded."""
