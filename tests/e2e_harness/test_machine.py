from __future__ import annotations

from pathlib import Path

import pytest

from kernelhealth_e2e import baseimage, existing, packages, pipconfig
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.packages import Machine


def machine(programs: Path, *names: str, user: int = 0) -> Machine:
    for name in names:
        (programs / name).touch(mode=0o755)
    return Machine(user, str(programs))


def test_missing_packages_are_named_once_and_in_order(tmp_path: Path) -> None:
    here = machine(tmp_path, "there")
    needs = {"absent-b": "zeta", "absent-a": "zeta", "there": "alpha", "/no/such/file": "beta"}

    missing = here.missing(needs)

    assert missing == ("beta", "zeta")


def test_a_user_is_told_to_install_as_root(tmp_path: Path) -> None:
    here = machine(tmp_path, "apt-get", user=1000)

    refusal = packages.objection(("runc",), here)

    assert (
        refusal == "not root, so nothing can be installed; run as root, or `apt-get install runc`"
    )


def test_root_with_apt_may_install(tmp_path: Path) -> None:
    here = machine(tmp_path, "apt-get")

    refusal = packages.objection(("runc",), here)

    assert refusal is None


@pytest.mark.parametrize("context", ["kind-dev", "k3d-x", "minikube", "kernelhealth-e2e"])
def test_a_test_clusters_context_is_accepted(tmp_path: Path, context: str) -> None:
    file = tmp_path / "config"
    file.write_text(f"current-context: {context}\n")

    found = existing.kubeconfig({existing.VARIABLE: str(file)})

    assert found == file


@pytest.mark.parametrize("context", ["production", "kind", "my-kind-x", "Minikube", "minikube2"])
def test_any_other_context_is_refused_by_name(tmp_path: Path, context: str) -> None:
    file = tmp_path / "config"
    file.write_text(f"current-context: {context}\n")

    with pytest.raises(HarnessError, match=f"current-context '{context}' is not a test cluster"):
        existing.kubeconfig({existing.VARIABLE: str(file)})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"current-context: [kind-a]", id="not a string"),
        pytest.param(b"a: b: c", id="not yaml"),
        pytest.param(b"\xff\xfe", id="not text"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)

    with pytest.raises(HarnessError, match=str(file)):
        existing.kubeconfig({existing.VARIABLE: str(file)})


def test_without_the_variable_there_is_no_existing_cluster() -> None:
    found = existing.kubeconfig({})

    assert found is None


def test_pips_environment_wins_over_its_files() -> None:
    listed = ":env:.index-url='https://b.test/'\nglobal.index-url='https://a.test/'\n"

    found = pipconfig.options(listed)

    assert found == {"index-url": "https://b.test/"}


def test_a_build_gets_the_index_but_no_paths_of_this_machine() -> None:
    options = {"index-url": "https://u%40x@a.test/", "find-links": "/here", "cert": "/etc/ca.crt"}

    text = pipconfig.build_file(options, with_ca=True)

    assert "index-url = https://u%40x@a.test/\n" in text
    assert "/here" not in text
    assert "/etc/ca.crt" not in text
    assert f"cert = {pipconfig.CA_SECRET}\n" in text


def test_the_base_image_comes_from_the_mirror_that_apt_uses() -> None:
    targets = (
        "Other\thttps://other.test/debian/\n"
        "Debian\thttp://mirror.test/debian-security/\n"
        "Debian\thttp://mirror.test/debian/\n"
    )

    found = baseimage.mirror(targets)

    assert found == ("http://mirror.test/debian/",)


def test_without_a_debian_mirror_mmdebstrap_uses_its_own() -> None:
    found = baseimage.mirror("")

    assert found == ()
