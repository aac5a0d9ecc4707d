"""A host that was recorded: its files below a directory, its netlink answers beside them.

``netlink/NAME.hex`` holds the answer to one request of the host's namespace, a message a line;
``netlink/NAME@INODE.hex`` the answer inside another namespace; ``netlink/namespaces.json`` has the
inode numbers of nsfs files by path (inodes), the ids and the cookies of namespaces by inode number
(nsids, cookies), and the namespaces of sockets by process and descriptor (sockets:
``{"17/3": 4026532178}``).
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Request, SocketHolder, files

NAMESPACES = "netlink/namespaces.json"


class RecordedHost(files.Files):
    """A directory that was written by ``RecordingHost``, or by hand."""

    def _namespaces(self, part: str) -> dict[str, int]:
        try:
            found = json.loads(self.read(NAMESPACES))
        except errors.AbsentError:
            return {}
        except ValueError as error:
            raise errors.UnreadableError(NAMESPACES, str(error)) from error
        if not isinstance(found, dict) or not isinstance(found.get(part, {}), dict):
            raise errors.UnreadableError(NAMESPACES, f"{part!r} is no mapping")
        return dict(found.get(part, {}))

    def inode(self, path: str) -> int:
        """Return the inode number of an nsfs file, or 0 where the file is no namespace."""
        if "/ns/" in path:
            return int(self.link(path)[5:-1])
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
            if inode not in known:
                pid, _, number = holder.partition("/")
                found[inode] = SocketHolder(int(pid), int(number), inode, nsids.get(str(inode)))
        return list(found.values())

    def shrink(self, cache: str) -> None:
        """Do nothing: what was recorded was shrunk, or not, when it was recorded."""


def recording(request: Request, inode: int | None) -> str:
    """Return the path of the answer to a request, in the namespace of that inode number."""
    return f"netlink/{request.name}{'' if inode is None else f'@{inode}'}.hex"
