"""Packages of a small archive of our own, which apt reads from a directory."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from kernelhealth_e2e import debian, processes
from kernelhealth_e2e.debian import Archive
from kernelhealth_e2e.errors import UnavailableError

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")), reason="this is not Debian"
)


def published(repository: Path, version: str) -> None:
    """Let the archive have one package in that version only, with its version in a file."""
    shutil.rmtree(repository, ignore_errors=True)
    content = repository / "content"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "said").write_text(version)
    control = (
        f"Package: kernelhealth-said\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.org>\nDepends: some, others\nDescription: a word\n"
    )
    (content / "DEBIAN/control").write_text(control)
    file = repository / f"said_{version}.deb"
    processes.output(("dpkg-deb", "--build", "--root-owner-group", str(content), str(file)))
    data = file.read_bytes()
    where = f"Filename: ./{file.name}\nSize: {len(data)}\n"
    checked = f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
    (repository / "Packages").write_text(control + where + checked)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    published(tmp_path / "repository", "1.0")
    return tmp_path / "repository"


@pytest.fixture
def archive(tmp_path: Path, repository: Path) -> Archive:
    return debian.listed(f"deb [trusted=yes] file:{repository} ./\n", tmp_path / "apt")


def test_a_package_is_laid_out_and_not_installed(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "target").mkdir()
    package = archive.package("kernelhealth-said")

    archive.unpack(package, tmp_path / "target")

    assert package.depends == "some, others"
    assert [file.name for file in (tmp_path / "target").iterdir()] == ["said"]
    assert not Path("/said").exists()


def test_a_version_that_the_archive_has_dropped_is_replaced_by_the_next(
    tmp_path: Path, archive: Archive, repository: Path
) -> None:
    (tmp_path / "target").mkdir()
    dropped = archive.package("kernelhealth-said")
    published(repository, "1.1")

    archive.unpack(dropped, tmp_path / "target")

    assert dropped.version == "1.0"
    assert (tmp_path / "target/said").read_text() == "1.1"


def test_what_no_list_has_is_said_with_what_to_do(archive: Archive) -> None:
    with pytest.raises(UnavailableError, match=r"apt knows no package linux-image-0.*add a Debian"):
        archive.package("linux-image-0")


def test_the_machines_own_lists_stay_out_of_it(archive: Archive) -> None:
    with pytest.raises(UnavailableError, match="apt knows no package"):
        archive.package("apt")
