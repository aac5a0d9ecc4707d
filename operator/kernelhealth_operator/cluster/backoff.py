"""How long to wait before trying again, so that many who failed together do not return together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Jitter = Callable[[], float]
"""Gives numbers in [0, 1), as ``random.random`` does."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter: anything from nothing to ``first * 2**(n-1)``, at most *most*.

    Both bounds are seconds.
    """

    first: float = 0.5
    most: float = 30.0

    def delay(self, failures: int, jitter: Jitter) -> float:
        """Seconds to wait after that many failures in a row (1 or more)."""
        # Past 2**16 the bound has long been reached; a bigger exponent would overflow a float.
        return jitter() * min(self.most, self.first * 2.0 ** min(failures - 1, 16))
