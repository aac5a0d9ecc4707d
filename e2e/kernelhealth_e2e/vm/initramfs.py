"""The first root of a virtual machine: one static program and the modules it inserts.

A cpio archive in the format that the kernel calls newc
(Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import lzma
import stat
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes
from kernelhealth_e2e.cache import digest
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.vm.resources import INIT_SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.vm.kernel import Kernel

# Enough to see the machine's files, the disk, and the directory of the harness.
_MODULES = ("virtio_pci", "virtio_blk", "ext4", "9pnet_virtio", "9p", "overlay", "virtio_rng")
_TRAILER = "TRAILER!!!"


def archive(cache: Cache, kernel: Kernel) -> Path:
    """Return the initramfs for a kernel, made once per kernel and program."""

    def build(target: Path) -> None:
        program = target / "init"
        flags = ("-static", "-Os", "-s", "-Wall", "-Werror")
        processes.output(("gcc", *flags, "-o", str(program), str(INIT_SOURCE)))
        files = {"init": program.read_bytes()}
        for number, file in enumerate(kernel.files_of(*_MODULES)):
            files[f"modules/{number:02}-{file.name.partition('.')[0]}.ko"] = plain(file)
        (target / "initramfs").write_bytes(cpio(files))
        program.unlink()

    key = digest(INIT_SOURCE.read_bytes(), kernel.tree.name, *_MODULES)
    return cache.entry("initramfs", key, build) / "initramfs"


def cpio(files: Mapping[str, bytes]) -> bytes:
    """Give an archive of executable files, with the directories they need (one level)."""
    folders = {name.rpartition("/")[0] for name in files} - {""}
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in sorted(folders)]
    entries += [(name, stat.S_IFREG | 0o755, files[name]) for name in sorted(files)]
    entries.append((_TRAILER, 0, b""))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, start=1))


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    links = 2 if stat.S_ISDIR(mode) else 1
    #         inode   mode  uid gid links  time size      device  rdev  name with its zero  check
    header = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + "".join(f"{value:08x}" for value in header).encode()
    return _aligned(head + name.encode() + b"\0") + _aligned(data)


def _aligned(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def plain(module: Path) -> bytes:
    """Return a module as finit_module(2) takes it from any kernel: not compressed."""
    content = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(content)
    if module.suffix != ".ko":
        raise HarnessError(f"{module} is compressed in a way that is not known here: add it")
    return content
