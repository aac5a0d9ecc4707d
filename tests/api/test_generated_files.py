from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import generate
from kernelhealth_build import catalogue as catalogues
from kernelhealth_build.catalogue import Catalogue


def test_every_generated_file_of_the_tree_is_fresh() -> None:
    assert generate.stale(generate.ROOT, generate.files(catalogues.shipped())) == []


def test_what_is_written_is_fresh_and_not_written_again(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    wanted = generate.files(catalogue)

    first, second = generate.write(tmp_path, wanted), generate.write(tmp_path, wanted)

    assert first == list(wanted)
    assert second == []


def test_the_text_is_the_same_each_time(catalogue: Catalogue) -> None:
    assert generate.files(catalogue) == generate.files(catalogue)


def test_every_file_says_that_it_is_generated(catalogue: Catalogue) -> None:
    # JSON knows no comments.
    texts = {n: text for n, text in generate.files(catalogue).items() if not n.endswith(".json")}

    for name, text in texts.items():
        assert "Written by crds/generate.py; do not edit." in text.splitlines()[0], name


def test_manifests_have_no_anchors_which_some_readers_refuse(catalogue: Catalogue) -> None:
    for name, text in generate.files(catalogue).items():
        if not name.endswith(".md"):
            assert not [token for token in yaml.scan(text) if isinstance(token, _ALIASES)], name


def test_a_check_names_what_is_stale_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.main(["--root", str(tmp_path)])
    (tmp_path / "docs/detectors.md").write_text("edited by hand")
    (tmp_path / "crds/nodekernelhealths.yaml").unlink()
    capsys.readouterr()

    status = generate.main(["--check", "--root", str(tmp_path)])

    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        "crds/nodekernelhealths.yaml is stale: run make generate",
        "docs/detectors.md is stale: run make generate",
    ]


def test_a_check_of_fresh_files_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.main(["--root", str(tmp_path)])
    capsys.readouterr()

    status = generate.main(["--check", "--root", str(tmp_path)])

    assert status == 0
    assert capsys.readouterr().out == ""


_ALIASES = (yaml.AliasToken, yaml.AnchorToken)
