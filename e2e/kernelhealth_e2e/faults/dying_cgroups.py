"""Control groups that were removed and stay, since pages of a tmpfs are charged to them."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from kernelhealth_e2e import cgroups
from kernelhealth_e2e.faults.control_groups import dissolve

_SHARED = Path("/dev/shm")  # noqa: S108 - It has to be a tmpfs, and the directory has its own name.


def memory_hierarchy(mounts: Path = cgroups.MOUNTS) -> Path:
    """Return where the hierarchy of the memory controller is mounted."""
    divided = mounts / "memory"
    return divided if divided.exists() else mounts


@contextlib.contextmanager
def dying_groups(number: int) -> Iterator[None]:
    """Leave so many dying groups behind; their pages are freed in the end, and so are they."""
    with tempfile.TemporaryDirectory(dir=_SHARED) as place, living_group() as parent:
        for index in range(number):
            group = parent / str(index)
            group.mkdir()
            try:
                _leave_page(group, Path(place) / str(index))
            finally:
                dissolve(group)
        yield


@contextlib.contextmanager
def living_group(children: int = 0) -> Iterator[Path]:
    """Make a group with so many below it, and remove them in the end."""
    parent = memory_hierarchy() / f"kernelhealth-{uuid.uuid4()}"
    parent.mkdir()
    try:
        if memory_hierarchy().name != "memory":
            (parent / "cgroup.subtree_control").write_text("+memory")
        for index in range(children):
            (parent / f"alive-{index}").mkdir()
        yield parent
    finally:
        for child in [child for child in parent.iterdir() if child.is_dir()]:
            dissolve(child)
        dissolve(parent)


def _leave_page(group: Path, file: Path) -> None:
    """Write one page in the name of a group, by a process that ends."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            file.write_bytes(bytes(4096))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status:
        raise OSError(f"a process in {group} could not write {file}: root is needed")


def main() -> None:
    """Leave dying groups until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="dying_cgroups", description=__doc__, epilog="example: dying_cgroups 2000"
    )
    parser.add_argument("number", type=int)
    arguments = parser.parse_args()
    with dying_groups(arguments.number):
        print("made", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
