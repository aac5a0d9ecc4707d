"""The Kubernetes programs: given, cached, or built from Go modules."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import golang
from kernelhealth_e2e.cache import digest
from kernelhealth_e2e.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress

NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
MODULE = Path(__file__).parent.parent / "cluster"
_STAMP = "k8s.io/component-base/version"


def find(
    cache: Cache, environ: Mapping[str, str], progress: Progress, names: tuple[str, ...] = NAMES
) -> Path:
    """Return a directory that holds the named programs.

    KUBEBUILDER_ASSETS is used when it holds them all; otherwise all of NAMES come from the cache,
    where they are built when they are missing: 4 to 6 minutes on two cores from nothing.
    """
    given = environ.get("KUBEBUILDER_ASSETS")
    if given and holds(Path(given), names):
        return Path(given)

    def build(target: Path) -> None:
        go = golang.find(cache, progress, environ.get("PATH", os.defpath))
        stamps = ldflags(kubernetes_version((MODULE / "go.mod").read_text()))
        packages = tuple(f"k8s.io/kubernetes/cmd/{name}" for name in NAMES)
        with progress.step("building Kubernetes from Go modules (once; 4 to 6 minutes)"):
            go.build(MODULE, packages, target, stamps)

    key = digest((MODULE / "go.mod").read_bytes(), (MODULE / "go.sum").read_bytes(), *NAMES)
    return cache.entry("kubernetes", key, build)


def holds(directory: Path, names: tuple[str, ...]) -> bool:
    """Tell whether a directory has every named program, executable."""
    return all(os.access(directory / name, os.X_OK) for name in names)


def kubernetes_version(go_mod: str) -> str:
    """Return the version of k8s.io/kubernetes that a go.mod requires, as ``v1.34.4``."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\d+\.\d+\.\d+)\b", go_mod, re.MULTILINE)
    if not found:
        raise HarnessError(
            f"{MODULE / 'go.mod'} requires no released k8s.io/kubernetes; add `k8s.io/kubernetes "
            "vX.Y.Z` to its require block"
        )
    return found[1]


def ldflags(version: str) -> str:
    """Give the linker flags by which the programs report a version instead of v0.0.0-master."""
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(("-s -w", *(f"-X {_STAMP}.{name}={text}" for name, text in stamps.items())))
