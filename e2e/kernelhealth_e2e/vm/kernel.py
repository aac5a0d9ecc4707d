"""The kernel of a virtual machine: Debian's package, fetched by apt and unpacked, not installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import digest
from kernelhealth_e2e.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress

STOCK = "linux-image-amd64"
"""The package that depends on the newest stock kernel of the distribution that runs the tests."""
_SECONDS = 600.0
_FIELDS = re.compile(r"^(Package|Version|Depends|SHA256): (.*)$", re.MULTILINE)
_IMAGE = re.compile(r"linux-image-\d[^ ,]*")


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
        return self.tree / f"boot/vmlinuz-{self.release}"

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


def debian(cache: Cache, progress: Progress, package: str = STOCK) -> Kernel:
    """Return a kernel that apt knows; a package that only depends on one stands for that one."""
    name, version, checksum = _wanted(package)

    def build(target: Path) -> None:
        with progress.step(f"fetching {name} {version}"):
            _unpack(f"{name}={version}", target)

    return Kernel(cache.entry(f"kernel-{name}", digest(version, checksum), build))


def _wanted(package: str) -> tuple[str, str, str]:
    """Return name, version and checksum of the package that holds the kernel."""
    shown = processes.run(("apt-cache", "show", "--no-all-versions", package)).stdout
    if not shown:
        processes.output(("apt-get", "--quiet", "update"), seconds=_SECONDS)
        shown = processes.run(("apt-cache", "show", "--no-all-versions", package)).stdout
    fields = dict(_FIELDS.findall(shown))
    if not fields:
        raise UnavailableError(
            f"apt knows no package {package}: add a Debian archive that has it to its sources, or "
            "name another kernel"
        )
    inner = _IMAGE.search(fields.get("Depends", ""))
    if inner:
        return _wanted(inner.group())
    return fields["Package"], fields["Version"], fields["SHA256"]


def _unpack(package: str, target: Path) -> None:
    processes.output(
        ("env", f"--chdir={target}", "apt-get", "--quiet", "download", package), seconds=_SECONDS
    )
    (archive,) = target.glob("*.deb")
    processes.output(("dpkg-deb", "--extract", str(archive), str(target)), seconds=_SECONDS)
    archive.unlink()
    usr = target / "usr/lib/modules"
    if usr.is_dir() and not (target / "lib").exists():
        (target / "lib").symlink_to("usr/lib")  # As later Debian packages have it.
    (modules,) = (target / "lib/modules").iterdir()
    processes.output(("depmod", f"--basedir={target}", modules.name), seconds=_SECONDS)
