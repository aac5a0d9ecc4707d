"""Tokens that change under a running operator, and configurations that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelhealth_operator.cluster import access
from kernelhealth_operator.cluster.access import TokenFile
from kernelhealth_operator.cluster.errors import AccessUnusable


def kubeconfig(token: str) -> str:
    return f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:1"}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


def project(volume: Path, token: str) -> None:
    """Replaces the token as the kubelet does: a new directory, and a link moved to it."""
    generation = volume / f"..{token}"
    generation.mkdir(parents=True)
    (generation / "token").write_text(token)
    (volume / "..new").symlink_to(generation.name)
    (volume / "..new").rename(volume / "..data")
    if not (volume / "token").is_symlink():
        (volume / "token").symlink_to("..data/token")


def test_a_token_that_the_kubelet_replaced_is_used_from_then_on(tmp_path: Path) -> None:
    project(tmp_path, "first")
    token = TokenFile(tmp_path / "token")
    before = token.header()

    project(tmp_path, "second")

    assert (before, token.header()) == ("Bearer first", "Bearer second")


async def test_a_401_reads_even_a_file_that_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    seen = path.stat()
    token = TokenFile(path)
    path.write_text("later")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    unnoticed = token.header()
    changed = await token.renew()

    assert (unnoticed, changed, token.header()) == ("Bearer first", True, "Bearer later")
    assert not await token.renew()


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("")])
def test_a_token_file_that_is_away_for_a_moment_takes_nothing_away(
    tmp_path: Path, harm: object
) -> None:
    path = tmp_path / "token"
    path.write_text("good\n")
    token = TokenFile(path)

    assert callable(harm)
    harm(path)

    assert token.header() == "Bearer good"


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_starting_without_a_token_says_which_file_and_what_to_do(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)

    with pytest.raises(AccessUnusable, match=str(path)):
        TokenFile(path)


def test_outside_of_a_pod_the_service_account_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(AccessUnusable, match="name a kubeconfig"):
        access.from_service_account({}, tmp_path)


async def test_a_kubeconfig_is_loaded_again_after_a_401(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig("first"))
    entry = await access.from_kubeconfig(path)
    before = entry.credentials.header()
    path.write_text(kubeconfig("second"))

    changed = await entry.credentials.renew()

    assert (before, changed, entry.credentials.header()) == ("Bearer first", True, "Bearer second")
    assert (entry.server, entry.tls) == ("http://127.0.0.1:1", None)


@pytest.mark.parametrize("content", [None, "", "[]", "current-context: x\n", "\t:"])
async def test_a_broken_kubeconfig_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)

    with pytest.raises(AccessUnusable, match=str(path)):
        await access.from_kubeconfig(path)
