"""What the tree must look like for its tools to work."""

from __future__ import annotations

import operator
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 200


@pytest.mark.parametrize("folder", ["operator", "node-agent", "crds"])
def test_the_three_folders_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()
    assert "kernelhealth" not in str(operator.__file__)


@pytest.mark.parametrize(
    "module",
    [
        path
        for folder in ("crds", "node-agent", "operator", "e2e")
        for path in (ROOT / folder).rglob("*.py")
        if "test_" not in path.name
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_module_has_one_subject(module: Path) -> None:
    forbidden = {"utils", "helpers", "common", "manager", "base"}

    assert module.stem not in forbidden
    assert len(module.read_text().splitlines()) <= LONGEST


def test_nothing_names_an_index_of_packages() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in path.read_text(), path
        assert "--index" not in path.read_text(), path
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "index" not in str(settings["project"])
