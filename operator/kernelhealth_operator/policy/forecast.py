"""When a node runs out of what it is losing, as its findings foresee it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kernelhealth_api.v1alpha1.finding import Finding


def runs_out(findings: Iterable[Finding]) -> datetime | None:
    """Return the earliest moment at which a node may run out; None where nothing foresees it.

    The early end of the band of confidence counts where there is one: who plans by it is rarely
    too late.
    """
    moments = (found.exhaustion_earliest or found.exhaustion for found in findings)
    return min((moment for moment in moments if moment is not None), default=None)
