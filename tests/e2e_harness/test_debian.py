"""Packages as apt describes them, and those of a small archive of our own in a directory."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from kernelhealth_e2e import debian, processes
from kernelhealth_e2e.debian import Archive, Package
from kernelhealth_e2e.errors import UnavailableError

SHOWN = """\
Package: linux-image-7.2.13-amd64
Version: 7.2.13-1
Depends: linux-base-7.2.13-amd64 (= 7.2.13-1), linux-modules-7.2.13-amd64 (= 7.2.13-1)
SHA256: 28dc
Description: Linux
"""


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
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("this is not Debian")
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


def test_a_package_is_read_as_apt_describes_it() -> None:
    package = debian.described(SHOWN)

    assert package == Package(
        "linux-image-7.2.13-amd64",
        "7.2.13-1",
        "28dc",
        "linux-base-7.2.13-amd64 (= 7.2.13-1), linux-modules-7.2.13-amd64 (= 7.2.13-1)",
    )


@pytest.mark.parametrize(
    "text", ["", "Package: linux-image-6.0\nStatus: install ok installed\nVersion: 6.0-1\n"]
)
def test_what_no_archive_has_is_no_package(text: str) -> None:
    assert debian.described(text) is None


def test_other_suites_are_where_the_first_release_of_this_one_is() -> None:
    targets = (
        "http://a.example/security/|bookworm-security|main\n"
        "http://b.example/vendor/||\n"
        "http://a.example/debian/|bookworm|contrib\n"
        "http://a.example/debian/|bookworm|main\n"
    )

    assert debian.address(targets) == "http://a.example/debian/"


def test_without_any_archive_a_person_is_told_to_add_one() -> None:
    with pytest.raises(UnavailableError, match=r"add one to /etc/apt/sources\.list"):
        debian.address("http://b.example/vendor/|x-security|main\n")
