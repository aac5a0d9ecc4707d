"""Our images, built from the shipped Containerfiles and kept by content."""

from __future__ import annotations

import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import baseimage, pipconfig, processes
from kernelhealth_e2e.cache import Cache, digest, digest_of_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernelhealth_e2e.progress import Progress

_SECONDS = 900.0
_ARCHIVE = "image.tar"
# What the Containerfiles copy; a change elsewhere in the tree builds nothing anew.
_SOURCES = (
    "crds/kernelhealth_api",
    "node-agent/kernelhealth_agent",
    "operator/kernelhealth_operator",
)
_FILES = ("pyproject.toml", "README.md", "LICENSE", "requirements/build.txt")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image: its name in the cluster, its Containerfile and its pinned requirements."""

    name: str
    containerfile: str
    requirements: str


AGENT = Recipe(
    "localhost/kernelhealth-agent:e2e", "node-agent/Containerfile", "requirements/agent.txt"
)
OPERATOR = Recipe(
    "localhost/kernelhealth-operator:e2e", "operator/Containerfile", "requirements/operator.txt"
)


def archive(recipe: Recipe, tree: Path, cache: Cache, progress: Progress) -> Path:
    """Return the image as an OCI archive that carries its name; built when its sources changed."""
    base = baseimage.archive(cache, progress)

    def build(target: Path) -> None:
        with progress.step(f"building {recipe.name} from {recipe.containerfile}"):
            _build(recipe, tree, base, target / _ARCHIVE, cache.root / "buildah")

    key = digest(recipe.name, base.parent.name, digest_of_files(tree, sources(recipe, tree)))
    short = recipe.name.rpartition("/")[2].partition(":")[0]
    return cache.entry(short, key, build) / _ARCHIVE


def sources(recipe: Recipe, tree: Path) -> tuple[Path, ...]:
    """Return every file that goes into an image; caches of compiled Python do not."""
    single = (*_FILES, recipe.containerfile, recipe.requirements)
    found = [tree / name for name in single]
    for package in _SOURCES:
        found += [file for file in (tree / package).rglob("*") if _counts(file)]
    return tuple(found)


def _counts(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def _build(recipe: Recipe, tree: Path, base: Path, target: Path, storage: Path) -> None:
    # The storage stays in the cache: pip's layer is built again only when the pins change.
    with _secrets() as secrets, tempfile.TemporaryDirectory() as run:
        buildah = (
            "buildah",
            f"--root={storage}",
            f"--runroot={run}",
            f"--storage-driver={_driver(storage.parent)}",
        )
        bud = (
            "bud",
            "--isolation=chroot",
            "--layers",
            "--quiet",
            f"--build-arg=BASE=oci-archive:{base}",
            *secrets,
            f"--file={tree / recipe.containerfile}",
            f"--tag={recipe.name}",
            str(tree),
        )
        processes.output((*buildah, *bud), seconds=_SECONDS)
        named = f"oci-archive:{target}:{recipe.name}"
        processes.output((*buildah, "push", "--quiet", recipe.name, named), seconds=_SECONDS)


def _driver(directory: Path) -> str:
    # Overlays cannot be stacked on an overlay's own files, which is what a container's root is.
    kind = processes.output(("stat", "--file-system", "--format=%T", str(directory))).strip()
    return "vfs" if kind == "overlayfs" else "overlay"


@contextmanager
def _secrets() -> Iterator[tuple[str, ...]]:
    options = pipconfig.here()
    bundle = options.get("cert") or ssl.get_default_verify_paths().cafile
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "pip.conf"
        config.write_text(pipconfig.build_file(options, with_ca=bundle is not None))
        ca = (f"--secret=id=ca,src={bundle}",) if bundle else ()
        yield (f"--secret=id=pip,src={config}", *ca)
