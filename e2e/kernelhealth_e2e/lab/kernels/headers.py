"""What a module is compiled against: a stock kernel's headers, unpacked and not installed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kernelhealth_e2e import debian
from kernelhealth_e2e.cache import digest

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress
    from kernelhealth_e2e.vm.kernel import Kernel

_PARTS = re.compile(r"linux-(?:headers|kbuild)-\d[^ ,]*")
_SOURCES = "usr/src"


def directory(kernel: Kernel, cache: Cache, progress: Progress) -> Path:
    """Return the directory that ``make -C`` takes to build modules for a kernel.

    It is one of the machine's own distribution; for others UnavailableError says that there is no
    such package: their tools need other libraries, and modules want the kernel's own compiler.
    """
    package = debian.HERE.package(f"linux-headers-{kernel.release}")

    def build(target: Path) -> None:
        with progress.step(f"fetching {package.name} {package.version}"):
            for name in (package.name, *_PARTS.findall(package.depends)):
                debian.HERE.unpack(debian.HERE.package(name), target)
        relocate(target / _SOURCES / package.name / "Makefile")

    entry = cache.entry(package.name, digest(package.version, package.sha256), build)
    return entry / _SOURCES / package.name


def relocate(makefile: Path) -> None:
    """Let a Makefile that includes one below /usr/src find it beside its own directory."""
    makefile.write_text(makefile.read_text().replace(f"/{_SOURCES}/", "../"))
