"""What each layer needs of this machine, found or installed before anything is started."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from kernelhealth_e2e import binaries, packages
from kernelhealth_e2e.errors import UnavailableError
from kernelhealth_e2e.packages import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress


def for_control_plane(environ: Mapping[str, str], cache: Cache, progress: Progress) -> Path:
    """Provide etcd, openssl and the API server; return the directory of the Kubernetes programs."""
    packages.require(packages.CONTROL_PLANE, Machine.here(), progress)
    return binaries.find(cache, environ, progress, ("kube-apiserver", "kubectl"))


def for_node(environ: Mapping[str, str], cache: Cache, progress: Progress) -> Path:
    """Provide all that a node runs; return the directory of the Kubernetes programs.

    UnavailableError without root: a node is namespaces, mounts and control groups.
    """
    machine = Machine.here()
    if machine.user != 0:
        raise UnavailableError("a node needs namespaces, mounts and control groups; run as root")
    packages.require(packages.CONTROL_PLANE | packages.NODE, machine, progress)
    return binaries.find(cache, environ, progress)


def for_virtual_machines(progress: Progress) -> None:
    """Provide what emulates a machine with a kernel of its own; UnavailableError beside x86-64."""
    if platform.machine() != "x86_64":
        raise UnavailableError(
            f"virtual machines are emulated for x86-64, and this is {platform.machine()}: run this "
            "on an x86-64 machine"
        )
    packages.require(packages.VIRTUAL_MACHINES, Machine.here(), progress)


def for_kernel_builds(progress: Progress) -> None:
    """Provide what compiles kernels and modules of them."""
    packages.require(packages.KERNEL_BUILDS, Machine.here(), progress)


def for_images(progress: Progress) -> None:
    """Provide what builds images."""
    packages.require(packages.IMAGES, Machine.here(), progress)
