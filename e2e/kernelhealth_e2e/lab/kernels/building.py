"""Gets the kernels of the lab that are built: from the cache, or all of one configuration anew."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kernelhealth_e2e import debian, processes, provision
from kernelhealth_e2e.cache import digest, locked
from kernelhealth_e2e.lab.kernels.source import Workplace
from kernelhealth_e2e.vm.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.debian import Package
    from kernelhealth_e2e.lab.kernels.source import Variant
    from kernelhealth_e2e.progress import Progress

_PACKAGE = "linux-source-6.1"


def kernel(
    wanted: Variant, others: tuple[Variant, ...], cache: Cache, progress: Progress
) -> Kernel:
    """Return a built kernel; when it is not there, those *others* of its configuration come too."""
    provision.for_kernel_builds(progress)
    package, tools = debian.HERE.package(_PACKAGE), _tools()

    def key(variant: Variant) -> str:
        return digest(package.version, package.sha256, tools, variant.content())

    def build(target: Path) -> None:
        workplace = Workplace(target / "workplace")
        _unpack(package, workplace, progress)
        with progress.step(f"configuring {package.name} {package.version}"):
            workplace.configure(wanted.configuration())
        for variant in (wanted, *others):
            with progress.step(f"building {package.name} {package.version} {variant.suffix}"):
                made = target if variant == wanted else None
                _keep(workplace, variant, key(variant), cache, made)
        shutil.rmtree(workplace.directory)

    there = cache.place(_entry(wanted), key(wanted))
    if there.is_dir():
        return Kernel(there)
    cache.root.mkdir(parents=True, exist_ok=True)
    # Without it, two runs that want each other's kernels could wait for each other for ever.
    with locked(cache.root / ".lock-kernel-builds"):
        return Kernel(cache.entry(_entry(wanted), key(wanted), build))


def _keep(
    workplace: Workplace, variant: Variant, key: str, cache: Cache, target: Path | None
) -> None:
    if target:
        workplace.build(variant, target)
    else:
        cache.entry(_entry(variant), key, lambda made: workplace.build(variant, made))


def _tools() -> str:
    return "".join(processes.output((name, "--version")) for name in ("gcc", "pahole"))


def _entry(variant: Variant) -> str:
    return f"kernel-6.1-{variant.suffix}"


def _unpack(package: Package, workplace: Workplace, progress: Progress) -> None:
    with progress.step(f"fetching {package.name} {package.version}"):
        fetched = workplace.directory / "package"
        fetched.mkdir(parents=True)
        debian.HERE.unpack(package, fetched)
        workplace.unpack(fetched / f"usr/src/{package.name}.tar.xz")
        shutil.rmtree(fetched)
