"""The image of a workload that runs gssproxy: Debian's own packages, and what loads modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_e2e import baseimage, debian, provision
from kernelhealth_e2e.cache import digest

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.lab.workshop import Workshop

NAME = "localhost/kernelhealth-gssproxy:lab"
_PACKAGES = ("gssproxy", "kmod")
_ARCHIVE = "image.tar"


def archive(workshop: Workshop) -> Path:
    """Return the image as an OCI archive, made once for each version of the packages."""
    provision.for_images(workshop.progress)
    packages = [debian.HERE.package(name) for name in _PACKAGES]

    def build(target: Path) -> None:
        named = " and ".join(f"{one.name} {one.version}" for one in packages)
        with workshop.progress.step(f"making an image with {named}"):
            baseimage.bootstrap(target / _ARCHIVE, NAME, _PACKAGES)

    key = digest(NAME, baseimage.SUITE, *(one.sha256 for one in packages))
    return workshop.cache.entry("gssproxy-image", key, build) / _ARCHIVE
