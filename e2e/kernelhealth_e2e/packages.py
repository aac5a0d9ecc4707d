"""Debian packages that the layers need, installed when a program of theirs is missing."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import locked
from kernelhealth_e2e.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kernelhealth_e2e.progress import Progress

# A program, or a file by its full path → the package that has it.
CONTROL_PLANE = {"etcd": "etcd-server", "openssl": "openssl"}
NODE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
}
VIRTUAL_MACHINES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "modprobe": "kmod",
    "depmod": "kmod",
    "mkfs.ext4": "e2fsprogs",
    "/lib/systemd/systemd": "systemd",
}
KERNEL_BUILDS = {
    "make": "make",
    "gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "perl": "perl",
    "patch": "patch",
    "xz": "xz-utils",
    "pahole": "dwarves",
    "/usr/include/libelf.h": "libelf-dev",
}
IMAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}

# Debian puts administrators' programs where a user's PATH does not look.
_ALSO = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_LOCK = Path("/run/lock")
_APT_SECONDS = 900.0
_APT_ENVIRON = ("env", "DEBIAN_FRONTEND=noninteractive")


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides whether packages can be installed here."""

    user: int
    path: str

    @classmethod
    def here(cls) -> Machine:
        """Describe the machine this runs on."""
        return cls(os.geteuid(), os.environ.get("PATH", os.defpath))

    def has(self, program: str) -> bool:
        """Tell whether a program is on PATH or where Debian puts it, or a named file exists."""
        if program.startswith("/"):
            return Path(program).exists()
        places = os.pathsep.join((self.path, *_ALSO))
        return shutil.which(program, path=places) is not None

    def missing(self, needs: Mapping[str, str]) -> tuple[str, ...]:
        """Return the packages whose programs are not here, each once, sorted."""
        return tuple(sorted({needs[program] for program in needs if not self.has(program)}))


def require(needs: Mapping[str, str], machine: Machine, progress: Progress) -> None:
    """Install what is missing with apt-get; where that cannot be, UnavailableError says why."""
    missing = machine.missing(needs)
    if not missing:
        return
    refusal = objection(missing, machine)
    if refusal:
        raise UnavailableError(refusal)
    with progress.step(f"installing {', '.join(missing)}"), locked(_LOCK / "kernelhealth-apt"):
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *missing)
    still = machine.missing(needs)
    if still:
        raise UnavailableError(
            f"apt-get installed {', '.join(still)}, but the programs are still not there; "
            f"look for {', '.join(name for name in needs if not machine.has(name))}"
        )


def objection(missing: tuple[str, ...], machine: Machine) -> str | None:
    """Say why the packages cannot be installed here, or None."""
    names = " ".join(missing)
    if not machine.has("apt-get"):
        return (
            f"this machine has no apt-get, so the harness cannot install {names}; install what "
            "they hold with this system's own package manager, or use Debian or Ubuntu"
        )
    if machine.user != 0:
        return f"not root, so nothing can be installed; run as root, or `apt-get install {names}`"
    return None


def _apt(*arguments: str) -> None:
    quiet = ("-q", "-o", "DPkg::Lock::Timeout=300")
    processes.output((*_APT_ENVIRON, "apt-get", *quiet, *arguments), seconds=_APT_SECONDS)
