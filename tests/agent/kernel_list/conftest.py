"""A kernel that a test writes: types as BTF, memory as segments of a core file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Remembered

HOST = 4026531840
NOW = datetime(2026, 1, 1, tzinfo=UTC)
INT, POINTER, ARRAY, STRUCT, UNION, TYPEDEF = 1, 2, 3, 4, 5, 8
HEAD = 0xFFFF_FFFF_8000_1000
MEMORY, SIZE = 0xFFFF_8880_0000_0000, 1 << 14
"""Where the memory of the kernel begins, and how much of it there is."""


@dataclass
class Btf:
    """Types, numbered from 1 in the order in which they are added."""

    words: list[int] = field(default_factory=list)
    names: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    count: int = 0

    def add(self, kind: int, name: str = "", third: int = 0, *rest: int, parts: int = 0) -> int:
        """Add a type and return its number."""
        self.words += [self.name(name), kind << 24 | parts, third, *rest]
        self.count += 1
        return self.count

    def structure(
        self,
        name: str,
        size: int,
        members: Sequence[tuple[str, int, int]],
        *,
        kind: int = STRUCT,
        bits: bool = False,
    ) -> int:
        """Add a structure; members are name, type and offset in bits."""
        triples = [w for m, type_id, offset in members for w in (self.name(m), type_id, offset)]
        number = self.add(kind, name, size, *triples, parts=len(members))
        if bits:
            self.words[-len(triples) - 2] |= 1 << 31
        return number

    def name(self, name: str) -> int:
        """Return where a name is in the table of names."""
        if not name:
            return 0
        at = self.names.find(f"\0{name}\0".encode())
        if at < 0:
            at = len(self.names) - 1
            self.names += name.encode() + b"\0"
        return at + 1

    def written(self) -> bytes:
        """Return the file."""
        size = 4 * len(self.words)
        header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, size, size, len(self.names))
        return header + struct.pack(f"={len(self.words)}I", *self.words) + bytes(self.names)


def kernel_types(active: str = "count", *, ids: bool = True) -> Btf:
    """Return the types of a kernel: links 8, ns 32 (inode 36, active 40), cookie 48, ids 56."""
    btf = Btf()
    number, pointer = btf.add(INT, "int", 4, 32), btf.add(POINTER)
    links = btf.structure("list_head", 16, [("next", pointer, 0), ("prev", pointer, 64)])
    array = btf.structure("xarray", 8, [("xa_head", pointer, 0)])
    root = btf.add(TYPEDEF, "radix_tree_root", array)
    idr = btf.structure("idr", 8, [("idr_rt", root, 0)])
    inside = btf.structure("", 8, [(active, number, 0)], kind=UNION)
    ns = btf.structure("ns_common", 16, [("inum", number, 32), ("", inside, 64)])
    members = [
        ("passive", number, 0),
        ("list", links, 64),
        ("ns", ns, 256),
        ("net_cookie", pointer, 384),
    ]
    btf.structure("net", 64, [*members, *([("netns_ids", idr, 448)] if ids else [])])
    slots = btf.add(ARRAY, "", 0, pointer, number, 4)
    node = [("shift", number, 0), ("slots", slots, 64), ("tags", number, 320)]
    btf.structure("xa_node", 48, node)
    return btf


@dataclass
class Kernel:
    """A recorded host with memory; every namespace is (inode, active references, id or None)."""

    root: Path
    memory: bytearray = field(default_factory=lambda: bytearray(SIZE))

    def put(self, at: int, *words: int) -> None:
        """Write words of 64 bits into the memory."""
        struct.pack_into(f"={len(words)}Q", self.memory, at - MEMORY, *words)

    def address(self, place: int) -> int:
        """Return where a namespace is."""
        return MEMORY + 0x1000 + place * 0x100

    def spaces(self, *spaces: tuple[int, int, int | None]) -> None:
        """Link namespaces into the list, the machine's first; ids are below 4 or below 16."""
        heads = [HEAD, *(self.address(place) + 8 for place in range(len(spaces))), HEAD]
        for place, (inode, active, _) in enumerate(spaces):
            at = self.address(place)
            self.put(at, 1, heads[place + 2], heads[place])
            self.put(at + 32, inode << 32, active, 7000 + place)
        self.put(MEMORY, heads[1], heads[-2])
        self.ids({nsid: place for place, (_, _, nsid) in enumerate(spaces) if nsid is not None})

    def ids(self, places: dict[int, int]) -> None:
        """Write the tree of ids: a node of four, or four of them below another."""
        entries = [self.address(places[nsid]) if nsid in places else 0 for nsid in range(16)]
        nodes = [MEMORY + 0x800 + 0x40 * n for n in range(5)]
        for n in range(4):
            self.put(nodes[n], 0, *entries[4 * n : 4 * n + 4])
        self.put(nodes[4], 2, *(node + 2 for node in nodes[:4]))
        top = nodes[4] if max(places, default=0) > 3 else nodes[0]
        self.put(self.address(0) + 56, top + 2 if places else 0)

    def written(self, types: bytes | None = None) -> RecordedHost:
        """Write the files, and return the host."""
        program = struct.pack("=IIQQQQQQ", 1, 7, 0x1000, MEMORY, 0, SIZE, SIZE, 0)
        # The list's head is in the kernel's image, which has a segment of its own.
        image = struct.pack("=IIQQQQQQ", 1, 7, 0x1000, HEAD, 0, 16, 16, 0)
        elf = struct.pack(
            "=16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
        )
        files = {
            "proc/kcore": (elf + image + program).ljust(0x1000, b"\0") + self.memory,
            "proc/kallsyms": f"{HEAD:x} D net_namespace_list\n".encode(),
            "sys/kernel/btf/vmlinux": kernel_types().written() if types is None else types,
        }
        for path, content in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)
        (self.root / "proc/1/ns").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/1/ns/pid").unlink(missing_ok=True)
        (self.root / "proc/1/ns/pid").symlink_to("pid:[4026531836]")
        return RecordedHost(str(self.root))


@pytest.fixture
def types() -> Callable[..., Btf]:
    """Return the types of a kernel that a test can add to."""
    return kernel_types


@pytest.fixture
def empty_types() -> Btf:
    """No types at all."""
    return Btf()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A kernel whose list is empty."""
    made = Kernel(tmp_path / "kernel")
    made.put(MEMORY, HEAD, HEAD)
    return made


@pytest.fixture
def inventory_of() -> Callable[..., Inventory]:
    """Return what makes an inventory of reachable namespaces: ids by inode number."""

    def made(
        reached: dict[int, int | None],
        *,
        lost: Iterable[int] = (),
        memory: Iterable[Remembered] = (),
        blind: tuple[str, ...] = (),
        thorough: bool = True,
    ) -> Inventory:
        spaces = {inode: Namespace(inode, nsid, pids=(17,)) for inode, nsid in reached.items()}
        ids = frozenset(nsid for nsid in reached.values() if nsid is not None) | {*lost}
        return Inventory(
            boot_id="boot",
            taken=NOW,
            host=Namespace(HOST),
            namespaces=spaces,
            nsids=ids,
            links=(),
            pods={},
            memory={past.inode: past for past in memory},
            blind=blind,
            thorough=thorough,
        )

    return made
