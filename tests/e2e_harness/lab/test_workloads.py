"""What the programs must be like that the lab ships into pods as source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelhealth_e2e.lab import scenarios

HOME = Path(scenarios.__file__).parent
PROGRAMS = sorted(HOME.glob("*/workloads/*.py"))


def test_there_are_programs() -> None:
    assert PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(HOME)))
def test_a_program_needs_nothing_but_python(program: Path) -> None:
    needed = set(imported(ast.parse(program.read_text())))

    assert needed <= sys.stdlib_module_names


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
