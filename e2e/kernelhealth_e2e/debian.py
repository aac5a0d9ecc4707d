"""Debian packages that are fetched and unpacked but not installed, from any suite of the archive.

Another suite than the machine's has lists of its own, below the harness's cache: what apt knows of
this machine stays as it is (apt.conf(5), Dir and Acquire::IndexTargets).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import locked
from kernelhealth_e2e.errors import ProcessError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache

_SECONDS = 900.0
_FRESH_SECONDS = 7 * 86400.0
_FIELD = re.compile(r"^(Package|Version|Depends|SHA256): (.*)$", re.MULTILINE)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TARGETS = "$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
# Lists of packages only: no translations, no contents, nothing for app stores.
_PACKAGES_ONLY = (
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
    "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
)


@dataclass(frozen=True, slots=True)
class Package:
    """One package in one version, as apt describes it; ``depends`` is that field's text."""

    name: str
    version: str
    sha256: str
    depends: str


@dataclass(frozen=True, slots=True)
class Archive:
    """What apt knows under some options of its configuration; without any, this machine's apt."""

    options: tuple[str, ...] = ()

    def package(self, name: str) -> Package:
        """Return a package in its newest version; UnavailableError where there is none."""
        found = self._find(name)
        if not found:
            self.update()
            found = self._find(name)
        if not found:
            raise UnavailableError(
                f"apt knows no package {name}: add a Debian archive that has it to its sources, or "
                "ask for what this distribution has (`apt-cache search linux-image` lists kernels)"
            )
        return found

    def unpack(self, package: Package, target: Path) -> None:
        """Fetch a package and lay its files out below a directory, in which there is no .deb."""
        try:
            self._download(package, target)
        except ProcessError:
            # The archive drops a version when there is a newer one, long after lists were read.
            self.update()
            self._download(self.package(package.name), target)
        (file,) = target.glob("*.deb")
        processes.output(("dpkg-deb", "--extract", str(file), str(target)), seconds=_SECONDS)
        file.unlink()

    def update(self) -> None:
        """Read the lists of packages anew."""
        processes.output(self._apt("apt-get", "--quiet", "update"), seconds=_SECONDS)

    def _find(self, name: str) -> Package | None:
        shown = processes.run(self._apt("apt-cache", "show", "--no-all-versions", name)).stdout
        return described(shown)

    def _download(self, package: Package, target: Path) -> None:
        wanted = self._apt("apt-get", "--quiet", "download", f"{package.name}={package.version}")
        processes.output(("env", f"--chdir={target}", *wanted), seconds=_SECONDS)

    def _apt(self, program: str, *arguments: str) -> tuple[str, ...]:
        # As root in directories of its own: the user _apt cannot write there.
        options = ("APT::Sandbox::User=root", *self.options)
        return (program, *(word for option in options for word in ("-o", option)), *arguments)


HERE = Archive()
"""The distribution of the machine that runs the tests."""


def described(text: str) -> Package | None:
    """Return the package that ``apt-cache show`` describes, or None where it shows none.

    One that is installed and in no archive has no checksum, and cannot be fetched.
    """
    fields = dict(_FIELD.findall(text))
    if "SHA256" not in fields:
        return None
    return Package(
        fields["Package"], fields["Version"], fields["SHA256"], fields.get("Depends", "")
    )


def suite(name: str, cache: Cache) -> Archive:
    """Return another suite of the archive that this machine's distribution comes from."""
    line = f"deb [signed-by={_KEYRING}] {_address()} {name} main\n"
    cache.root.mkdir(parents=True, exist_ok=True)
    with locked(cache.root / f".lock-apt-{name}"):
        return listed(line, cache.root / f"apt-{name}")


def listed(line: str, directory: Path) -> Archive:
    """Return the archive of one line as in sources.list(5), with its lists below a directory.

    They are read when there are none, and once a week.
    """
    lists, sources = directory / "lists", directory / "sources.list"
    for made in (lists / "partial", directory / "archives/partial"):
        made.mkdir(parents=True, exist_ok=True)
    archive = Archive(
        (
            f"Dir::Etc::SourceList={sources}",
            "Dir::Etc::SourceParts=/dev/null",
            f"Dir::State::Lists={lists}",
            "Dir::State::Status=/dev/null",  # What is installed here is not in that archive.
            f"Dir::Cache={directory}",
            "APT::Default-Release=",
            *_PACKAGES_ONLY,
        )
    )
    if not sources.exists() or _is_old(sources):
        sources.write_text(line)
        archive.update()
    return archive


def address(targets: str) -> str:
    """Choose the archive of a distribution's first release among ``apt-get indextargets``.

    One target a line: ``address|codename|component``. That of security updates has no other suites.
    """
    for target in targets.splitlines():
        place, codename, component = target.split("|")
        if component == "main" and codename and "-" not in codename:
            return place
    raise UnavailableError(
        "apt on this machine has no Debian archive with a component main among its sources: add "
        "one to /etc/apt/sources.list, from which other suites are then fetched too"
    )


def _address() -> str:
    command = ("apt-get", "indextargets", "--format", _TARGETS, "Created-By: Packages")
    return address(processes.output(command))


def _is_old(sources: Path) -> bool:
    return time.time() - sources.stat().st_mtime > _FRESH_SECONDS
