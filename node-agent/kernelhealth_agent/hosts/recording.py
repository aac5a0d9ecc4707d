"""A live host that takes down all that is asked of it, as a recorded host can answer it again."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pydantic_core import to_json

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import LARGEST, Descriptor, Folder, Probe, SocketHolder, Task
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recorded import NAMESPACES, PROBES, RECORDING, recording
from kernelhealth_agent.kernel import cni_excerpt, net_layout, netlink
from kernelhealth_agent.kernel.masking import Recording
from kernelhealth_agent.kernel.netlink import Request
from kernelhealth_agent.moments import Moment


class RecordingHost:
    """Answers like *host*; ``recording`` returns what was answered, for ``recordings.write``.

    What was absent stays absent. What was forbidden or could not be understood cannot be taken
    down, so that it is absent in the recording.
    """

    def __init__(self, host: LiveHost) -> None:
        self._host = host
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._listed: dict[str, list[str]] = {}
        self._segments: dict[str, dict[str, str]] = {}
        self._protocols: dict[str, int] = {}
        parts = ("inodes", "nsids", "cookies", "sockets")
        self._namespaces: dict[str, dict[str, int]] = {part: {} for part in parts}

    @property
    def own_pid(self) -> int:
        """The process of the agent."""
        return self._host.own_pid

    def doing(self, thread: int) -> str:
        """Return the path that a thread was reading last."""
        return self._host.doing(thread)

    def read(self, path: str, limit: int = LARGEST) -> bytes:
        """Return the content of a file, and take it down."""
        content = self._host.read(path, limit)
        excerpt = net_layout.EXCERPTS.get(path)
        if cni_excerpt.concerns(path):
            excerpt = cni_excerpt.excerpt
        self._files[path] = excerpt(content) if excerpt else content
        return content

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        """Return *size* bytes of a file from *offset* on, and take only them down."""
        content = self._host.read_at(path, offset, size)
        self._segments.setdefault(path, {})[f"{offset:#x}"] = content.hex()
        return content

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, and take them down."""
        found = self._listed[path] = self._host.names(path)
        return found

    def link(self, path: str) -> str:
        """Return where a symbolic link points, and take it down."""
        target = self._links[path] = self._host.link(path)
        return target

    def links(self, path: str) -> dict[str, str]:
        """Return the symbolic links of a directory, and take them down."""
        found = self._host.links(path)
        self._listed.setdefault(path, [])
        self._links.update({f"{path}/{name}": target for name, target in found.items()})
        return found

    def folder(self, root: str, path: str, suffix: str, keep: str = "") -> Folder:
        """Return the files in a directory of a container, and take them down."""
        found = self._host.folder(root, path, suffix, keep)
        where = f"{root}/{path}" if root else path
        self._listed.setdefault(where, [])
        self._files.update({f"{where}/{name}": text for name, text in found.files.items()})
        return found

    def tasks(self) -> list[Task]:
        """Return every process, and take it down with the namespaces it is in."""
        found = self._host.tasks()
        for task in found:
            directory = f"proc/{task.pid}"
            self._links[f"{directory}/ns/net"] = f"net:[{task.netns}]"
            self._links[f"{directory}/ns/mnt"] = f"mnt:[{task.mntns}]"
            # An empty file of the real thing: git keeps no empty directories.
            self._files[f"{directory}/task/{task.pid}/children"] = b""
        return found

    def inode(self, path: str) -> int:
        """Return the inode number of an nsfs file, and take it down."""
        number = self._host.inode(path)
        if "/ns/" in path:
            self._links[path] = f"{path.rpartition('/')[2]}:[{number}]"
            return number
        self._files.setdefault(path, b"")
        if number:
            self._namespaces["inodes"][path] = number
        return number

    def nsids(self, paths: Sequence[str]) -> list[int | None]:
        """Return the ids that namespaces have in the host's, and take them down."""
        found = self._host.nsids(paths)
        for path, nsid in zip(paths, found, strict=True):
            try:
                inode = self.inode(path)
            except errors.HostError:
                continue  # It went meanwhile, and has no id in the recording either.
            if nsid is not None:
                self._namespaces["nsids"][str(inode)] = nsid
        return found

    def cookie(self, path: str) -> int | None:
        """Return the number that a namespace shares with no other, and take it down."""
        found = self._host.cookie(path)
        if found is not None:
            self._namespaces["cookies"][str(self.inode(path))] = found
        return found

    def dump(self, request: Request, namespace: str | None = None) -> bytes:
        """Return the netlink messages that answer, and take them down, a message a line."""
        answer = self._host.dump(request, namespace)
        where = recording(request, None if namespace is None else self.inode(namespace))
        self._files[where] = "".join(f"{line}\n" for line in _messages(answer)).encode()
        self._protocols[where] = request.protocol
        return answer

    def descriptors(self) -> list[Descriptor]:
        """Return every open descriptor of a network namespace file, and take it down."""
        found = self._host.descriptors()
        for held in found:
            path = f"proc/{held.pid}/fd/{held.number}"
            self._links[path] = f"net:[{held.inode}]"
            self._namespaces["inodes"][path] = held.inode
        return found

    def strangers(self, known: Container[int]) -> list[SocketHolder]:
        """Return one open socket of each namespace that is not known, and take it down."""
        found = self._host.strangers(known)
        for holder in found:
            self._namespaces["sockets"][f"{holder.pid}/{holder.number}"] = holder.inode
            if holder.nsid is not None:
                self._namespaces["nsids"][str(holder.inode)] = holder.nsid
        return found

    def probe(self, probe: Probe) -> bytes:
        """Return the answer to a question that no file answers, and take it down."""
        answer = self._files[f"{PROBES}/{probe.name}"] = self._host.probe(probe)
        return answer

    def shrink(self, cache: str) -> None:
        """Ask the kernel to give back unused slabs of one cache."""
        self._host.shrink(cache)

    def recording(self, moment: Moment, memories: Mapping[str, Any]) -> Recording:
        """Return all that was taken down, at *moment*, and what sources remembered then."""
        files = dict(self._files)
        files[NAMESPACES] = _json(self._namespaces)
        said = {"wall": moment.wall, "uptime": moment.uptime, "memories": dict(memories)}
        files[RECORDING] = to_json(said, indent=1) + b"\n"
        for path, segments in self._segments.items():
            files[f"{path}.segments.json"] = _json(segments)
        names = [f"{path}/{name}" for path, every in self._listed.items() for name in every]
        known = {*files, *self._links, *self._listed}
        above = {str(parent) for path in (*known, *names) for parent in PurePosixPath(path).parents}
        for path in names:
            if path not in known | above:
                files[path] = b""  # All that is known of it is its name.
        return Recording(
            {path: content for path, content in files.items() if path not in above},
            {path: target for path, target in self._links.items() if path not in above},
            frozenset(self._listed),
            self._protocols,
        )


def _json(value: object) -> bytes:
    return f"{json.dumps(value, indent=1, sort_keys=True)}\n".encode()


def _messages(answer: bytes) -> Iterator[str]:
    """Yield each netlink message as hexadecimal digits."""
    at = 0
    while at + netlink.HEADER.size <= len(answer):
        length = max(netlink.HEADER.size, netlink.HEADER.unpack_from(answer, at)[0])
        yield answer[at : at + ((length + 3) & ~3)].hex()
        at += (length + 3) & ~3
