from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelhealth_e2e.resources import ROOT

SKIPS_ITSELF = "import pytest\n\ndef test_a():\n    pytest.skip('no root')\n"
SKIPS_WHOLE = "import pytest\n\npytest.skip('no kernel', allow_module_level=True)\n"
IS_EXPECTED_TO_FAIL = "import pytest\n\n@pytest.mark.xfail\ndef test_a():\n    assert False\n"
NEEDS_A_FIXTURE = """\
import pytest

@pytest.fixture
def thing():
    pytest.skip('no thing')

def test_a(thing):
    pass
"""


def outcome(tmp_path: Path, test: str, require_all: str) -> tuple[int, str]:
    (tmp_path / "test_it.py").write_text(test)
    plugin = ("-p", "kernelhealth_e2e.strictness", "-p", "no:cacheprovider")
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "e2e"),
        "KERNELHEALTH_REQUIRE_ALL": require_all,
    }
    result = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", *plugin, f"--rootdir={tmp_path}", str(tmp_path)),
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout


@pytest.mark.parametrize("test", [SKIPS_ITSELF, SKIPS_WHOLE, NEEDS_A_FIXTURE])
def test_a_skip_is_a_failure_where_everything_is_required(tmp_path: Path, test: str) -> None:
    status, printed = outcome(tmp_path, test, "1")

    assert status != 0
    assert "KERNELHEALTH_REQUIRE_ALL=1 and" in printed
    assert "was skipped: " in printed


@pytest.mark.parametrize("test", [SKIPS_ITSELF, NEEDS_A_FIXTURE])
def test_a_skip_is_a_skip_elsewhere(tmp_path: Path, test: str) -> None:
    status, printed = outcome(tmp_path, test, "")

    assert status == 0
    assert "1 skipped" in printed


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    status, printed = outcome(tmp_path, IS_EXPECTED_TO_FAIL, "1")

    assert status == 0
    assert "1 xfailed" in printed


@pytest.mark.parametrize(
    ("require_all", "line"),
    [("1", "0 passed, 1 failed, 0 skipped"), ("0", "0 passed, 0 failed, 1 skipped")],
)
def test_the_last_line_has_the_numbers(tmp_path: Path, require_all: str, line: str) -> None:
    _, said = outcome(tmp_path, SKIPS_ITSELF, require_all)

    assert said.splitlines()[-1] == line
