"""``list``: the nodes with findings or treatments, and what they wait for."""

from __future__ import annotations

from datetime import datetime

from kernelhealth_kubectl import reading
from kernelhealth_kubectl.pages.overview import Overview
from kernelhealth_operator.cluster.session import ApiSession


async def overview(session: ApiSession, now: datetime, *, everything: bool) -> Overview:
    """Return the nodes with something to tell, or every node; raises ``ApiError``."""
    notes: list[str] = []
    healths = await reading.healths(session, notes)
    treatments = await reading.treatments(session, notes)
    policies = await reading.policies(session, notes)
    return Overview(healths, treatments, policies, now, everything, tuple(notes))
