"""Where the files for virtual machines are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
GUEST = _PACKAGE / "guest"
INIT_SOURCE = GUEST / "init.c"
OVERLAY = _PACKAGE / "manifests"
