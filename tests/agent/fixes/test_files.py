"""Files of a host are written whole, only as they were judged, and never outside the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.hosts.deeds.files import DeleteFile, PutBack, WriteFile


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root directory with one file; beside it is another machine's."""
    (tmp_path / "host/etc/x").mkdir(parents=True)
    (tmp_path / "host/etc/x/a.conf").write_bytes(b"old\n")
    (tmp_path / "etc/x").mkdir(parents=True)
    return tmp_path / "host"


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    (tmp_path / "keep").mkdir()
    return tmp_path / "keep"


def written(path: str = "etc/x/a.conf", before: bytes | None = b"old\n") -> WriteFile:
    return WriteFile(path, b"new\n", before, "for a test")


def test_what_is_replaced_is_kept_and_nothing_else_is_left(root: Path, keep: Path) -> None:
    written().do(str(root), str(keep))

    assert [file.name for file in (root / "etc/x").iterdir()] == ["a.conf"]
    assert (root / "etc/x/a.conf").read_bytes() == b"new\n"
    assert [file.read_bytes() for file in keep.iterdir()] == [b"old\n"]


def test_owner_and_mode_stay(root: Path, keep: Path) -> None:
    file = root / "etc/x/a.conf"
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 17, 18)
    before = file.stat()

    written().do(str(root), str(keep))

    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino


@pytest.mark.parametrize("before", [b"older\n", None])
def test_a_file_that_somebody_changed_meanwhile_is_left_alone(
    root: Path, keep: Path, before: bytes | None
) -> None:
    with pytest.raises(errors.UnreadableError, match=r"/etc/x/a\.conf .*somebody else changed it"):
        written(before=before).do(str(root), str(keep))

    assert (root / "etc/x/a.conf").read_bytes() == b"old\n"
    assert list(keep.iterdir()) == []


def test_a_file_that_is_gone_meanwhile_is_not_made_anew(root: Path, keep: Path) -> None:
    (root / "etc/x/a.conf").unlink()

    with pytest.raises(errors.UnreadableError, match="somebody else changed it"):
        written().do(str(root), str(keep))

    assert list((root / "etc/x").iterdir()) == []


def test_what_a_crash_left_behind_is_no_obstacle(root: Path, keep: Path) -> None:
    (root / "etc/x/.a.conf.kernelhealth-new").write_bytes(b"ha")

    written().do(str(root), str(keep))

    assert [file.name for file in (root / "etc/x").iterdir()] == ["a.conf"]


def test_what_was_kept_first_stays(root: Path, keep: Path) -> None:
    written().do(str(root), str(keep))
    WriteFile("etc/x/a.conf", b"newer\n", b"new\n", "again").do(str(root), str(keep))

    assert [file.read_bytes() for file in keep.iterdir()] == [b"old\n"]


@pytest.mark.parametrize("path", ["etc/y/a.conf", "etc/z/a.conf"])
def test_links_lead_nowhere_but_below_the_root(root: Path, keep: Path, path: str) -> None:
    (root / "etc/y").symlink_to("/etc/x")
    (root / "etc/z").symlink_to("../../etc/x")

    written(path).do(str(root), str(keep))

    assert (root / "etc/x/a.conf").read_bytes() == b"new\n"
    assert list((root.parent / "etc/x").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
@pytest.mark.parametrize(
    "deed",
    [written(), DeleteFile("etc/x/a.conf", b"old\n")],
    ids=["write", "delete"],
)
def test_what_is_no_regular_file_is_left_alone(
    root: Path, keep: Path, kind: str, deed: WriteFile | DeleteFile
) -> None:
    file = root / "etc/x/a.conf"
    file.rename(root / "etc/x/real")
    if kind == "link":
        file.symlink_to("real")
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()

    with pytest.raises(OSError, match="is no regular file"):
        deed.do(str(root), str(keep))

    assert (root / "etc/x/real").read_bytes() == b"old\n"


def test_a_file_is_put_back_as_it_was(root: Path, keep: Path) -> None:
    written().do(str(root), str(keep))

    PutBack("etc/x/a.conf", b"new\n").do(str(root), str(keep))

    assert (root / "etc/x/a.conf").read_bytes() == b"old\n"


def test_what_somebody_changed_since_is_not_put_back(root: Path, keep: Path) -> None:
    written().do(str(root), str(keep))
    (root / "etc/x/a.conf").write_bytes(b"mine\n")

    with pytest.raises(errors.UnreadableError, match="somebody else changed it"):
        PutBack("etc/x/a.conf", b"new\n").do(str(root), str(keep))

    assert (root / "etc/x/a.conf").read_bytes() == b"mine\n"


def test_where_nothing_was_kept_nothing_is_put_back(root: Path, keep: Path) -> None:
    PutBack("etc/x/a.conf", b"old\n").do(str(root), str(keep))

    assert (root / "etc/x/a.conf").read_bytes() == b"old\n"


def test_only_the_file_that_was_written_is_deleted(root: Path, keep: Path) -> None:
    with pytest.raises(errors.UnreadableError, match="somebody else changed it"):
        DeleteFile("etc/x/a.conf", b"new\n").do(str(root), str(keep))
    DeleteFile("etc/x/a.conf", b"old\n").do(str(root), str(keep))
    DeleteFile("etc/x/a.conf", b"old\n").do(str(root), str(keep))

    assert list((root / "etc/x").iterdir()) == []


def test_a_new_file_never_replaces_one_that_came_in_between(
    root: Path, keep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def somebody_else(*_: object) -> None:
        (root / "etc/x/b.conf").write_bytes(b"theirs\n")

    monkeypatch.setattr("kernelhealth_agent.hosts.deeds.files._check", somebody_else)

    with pytest.raises(FileExistsError):
        written("etc/x/b.conf", None).do(str(root), str(keep))

    assert (root / "etc/x/b.conf").read_bytes() == b"theirs\n"
    assert {file.name for file in (root / "etc/x").iterdir()} == {"a.conf", "b.conf"}
