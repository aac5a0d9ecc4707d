"""Draws that depend on the seed alone.

Hypothesis takes some of what it draws from the constants of all modules of the project that are
loaded by then (providers.py, ``_get_local_constants``): with any literal that changes, and with
whatever tests were collected beside them, the same seed plays other courses.
"""

from __future__ import annotations

from typing import Any

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

BACKEND = "by-seed-alone"


class BySeedAlone(HypothesisProvider):
    """Hypothesis's own draws, without constants of anybody's source."""

    def _maybe_draw_constant(self, *_: Any, **__: Any) -> None:
        return None


AVAILABLE_PROVIDERS[BACKEND] = BySeedAlone
