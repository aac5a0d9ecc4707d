from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.kernels import catalogue, headers, modules, source
from kernelhealth_e2e.lab.kernels.source import Variant
from kernelhealth_e2e.progress import Progress
from kernelhealth_e2e.vm.kernel import Kernel

HOME = Path(source.__file__).parent


def test_an_unknown_kernel_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"no kernel 2.6; it has 5.10, 6.1, 6.12, newest, 6.1-b"):
        catalogue.get("2.6", Cache(tmp_path), Progress())


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
    shown = (HOME / "config/observable.config").read_text()
    bare = (HOME / "config/bare.config").read_text()

    for option in ("SLUB", "DEBUG_FS", "PROC_KCORE", "INET_DIAG", "IKCONFIG", "DEBUG_INFO_BTF"):
        assert f"\nCONFIG_{option}=y" in shown
        assert f"\n# CONFIG_{option} is not set" in bare


def test_kernels_that_differ_in_a_patch_are_not_taken_for_each_other() -> None:
    plain = Variant("x", ("node.config",))
    patched = Variant("x", ("node.config",), ("without-cdef4852.patch",))

    contents = {plain.content(), patched.content(), Variant("y", ("node.config",)).content()}

    assert len(contents) == 3


def test_headers_find_each_other_wherever_they_are_unpacked(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text("include /usr/src/linux-headers-6.1.0-56-common/Makefile\n")

    headers.relocate(makefile)

    assert makefile.read_text() == "include ../linux-headers-6.1.0-56-common/Makefile\n"
