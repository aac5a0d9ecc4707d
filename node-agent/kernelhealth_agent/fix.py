"""What it means to be a fix: how the agent does one of the catalogued cures on its own host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kernelhealth_agent.attribution import Places
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

__all__ = ["Aim", "Deed", "Fix"]


@dataclass(frozen=True, slots=True)
class Aim:
    """One thing that a fix is done to: *key* tells it from every other, *title* names it.

    *observation* is what the agent itself has seen and confirmed. Nothing comes from the request.
    """

    key: str
    title: str
    observation: Observation


@dataclass(frozen=True, slots=True)
class Fix:
    """One catalogued cure, as it is done on the host.

    *aims* picks from confirmed observations what there is to do. *objection* looks again, right
    before, and returns why it must not be done, or nothing; what cannot be looked at is an
    objection. *deeds* are done in order, *achieved* looks whether they did what they are for.
    *undo* are the deeds that take it back, where that is possible. *survives*: it is still so after
    a reboot. *at* makes the fix for a host whose kubelet has its pods elsewhere, where it matters.
    """

    name: str
    stage: Stage
    aims: Callable[[Iterable[Observation]], Iterable[Aim]]
    objection: Callable[[Host, Aim], str]
    deeds: Callable[[Host, Aim], Iterable[Deed]]
    achieved: Callable[[Host, Aim], bool]
    undo: Callable[[Host, Aim], Iterable[Deed]] | None = None
    survives: bool = False
    at: Callable[[Places], Fix] | None = None
