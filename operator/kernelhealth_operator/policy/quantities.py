"""Quantities as Kubernetes writes them: ``100m``, ``1.5``, ``2Gi``, ``1e3``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

_SYNTAX: Final = re.compile(
    r"([+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?)(?:[eE]([+-]?[0-9]{1,2})|([A-Za-z]*))"
)
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    **{name: Decimal(10) ** power for name, power in (("n", -9), ("u", -6), ("m", -3), ("", 0))},
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", 1)},
}
_BINARY: Final = ("Gi", "Mi", "Ki")


def amount(text: str, unit: int) -> int:
    """Return how many of what goes *unit* times into 1 are in *text*, rounded up; 0 if unreadable.

    ``amount("100m", 1000)`` is 100. The API server lets no unreadable quantity through.
    """
    found = _SYNTAX.fullmatch(text)
    if found is None or (found[3] or "") not in _SUFFIXES:
        return 0
    scale = Decimal(10) ** int(found[2]) if found[2] else _SUFFIXES[found[3] or ""]
    return math.ceil(Decimal(found[1]) * scale * unit)


def of_cpu(thousandths: int) -> str:
    """Return a number of processors as Kubernetes writes it."""
    return f"{thousandths // 1000}" if thousandths % 1000 == 0 else f"{thousandths}m"


def of_memory(size: int) -> str:
    """Return a number of bytes in the largest binary unit that divides it."""
    for power, suffix in zip((3, 2, 1), _BINARY, strict=True):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{suffix}"
    return str(size)
