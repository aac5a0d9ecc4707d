from __future__ import annotations

import io
from pathlib import Path

import pytest

from kernelhealth_e2e import binaries, golang
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.progress import Progress


def test_the_version_is_the_required_one_and_not_a_replaced_modules() -> None:
    text = (
        "replace k8s.io/kubernetes => ../x\n\nrequire (\n\tk8s.io/kubernetes v1.2.3 // indirect\n)"
    )

    version = binaries.kubernetes_version(text)

    assert version == "v1.2.3"


def test_a_module_file_without_kubernetes_is_refused_with_the_line_to_add() -> None:
    with pytest.raises(HarnessError, match=r"add `k8s\.io/kubernetes vX\.Y\.Z`"):
        binaries.kubernetes_version("module x\n")


def test_the_programs_are_stamped_with_the_version() -> None:
    flags = binaries.ldflags("v1.34.4")

    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/component-base/version.gitMinor=34" in flags


def test_the_shipped_module_file_builds_every_program_we_use() -> None:
    text = (binaries.MODULE / "go.mod").read_text()

    tools = {line.strip() for line in text.partition("tool (")[2].splitlines()}

    assert {f"k8s.io/kubernetes/cmd/{name}" for name in binaries.NAMES} <= tools


def test_given_programs_are_used_only_when_they_are_all_there(tmp_path: Path) -> None:
    for name in ("kube-apiserver", "kubectl"):
        (tmp_path / name).touch(mode=0o755)

    some = binaries.holds(tmp_path, ("kube-apiserver", "kubectl"))
    every = binaries.holds(tmp_path, binaries.NAMES)

    assert some
    assert not every


def test_programs_that_are_not_executable_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "kubectl").touch(mode=0o644)

    held = binaries.holds(tmp_path, ("kubectl",))

    assert not held


def test_assets_named_by_the_environment_win_over_the_cache(tmp_path: Path) -> None:
    (tmp_path / "kubectl").touch(mode=0o755)
    environ = {"KUBEBUILDER_ASSETS": str(tmp_path)}

    found = binaries.find(Cache(tmp_path), environ, Progress(io.StringIO()), ("kubectl",))

    assert found == tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("go version go1.24.5 linux/amd64\n", (1, 24), id="a release"),
        pytest.param("go version go1.26rc1 linux/arm64\n", (1, 26), id="a candidate"),
        pytest.param("gcc (Debian) 12.2.0", None, id="something else"),
    ],
)
def test_gos_version_is_read(text: str, expected: tuple[int, int] | None) -> None:
    found = golang.version(text)

    assert found == expected
