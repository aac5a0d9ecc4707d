"""Where the harness's own non-Python files are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
ROOT = _PACKAGE.parent.parent
INIT_SOURCE = _PACKAGE / "guest" / "init.c"
BOOT_SCRIPT = _PACKAGE / "guest" / "boot.sh"
