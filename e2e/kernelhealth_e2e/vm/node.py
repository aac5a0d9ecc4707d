"""A Node of the test cluster that is a virtual machine: another kernel, another boot."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from kernelhealth_e2e import images, pauseimage, processes
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.installation import TREE
from kernelhealth_e2e.namespaces import Namespaces
from kernelhealth_e2e.node import ADDRESS
from kernelhealth_e2e.observing import NotSeenError, Object, Observer
from kernelhealth_e2e.programs import SERVICE_ADDRESS
from kernelhealth_e2e.vm import credentials, disk, initramfs, share
from kernelhealth_e2e.vm.machine import Hardware, Machine, Network
from kernelhealth_e2e.vm.share import Guest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kernelhealth_e2e.cluster import Cluster
    from kernelhealth_e2e.vm.kernel import Kernel

LABEL, LABELLED = "kernelhealth.io/lab", "virtual-machine"
"""On such nodes alone, and nowhere else, runs the agent that may do everything."""
_FIRST_PORT = 10250  # Which the kubelet of the cluster's other node has.
_READY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One virtual node: ``number`` (1, 2 …) is what sets it apart from others of the cluster.

    ``cni`` is ``ptp``, or ``lazy-ptp``, which leaves a pod's links to the kernel when the pod ends,
    or ``function-ptp``, which also gives a pod the machine's second network function; and ``mtu``
    what it gives its links, where it is not 0. ``images`` are archives of images beside
    the agent's, ``files`` are put into /share/files under these names, ``hardware`` and
    ``parameters`` are more options of QEMU and of the kernel.
    """

    kernel: Kernel
    name: str = "vm-a"
    number: int = 1
    cni: str = "ptp"
    modules: tuple[str, ...] = ()
    memory: int = 2048
    processors: int = 2
    mtu: int = 0
    images: tuple[Path, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    hardware: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass(slots=True)
class VirtualNode:
    """A Node while the context lasts; within, it may be rebooted. Inside a Cluster's context."""

    cluster: Cluster
    settings: Settings
    machine: Machine = field(init=False)

    @property
    def name(self) -> str:
        """The name of the Node."""
        return self.settings.name

    @property
    def observer(self) -> Observer:
        """What watches the cluster."""
        return Observer(self.cluster.settings.binaries / "kubectl", self.cluster.kubeconfig)

    def __enter__(self) -> Self:
        """Boot it and wait until the Node is Ready, or leave nothing behind."""
        what = f"booting {self.name} with Linux {self.settings.kernel.release}"
        try:
            with self.cluster.settings.progress.step(what):
                self._start()
                self.ready("the Node is Ready")
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Pull the plug, and remove the Node with all that was there."""
        self._leave()

    def ready(self, what: str, but: str = "", seconds: float = _READY_SECONDS) -> Object:
        """Wait until the Node is Ready in a boot whose id is not *but*; what is said if not."""

        def holds(node: Object) -> bool:
            return bool(is_ready(node) and boot_id(node) != but)

        try:
            return self.observer.wait("node", self.name, what, holds, seconds)
        except NotSeenError as error:
            logs = sorted((self._directory / "share/logs").iterdir())
            said = "\n".join((self.machine.said(), *(processes.tail(log) for log in logs)))
            raise HarnessError(f"{error}\n{said}") from error

    @property
    def _directory(self) -> Path:
        return self.cluster.run / self.name

    @property
    def _network(self) -> Network:
        number = self.settings.number
        return Network(f"10.0.{number + 1}", (_FIRST_PORT + number,))

    def _start(self) -> None:
        self._directory.mkdir()
        share.write(
            self._directory / "share",
            self._guest(),
            credentials.kubeconfig(self.cluster.control_plane, self.name),
            self.cluster.control_plane.ca,
        )
        # The API server, beside QEMU, dials the Node's address; QEMU listens there for the guest.
        self._route("add")
        hardware = Hardware(
            self.name,
            self.settings.kernel,
            initramfs.archive(self.cluster.settings.cache, self.settings.kernel),
            self._disk(),
            self._directory / "share",
            self._network,
            self.settings.memory,
            self.settings.processors,
            self.settings.hardware,
            self.settings.parameters,
        )
        place = Namespaces(self.cluster.node.pid, ("net",))
        self.machine = Machine(hardware, self._directory, place)
        self.machine.start()

    def _guest(self) -> Guest:
        number = self.settings.number
        return Guest(
            name=self.name,
            binaries=self.cluster.settings.binaries,
            network=self._network,
            port=_FIRST_PORT + number,
            pods=f"10.244.{100 + number}.0/24",
            reaches=(f"{ADDRESS}/32", f"{SERVICE_ADDRESS}/32"),
            labels=(f"{LABEL}={LABELLED}",),
            taints=(f"{LABEL}=:NoSchedule",),  # It has the images of few programs.
            cni=self.settings.cni,
            modules=self.settings.modules,
            mtu=self.settings.mtu,
            files=self.settings.files,
        )

    def _disk(self) -> Path:
        wanted = self.cluster.settings
        pause = self._directory / "pause.tar"
        pauseimage.write(pause, pauseimage.init_program(wanted.cache))
        agent = images.archive(images.AGENT, TREE, wanted.cache, wanted.progress)
        # Made in seconds and hundreds of MiB large: it is kept for this cluster only.
        kept, workshop = Cache(self.cluster.run / "disks"), self._directory / "workshop"
        return disk.with_images(
            kept, (pause, agent, *self.settings.images), workshop, wanted.progress
        )

    def _leave(self) -> None:
        if hasattr(self, "machine"):
            self.machine.stop()
            self._route("del")
        # The next one may have the same name; what went wrong here was told when it did.
        shutil.rmtree(self._directory, ignore_errors=True)
        kubectl = self.cluster.kubectl
        kubectl("delete", "node", self.name, "--ignore-not-found")
        there = ("--all-namespaces", f"--field-selector=spec.nodeName={self.name}")
        kubectl("delete", "pods", *there, "--force", "--grace-period=0", "--wait=false")

    def _route(self, verb: str) -> None:
        # As a route and not as an address: nothing on this side may take it for its own sender.
        route = ("ip", "route", verb, "local", f"{self._network.address}/32", "dev", "lo")
        self.cluster.node.output(*route, *(("src", ADDRESS) if verb == "add" else ()))


def is_ready(node: Object) -> bool:
    """Tell whether a Node is Ready."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def boot_id(node: Object) -> str:
    """Return the id of the boot that a Node is in."""
    return str(node["status"]["nodeInfo"]["bootID"])
