"""Writes recordings into directories."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from kernelhealth_agent.kernel.masking import Recording


def write(recording: Recording, directory: Path) -> None:
    """Write a recording; ``OSError`` where that is not possible."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in filter(_is_inside, recording.folders):
        (directory / path).mkdir(parents=True, exist_ok=True)
    for path, content in recording.files.items():
        if _is_inside(path) and path not in recording.links:
            _place(directory / path).write_bytes(content)
    for path, target in recording.links.items():
        if _is_inside(path):
            _place(directory / path).symlink_to(target)


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _is_inside(path: str) -> bool:
    return ".." not in PurePosixPath(path).parts and not path.startswith("/")
