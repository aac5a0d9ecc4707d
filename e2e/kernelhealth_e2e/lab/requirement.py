"""What must hold in a run; where it does not, the run ends with these words."""

from __future__ import annotations

from kernelhealth_e2e.errors import HarnessError


def require(holds: object, otherwise: str) -> None:
    """Raise HarnessError, in these words, unless it is so."""
    if not holds:
        raise HarnessError(otherwise)
