"""The image of the pods' sandbox: one static program that waits."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.archives import Image, tar
from kernelhealth_e2e.cache import Cache, digest
from kernelhealth_e2e.resources import INIT_SOURCE

if TYPE_CHECKING:
    from pathlib import Path

NAME = "localhost/kernelhealth-pause:1"


def init_program(cache: Cache) -> Path:
    """Return the program, compiled once; it is process 1 of the node, too."""
    source = INIT_SOURCE.read_bytes()

    def compile_(target: Path) -> None:
        flags = ("-static", "-Os", "-s", "-Wall", "-Werror")
        processes.output(("gcc", *flags, "-o", str(target / "init"), str(INIT_SOURCE)))

    return cache.entry("init", digest(source, platform.machine()), compile_) / "init"


def write(archive: Path, program: Path) -> None:
    """Write an OCI archive of an image that runs the program and holds nothing else."""
    layer = tar({"pause": program.read_bytes()}, mode=0o755)
    Image(NAME, layer, {"Entrypoint": ["/pause"]}).write(archive)
