"""Kernels built from Debian's source: as it is, or with a fix of a known bug taken back.

Those that differ by patches only are built one after the other in one directory, where each takes
as long as what its patch touches. Kept is what a virtual machine boots, laid out like a package.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.vm import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_SECONDS = 3600.0
_SET = re.compile(r"^(?:CONFIG_\w+=.*|# CONFIG_\w+ is not set)$", re.MULTILINE)
_KEPT = ("modules.builtin", "modules.builtin.modinfo")
# What a build puts into a kernel that does not come from source, configuration or compiler.
_IDENTITY = (
    "KBUILD_BUILD_TIMESTAMP=1970-01-01",
    "KBUILD_BUILD_VERSION=1",
    "KBUILD_BUILD_USER=kernelhealth",
    "KBUILD_BUILD_HOST=lab",
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One kernel: ``suffix`` ends its release.

    ``fragments`` are files in ``config/``, laid over the smallest configuration, and ``patches``
    files in ``patches/``, applied to the source.
    """

    suffix: str
    fragments: tuple[str, ...]
    patches: tuple[str, ...] = ()

    def configuration(self) -> str:
        """Give the text of its fragments."""
        return "".join((_HERE / "config" / name).read_text() for name in self.fragments)

    def changes(self) -> tuple[Path, ...]:
        """Return the files of its patches."""
        return tuple(_HERE / "patches" / name for name in self.patches)

    def content(self) -> str:
        """Give all that sets it apart from others of the same source."""
        return "\n".join(
            (self.suffix, self.configuration(), *(file.read_text() for file in self.changes()))
        )


@dataclass(frozen=True, slots=True)
class Workplace:
    """A directory with the unpacked source (``source``) and what is built of it (``objects``)."""

    directory: Path

    @property
    def source(self) -> Path:
        """The top of the kernel's source."""
        return self.directory / "source"

    @property
    def objects(self) -> Path:
        """Where make puts what it makes."""
        return self.directory / "objects"

    def unpack(self, archive: Path) -> None:
        """Unpack a tar whose only directory is the source."""
        self.source.mkdir(parents=True)
        self.objects.mkdir()
        unpack = ("tar", "--extract", "--strip-components=1", f"--directory={self.source}")
        processes.output((*unpack, f"--file={archive}"), seconds=_SECONDS)

    def configure(self, fragments: str) -> None:
        """Configure it; HarnessError names what of the fragments this source does not follow."""
        (self.directory / "fragments").write_text(fragments)
        self._make("tinyconfig")
        merge = str(self.source / "scripts/kconfig/merge_config.sh")
        files = (str(self.objects / ".config"), str(self.directory / "fragments"))
        processes.output((merge, "-m", "-O", str(self.objects), *files))
        self._make("olddefconfig")
        lost = unheeded(fragments, (self.objects / ".config").read_text())
        if lost:
            raise HarnessError(
                f"the kernel's configuration did not take {', '.join(lost)}: look for what they "
                f"depend on in {self.source.name}, and add that to the fragment"
            )

    def build(self, variant: Variant, target: Path) -> None:
        """Build a variant of what is configured, and lay it out below a directory."""
        with self._patched(variant.changes()):
            self._make(f"LOCALVERSION=-{variant.suffix}", "bzImage")
        self._lay_out(target)

    @contextmanager
    def _patched(self, changes: tuple[Path, ...]) -> Iterator[None]:
        apply = ("patch", "--strip=1", f"--directory={self.source}", "--no-backup-if-mismatch")
        for change in changes:
            processes.output((*apply, f"--input={change}"))
        yield
        for change in reversed(changes):
            processes.output((*apply, "--reverse", f"--input={change}"))

    def _lay_out(self, target: Path) -> None:
        release = (self.objects / "include/config/kernel.release").read_text().strip()
        boot, modules = target / "boot", target / "lib/modules" / release
        boot.mkdir()
        modules.mkdir(parents=True)
        shutil.copy(self.objects / "arch/x86/boot/bzImage", boot / f"vmlinuz-{release}")
        shutil.copy(self.objects / ".config", boot / f"config-{release}")
        shutil.copy(self.objects / "System.map", boot / f"System.map-{release}")
        for name in _KEPT:
            shutil.copy(self.objects / name, modules / name)
        (modules / "modules.order").touch()  # It has none: everything is built in.
        kernel.index(target)

    def _make(self, *arguments: str) -> None:
        where = ("--silent", "-C", str(self.source), f"O={self.objects}")
        jobs = f"--jobs={os.cpu_count()}"
        processes.output(("nice", "make", *where, jobs, *_IDENTITY, *arguments), seconds=_SECONDS)


def unheeded(fragments: str, configuration: str) -> tuple[str, ...]:
    """Return what fragments ask for and a configuration has not; the last word of them counts.

    An option that a configuration does not mention is not set.
    """
    wanted = {_option(line): line for line in _SET.findall(fragments)}
    given = {_option(line): line for line in _SET.findall(configuration)}
    return tuple(
        line
        for option, line in wanted.items()
        if given.get(option, f"# {option} is not set") != line
    )


def _option(line: str) -> str:
    return line.removeprefix("# ").partition("=")[0].partition(" ")[0]
