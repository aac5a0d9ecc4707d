"""The base image under ours: Debian with Python, made by mmdebstrap from this machine's mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.archives import Image
from kernelhealth_e2e.cache import Cache, digest

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.progress import Progress

NAME = "localhost/kernelhealth-base:1"
SUITE = "bookworm"
_INCLUDED = ("ca-certificates", "python3", "python3-pip", "python3-venv")
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
_ARCHIVE = "base.tar"
_SECONDS = 900.0


def archive(cache: Cache, progress: Progress) -> Path:
    """Return the base image as an OCI archive, made once per set of packages (about a minute)."""

    def build(target: Path) -> None:
        with progress.step(f"making the base image (Debian {SUITE} with Python)"):
            bootstrap(target / _ARCHIVE, NAME, _INCLUDED)

    key = digest(SUITE, *_INCLUDED, *_LEFT_OUT)
    return cache.entry("base-image", key, build) / _ARCHIVE


def mirror(targets: str) -> tuple[str, ...]:
    """Return the first Debian archive that apt uses, as an argument; () when it uses none.

    ``targets`` has lines of origin, tab, URI, as apt-get indextargets prints them when asked.
    """
    pairs = (line.partition("\t") for line in targets.splitlines())
    found = (uri for origin, _, uri in pairs if origin == "Debian" and "security" not in uri)
    return tuple(found)[:1]


def bootstrap(archive: Path, name: str, packages: tuple[str, ...]) -> None:
    """Write an OCI archive of Debian with packages and all they depend on, under a name."""
    layer, options = archive.with_name("layer.tar"), archive.with_name("apt.conf")
    # A machine's own way to its mirror (a proxy, a certificate authority) is apt's configuration.
    options.write_text(processes.output(("apt-config", "dump", "Acquire")))
    asked = ("--format", "$(ORIGIN)\t$(REPO_URI)", "Created-By: Packages")
    known = processes.output(("apt-get", "indextargets", *asked))
    argv = (
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        f"--aptopt={options}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        SUITE,
        str(layer),
        *mirror(known),
    )
    processes.output(argv, seconds=_SECONDS)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    Image(name, layer.read_bytes(), {"Env": [f"PATH={path}"]}).write(archive)
    layer.unlink()
    options.unlink()
