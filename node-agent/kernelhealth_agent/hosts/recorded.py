"""A host that was recorded: its files below a directory, its netlink answers beside them.

``netlink/NAME.hex`` holds the answer to one request of the host's namespace, a message a line;
``netlink/NAME@INODE.hex`` the answer inside another namespace; ``netlink/namespaces.json`` has the
inode numbers of nsfs files by path (inodes), the ids and the cookies of namespaces by inode number
(nsids, cookies), and the namespaces of sockets by process and descriptor (sockets:
``{"17/3": 4026532178}``).

``probes/NAME`` holds the answer to a probe, byte for byte. ``recording.json`` says when it was
recorded and what sources remembered then:
``{"wall": "2026-01-01T00:00:00Z", "uptime": 3600.0, "memories": {"slab": …}}``; each may be absent.

``PATH.segments.json`` holds the parts that were read of a file which is too large to be recorded,
``/proc/kcore`` say: bytes in hexadecimal digits by offset, ``{"0x40": "0100"}``.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Probe, SocketHolder, files
from kernelhealth_agent.kernel.netlink import Request

NAMESPACES = "netlink/namespaces.json"
PROBES = "probes"
RECORDING = "recording.json"


class RecordedHost(files.Files):
    """A directory that was written by ``RecordingHost``, or by hand."""

    def _namespaces(self, part: str) -> dict[str, int]:
        try:
            found = json.loads(self.read(NAMESPACES))
        except errors.AbsentError:
            return {}
        except ValueError as error:
            raise errors.UnreadableError(NAMESPACES, str(error)) from error
        numbers = found.get(part, {}) if isinstance(found, dict) else None
        if not isinstance(numbers, dict) or {type(n) for n in numbers.values()} - {int}:
            raise errors.UnreadableError(NAMESPACES, f"{part!r} is no mapping to numbers")
        return numbers

    def recording(self) -> Mapping[str, Any]:
        """Return when this was recorded, and what sources remembered; empty where nobody said."""
        try:
            found = json.loads(self.read(RECORDING, 1 << 26))
        except errors.AbsentError:
            return {}
        except ValueError as error:
            raise errors.UnreadableError(RECORDING, str(error)) from error
        if not isinstance(found, dict):
            raise errors.UnreadableError(RECORDING, "it is no mapping")
        return found

    def inode(self, path: str) -> int:
        """Return the inode number of an nsfs file, or 0 where the file is no namespace."""
        if "/ns/" in path:
            target = self.link(path)
            if not target[5:-1].isdecimal():
                raise errors.UnreadableError(path, f"{target!r} is no namespace")
            return int(target[5:-1])
        number = self._namespaces("inodes").get(path)
        if number is None:
            self.read(path)  # Absent, if it is.
            return 0
        return number

    def nsids(self, paths: Sequence[str]) -> list[int | None]:
        """Return the ids that namespaces have in the host's; None for no id, or when gone."""
        known = self._namespaces("nsids")
        found: list[int | None] = []
        for path in paths:
            try:
                found.append(known.get(str(self.inode(path))))
            except errors.AbsentError:
                found.append(None)
        return found

    def cookie(self, path: str) -> int | None:
        """Return the number that the namespace behind a file shares with no other of this boot."""
        return self._namespaces("cookies").get(str(self.inode(path)))

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        """Return *size* bytes of a file from *offset* on, of the parts that were recorded."""
        where = f"{path}.segments.json"
        try:
            text = self.read(where, 1 << 26)
        except errors.AbsentError:
            return super().read_at(path, offset, size)
        for start, content in _segments(text, where):
            if start <= offset and offset + size <= start + len(content):
                return content[offset - start : offset - start + size]
        raise errors.UnreadableError(where, f"{size} bytes at {offset:#x} were not recorded")

    def dump(self, request: Request, namespace: str | None = None) -> bytes:
        """Return the netlink messages that answer, without the closing one."""
        path = recording(request, None if namespace is None else self.inode(namespace))
        text = self.read(path, 1 << 26).decode(errors="replace")
        try:
            return b"".join(bytes.fromhex(line) for line in text.splitlines())
        except ValueError as error:
            raise errors.UnreadableError(path, str(error)) from error

    def strangers(self, known: Container[int]) -> list[SocketHolder]:
        """Return one open socket of each network namespace whose inode number is not *known*."""
        nsids = self._namespaces("nsids")
        found = {}
        for holder, inode in self._namespaces("sockets").items():
            pid, _, number = holder.partition("/")
            if not (pid.isdecimal() and number.isdecimal()):
                raise errors.UnreadableError(NAMESPACES, f"{holder!r} is no descriptor")
            if inode not in known:
                found[inode] = SocketHolder(int(pid), int(number), inode, nsids.get(str(inode)))
        return list(found.values())

    def probe(self, probe: Probe) -> bytes:
        """Return the answer to a question that no file answers."""
        return self.read(f"{PROBES}/{probe.name}", 1 << 26)

    def shrink(self, cache: str) -> None:
        """Do nothing: what was recorded was shrunk, or not, when it was recorded."""


def recording(request: Request, inode: int | None) -> str:
    """Return the path of the answer to a request, in the namespace of that inode number."""
    return f"netlink/{request.name}{'' if inode is None else f'@{inode}'}.hex"


def _segments(text: bytes, path: str) -> list[tuple[int, bytes]]:
    """Decode the recorded parts of a file."""
    try:
        found = json.loads(text)
        return [(int(at, 16), bytes.fromhex(content)) for at, content in found.items()]
    except (ValueError, AttributeError, TypeError) as error:
        why = f"it is no mapping of offsets to bytes: {error}"
        raise errors.UnreadableError(path, why) from error
