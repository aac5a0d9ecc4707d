"""The lab's own kernel modules, which fail as real kernels have failed; compiled for one kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes, provision
from kernelhealth_e2e.cache import digest
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.kernels import headers

if TYPE_CHECKING:
    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress
    from kernelhealth_e2e.vm.kernel import Kernel

SOURCES = Path(__file__).parent / "modules"
_SECONDS = 300.0
# A warning of the module names its file: without the directory in which it was compiled.
_KBUILD = """obj-m := {name}.o
ccflags-y := -Wall -Werror -fmacro-prefix-map={target}/=
"""


def built(
    kernel: Kernel, name: str, cache: Cache, progress: Progress, sources: Path = SOURCES
) -> Path:
    """Return the .ko of ``modules/NAME.c`` for a stock kernel, compiled once for each text."""
    file = sources / f"{name}.c"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in sources.glob("*.c"))) or "none"
        raise HarnessError(f"the lab has no module {name}; those in {sources} are: {known}")
    provision.for_kernel_builds(progress)
    against = headers.directory(kernel, cache, progress)
    text = file.read_bytes()

    def build(target: Path) -> None:
        with progress.step(f"compiling {name} for Linux {kernel.release}"):
            _compile(against, name, text, target)

    key = digest(against.parents[2].name, kernel.release, text, _KBUILD)
    return cache.entry(f"module-{name}", key, build) / f"{name}.ko"


def _compile(against: Path, name: str, text: bytes, target: Path) -> None:
    (target / "Kbuild").write_text(_KBUILD.format(name=name, target=target))
    (target / f"{name}.c").write_bytes(text)
    make = ("nice", "make", "-C", str(against), f"M={target}", f"-j{os.cpu_count()}", "modules")
    processes.output(make, seconds=_SECONDS)
    for made in target.iterdir():
        if made.name != f"{name}.ko":
            made.unlink()
