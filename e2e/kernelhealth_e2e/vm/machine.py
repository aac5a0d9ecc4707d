"""A virtual machine: one QEMU process, emulated in software, without a way to the world.

It has the files of the machine that runs it, read-only, and a disk for what it changes (see
``guest/init.c``). Its network is QEMU's user network: what the guest sends, the QEMU process sends,
and that is in the network namespace of the cluster. No link leads there, so that the cluster's
other node sees no more than connections of a process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.namespaces import Outside, Place
from kernelhealth_e2e.processes import Command, Process

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.vm.kernel import Kernel

PROGRAM = "qemu-system-x86_64"
_ACCELERATOR = "tcg,thread=multi,tb-size=128"
"""Software, everywhere. With more room for translated code each reset of a machine takes longer:
QEMU goes through all of it."""
_UNITS = "/share/units:/usr/lib/systemd/system"
"""Where its systemd finds units: not those that the machine's own administrator has enabled."""
_TARGET = "kernelhealth-lab.target"


@dataclass(frozen=True, slots=True)
class Network:
    """The user network of one virtual machine: a /24 network that nobody else uses.

    ``forwarded`` are the TCP ports at which ``address`` is reached from where QEMU runs.
    """

    prefix: str = "10.0.2"
    forwarded: tuple[int, ...] = ()

    @property
    def address(self) -> str:
        """The guest's address."""
        return f"{self.prefix}.15"

    @property
    def gateway(self) -> str:
        """QEMU's end of it."""
        return f"{self.prefix}.2"

    def option(self) -> str:
        """Give QEMU's option; without IPv6, by which the guest would be given a default route."""
        forwards = (
            f",hostfwd=tcp:{self.address}:{port}-{self.address}:{port}" for port in self.forwarded
        )
        known = f"user,id=net,ipv6=off,net={self.prefix}.0/24,host={self.gateway}"
        return known + "".join(forwards)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What it is made of.

    ``disk`` is what its disk holds at first and is not written to. ``share`` is the directory that
    the guest sees as /share.
    """

    name: str
    kernel: Kernel
    initramfs: Path
    disk: Path
    share: Path
    network: Network
    memory: int = 2048
    """MiB, of which the machine that runs the tests gives only what is used."""
    processors: int = 2
    more: tuple[str, ...] = ()
    """Options of QEMU beside these."""
    parameters: tuple[str, ...] = ()
    """Parameters of the kernel beside the harness's own."""

    def argv(self, console: Path) -> tuple[str, ...]:
        """Give the command line; what the guest's console shows goes to a file."""
        return (
            PROGRAM,
            *("-nodefaults", "-display", "none", "-accel", _ACCELERATOR, "-cpu", "max"),
            *("-m", str(self.memory), "-smp", str(self.processors)),
            *("-kernel", str(self.kernel.image), "-initrd", str(self.initramfs)),
            *("-append", self._parameters()),
            *(
                "-chardev",
                f"file,id=console,path={console},append=on",
                "-serial",
                "chardev:console",
            ),
            *("-device", "virtio-rng-pci"),
            *_files("machine", "/", writable=False),
            *_files("modules", str(self.kernel.modules), writable=False),
            *_files("share", str(self.share), writable=True),
            # Changes outlive a reboot of the guest, and are gone with the process.
            *("-drive", f"file={self.disk},if=virtio,format=raw,snapshot=on"),
            *("-netdev", self.network.option(), "-device", "virtio-net-pci,netdev=net"),
            *self.more,
        )

    def _parameters(self) -> str:
        return (
            f"console=ttyS0 panic=10 mitigations=off net.ifnames=0 SYSTEMD_UNIT_PATH={_UNITS} "
            f"systemd.unit={_TARGET} systemd.hostname={self.name} systemd.log_target=kmsg"
            + "".join(f" {one}" for one in self.parameters)
        )


def _files(tag: str, path: str, *, writable: bool) -> tuple[str, ...]:
    access = "" if writable else ",readonly=on"
    shared = f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap{access}"
    return ("-virtfs", shared)


@dataclass(slots=True)
class Machine:
    """A virtual machine that is started where ``place`` says and ends with the calling thread."""

    hardware: Hardware
    directory: Path
    place: Place = field(default_factory=Outside)
    _process: Process | None = None

    @property
    def console(self) -> Path:
        """The file with all that the guest has shown, over all its boots."""
        return self.directory / "console.log"

    def start(self) -> None:
        """Switch it on."""
        argv, log = self.hardware.argv(self.console), self.directory / "qemu.log"
        self._process = processes.start(
            Command(f"virtual machine {self.hardware.name}", argv, log, place=self.place)
        )

    def is_running(self) -> bool:
        """Tell whether it is on; it stays on when the guest reboots."""
        return self._process is not None and self._process.is_running()

    def stop(self) -> None:
        """Pull the plug; nothing happens when it is off."""
        if self._process:
            self._process.kill()
            self._process = None

    def said(self) -> str:
        """Say how it ended up: the ends of its console and of QEMU's own messages."""
        return f"{processes.tail(self.console)}\n{processes.tail(self.directory / 'qemu.log')}"
