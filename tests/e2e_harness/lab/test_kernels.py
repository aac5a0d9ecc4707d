from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernelhealth_e2e import debian
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.debian import Package
from kernelhealth_e2e.errors import HarnessError, UnavailableError
from kernelhealth_e2e.lab import headers, kernels, modules, source
from kernelhealth_e2e.lab.source import Variant
from kernelhealth_e2e.progress import Progress
from kernelhealth_e2e.vm.kernel import Kernel

LAB = Path(source.__file__).parent
SHOWN = """\
Package: linux-image-7.2.13-amd64
Version: 7.2.13-1
Depends: linux-base-7.2.13-amd64 (= 7.2.13-1), linux-modules-7.2.13-amd64 (= 7.2.13-1)
SHA256: 28dc
Description: Linux
"""


def test_an_unknown_kernel_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"no kernel 2.6; it has 5.10, 6.1, 6.12, newest, 6.1-b"):
        kernels.get("2.6", Cache(tmp_path), Progress())


def test_an_unknown_module_is_answered_with_those_there_are(tmp_path: Path) -> None:
    for name in ("b.c", "a.c", "Makefile"):
        (tmp_path / name).touch()

    with pytest.raises(HarnessError, match=r"no module c; those in .* are: a, b"):
        modules.built(Kernel(tmp_path), "c", Cache(tmp_path), Progress(), tmp_path)


def test_what_a_configuration_did_not_take_is_named_once_and_by_its_last_wish() -> None:
    fragments = "# why\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D=y\nCONFIG_D=64\n"

    lost = source.unheeded(fragments, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_D=y\n")

    assert lost == ("CONFIG_B=y", "CONFIG_D=64")


@pytest.mark.parametrize("name", ["observable.config", "bare.config"])
def test_a_fragment_asks_for_each_option_once(name: str) -> None:
    options = re.findall(r"CONFIG_\w+", Variant("x", ("node.config", name)).configuration())

    assert len(options) > 150
    assert len(set(options)) == len(options)


def test_a_bare_kernel_lacks_what_the_others_show_of_themselves() -> None:
    shown = (LAB / "config/observable.config").read_text()
    bare = (LAB / "config/bare.config").read_text()

    for option in ("SLUB", "DEBUG_FS", "PROC_KCORE", "INET_DIAG", "IKCONFIG", "DEBUG_INFO_BTF"):
        assert f"\nCONFIG_{option}=y" in shown
        assert f"\n# CONFIG_{option} is not set" in bare


def test_kernels_that_differ_in_a_patch_are_not_taken_for_each_other() -> None:
    plain = Variant("x", ("node.config",))
    patched = Variant("x", ("node.config",), ("without-cdef4852.patch",))

    contents = {plain.content(), patched.content(), Variant("y", ("node.config",)).content()}

    assert len(contents) == 3


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


def test_headers_find_each_other_wherever_they_are_unpacked(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text("include /usr/src/linux-headers-6.1.0-56-common/Makefile\n")

    headers.relocate(makefile)

    assert makefile.read_text() == "include ../linux-headers-6.1.0-56-common/Makefile\n"


@pytest.mark.parametrize("place", ["boot/vmlinuz-7.2", "lib/modules/7.2/vmlinuz"])
def test_the_image_is_found_where_a_package_has_it(tmp_path: Path, place: str) -> None:
    image = tmp_path / place
    (tmp_path / "lib/modules/7.2").mkdir(parents=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()

    assert Kernel(tmp_path).image == image
