"""A node: containerd, CNI and kubelet in namespaces and a root of their own on this machine.

What a kubelet, a CNI plugin and privileged pods do to a host (forwarding and other sysctls, mounts,
links, files below /var) they do to that root and those namespaces, and the end of the node's
process 1 ends all of it. The kernel is this machine's.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import cgroups, nodefiles, pauseimage, processes, resources
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.namespaces import Fresh, Namespaces
from kernelhealth_e2e.processes import Command, Process
from kernelhealth_e2e.programs import SERVICE_ADDRESS

if TYPE_CHECKING:
    from kernelhealth_e2e.cache import Cache

ADDRESS = "10.88.0.1"
_INIT = "node-init"
_BOOT_SECONDS = 30.0
_IMPORT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One node: ``run`` is an empty directory on a disk, ``cgroup`` a name nobody uses."""

    name: str
    run: Path
    cgroup: str
    binaries: Path
    cache: Cache
    bound: bool = True


@dataclass(slots=True)
class Node:
    """A node in three steps: boot(), then a control plane beside it, then join()."""

    settings: Settings
    _init: Process | None = None
    _containerd: Process | None = None
    _kubelet: Process | None = None
    _kubeconfig: Path = field(init=False)

    @property
    def pid(self) -> int:
        """The pid of the node's process 1, as this machine sees it."""
        if not self._init:
            raise HarnessError(f"node {self.settings.name} is not running; call boot() first")
        return self._init.pid

    @property
    def place(self) -> Namespaces:
        """Where a program must be started to run on the node."""
        return Namespaces(self.pid)

    @property
    def logs(self) -> Path:
        """The directory with the logs of the node's programs."""
        return self.settings.run / "logs"

    def boot(self) -> None:
        """Make the node's root and network; its addresses are ADDRESS and the API service's."""
        wanted = self.settings
        for name in ("root", "changes", "etc", "disk", "tunables", "images"):
            (wanted.run / name).mkdir()
        shutil.copy(pauseimage.init_program(wanted.cache), wanted.run / _INIT)
        cgroups.create(wanted.cgroup)
        addresses = (f"{ADDRESS}/24", f"{SERVICE_ADDRESS}/32")
        script = ("sh", str(resources.BOOT_SCRIPT), str(wanted.run), str(wanted.binaries))
        argv = (*script, wanted.name, *addresses)
        self._init = processes.start(
            Command("boot", argv, self.logs / "boot.log", place=Fresh(), bound=wanted.bound)
        )
        comm = Path(f"/proc/{self._init.pid}/comm")
        self._init.await_ready(lambda: _text(comm) == _INIT, _BOOT_SECONDS)

    def join(self, kubeconfig: Path, ca: Path) -> None:
        """Start containerd and the kubelet; the Node object is Ready some seconds later."""
        self._kubeconfig = kubeconfig
        etc = self.settings.run / "etc"
        nodefiles.write(etc, ca=ca, cgroup=self.settings.cgroup)
        self.output("cp", "-r", f"{etc}/.", "/etc/")
        self._containerd = self._start("containerd", "containerd")
        self._containerd.await_ready(partial(self._succeeds, "ctr", "version"), _BOOT_SECONDS)
        archive = self.settings.run / "images" / "pause.tar"
        pauseimage.write(archive, pauseimage.init_program(self.settings.cache))
        self._import(archive)
        self.start_kubelet()

    def start_kubelet(self) -> None:
        """Start the kubelet, at first or after stop_kubelet(), and what answers the reboot hook."""
        self._kubelet = self._start(
            "kubelet",
            *(sys.executable, "-m", "kernelhealth_e2e.simulated_boot"),
            str(self.settings.binaries / "kubelet"),
            "--config=/etc/kubernetes/kubelet.yaml",
            f"--kubeconfig={self._kubeconfig}",
            f"--hostname-override={self.settings.name}",
            f"--node-ip={ADDRESS}",
        )

    def stop_kubelet(self) -> None:
        """Kill the kubelet; its pods go on running."""
        if self._kubelet:
            self._kubelet.kill()
            self._kubelet = None

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive into the node; the archive names its image."""
        inside = self.settings.run / "images" / archive.name
        shutil.copy(archive, inside)
        self._import(inside)
        inside.unlink()

    def output(self, *argv: str, seconds: float = 60) -> str:
        """Run a short command on the node and return what it printed; failing raises."""
        return processes.output(argv, place=self.place, seconds=seconds)

    def pod_pids(self, uid: str) -> tuple[int, ...]:
        """Return a pod's processes as this machine sees them, oldest (the sandbox's) first."""
        names = (f"pod{uid}", f"pod{uid.replace('-', '_')}")
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                paths = _text(Path(entry.path) / "cgroup")
                ours = f"/{self.settings.cgroup}/" in paths
                if ours and any(name in paths for name in names):
                    found.append((processes.start_time(int(entry.name)), int(entry.name)))
        # One without a time has ended meanwhile.
        return tuple(pid for _, pid in sorted((time, pid) for time, pid in found if time))

    def stop(self) -> None:
        """Kill process 1, and with it every process, mount and link of the node; then its groups.

        Process 1 ends only when all others in its PID namespace have been reaped, also those whose
        parent is this process: stop what was started with ``place`` first.
        """
        for process in (self._kubelet, self._containerd, self._init):
            if process:
                process.kill()
        self._init = self._kubelet = self._containerd = None
        cgroups.remove(self.settings.cgroup)

    def _start(self, name: str, *argv: str) -> Process:
        log = self.logs / f"{name}.log"
        return processes.start(
            Command(name, argv, log, place=self.place, bound=self.settings.bound)
        )

    def _import(self, archive: Path) -> None:
        argv = ("ctr", "--namespace=k8s.io", "images", "import", str(archive))
        self.output(*argv, seconds=_IMPORT_SECONDS)

    def _succeeds(self, *argv: str) -> bool:
        return processes.run(argv, place=self.place).returncode == 0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
