"""The kernel of a virtual machine: Debian's package, fetched by apt and unpacked, not installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e import debian as packages
from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import digest

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.debian import Archive, Package
    from kernelhealth_e2e.progress import Progress

STOCK = "linux-image-amd64"
"""The package that depends on the newest stock kernel of a suite."""
_SECONDS = 600.0
_IMAGE = re.compile(r"linux-image-\d[^ ,]*")
_PART = re.compile(r"linux-(?:base|binary|modules)-\d[^ ,]*")
"""What later packages with a kernel's name consist of."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel in a directory that is laid out as its package is, with the modules indexed."""

    tree: Path

    @property
    def release(self) -> str:
        """What uname(1) calls it."""
        (modules,) = (self.tree / "lib/modules").iterdir()
        return modules.name

    @property
    def image(self) -> Path:
        """The file that a boot loader loads."""
        beside = self.modules / self.release / "vmlinuz"  # As later Debian packages have it.
        return beside if beside.exists() else self.tree / f"boot/vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The directory that is /lib/modules there."""
        return self.tree / "lib/modules"

    def files_of(self, *modules: str) -> tuple[Path, ...]:
        """Return the files of modules and of all they depend on, in the order of insertion.

        What is built into this kernel has no file.
        """
        found: dict[Path, None] = {}
        for module in modules:
            shown = processes.output(
                ("modprobe", f"--dirname={self.tree}", f"--set-version={self.release}",
                 "--show-depends", module)
            )  # fmt: skip
            for line in shown.splitlines():
                verb, _, file = line.strip().partition(" ")
                if verb == "insmod":
                    found[self.tree / file.strip()] = None
        return tuple(found)


def debian(
    cache: Cache, progress: Progress, package: str = STOCK, archive: Archive = packages.HERE
) -> Kernel:
    """Return a kernel that apt knows; a package that only depends on one stands for that one."""
    wanted = _wanted(archive, package)

    def build(target: Path) -> None:
        with progress.step(f"fetching {wanted.name} {wanted.version}"):
            for part in (wanted, *map(archive.package, _PART.findall(wanted.depends))):
                archive.unpack(part, target)
            usr = target / "usr/lib/modules"
            if usr.is_dir() and not (target / "lib").exists():
                (target / "lib").symlink_to("usr/lib")
            index(target)

    key = digest(wanted.version, wanted.sha256)
    return Kernel(cache.entry(f"kernel-{wanted.name}", key, build))


def index(tree: Path) -> None:
    """Make what modprobe(8) needs of the one directory of modules in a kernel's tree."""
    (modules,) = (tree / "lib/modules").iterdir()
    processes.output(("depmod", f"--basedir={tree}", modules.name), seconds=_SECONDS)


def _wanted(archive: Archive, name: str) -> Package:
    """Return the package that holds the kernel."""
    package = archive.package(name)
    inner = _IMAGE.search(package.depends)
    return _wanted(archive, inner.group()) if inner else package
