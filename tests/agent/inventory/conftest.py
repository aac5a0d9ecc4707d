"""A recorded host that a test writes process by process, and may change during a look."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kernelhealth_agent import inventory
from kernelhealth_agent.hosts import Descriptor, Task
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered

HOST, HOST_MOUNTS = 4026531840, 4026531841
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ChangingHost(RecordedHost):
    """A recording on which something happens right after the processes were listed."""

    def __init__(self, root: str, happening: Callable[[], object], own: int | None) -> None:
        super().__init__(root)
        self._happening = happening
        self._own = own
        self.descriptor_looks = 0
        self.asked: set[str] = set()

    def path(self, path: str) -> str:
        self.asked.add(path)
        return super().path(path)

    @property
    def own_pid(self) -> int | None:
        return self._own

    def tasks(self) -> list[Task]:
        found = super().tasks()
        self._happening()
        return found

    def descriptors(self) -> list[Descriptor]:
        self.descriptor_looks += 1
        return super().descriptors()


@dataclass
class Machine:
    """Files of a host; process 1 is there from the start."""

    root: Path
    ids: dict[int, int] = field(default_factory=dict)
    leaked: set[int] = field(default_factory=set)
    cookies: dict[int, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    happening: Callable[[], object] = lambda: None
    own: int | None = None
    later: timedelta = timedelta()
    looks: list[ChangingHost] = field(default_factory=list)

    def process(
        self, pid: int, netns: int = HOST, mntns: int = HOST_MOUNTS, cgroup: str = "/"
    ) -> None:
        """Let there be a process."""
        directory = self.root / "proc" / str(pid)
        for part in ("ns", f"task/{pid}", "fd"):
            (directory / part).mkdir(parents=True)
        (directory / "ns/net").symlink_to(f"net:[{netns}]")
        (directory / "ns/mnt").symlink_to(f"mnt:[{mntns}]")
        (directory / "cgroup").write_text(f"0::{cgroup}\n")
        (directory / "mountinfo").write_text("")

    def end(self, *pids: int) -> None:
        """Let processes end."""
        for pid in pids:
            shutil.rmtree(self.root / "proc" / str(pid))

    def mount(self, pid: int, inode: int, path: str, *, opens: int | None = None) -> None:
        """Let a process see a mounted namespace; *opens* is what a look at its file leads to."""
        with (self.root / f"proc/{pid}/mountinfo").open("a") as file:
            file.write(f"70 68 0:4 net:[{inode}] {path} rw - nsfs nsfs rw\n")
        if opens != 0:
            self.files[f"proc/{pid}/root{path}"] = opens or inode

    def open(self, pid: int, number: int, inode: int) -> None:
        """Let a process have a namespace file open."""
        (self.root / f"proc/{pid}/fd/{number}").symlink_to(f"net:[{inode}]")
        self.files[f"proc/{pid}/fd/{number}"] = inode

    def pods(self, *uids: str) -> None:
        """Let the kubelet have these pods."""
        for uid in uids:
            (self.root / "var/lib/kubelet/pods" / uid).mkdir(parents=True, exist_ok=True)

    def logs(self, *names: str) -> None:
        """Let there be directories for logs of pods."""
        for name in names:
            (self.root / "var/log/pods" / name).mkdir(parents=True, exist_ok=True)

    def write(self, ids: Iterable[int] | None = None) -> None:
        """Write what netlink answers."""
        every = sorted({*self.ids.values(), *self.leaked} if ids is None else ids)
        lines = "".join(f"{_id_message(nsid).hex()}\n" for nsid in every)
        (self.root / "netlink/nsids.hex").write_text(lines)
        known = {"inodes": self.files, "nsids": self.ids, "cookies": self.cookies}
        (self.root / "netlink/namespaces.json").write_text(json.dumps(known))

    def host(self) -> ChangingHost:
        self.write()
        self.looks.append(ChangingHost(str(self.root), self.happening, self.own))
        return self.looks[-1]

    def look(
        self, memory: Mapping[int, Remembered] | None = None, *, thorough: bool = True
    ) -> Inventory:
        """Take the inventory as it is now; each look is a minute after the one before."""
        self.later += timedelta(minutes=1)
        return inventory.take(self.host(), NOW + self.later, memory or {}, thorough=thorough)


def _id_message(nsid: int) -> bytes:
    body = bytes(4) + netlink.attribute(1, struct.pack("=i", nsid))
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), 88, 2, 1, 0) + body


def machine_at(root: Path) -> Machine:
    """Return a host with one process, no pods and no other namespace."""
    made = Machine(root)
    (made.root / "netlink").mkdir(parents=True)
    (made.root / "netlink/links.hex").touch()
    random = made.root / "proc/sys/kernel/random"
    random.mkdir(parents=True)
    (random / "boot_id").write_text("boot-1\n")
    made.process(1)
    return made


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host with one process, no pods and no other namespace."""
    return machine_at(tmp_path / "host")
