from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.hosts.files import Files

SECRET = b"of the host"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's root directory, with a folder of files; beside it a file of the host."""
    (tmp_path / "secret.conf").write_bytes(SECRET)
    folder = tmp_path / "box" / "etc" / "x"
    folder.mkdir(parents=True)
    (folder / "a.conf").write_bytes(b"a")
    (folder / "b.txt").write_bytes(b"b")
    return tmp_path / "box"


@pytest.fixture
def files(root: Path) -> Files:
    return Files(str(root.parent))


def test_the_files_with_the_suffix_are_read(files: Files) -> None:
    folder = files.folder("box", "etc/x", ".conf")

    assert folder.files == {"a.conf": b"a"}
    assert folder.omitted == ()


def test_the_same_folder_has_the_same_identity_by_another_path(files: Files, root: Path) -> None:
    (root.parent / "again").symlink_to("box")

    folders = [files.folder("box", "etc/x", ".conf"), files.folder("again", "etc/x", ".conf")]

    assert folders[0].identity == folders[1].identity


def test_an_absolute_link_is_resolved_inside(files: Files, root: Path) -> None:
    (root / "data").mkdir()
    (root / "data" / "real").write_bytes(b"inside")
    (root / "etc" / "x" / "l.conf").symlink_to("/data/real")

    assert files.folder("box", "etc/x", ".conf").files["l.conf"] == b"inside"


def test_a_mounted_config_map_is_read(files: Files, root: Path) -> None:
    folder = root / "etc" / "x"
    (folder / "..2026").mkdir()
    (folder / "..2026" / "m.conf").write_bytes(b"map")
    (folder / "..data").symlink_to("..2026")
    (folder / "m.conf").symlink_to("..data/m.conf")

    assert files.folder("box", "etc/x", ".conf").files["m.conf"] == b"map"


@pytest.mark.parametrize(
    "target",
    ["../../../secret.conf", "/../secret.conf", "../../../../../../../../etc/passwd"],
)
def test_no_link_leads_out(target: str, files: Files, root: Path) -> None:
    (root / "etc" / "x" / "l.conf").symlink_to(target)

    folder = files.folder("box", "etc/x", ".conf")

    assert "l.conf" not in folder.files
    assert folder.omitted == ("etc/x/l.conf was not read: No such file or directory",)


def test_an_absolute_link_to_the_host_leads_nowhere(files: Files, root: Path) -> None:
    (root / "etc" / "x" / "l.conf").symlink_to(root.parent / "secret.conf")

    assert "l.conf" not in files.folder("box", "etc/x", ".conf").files


def test_a_folder_that_is_a_link_out_is_absent(files: Files, root: Path) -> None:
    (root / "etc" / "y").symlink_to(root.parent)

    with pytest.raises(errors.AbsentError, match="box/etc/y"):
        files.folder("box", "etc/y", ".conf")


def test_a_fifo_is_not_waited_for(files: Files, root: Path) -> None:
    os.mkfifo(root / "etc" / "x" / "f.conf")

    folder = files.folder("box", "etc/x", ".conf")

    assert folder.omitted == ("etc/x/f.conf was not read: it is no regular file",)


def test_links_in_a_circle_end(files: Files, root: Path) -> None:
    (root / "etc" / "x" / "l.conf").symlink_to("l.conf")

    (said,) = files.folder("box", "etc/x", ".conf").omitted

    assert said.startswith("etc/x/l.conf was not read: Too many levels")


def test_a_file_too_large_is_named_and_not_read(files: Files, root: Path) -> None:
    (root / "etc" / "x" / "big.conf").write_bytes(bytes((64 << 10) + 1))

    folder = files.folder("box", "etc/x", ".conf")

    assert folder.omitted == ("etc/x/big.conf was not read: it is larger than 65536 bytes",)


def test_too_many_files_are_cut_and_said(files: Files, root: Path) -> None:
    for number in range(40):
        (root / "etc" / "x" / f"{number}.conf").touch()

    folder = files.folder("box", "etc/x", ".conf")

    assert len(folder.files) == 32
    assert folder.omitted == ("etc/x has more than 32 such files: the rest was not read",)


def test_a_name_cannot_break_a_message(files: Files, root: Path) -> None:
    (root / "etc" / "x" / os.fsdecode(b"\xff\n\x1b[31m.conf")).touch()

    names = files.folder("box", "etc/x", ".conf").files

    assert set(names) == {"a.conf", r"\udcff\n\x1b[31m.conf"}


def test_lines_that_are_not_wanted_are_emptied(files: Files, root: Path) -> None:
    (root / "etc" / "x" / "wg.conf").write_bytes(b"PrivateKey = secret\n\nTable = 7\nkey")

    folder = files.folder("box", "etc/x", "wg.conf", r"^\s*(AllowedIPs|Table)\s*=")

    assert folder.files == {"wg.conf": b"\n\nTable = 7\n"}


def test_no_descriptor_is_left_open(
    files: Files, root: Path, open_files: Callable[[], set[tuple[str, str]]]
) -> None:
    (root / "etc" / "x" / "l.conf").symlink_to("nowhere")
    before = open_files()

    files.folder("box", "etc/x", ".conf")

    assert open_files() <= before
