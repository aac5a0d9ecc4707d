"""The cache directory outside the tree: entries named by content, built whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_BUILDING = ".building-"


def directory(environ: Mapping[str, str]) -> Path:
    """Return where the cache lives: KERNELHEALTH_CACHE, else below the XDG cache directory."""
    if named := environ.get("KERNELHEALTH_CACHE"):
        return Path(named)
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "kernelhealth"
    return Path(environ.get("HOME", "/root")) / ".cache" / "kernelhealth"


def digest(*parts: str | bytes) -> str:
    """Return 16 hex digits over the parts; the boundaries between parts count."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:16]


def digest_of_files(root: Path, files: Iterable[Path]) -> str:
    """Return the digest of the files' names relative to root, modes and contents, in any order."""
    parts: list[str | bytes] = []
    for file in sorted(files):
        parts += [f"{file.relative_to(root)} {file.stat().st_mode & 0o111:o}", file.read_bytes()]
    return digest(*parts)


@dataclass(frozen=True, slots=True)
class Cache:
    """Directories below root, each made once by whoever comes first."""

    root: Path

    def place(self, name: str, key: str) -> Path:
        """Return where an entry is, or will be once it is made."""
        return self.root / f"{name}-{key}"

    def entry(self, name: str, key: str, build: Callable[[Path], None]) -> Path:
        """Return ``root/name-key``; ``build`` fills the directory that becomes it when missing.

        A build that is killed leaves only a temporary directory, which the next one removes.
        Two runs that want the same entry wait for each other.
        """
        wanted = self.place(name, key)
        if wanted.is_dir():
            return wanted
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / f".lock-{name}"):
            if not wanted.is_dir():
                self._build(name, wanted, build)
        return wanted

    def _build(self, name: str, wanted: Path, build: Callable[[Path], None]) -> None:
        prefix = f"{_BUILDING}{name}-"
        for abandoned in self.root.glob(f"{prefix}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root))
        try:
            build(building)
            building.chmod(0o755)
            building.rename(wanted)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel drops it when the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
