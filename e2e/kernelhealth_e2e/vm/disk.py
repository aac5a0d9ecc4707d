"""The disk of a virtual machine, with the images of its pods unpacked in it.

They are unpacked here, by a containerd of its own: within an emulated machine that takes minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import digest
from kernelhealth_e2e.processes import Command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress

_BYTES = 8 << 30  # Of which the file takes up what is in it.
_SECONDS = 300.0
_CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
"""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a disk is made: an empty directory on a file system that can be under an overlay."""

    directory: Path

    @property
    def root(self) -> Path:
        """The directory that becomes the disk's."""
        return self.directory / "root"

    @property
    def socket(self) -> Path:
        """Where its containerd listens."""
        return self.directory / "containerd.sock"

    def import_all(self, archives: Iterable[Path]) -> None:
        """Unpack OCI archives, which name their images, as containerd of a node finds them."""
        config = self.directory / "containerd.toml"
        config.write_text(
            _CONFIG.format(
                root=self.root / "containerd", state=self.directory / "state", socket=self.socket
            )
        )
        # In a mount namespace of its own, with which all it mounts goes.
        argv = ("unshare", "--mount", "containerd", f"--config={config}")
        log = self.directory / "containerd.log"
        containerd = processes.start(Command("containerd", argv, log))
        try:
            containerd.await_ready(partial(self._succeeds, "version"), _SECONDS)
            for archive in archives:
                command = ("--namespace=k8s.io", "images", "import", str(archive))
                processes.output(self._ctr(*command), seconds=_SECONDS)
        finally:
            containerd.stop()

    def _succeeds(self, *arguments: str) -> bool:
        return processes.run(self._ctr(*arguments)).returncode == 0

    def _ctr(self, *arguments: str) -> tuple[str, ...]:
        return ("ctr", f"--address={self.socket}", *arguments)


def with_images(
    cache: Cache, archives: tuple[Path, ...], workshop: Path, progress: Progress
) -> Path:
    """Return an ext4 disk with the images, made once for each set; nobody may write to it."""

    def build(target: Path) -> None:
        with progress.step("unpacking images for virtual machines"):
            made = Workshop(workshop)
            made.root.mkdir(parents=True)
            made.import_all(archives)
            with (target / "disk").open("wb") as file:
                file.truncate(_BYTES)
            make = ("mkfs.ext4", "-q", "-F", "-d", str(made.root), str(target / "disk"))
            processes.output(make, seconds=_SECONDS)

    version = processes.output(("containerd", "--version"))
    key = digest(version, *(archive.read_bytes() for archive in archives))
    return cache.entry("machine-disk", key, build) / "disk"
