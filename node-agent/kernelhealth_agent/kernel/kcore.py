"""The memory of the running kernel: /proc/kcore, and the addresses of /proc/kallsyms.

fs/proc/kcore.c makes a core file of 64 bits out of memory: its program headers say which addresses
are at which place of the file. kernel/kallsyms.c prints zeros for whoever may not know addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from kernelhealth_agent import errors

HEADER_SIZE = 64
_HEADER = struct.Struct("=16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("=IIQQQQQQ")
_LOAD = 1
_LARGEST_OFFSET = 1 << 63


@dataclass(frozen=True, slots=True)
class Segment:
    """Memory from *address* on, *size* bytes of it, which the file has from *offset* on."""

    address: int
    size: int
    offset: int


def program_headers(header: bytes, path: str) -> tuple[int, int]:
    """Return offset and size of the program headers, of the first 64 bytes of the file.

    Raises ``UnreadableError`` where these are not those of a core file of 64 bits.
    """
    if len(header) < HEADER_SIZE or header[:5] != b"\x7fELF\x02":
        raise errors.UnreadableError(path, "it does not begin as an ELF file of 64 bits")
    fields = _HEADER.unpack_from(header)
    offset, each, count = fields[5], fields[9], fields[10]
    if each != _PROGRAM.size or offset >= _LARGEST_OFFSET:
        raise errors.UnreadableError(
            path, f"its program headers are at {offset}, {each} bytes each"
        )
    return offset, each * count


def segments(content: bytes, path: str) -> tuple[Segment, ...]:
    """Decode program headers; ``UnreadableError`` where the last one is torn."""
    if len(content) % _PROGRAM.size:
        raise errors.UnreadableError(path, f"{len(content)} bytes of program headers are torn")
    return tuple(
        Segment(address, size, offset)
        for kind, _, offset, address, _, _, size, _ in _PROGRAM.iter_unpack(content)
        if kind == _LOAD
    )


def place(known: Iterable[Segment], address: int, size: int, path: str) -> int:
    """Return where the file has so many bytes of memory; ``UnreadableError`` if it has them not."""
    for segment in known:
        within = address - segment.address
        if 0 <= within <= segment.size - size and segment.offset + within < _LARGEST_OFFSET:
            return segment.offset + within
    raise errors.UnreadableError(path, f"it has no {size} bytes of memory at {address:#x}")


def symbol_line(listing: bytes, name: str) -> bytes:
    """Return the line of /proc/kallsyms for a symbol of the kernel itself, empty if it has none."""
    end = listing.find(f" {name}\n".encode())
    if end < 0:
        return b""
    return listing[listing.rfind(b"\n", 0, end) + 1 : end + len(name) + 2]


def symbol(listing: bytes, name: str, path: str) -> int | None:
    """Return the address of a symbol of the kernel itself; None where it is absent or withheld.

    Raises ``UnreadableError`` where its line has no address.
    """
    line = symbol_line(listing, name)
    if not line:
        return None
    try:
        return int(line.split()[0], 16) or None
    except ValueError as error:
        raise errors.UnreadableError(path, f"the line of {name} has no address") from error
